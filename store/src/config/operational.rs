//! What the operator is told, until he has been: a bounded list that only operational endpoints read.

use dispatcher::brake::Hold;
use dispatcher::ports::{
    BrakeNotice, DisableReason, FeedEvent, FeedPosition, Flush, Notice, OPERATIONAL, Outcome, Topic,
};
use rusqlite::{Connection, params};
use schemas::record::Context;
use schemas::wire::EventTag;
use schemas::{
    DirectoryId, Edge, EndpointId, EndpointKind, EventId, OperationalEvent, Seq, Timestamp,
};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Config;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{all, first};

/// How many are kept: an operator who missed ten thousand looks at the attempts.
pub(crate) const KEPT: i64 = 10_000;

/// Old ones are dropped once in so many.
pub(crate) const DROP_EVERY: i64 = 500;

/// The body of the webhook, in the form that events of directories have.
#[derive(Serialize)]
struct Body<'a> {
    object: EventTag,
    id: EventId,
    event: &'static str,
    data: &'a RawValue,
    created_at: Timestamp,
    context: Context,
}

impl Config {
    pub(crate) async fn operational(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT position, id, event, at, data FROM operational_events
                WHERE position > ?1 ORDER BY position LIMIT ?2";
            all(connection, sql, params![as_sql(after.0), as_sql(limit as u64)], |row| event(row))
        })
        .await
    }

    pub(crate) async fn wait_operational(&self, after: FeedPosition) -> Result<(), DbError> {
        let mut end = self.operational_end.subscribe();
        end.wait_for(|end| *end > after.0).await.map(drop).map_err(|_| DbError::Closed)
    }

    pub(crate) fn operational_end(&self) -> u64 {
        *self.operational_end.borrow()
    }

    /// They are written up to here.
    pub(super) fn told(&self, end: u64) {
        self.operational_end.send_if_modified(|known| {
            let is_more = *known < end;
            *known = end.max(*known);
            is_more
        });
    }
}

/// The last position that was given out.
pub(super) fn end(connection: &Connection) -> Result<u64, DbError> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'operational_events'";
    Ok(first(connection, sql, [], |row| Ok(from_sql(row.get(0)?)))?.unwrap_or(0))
}

/// Notes what a flush has to tell. Nothing of an operational endpoint.
pub(super) fn note(connection: &Connection, flush: &Flush, edge: &dyn Edge) -> Result<(), DbError> {
    if !tells(flush) {
        return Ok(());
    }
    let Some(url) = url(connection, flush.lane.endpoint)? else { return Ok(()) };
    notes(flush, &url).into_iter().try_for_each(|note| insert(connection, &note, edge))
}

/// What the operator is told.
pub(crate) struct Note {
    pub(crate) event: OperationalEvent,
    pub(crate) at: Timestamp,
    pub(crate) data: Value,
}

/// Whether a flush has anything to tell.
pub(crate) fn tells(flush: &Flush) -> bool {
    !flush.notices.is_empty() || flush.attempts.iter().any(|attempt| attempt.exhausted)
}

/// What a flush has to tell of an endpoint that has this URL.
pub(crate) fn notes(flush: &Flush, url: &str) -> Vec<Note> {
    let about = about(flush.lane.endpoint, url);
    let of_notice = |(at, notice): &(Timestamp, Notice)| {
        let (event, more) = match notice {
            Notice::Failing { since, failure, disables_at } => {
                let more = json!({ "failing_since": since, "disables_at": disables_at,
                    "failure": failure.name(), "response_status": failure.status() });
                (OperationalEvent::EndpointFailing, more)
            }
            Notice::Stalled { lines } => {
                (OperationalEvent::EndpointStalled, json!({ "waiting": lines }))
            }
            Notice::Recovered { since } => {
                (OperationalEvent::EndpointRecovered, json!({ "failing_since": since }))
            }
        };
        Note { event, at: *at, data: with(about.clone(), more) }
    };
    let exhausted = flush.attempts.iter().filter(|attempt| attempt.exhausted).map(|attempt| {
        let failure = match attempt.outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Delivered { .. } => None,
        };
        let data = json!({
            "object": "delivery", "endpoint_id": about["id"], "endpoint_url": about["endpoint_url"],
            "event_id": attempt.event_id, "event": attempt.topic.name(),
            "attempts": attempt.attempt, "failure": failure.map(|failure| failure.name()),
            "response_status": failure.and_then(|failure| failure.status()),
            "replay_id": flush.lane.replay,
        });
        Note { event: OperationalEvent::DeliveryExhausted, at: attempt.at, data }
    });
    flush.notices.iter().map(of_notice).chain(exhausted).collect()
}

/// Notes that an endpoint was turned off.
pub(super) fn disabled(
    connection: &Connection,
    endpoint: EndpointId,
    reason: DisableReason,
    edge: &dyn Edge,
) -> Result<(), DbError> {
    let Some(url) = url(connection, endpoint)? else { return Ok(()) };
    insert(connection, &turned_off(endpoint, &url, reason, edge.now()), edge)
}

/// Notes that a directory is held, or not any more.
pub(super) fn directory(
    connection: &Connection,
    id: DirectoryId,
    known: Option<&directory::Directory>,
    about: (&Hold, &BrakeNotice),
    edge: &dyn Edge,
) -> Result<(), DbError> {
    insert(connection, &braked(id, known, about), edge)
}

/// What is told of a directory that is held, or not any more.
pub(crate) fn braked(
    id: DirectoryId,
    known: Option<&directory::Directory>,
    (hold, notice): (&Hold, &BrakeNotice),
) -> Note {
    let about = json!({
        "object": "directory", "id": id,
        "organization_id": known.map(|directory| directory.organization_id),
        "name": known.map(|directory| &directory.name),
        "held_since": hold.since,
    });
    let (event, at, more) = match notice {
        BrakeNotice::Held { rule } => {
            let more = json!({ "brake": rule,
                "users_removed": hold.removed.users, "users": hold.of.users,
                "memberships_removed": hold.removed.memberships,
                "memberships": hold.of.memberships });
            (OperationalEvent::DirectoryHeld, hold.since, more)
        }
        BrakeNotice::Released { at } => {
            (OperationalEvent::DirectoryReleased, *at, json!({ "events": hold.events }))
        }
    };
    Note { event, at, data: with(about, more) }
}

/// What is told of an endpoint that was turned off.
pub(crate) fn turned_off(id: EndpointId, url: &str, reason: DisableReason, at: Timestamp) -> Note {
    let data = with(about(id, url), json!({ "reason": reason.name() }));
    Note { event: OperationalEvent::EndpointDisabled, at, data }
}

/// Where an endpoint is; `None` if nothing is told of it.
fn url(connection: &Connection, id: EndpointId) -> Result<Option<String>, DbError> {
    let sql = "SELECT url FROM endpoints WHERE id = ?1 AND kind = ?2";
    let parameters = params![id.to_bytes(), EndpointKind::Directory.name()];
    first(connection, sql, parameters, |row| Ok(row.get(0)?))
}

/// An endpoint as notices name it.
fn about(id: EndpointId, url: &str) -> Value {
    json!({ "object": "webhook_endpoint", "id": id, "endpoint_url": url })
}

fn with(mut about: Value, more: Value) -> Value {
    if let (Value::Object(about), Value::Object(more)) = (&mut about, more) {
        about.extend(more);
    }
    about
}

fn insert(connection: &Connection, note: &Note, edge: &dyn Edge) -> Result<(), DbError> {
    let Note { event, at, data } = note;
    connection
        .prepare_cached(
            "INSERT INTO operational_events (id, event, at, data) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![edge.id().to_be_bytes(), event.name(), at.millis(), data.to_string()])?;
    let position = connection.last_insert_rowid();
    if position % DROP_EVERY == 0 {
        let sql = "DELETE FROM operational_events WHERE position <= ?1";
        connection.execute(sql, [position - KEPT])?;
    }
    Ok(())
}

/// An event of its position, its id, its type, its time and its data.
pub(crate) fn event(row: &impl Columns) -> Result<FeedEvent, DbError> {
    let position = row.count(0)?;
    let id = EventId::from_bytes(row.id(1)?);
    let name = row.text(2)?;
    let event: OperationalEvent = name.parse().map_err(unreadable("operational event"))?;
    let data = row.text(4)?;
    let body = Body {
        object: EventTag::Tag,
        id,
        event: event.name(),
        data: serde_json::from_str(&data).map_err(unreadable("operational event"))?,
        created_at: row.time(3)?,
        context: Context {},
    };
    Ok(FeedEvent {
        position: FeedPosition(position),
        id,
        topic: Topic::Operational(event),
        organization_id: None,
        directory_id: OPERATIONAL,
        seq: Seq(position),
        user: None,
        group: None,
        request: None,
        held: None,
        body: serde_json::to_vec(&body).map_err(unreadable("operational event"))?.into(),
    })
}
