//! `/webhook_endpoints/{id}/deliveries`: what was sent, and what came of it.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use schemas::{AttemptId, EventId, ReplayId, Timestamp};
use serde::Serialize;

use crate::auth::Reader;
use crate::body::{Segments, path_id};
use crate::endpoints::WHAT;
use crate::error::Error;
use crate::page::Query;
use crate::ports::{Attempt, AttemptFilter, AttemptStatus, Order, Resource};
use crate::router::Api;

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
    query: Query,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let paging = query.paging(caller.reach, Order::Descending)?;
    let filter = read_filter(&query)?;
    let page = api.deliveries.attempts(id, paging.request, filter).await;
    let page = page.map_err(Error::about(WHAT, id))?;
    Ok(paging.answer(page, |attempt| attempt.id, AttemptBody::from))
}

fn read_filter(query: &Query) -> Result<AttemptFilter, Error> {
    let mut filter = AttemptFilter {
        status: query.one("status").map(status).transpose()?,
        resource: query.one("resource").map(resource).transpose()?,
        since: query.parsed::<Timestamp>("since")?,
        until: query.parsed::<Timestamp>("until")?,
        ..AttemptFilter::default()
    };
    if let Some(event) = query.one("event") {
        filter.event = event.parse().ok();
        filter.kind = event.parse().ok();
        if filter.event.is_none() && filter.kind.is_none() {
            let message = "event must be the id of an event or an event type.".to_owned();
            return Err(Error::parameter("event", "invalid", message));
        }
    }
    Ok(filter)
}

fn status(text: &str) -> Result<AttemptStatus, Error> {
    let code = || text.parse().ok().filter(|code| (100..=599).contains(code));
    match text {
        "delivered" => Some(AttemptStatus::Delivered),
        "failed" => Some(AttemptStatus::Failed),
        "exhausted" => Some(AttemptStatus::Exhausted),
        _ => code().map(AttemptStatus::Answered),
    }
    .ok_or_else(|| {
        let message = "status must be delivered, failed, exhausted or an HTTP status code.";
        Error::parameter("status", "invalid", message.to_owned())
    })
}

fn resource(text: &str) -> Result<Resource, Error> {
    let user = text.parse().ok().map(Resource::User);
    user.or_else(|| text.parse().ok().map(Resource::Group)).ok_or_else(|| {
        let message = "resource must be the id of a directory user or a directory group.";
        Error::parameter("resource", "invalid", message.to_owned())
    })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryAttempt")]
pub(crate) struct AttemptBody {
    object: &'static str,
    id: AttemptId,
    event_id: EventId,
    event: Option<String>,
    attempt: u16,
    status: &'static str,
    response_status: Option<u16>,
    failure: Option<String>,
    at: Timestamp,
    #[schemars(with = "u64")]
    duration_ms: u128,
    replay_id: Option<ReplayId>,
    request_body: Option<String>,
    response_body: Option<String>,
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        let status = match (&attempt.failure, attempt.exhausted) {
            (None, _) => "delivered",
            (Some(_), false) => "failed",
            (Some(_), true) => "exhausted",
        };
        Self {
            object: "delivery_attempt",
            id: attempt.id,
            event_id: attempt.event_id,
            event: attempt.event,
            attempt: attempt.attempt,
            status,
            response_status: attempt.status,
            failure: attempt.failure,
            at: attempt.at,
            duration_ms: attempt.duration.as_millis(),
            replay_id: attempt.replay,
            request_body: attempt.request.as_deref().map(text),
            response_body: attempt.response.as_deref().map(text),
        }
    }
}

/// Bytes from outside as people read them; what is cut in the middle of a character or is no text shows
/// as such.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
