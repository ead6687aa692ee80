//! What the operator is told, until he has been: a bounded list that only operational endpoints read.

use dispatcher::brake::Hold;
use dispatcher::ports::{
    BrakeNotice, DisableReason, FeedEvent, FeedPosition, Flush, Notice, OPERATIONAL, Outcome, Topic,
};
use rusqlite::{Connection, Row, params};
use schemas::record::Context;
use schemas::wire::EventTag;
use schemas::{
    DirectoryId, Edge, EndpointId, EndpointKind, EventId, OperationalEvent, Seq, Timestamp,
};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Config;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{Time, all, first};

/// How many are kept: an operator who missed ten thousand looks at the attempts.
const KEPT: i64 = 10_000;

/// Old ones are dropped once in so many.
const DROP_EVERY: i64 = 500;

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
            all(connection, sql, params![as_sql(after.0), as_sql(limit as u64)], event)
        })
        .await
    }

    pub(crate) async fn wait_operational(&self, after: FeedPosition) -> Result<(), DbError> {
        let mut end = self.operational_end.subscribe();
        end.wait_for(|end| *end > after.0).await.map(drop).map_err(|_| DbError::Closed)
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
    let mut exhausted = flush.attempts.iter().filter(|attempt| attempt.exhausted).peekable();
    if flush.notices.is_empty() && exhausted.peek().is_none() {
        return Ok(());
    }
    let Some(about) = about(connection, flush.lane.endpoint)? else { return Ok(()) };
    for (at, notice) in &flush.notices {
        let (event, data) = match notice {
            Notice::Failing { since, failure, disables_at } => {
                let more = json!({ "failing_since": since, "disables_at": disables_at,
                    "failure": failure.name(), "response_status": failure.status() });
                (OperationalEvent::EndpointFailing, with(about.clone(), more))
            }
            Notice::Recovered { since } => {
                let more = json!({ "failing_since": since });
                (OperationalEvent::EndpointRecovered, with(about.clone(), more))
            }
        };
        insert(connection, event, *at, &data, edge)?;
    }
    for attempt in exhausted {
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
        insert(connection, OperationalEvent::DeliveryExhausted, attempt.at, &data, edge)?;
    }
    Ok(())
}

/// Notes that an endpoint was turned off.
pub(super) fn disabled(
    connection: &Connection,
    endpoint: EndpointId,
    reason: DisableReason,
    edge: &dyn Edge,
) -> Result<(), DbError> {
    let Some(about) = about(connection, endpoint)? else { return Ok(()) };
    let data = with(about, json!({ "reason": reason.name() }));
    insert(connection, OperationalEvent::EndpointDisabled, edge.now(), &data, edge)
}

/// Notes that a directory is held, or not any more.
pub(super) fn directory(
    connection: &Connection,
    id: DirectoryId,
    known: Option<&directory::Directory>,
    (hold, notice): (&Hold, &BrakeNotice),
    edge: &dyn Edge,
) -> Result<(), DbError> {
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
    insert(connection, event, at, &with(about, more), edge)
}

/// An endpoint as notices name it; `None` if nothing is told of it.
fn about(connection: &Connection, id: EndpointId) -> Result<Option<Value>, DbError> {
    let sql = "SELECT url FROM endpoints WHERE id = ?1 AND kind = ?2";
    let parameters = params![id.to_bytes(), EndpointKind::Directory.name()];
    first(connection, sql, parameters, |row| {
        let url: String = row.get(0)?;
        Ok(json!({ "object": "webhook_endpoint", "id": id, "endpoint_url": url }))
    })
}

fn with(mut about: Value, more: Value) -> Value {
    if let (Value::Object(about), Value::Object(more)) = (&mut about, more) {
        about.extend(more);
    }
    about
}

fn insert(
    connection: &Connection,
    event: OperationalEvent,
    at: Timestamp,
    data: &Value,
    edge: &dyn Edge,
) -> Result<(), DbError> {
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

fn event(row: &Row<'_>) -> Result<FeedEvent, DbError> {
    let position = from_sql(row.get(0)?);
    let id = EventId::from_bytes(row.get(1)?);
    let name: String = row.get(2)?;
    let event: OperationalEvent = name.parse().map_err(unreadable("operational event"))?;
    let data: String = row.get(4)?;
    let body = Body {
        object: EventTag::Tag,
        id,
        event: event.name(),
        data: serde_json::from_str(&data).map_err(unreadable("operational event"))?,
        created_at: row.get::<_, Time>(3)?.0,
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
