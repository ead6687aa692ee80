//! `/webhook_endpoints`: where events are sent.
//!
//! An endpoint gets the events of all organizations, so a key that is limited to one has no business
//! here.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::{EndpointId, EventId, EventType, Format, Timestamp};
use serde::Serialize;

use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::error::Error;
use crate::outward::{self, OutwardBody};
use crate::page::Query;
use crate::ports::{Delivering, Endpoint, EndpointChange, LastError, Order, Outward};
use crate::router::Api;
use crate::secrets;

pub(crate) const WHAT: &str = "webhook endpoint";

/// How long a URL may be: what browsers and proxies agree on.
const URL_MAX: usize = 2048;

/// Failures in a row after which the dispatcher stops sending and only probes.
const PAUSES_AFTER: u64 = 5;

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let paging = query.paging(caller.reach, Order::Descending)?;
    let page = api.endpoints.list(paging.request).await?;
    Ok(paging.answer(page, |endpoint| endpoint.id, EndpointBody::from))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<EndpointBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let now = api.edge.now();
    let endpoint = api.endpoints.get(id).await.map_err(Error::about(WHAT, id))?;
    let delivering = api.endpoints.delivering(id, now).await.map_err(Error::about(WHAT, id))?;
    let health = Some(HealthBody::of(endpoint.enabled, delivering, now));
    Ok(Json(EndpointBody { health, ..endpoint.into() }))
}

pub(crate) async fn create(
    State(api): State<Api>,
    Writer(caller): Writer,
    mut fields: Fields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    fields.require("endpoint_url");
    let url = fields.text("endpoint_url", URL_MAX);
    let events = read_events(&mut fields);
    let format = read_format(&mut fields);
    let outward = outward::read(&api, &mut fields);
    let (Some(url), []) = (url, fields.errors()) else {
        return Err(Error::InvalidEndpoint(fields.into_errors()));
    };
    (api.check_url)(&url).map_err(Error::InvalidUrl)?;
    let now = api.edge.now();
    let endpoint = Endpoint {
        id: EndpointId::from_bits(api.edge.id()),
        url,
        secret: secrets::signing_secret(&*api.edge),
        enabled: true,
        events: events.unwrap_or_else(subscribable),
        format: format.unwrap_or_default(),
        created_at: now,
        updated_at: now,
        outward: outward.on(Outward::default()),
        previous_secret_until: None,
    };
    api.endpoints.create(endpoint.clone()).await?;
    Ok((StatusCode::CREATED, Json(EndpointBody::from(endpoint))).into_response())
}

pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    mut fields: Fields,
) -> Result<Json<EndpointBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let change = EndpointChange {
        url: fields.text("endpoint_url", URL_MAX),
        enabled: fields.word("status", &["enabled", "disabled"], enabled),
        events: read_events(&mut fields),
        format: read_format(&mut fields),
        updated_at: api.edge.now(),
        outward: outward::read(&api, &mut fields),
    };
    if !fields.errors().is_empty() {
        return Err(Error::InvalidEndpoint(fields.into_errors()));
    }
    change.url.as_deref().map_or(Ok(()), &*api.check_url).map_err(Error::InvalidUrl)?;
    let endpoint = api.endpoints.update(id, change).await.map_err(Error::about(WHAT, id))?;
    Ok(Json(endpoint.into()))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    api.endpoints.delete(id).await.map_err(Error::about(WHAT, id))?;
    Ok(StatusCode::NO_CONTENT)
}

fn enabled(status: &str) -> Option<bool> {
    match status {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

fn subscribable() -> Vec<EventType> {
    EventType::ALL.iter().copied().filter(|kind| kind.is_subscribable()).collect()
}

fn read_format(fields: &mut Fields) -> Option<Format> {
    fields.word("format", &Format::ALL.map(Format::name), |name| name.parse().ok())
}

/// The types to subscribe to. An empty list is refused: it could be meant as all or as none.
fn read_events(fields: &mut Fields) -> Option<Vec<EventType>> {
    let list = fields.list("events")?;
    if list.is_empty() {
        fields.wrong("events", "required", "events must name one event type or more.".to_owned());
    }
    let mut events = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let kind = value.as_str().and_then(|name| name.parse().ok());
        match kind.filter(|kind: &EventType| kind.is_subscribable()) {
            Some(kind) if events.contains(&kind) => {}
            Some(kind) => events.push(kind),
            None => {
                let message = format!("{value} is not an event type that webhooks carry.");
                fields.wrong(format!("events[{index}]"), "unknown_event_type", message);
            }
        }
    }
    Some(events)
}

/// An endpoint as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookEndpoint")]
pub(crate) struct EndpointBody {
    object: &'static str,
    id: EndpointId,
    endpoint_url: String,
    secret: String,
    status: &'static str,
    events: Vec<EventType>,
    format: &'static str,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(flatten)]
    outward: OutwardBody,
    /// Where one endpoint is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthBody>,
}

impl From<Endpoint> for EndpointBody {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            object: "webhook_endpoint",
            id: endpoint.id,
            endpoint_url: endpoint.url,
            secret: endpoint.secret.expose().to_owned(),
            status: if endpoint.enabled { "enabled" } else { "disabled" },
            events: endpoint.events,
            format: endpoint.format.name(),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            outward: OutwardBody::new(endpoint.outward, endpoint.previous_secret_until),
            health: None,
        }
    }
}

/// How an endpoint is doing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(crate) struct HealthBody {
    state: &'static str,
    lag_events: u64,
    lag_seconds: u64,
    /// Of the attempts in the last 24 hours, how many of 1 were answered with 2xx; `null` without any.
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
    fn of(enabled: bool, delivering: Delivering, now: Timestamp) -> Self {
        let state = match (enabled, delivering.failing_since) {
            (false, _) => "disabled",
            (true, None) => "healthy",
            (true, Some(_)) if delivering.failed_in_a_row >= PAUSES_AFTER => "paused",
            (true, Some(_)) => "failing",
        };
        let error = |error: LastError| ErrorBody {
            at: error.at,
            event_id: error.event_id,
            failure: error.failure,
            status: error.status,
        };
        Self {
            state,
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
