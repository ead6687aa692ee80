//! What was sent, for as long as it is kept.

use std::time::Duration;

use api::ports::{AttemptFilter, AttemptStatus};
use dispatcher::Failure;
use dispatcher::ports::{Attempt, Flush, Outcome};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use schemas::{AttemptId, EndpointId, EventId, ReplayId, Timestamp};

use super::Config;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::sqlite::as_sql;
use crate::state::rows::all;

/// Old attempts are dropped once in so many, or once in a tenth of those that are kept, if that is more:
/// a flush is to pay little for it.
const DROP_EVERY: i64 = 1_000;

/// How many go in one transaction, which others wait for: at least twice as many as come in between, so that a
/// retention that was made shorter is reached.
pub(crate) const DROPPED_MAX: i64 = 40_000;

/// How long attempts are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many of each endpoint; a thousand or a tenth more may be.
    pub count: u32,
    /// For how long.
    pub age: Duration,
}

impl Default for Retention {
    /// The latest hours of a busy endpoint, the latest month of a quiet one: a megabyte each, and up to
    /// forty if all of them failed with long answers.
    fn default() -> Self {
        Self { count: 10_000, age: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}

/// A row as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: i64,
    pub(crate) event_id: EventId,
    pub(crate) position: u64,
    /// The type, if it is an operational event.
    pub(crate) told: Option<String>,
    pub(crate) attempt: u16,
    pub(crate) at: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) status: Option<u16>,
    pub(crate) failure: Option<String>,
    pub(crate) exhausted: bool,
    pub(crate) replay: Option<ReplayId>,
    pub(crate) answer: Option<Vec<u8>>,
}

impl Kept {
    pub(crate) const fn id(&self) -> AttemptId {
        id_of(self.at, self.key)
    }
}

/// The time and the number of the row, so that ids sort as lists do.
pub(crate) const fn id_of(at: Timestamp, key: i64) -> AttemptId {
    let millis = at.millis().unsigned_abs() as u128;
    AttemptId::from_bits((millis << 80) | key.unsigned_abs() as u128)
}

/// The number of the row in an id.
pub(crate) fn key_of(id: AttemptId) -> i64 {
    i64::try_from(id.bits() & u128::from(u64::MAX)).unwrap_or(i64::MAX)
}

/// The time in an id.
pub(crate) fn time_of(id: AttemptId) -> i64 {
    i64::try_from(id.bits() >> 80).unwrap_or(i64::MAX)
}

/// Which rows to read, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub(crate) endpoint: EndpointId,
    /// Not this one, but what comes after it.
    pub(crate) from: Option<AttemptId>,
    /// From new to old.
    pub(crate) falling: bool,
    pub(crate) limit: u32,
    /// Those of these events, of which there are few; all without it.
    pub(crate) events: Option<Vec<EventId>>,
}

impl Walk {
    /// The times between which its rows lie, as far as the filter and its beginning say so: an index leads from one
    /// to the other.
    pub(crate) fn between(&self, filter: &AttemptFilter) -> (i64, i64) {
        let since = filter.since.map_or(i64::MIN, Timestamp::millis);
        let until = filter.until.map_or(i64::MAX, Timestamp::millis);
        match self.from.map(time_of) {
            None => (since, until),
            Some(from) if self.falling => (since, until.min(from)),
            Some(from) => (since.max(from), until),
        }
    }
}

impl Config {
    /// Attempts in the order of a walk, without regard to what only the feed tells of them.
    pub(crate) async fn attempts(
        &self,
        walk: Walk,
        filter: AttemptFilter,
    ) -> Result<Vec<Kept>, DbError> {
        self.read(move |connection| read(connection, &walk, &filter)).await
    }

    /// Drops what is too old, whatever endpoint it was sent to.
    pub(crate) async fn forget_attempts(&self) -> Result<(), DbError> {
        let before = before(self.now(), self.retention());
        let slice = move || {
            self.progress.run(move |connection| {
                // Those of each endpoint lie in the order of their times.
                let sql = "DELETE FROM attempts WHERE key IN (SELECT key FROM attempts
                    WHERE endpoint IN (SELECT id FROM endpoints) AND at < ?1 LIMIT ?2)";
                Ok(connection.execute(sql, [before, DROPPED_MAX])?)
            })
        };
        while slice().await? as u64 >= DROPPED_MAX.unsigned_abs() {}
        Ok(())
    }
}

pub(super) fn add(
    connection: &Connection,
    flush: &Flush,
    retention: Retention,
) -> Result<(), DbError> {
    let endpoint = flush.lane.endpoint.to_bytes();
    for attempt in &flush.attempts {
        insert(connection, flush, attempt)?;
    }
    let number = i64::try_from(flush.attempts.len()).unwrap_or(i64::MAX);
    if number == 0 {
        return Ok(());
    }
    let attempted: i64 = connection
        .prepare_cached(
            "UPDATE endpoints SET attempted = attempted + ?2 WHERE id = ?1 RETURNING attempted",
        )?
        .query_row(params![endpoint, number], |row| row.get(0))?;
    let every = drop_every(retention);
    if (attempted - number) / every != attempted / every {
        drop_old(connection, endpoint, retention)?;
    }
    Ok(())
}

/// After how many attempts of an endpoint its old ones are dropped.
pub(crate) fn drop_every(retention: Retention) -> i64 {
    (i64::from(retention.count) / 10).clamp(DROP_EVERY, DROPPED_MAX / 2)
}

fn insert(connection: &Connection, flush: &Flush, attempt: &Attempt) -> Result<(), DbError> {
    let (status, failure) = match attempt.outcome {
        Outcome::Delivered { status } => (status, None),
        Outcome::Failed(failure) => (failure.status(), Some(failure)),
    };
    connection
        .prepare_cached(
            "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status,
                 failure, exhausted, replay) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            flush.lane.endpoint.to_bytes(),
            attempt.event_id.to_bytes(),
            as_sql(attempt.position.0),
            attempt.attempt,
            attempt.at.millis(),
            i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
            status,
            failure.map(Failure::name),
            attempt.exhausted,
            flush.lane.replay.map(ReplayId::to_bytes),
        ])?;
    if let Some(excerpt) = &attempt.excerpt {
        let key = connection.last_insert_rowid();
        connection
            .prepare_cached("INSERT INTO answers (attempt, body) VALUES (?1, ?2)")?
            .execute(params![key, &excerpt[..]])?;
    }
    Ok(())
}

fn drop_old(
    connection: &Connection,
    endpoint: [u8; 16],
    retention: Retention,
) -> Result<(), DbError> {
    connection
        .prepare_cached(
            "DELETE FROM attempts WHERE key IN (
                 SELECT key FROM attempts WHERE endpoint = ?1 AND (at, key) <= (
                     SELECT at, key FROM attempts WHERE endpoint = ?1
                     ORDER BY at DESC, key DESC LIMIT 1 OFFSET ?2)
                 ORDER BY at, key LIMIT ?3)",
        )?
        .execute(params![endpoint, retention.count, DROPPED_MAX])?;
    Ok(())
}

pub(crate) fn before(now: Timestamp, retention: Retention) -> i64 {
    now.millis().saturating_sub(i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX))
}

fn read(
    connection: &Connection,
    walk: &Walk,
    filter: &AttemptFilter,
) -> Result<Vec<Kept>, DbError> {
    let (operator, order) = if walk.falling { ("<", "DESC") } else { (">", "ASC") };
    // Failures have an index of their own, which leads past all that succeeded, and events have one.
    let index = match (&walk.events, filter.status) {
        (Some(_), _) => "attempts_event",
        (None, Some(AttemptStatus::Failed | AttemptStatus::Exhausted)) => "attempts_failed",
        (None, None | Some(AttemptStatus::Delivered | AttemptStatus::Answered(_))) => {
            "attempts_endpoint"
        }
    };
    let mut sql = format!(
        "SELECT key, event_id, position, attempt, at, duration_ms, status, failure, exhausted, replay,
             (SELECT body FROM answers WHERE attempt = key),
             (SELECT event FROM operational_events AS told
              WHERE told.position = attempts.position AND told.id = attempts.event_id)
         FROM attempts INDEXED BY {index} WHERE endpoint = ? AND at >= ? AND at <= ?"
    );
    let (since, until) = walk.between(filter);
    let endpoint = walk.endpoint.to_bytes().to_vec();
    let mut parameters: Vec<Sql> = vec![endpoint.into(), since.into(), until.into()];
    let mut and = |condition: &str, value: Option<Sql>| {
        sql.push_str(condition);
        parameters.extend(value);
    };
    if let Some(from) = walk.from {
        and(&format!(" AND (at {operator} ?"), Some(time_of(from).into()));
        and(&format!(" OR key {operator} ?)"), Some(key_of(from).into()));
    }
    if let Some(events) = &walk.events {
        let ids: Vec<String> = events.iter().map(|id| hex::encode(id.to_bytes())).collect();
        let ids = serde_json::to_string(&ids).map_err(unreadable("events"))?;
        // The index holds how ids begin; see `attempts.sql`.
        let beginnings = " AND substr(event_id, 1, 8) IN
            (SELECT substr(unhex(value), 1, 8) FROM json_each(?))";
        and(beginnings, Some(ids.clone().into()));
        and(" AND event_id IN (SELECT unhex(value) FROM json_each(?))", Some(ids.into()));
    }
    match filter.status {
        None => {}
        Some(AttemptStatus::Delivered) => and(" AND failure IS NULL", None),
        Some(AttemptStatus::Failed) => and(" AND failure IS NOT NULL", None),
        Some(AttemptStatus::Exhausted) => and(" AND failure IS NOT NULL AND exhausted", None),
        Some(AttemptStatus::Answered(status)) => {
            and(" AND status = ?", Some(i64::from(status).into()));
        }
    }
    and(&format!(" ORDER BY at {order}, key {order} LIMIT ?"), Some(i64::from(walk.limit).into()));
    all(connection, &sql, params_from_iter(parameters), |row| kept(row))
}

/// An attempt as the list reads it.
pub(crate) fn kept(row: &impl Columns) -> Result<Kept, DbError> {
    Ok(Kept {
        key: row.integer(0)?,
        event_id: EventId::from_bytes(row.id(1)?),
        position: row.count(2)?,
        attempt: row.number(3)?,
        at: row.time(4)?,
        duration: Duration::from_millis(row.count(5)?),
        status: row.number_if(6)?,
        failure: row.text_if(7)?.as_deref().map(word),
        exhausted: row.flag(8)?,
        replay: row.id_if(9)?.map(ReplayId::from_bytes),
        answer: row.bytes_if(10)?,
        told: row.text_if(11)?,
    })
}

/// The name of a failure. Rows of the first version say the status with it.
pub(crate) fn word(failure: &str) -> String {
    failure.split(' ').next().unwrap_or_default().to_owned()
}
