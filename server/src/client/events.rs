//! `dsync events`: the feed for people and pipes.

use std::time::Duration;

use schemas::{DirectoryId, EventType, Timestamp};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_json::value::RawValue;

use super::connection::{ClientError, Connection};
use super::show;
use crate::print;

/// The call that both commands make.
#[cfg(test)]
pub(super) const CALL: &str = "GET /events";

/// How many events `tail` starts with, as `tail` does with lines.
const TAIL: usize = 10;

/// How long to wait for the next event after there was none.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// The most that the API gives in one page.
const PAGE: usize = 100;

/// Prints the latest events from old to new, and with `follow` those that come, until interrupted; also over a restart
/// of the server.
pub(super) async fn tail(
    server: &Connection,
    follow: bool,
    as_json: bool,
) -> Result<(), ClientError> {
    let mut latest = page(server, &[("order", "desc".to_owned())], TAIL).await?;
    latest.events.reverse();
    let mut cursor = None;
    print_events(&latest.events, as_json, &mut cursor)?;
    if !follow {
        return Ok(());
    }
    let mut is_away = false;
    loop {
        let after = cursor.clone().map(|id| ("after", id));
        let next = match page(server, &after.into_iter().collect::<Vec<_>>(), PAGE).await {
            Err(error) if error.passes() => {
                if !is_away {
                    print::note(format_args!("{error}\nIt goes on when the server answers again."));
                }
                is_away = true;
                tokio::time::sleep(POLL_EVERY).await;
                continue;
            }
            next => next?,
        };
        is_away = false;
        print_events(&next.events, as_json, &mut cursor)?;
        if next.events.is_empty() {
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

/// Prints every event from the oldest to the newest, one JSON object a line. A directory that has none must be there, or be
/// told from one that was mistyped.
pub(super) async fn export(
    server: &Connection,
    directory: Option<DirectoryId>,
    since: Option<Timestamp>,
) -> Result<(), ClientError> {
    // `after` and `range_start` exclude each other, so the first page alone says since when.
    let mut place = since.map(|since| ("range_start", since.to_string()));
    let mut is_empty = true;
    loop {
        let next = page(server, &place.into_iter().collect::<Vec<_>>(), PAGE).await?;
        for event in next.events.iter().filter(|event| is_of(&event.value, directory)) {
            print::line(&event.bytes)?;
            is_empty = false;
        }
        match next.after {
            Some(id) => place = Some(("after", id)),
            None => break,
        }
    }
    if let Some(id) = directory.filter(|_| is_empty) {
        server.get(&format!("/directories/{id}"), &[]).await?;
    }
    Ok(())
}

struct Page {
    events: Vec<Event>,
    after: Option<String>,
}

/// An event as it came, so that it can be held against a webhook byte for byte, and what it says.
struct Event {
    bytes: Box<RawValue>,
    value: Value,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Box::<RawValue>::deserialize(deserializer)?;
        let value = serde_json::from_str(bytes.get()).map_err(de::Error::custom)?;
        Ok(Self { bytes, value })
    }
}

/// An answer with a page.
#[derive(Deserialize)]
struct List {
    data: Vec<Event>,
    list_metadata: ListMetadata,
}

#[derive(Deserialize)]
struct ListMetadata {
    after: Option<String>,
}

async fn page(
    server: &Connection,
    place: &[(&str, String)],
    limit: usize,
) -> Result<Page, ClientError> {
    let every: Vec<&str> =
        EventType::ALL.iter().filter(|event| event.is_told()).map(|event| event.name()).collect();
    let mut query = vec![("events", every.join(",")), ("limit", limit.to_string())];
    query.extend_from_slice(place);
    let List { data: events, list_metadata: ListMetadata { after } } =
        server.get_as("/events", &query).await?;
    Ok(Page { events, after })
}

fn print_events(
    events: &[Event],
    as_json: bool,
    cursor: &mut Option<String>,
) -> Result<(), ClientError> {
    for event in events {
        if as_json {
            print::line(&event.bytes)?;
        } else {
            print::line(show::event(&event.value))?;
        }
        if let Some(id) = event.value.get("id").and_then(Value::as_str) {
            *cursor = Some(id.to_owned());
        }
    }
    Ok(())
}

/// Events of a directory carry its id; those about the directory itself carry it as theirs.
fn is_of(event: &Value, directory: Option<DirectoryId>) -> bool {
    let Some(directory) = directory else { return true };
    show::directory(event).is_some_and(|id| id == directory.to_string())
}
