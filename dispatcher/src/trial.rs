//! Sends a sample to an endpoint, beside its lanes, for whoever sets it up.
//!
//! A sample is signed as every delivery is. It is recorded nowhere and tried once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use schemas::record::{Context, PublicEvent};
use schemas::samples::sample;
use schemas::wire::EventTag;
use schemas::{
    DirectoryId, Edge, EndpointId, EventId, EventType, OperationalEvent, OrganizationId, ScimId,
    Seq, Timestamp,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{self, Sender};
use crate::ports::{
    DeliveryStore, Endpoint, FeedEvent, FeedPosition, OPERATIONAL, StoreError, Topic,
};
use crate::target::Target;

/// Says that an event is a sample.
const TEST: HeaderName = HeaderName::from_static("dsync-test");

/// What was sent and what came back.
#[derive(Debug)]
pub struct Trial {
    /// The id of the sample.
    pub event_id: EventId,
    /// How long it took.
    pub duration: Duration,
    /// The headers that were sent.
    pub headers: HeaderMap,
    /// The bytes that were sent.
    pub body: Bytes,
    /// What came back.
    pub answer: client::Answer,
}

/// Why there was no trial.
#[derive(Debug, thiserror::Error)]
pub enum Impossible {
    /// There is no such endpoint.
    #[error("there is no such endpoint")]
    NoEndpoint,
    /// The format of the endpoint has no words for it.
    #[error("the format of the endpoint cannot say it")]
    Unsayable,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What sends samples.
#[derive(Clone)]
pub struct Tester {
    store: Arc<dyn DeliveryStore>,
    sender: Arc<dyn Sender>,
    edge: Arc<dyn Edge>,
    issuer: Arc<str>,
}

impl std::fmt::Debug for Tester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tester(…)")
    }
}

impl Tester {
    /// Sends with `sender`; `issuer` as in [`crate::Config`].
    #[must_use]
    pub fn new(
        store: Arc<dyn DeliveryStore>,
        sender: Arc<dyn Sender>,
        edge: Arc<dyn Edge>,
        issuer: &str,
    ) -> Self {
        Self { store, sender, edge, issuer: issuer.into() }
    }

    /// Sends a sample of an event.
    ///
    /// # Errors
    /// [`Impossible`] if nothing could be sent. That nothing good came back is no error.
    pub async fn send(&self, id: EndpointId, topic: Topic) -> Result<Trial, Impossible> {
        let endpoints = self.store.endpoints().await?;
        let endpoint = endpoints.list.into_iter().find(|endpoint| endpoint.id == id);
        let endpoint = endpoint.ok_or(Impossible::NoEndpoint)?;
        if !carries(&endpoint, topic) {
            return Err(Impossible::Unsayable);
        }
        let target = Target::new(&endpoint, None, &self.issuer);
        let target = target.ok_or(Impossible::NoEndpoint)?;
        let at = self.edge.now();
        let event = event(topic, EventId::from_bits(self.edge.id()), at);
        let body = match target.issuer() {
            None => event.body.clone(),
            Some(issuer) => {
                let key = self.store.signing_key().await?;
                issuer.token(&event, &key).map_err(|_| Impossible::Unsayable)?
            }
        };
        let mut request = target.request(&event, 1, at, body);
        request.headers.insert(TEST, HeaderValue::from_static("true"));
        let (headers, body) = (request.headers.clone(), request.body.clone());
        let begin = Instant::now();
        let answer = self.sender.send(request, at).await;
        Ok(Trial { event_id: event.id, duration: begin.elapsed(), headers, body, answer })
    }
}

const fn carries(endpoint: &Endpoint, topic: Topic) -> bool {
    match topic {
        Topic::Directory(kind) => endpoint.format.carries(kind),
        Topic::Operational(_) => true,
    }
}

#[derive(Deserialize)]
struct Golden<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A sample as the feed would have it.
fn event(topic: Topic, id: EventId, at: Timestamp) -> FeedEvent {
    let body = match topic {
        Topic::Directory(kind) => of_directory(kind, id, at),
        Topic::Operational(kind) => of_installation(kind, id, at),
    };
    FeedEvent {
        position: FeedPosition(0),
        id,
        topic,
        organization_id: None,
        directory_id: match topic {
            Topic::Directory(_) => DirectoryId::from_bits(id.bits()),
            Topic::Operational(_) => OPERATIONAL,
        },
        seq: Seq(0),
        user: Some(ScimId::from_bits(id.bits())),
        group: Some(ScimId::from_bits(id.bits())),
        request: None,
        held: None,
        body,
    }
}

fn of_directory(kind: EventType, id: EventId, created_at: Timestamp) -> Bytes {
    let golden: Golden<'_> =
        serde_json::from_str(sample(kind)).expect("a sample is an event, as its test says");
    let (data, context) = (golden.data, Context {});
    PublicEvent { object: EventTag::Tag, id, event: kind, data, created_at, context }
        .to_bytes()
        .into()
}

fn of_installation(kind: OperationalEvent, id: EventId, at: Timestamp) -> Bytes {
    let mut data = match kind {
        OperationalEvent::EndpointFailing => json!({ "failing_since": at, "disables_at": at,
            "failure": "status", "response_status": 503 }),
        OperationalEvent::EndpointDisabled => json!({ "reason": "gone" }),
        OperationalEvent::EndpointStalled => json!({ "waiting": 1_000 }),
        OperationalEvent::EndpointRecovered => json!({ "failing_since": at }),
        OperationalEvent::DeliveryExhausted => json!({ "event_id": id,
            "event": EventType::UserUpdated.name(), "attempts": 9, "failure": "status",
            "response_status": 503, "replay_id": null }),
        OperationalEvent::DirectoryHeld => json!({ "held_since": at,
            "brake": { "share": 0.2, "window_seconds": 3_600, "floor": 10 },
            "users_removed": 30, "users": 100, "memberships_removed": 0, "memberships": 0 }),
        OperationalEvent::DirectoryReleased => json!({ "held_since": at, "events": 30 }),
    };
    if let (Value::Object(data), Value::Object(subject)) = (&mut data, subject(kind, id)) {
        data.extend(subject);
    }
    let body = json!({ "object": "event", "id": id, "event": kind.name(), "data": data,
        "created_at": at, "context": {} });
    body.to_string().into()
}

/// What an operational event is about.
fn subject(kind: OperationalEvent, id: EventId) -> Value {
    let (endpoint, url) = (EndpointId::from_bits(id.bits()), "https://app.example/webhooks");
    match kind {
        OperationalEvent::EndpointFailing
        | OperationalEvent::EndpointDisabled
        | OperationalEvent::EndpointStalled
        | OperationalEvent::EndpointRecovered => {
            json!({ "object": "webhook_endpoint", "id": endpoint, "endpoint_url": url })
        }
        OperationalEvent::DeliveryExhausted => {
            json!({ "object": "delivery", "endpoint_id": endpoint, "endpoint_url": url })
        }
        OperationalEvent::DirectoryHeld | OperationalEvent::DirectoryReleased => {
            json!({ "object": "directory", "id": DirectoryId::from_bits(id.bits()),
                "organization_id": OrganizationId::from_bits(id.bits()), "name": "Acme" })
        }
    }
}
