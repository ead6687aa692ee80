//! `/webhook_endpoints/{id}/replay` and `…/replays`: part of the history sent once more.

use std::num::NonZeroU32;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::{DirectoryId, EndpointId, EventType, ReplayId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::admin_events::Told;
use crate::auth::{Reader, Writer};
use crate::body::{Fields, OptionalFields, Segments, path_id};
use crate::endpoints::WHAT as ENDPOINT;
use crate::error::Error;
use crate::page::Query;
use crate::ports::{Endpoint, Order, Point, PortError, Range, Reach, Replay, StoredEvent};
use crate::router::Api;

const WHAT: &str = "replay";

/// How many events a second a replay sends unless it is told: an hour for a directory of a hundred
/// thousand users, and hardly a load for an app.
pub(crate) const RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

/// The most events a second that may be asked for.
pub(crate) const RATE_MAX: u32 = 1_000;

pub(crate) async fn create(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    OptionalFields(fields): OptionalFields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let endpoint = path_id(ENDPOINT, &id)?;
    let id = ReplayId::from_bits(api.edge.id());
    let replay = api.replay_of(endpoint, id, fields).await;
    let replay = replay.map_err(|refused| refused.of(ENDPOINT, endpoint))?;
    let answer = json!({ "replay_id": replay.id, "events": replay.total });
    let told = Extension(Told::made(replay.id));
    Ok((StatusCode::ACCEPTED, told, Json(answer)).into_response())
}

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
    query: Query,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let id = path_id(ENDPOINT, &id)?;
    let paging = query.paging(caller.reach, Order::Descending)?;
    let page = api.deliveries.replays(id, paging.request).await;
    let page = page.map_err(Error::about(ENDPOINT, id))?;
    Ok(paging.answer(page, |replay| replay.id, ReplayBody::from))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments((endpoint, id)): Segments<(String, String)>,
) -> Result<Json<ReplayBody>, Error> {
    caller.unlimited()?;
    let (endpoint, id) = (path_id(ENDPOINT, &endpoint)?, path_id(WHAT, &id)?);
    let replay = api.deliveries.replay(endpoint, id).await.map_err(Error::about(WHAT, id))?;
    Ok(Json(replay.into()))
}

pub(crate) async fn cancel(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments((endpoint, id)): Segments<(String, String)>,
) -> Result<StatusCode, Error> {
    caller.unlimited()?;
    let (endpoint, id) = (path_id(ENDPOINT, &endpoint)?, path_id(WHAT, &id)?);
    api.deliveries.cancel_replay(endpoint, id).await.map_err(Error::about(WHAT, id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Either one event, or a range.
pub(crate) fn read_range(fields: &mut Fields) -> Option<Range> {
    let event = fields.id("event_id").map(Point::Event);
    if let Some(event) = event {
        for name in ["from", "to"] {
            if fields.take(name).is_some() {
                let message = format!("{name} and event_id exclude each other.");
                fields.wrong(name, "invalid", message);
            }
        }
        return Some(Range { from: event, to: Some(event) });
    }
    if fields.errors().is_empty() {
        fields.require("from");
    }
    let (from, to) = (point(fields, "from"), point(fields, "to"));
    if let (Some(Point::At(from)), Some(Point::At(to))) = (from, to)
        && from > to
    {
        backwards(fields);
    }
    Some(Range { from: from?, to })
}

/// Whether it is so where events are named, the store finds out.
pub(crate) fn backwards(fields: &mut Fields) {
    fields.wrong("to", "invalid", "to lies before from.".to_owned());
}

fn point(fields: &mut Fields, name: &str) -> Option<Point> {
    let value = fields.take(name)?;
    let text = value.as_str().unwrap_or_default();
    let event = text.parse().ok().map(Point::Event);
    let point = event.or_else(|| text.parse().ok().map(Point::At));
    if point.is_none() {
        let message = format!(
            "{name} must be the id of an event or a time such as 2026-03-02T10:15:30.123Z."
        );
        fields.wrong(name, "invalid", message);
    }
    point
}

/// Looks up what a replay names, and whether the endpoint gets it.
pub(crate) async fn must_exist(
    api: &Api,
    endpoint: &Endpoint,
    range: Option<Range>,
    directory: Option<DirectoryId>,
    fields: &mut Fields,
) -> Result<(), PortError> {
    let points = range.into_iter().flat_map(|range| {
        let is_one = range.to == Some(range.from);
        let from = if is_one { "event_id" } else { "from" };
        [(from, Some(range.from)), ("to", range.to.filter(|_| !is_one))]
    });
    for (name, point) in points {
        if let Some(Point::Event(id)) = point {
            let found = api.reading.event(Reach::Everything, id).await;
            if let Ok(event) = &found
                && name == "event_id"
            {
                must_be_carried(fields, endpoint, event);
            }
            must_be_found(fields, name, found.map(drop))?;
        }
    }
    if let Some(id) = directory {
        let found = api.directories.get(Reach::Everything, id).await.map(drop);
        must_be_found(fields, "directory", found)?;
    }
    Ok(())
}

/// One event that the endpoint does not get would be a replay of nothing.
fn must_be_carried(fields: &mut Fields, endpoint: &Endpoint, event: &StoredEvent) {
    if let Some(kind) = kind_of(event).filter(|kind| !endpoint.events.contains(kind)) {
        let message = format!("The endpoint does not get {kind}: it is not among its events.");
        fields.wrong("event_id", "invalid", message);
    }
}

fn kind_of(event: &StoredEvent) -> Option<EventType> {
    #[derive(Deserialize)]
    struct Named {
        event: String,
    }
    let named: Named = serde_json::from_slice(&event.body).ok()?;
    named.event.parse().ok()
}

fn must_be_found(
    fields: &mut Fields,
    name: &str,
    found: Result<(), PortError>,
) -> Result<(), PortError> {
    match found {
        Ok(()) => Ok(()),
        Err(PortError::NotFound) => {
            fields.wrong(name, "not_found", format!("{name} is the id of nothing."));
            Ok(())
        }
        Err(
            error @ (PortError::Conflict(_)
            | PortError::Unavailable(_)
            | PortError::Unsure(_)
            | PortError::Full(_)),
        ) => Err(error),
    }
}

/// A replay as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Replay")]
pub(crate) struct ReplayBody {
    object: &'static str,
    id: ReplayId,
    endpoint_id: EndpointId,
    status: &'static str,
    directory: Option<DirectoryId>,
    /// The types that it was narrowed to; empty for all that the endpoint subscribes to.
    event_types: Vec<EventType>,
    rate: u32,
    events: u64,
    delivered: u64,
    exhausted: u64,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

impl From<Replay> for ReplayBody {
    fn from(replay: Replay) -> Self {
        Self {
            object: "replay",
            id: replay.id,
            endpoint_id: replay.endpoint,
            status: if replay.finished_at.is_some() { "finished" } else { "running" },
            directory: replay.directory,
            event_types: replay.events,
            rate: replay.rate,
            events: replay.total,
            delivered: replay.delivered,
            exhausted: replay.exhausted,
            created_at: replay.created_at,
            finished_at: replay.finished_at,
        }
    }
}
