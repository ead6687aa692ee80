//! Samples that are sent to an endpoint to see what it answers.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::{EndpointId, EventId, EventType, OperationalEvent};

use super::PortError;

/// Of what a sample is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// An event of a directory.
    Directory(EventType),
    /// An operational event.
    Operational(OperationalEvent),
}

/// What was sent and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The id of the sample. No list of events has it.
    pub event_id: EventId,
    /// How long it took.
    pub duration: Duration,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
    /// What failed, in a word; `None` if nothing did.
    pub failure: Option<&'static str>,
    /// The headers that were sent.
    pub headers: Vec<(String, String)>,
    /// The bytes that were sent.
    pub request: Bytes,
    /// Of a failure, how the body of the answer begins, if that may be shown.
    pub response: Option<Bytes>,
}

/// What sends samples. It is for callers that see everything.
#[async_trait]
pub trait Trials: Send + Sync {
    /// Sends one, signed as every delivery is, whether or not the endpoint is enabled. `None` if its
    /// format cannot say it. Nothing is recorded, and nothing tried again.
    async fn send(&self, endpoint: EndpointId, sample: Sample) -> Result<Option<Trial>, PortError>;
}
