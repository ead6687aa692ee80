//! Endpoints as the API shows them.

use schemars::JsonSchema;
use schemas::{
    DirectoryId, EndpointId, EndpointKind, EventId, EventType, OperationalEvent, OrganizationId,
    Timestamp,
};
use serde::Serialize;

use crate::outward::OutwardBody;
use crate::ports::{Delivering, Endpoint, LastError};

/// An endpoint as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookEndpoint")]
pub(crate) struct EndpointBody {
    object: &'static str,
    id: EndpointId,
    endpoint_url: String,
    secret: String,
    status: &'static str,
    events: Vec<&'static str>,
    format: &'static str,
    kind: &'static str,
    organizations: Vec<OrganizationId>,
    directories: Vec<DirectoryId>,
    order: &'static str,
    /// `null` for that of the settings.
    retry_schedule: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(flatten)]
    outward: OutwardBody,
    /// Where one endpoint is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthBody>,
}

impl EndpointBody {
    pub(super) fn with(self, health: HealthBody) -> Self {
        Self { health: Some(health), ..self }
    }
}

impl From<Endpoint> for EndpointBody {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            object: "webhook_endpoint",
            id: endpoint.id,
            endpoint_url: endpoint.url,
            secret: endpoint.secret.expose().to_owned(),
            status: if endpoint.enabled { "enabled" } else { "disabled" },
            events: subscribed(endpoint.kind, &endpoint.events),
            format: endpoint.format.name(),
            kind: endpoint.kind.name(),
            organizations: endpoint.organizations,
            directories: endpoint.directories,
            order: endpoint.order.name(),
            retry_schedule: endpoint.retry_schedule.map(|waits| waits.to_string()),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            outward: OutwardBody::new(endpoint.outward, endpoint.previous_secret_until),
            health: None,
        }
    }
}

/// The names of what it gets.
fn subscribed(kind: EndpointKind, events: &[EventType]) -> Vec<&'static str> {
    match kind {
        EndpointKind::Directory => events.iter().map(|event| event.name()).collect(),
        EndpointKind::Operational => OperationalEvent::ALL.map(OperationalEvent::name).to_vec(),
    }
}

/// How an endpoint is doing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(crate) struct HealthBody {
    state: &'static str,
    lag_events: u64,
    lag_seconds: u64,
    /// Of the attempts in the last 24 hours, of the latest 10,000 of them at most, how many of 1 were answered with 2xx;
    /// `null` without any.
    success_rate: Option<f64>,
    last_error: Option<ErrorBody>,
    failing_since: Option<Timestamp>,
    disabled_reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryError")]
pub(crate) struct ErrorBody {
    at: Timestamp,
    event_id: EventId,
    failure: String,
    status: Option<u16>,
}

impl HealthBody {
    pub(super) fn of(enabled: bool, delivering: Delivering, now: Timestamp) -> Self {
        let error = |error: LastError| ErrorBody {
            at: error.at,
            event_id: error.event_id,
            failure: error.failure,
            status: error.status,
        };
        Self {
            state: delivering.health(enabled).name(),
            lag_events: delivering.lag_events,
            lag_seconds: delivering.oldest_waiting.map_or(0, |at| now.since(at).as_secs()),
            success_rate: rate(delivering.delivered, delivering.attempts),
            last_error: delivering.last_error.map(error),
            failing_since: delivering.failing_since,
            disabled_reason: delivering.disabled_reason,
        }
    }
}

/// To four digits, as people read it.
fn rate(part: u64, whole: u64) -> Option<f64> {
    let tenths_of_thousandths = part.saturating_mul(10_000).checked_div(whole)?;
    Some(f64::from(u32::try_from(tenths_of_thousandths).unwrap_or(10_000)) / 10_000.0)
}
