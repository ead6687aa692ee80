//! `/events`: what happened, in the order in which it was accepted. With `wait`, the answer to a page that
//! would be empty waits until something happens.
//!
//! The bytes of an event here are those of its webhook: one may be checked against the other.

use std::str::FromStr as _;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemas::event::UnknownEventType;
use schemas::{EventId, EventType, Timestamp};
use tokio::time::Instant;

use crate::auth::{Caller, Reader};
use crate::body::{Segments, path_id};
use crate::error::{Error, FieldError};
use crate::page::Query;
use crate::ports::{Cursor, EventFilter, Order, Page, PageRequest, StoredEvent};
use crate::router::Api;

const WHAT: &str = "event";

/// How long an answer may wait: less than clients and proxies wait for one.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long to wait before looking again when what happened was not what is waited for, at first.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// And at last, if few wait: still within milliseconds.
const PAUSE_OF_FEW: Duration = Duration::from_millis(5);

/// How often all who wait look together in a second, at the very most, while others' events come in without end.
const LOOKS_MAX: u32 = 4_000;

/// Without `events`, all types: an SDK always names them, a person at a shell may not.
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Ascending).map_err(Error::in_events)?;
    let filter = read_filter(&query, &paging.request)?;
    let wait = read_wait(&query)?;
    let page = page_or_wait(&api, caller, paging.request, filter, wait).await?;
    let metadata = serde_json::to_vec(&paging.metadata(&page, |event| event.id))
        .expect("two ids can always be written");
    Ok(json(list_of(&page, &metadata)))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Response, Error> {
    let id = path_id(WHAT, &id)?;
    let event = api.reading.event(caller.reach, id).await.map_err(Error::about(WHAT, id))?;
    Ok(json(event.body))
}

/// The page; an empty one only after the wait.
async fn page_or_wait(
    api: &Api,
    caller: Caller,
    mut request: PageRequest<EventId>,
    filter: EventFilter,
    wait: Duration,
) -> Result<Page<StoredEvent>, Error> {
    let follows =
        request.order == Order::Ascending && !matches!(request.cursor, Some(Cursor::Before(_)));
    // Without room for one more who waits, the client is answered at once and asks again.
    let waits = follows && !wait.is_zero();
    let Some(_place) = waits.then(|| api.waiting.take(caller.key)).flatten() else {
        return Ok(api.reading.events(request, filter).await?);
    };
    let deadline = Instant::now() + wait;
    let mut pause = PAUSE_MIN;
    loop {
        let end = api.reading.feed_end().await?;
        let page = api.reading.events(request, filter.clone()).await?;
        if !page.items.is_empty() {
            return Ok(page);
        }
        tokio::select! {
            waited = api.reading.wait_feed(end) => waited?,
            () = tokio::time::sleep_until(deadline) => return Ok(page),
            () = api.end.cancelled() => return Ok(page),
        }
        // Nothing up to here fits: the next look begins behind it, and comes the later the more often
        // it was something else that happened.
        request.cursor = end.event.map(Cursor::After).or(request.cursor);
        tokio::time::sleep(pause.min(deadline.duration_since(Instant::now()))).await;
        pause = pause_max(api.waiting.taken()).min(pause * 2);
    }
}

/// The longest pause between two looks of one of so many who wait.
fn pause_max(waiting: usize) -> Duration {
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    PAUSE_OF_FEW.max(Duration::from_secs(1) * waiting / LOOKS_MAX)
}

fn read_wait(query: &Query) -> Result<Duration, Error> {
    let Some(text) = query.one("wait") else { return Ok(Duration::ZERO) };
    let seconds = text.parse().ok().map(Duration::from_secs).filter(|wait| *wait <= WAIT_MAX);
    seconds.ok_or_else(|| {
        let max = WAIT_MAX.as_secs();
        wrong("wait", format!("wait must be a whole number of seconds from 0 to {max}."))
    })
}

fn read_filter(query: &Query, page: &PageRequest<EventId>) -> Result<EventFilter, Error> {
    let from = query.parsed::<Timestamp>("range_start").map_err(Error::in_events)?;
    let to = query.parsed::<Timestamp>("range_end").map_err(Error::in_events)?;
    if from.is_some() && matches!(page.cursor, Some(Cursor::After(_))) {
        return Err(wrong("range_start", "after and range_start exclude each other.".to_owned()));
    }
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(wrong("range_end", "range_end lies before range_start.".to_owned()));
    }
    Ok(EventFilter {
        types: read_types(query, EventType::is_told)?,
        organization: query.id("organization_id").map_err(Error::in_events)?,
        from,
        to,
    })
}

/// The types that a list is narrowed to, of those that it may hold; all if `events` is not there.
pub(crate) fn read_types(
    query: &Query,
    may_hold: impl Fn(EventType) -> bool,
) -> Result<Vec<EventType>, Error> {
    let Some(names) = query.many("events") else { return Ok(Vec::new()) };
    if names.is_empty() {
        let field = "events".to_owned();
        return Err(Error::Invalid(vec![FieldError { code: "required", field, message: None }]));
    }
    let known = |name: &str| {
        let kind = EventType::from_str(name)?;
        if may_hold(kind) { Ok(kind) } else { Err(UnknownEventType(name.to_owned())) }
    };
    let types = names.into_iter().map(known).collect::<Result<_, _>>();
    types.map_err(|error| {
        let message = Some(format!("events names an {error}."));
        let field = "events".to_owned();
        Error::Invalid(vec![FieldError { code: "unknown_event_type", field, message }])
    })
}

fn wrong(field: &str, message: String) -> Error {
    Error::parameter(field, "invalid", message).in_events()
}

/// By hand, so that each event goes out byte for byte as it is stored.
fn list_of(page: &Page<StoredEvent>, metadata: &[u8]) -> Bytes {
    let bodies = page.items.iter().map(|event| event.body.len() + 1).sum::<usize>();
    let mut list = Vec::with_capacity(bodies + metadata.len() + 64);
    list.extend_from_slice(br#"{"object":"list","data":["#);
    for (index, event) in page.items.iter().enumerate() {
        if index > 0 {
            list.push(b',');
        }
        list.extend_from_slice(&event.body);
    }
    list.extend_from_slice(br#"],"list_metadata":"#);
    list.extend_from_slice(metadata);
    list.push(b'}');
    list.into()
}

fn json(body: Bytes) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::WAITING_MAX;

    #[test]
    fn a_few_who_wait_look_again_within_milliseconds_and_many_never_ask_more_than_the_store_can_answer()
     {
        assert_eq!(pause_max(1), PAUSE_OF_FEW);
        assert_eq!(pause_max(20), PAUSE_OF_FEW);
        assert_eq!(pause_max(WAITING_MAX), Duration::from_millis(250));
    }
}
