//! What was sent, for as long as it is kept, and how deliveries to an endpoint go.

use api::ports::{AttemptFilter, AttemptStatus, Delivering, LastError};
use deadpool_postgres::Transaction;
use dispatcher::Failure;
use dispatcher::ports::{Attempt, Flush, Outcome};
use schemas::{EndpointId, EndpointKind, EventId, ReplayId, Timestamp};
use tokio_postgres::types::{ToSql, Type};

use super::Config;
use super::query::{Parameters, execute, first, id, int};
use crate::columns::Columns as _;
use crate::config::attempts::{
    DROPPED_MAX, Kept, Retention, Walk, before, kept, key_of, time_of, word,
};
use crate::config::health::{RATED_MAX, rated_since};
use crate::error::DbError;
use crate::ports::not_found;

impl Config {
    pub(super) async fn attempts(
        &self,
        walk: Walk,
        filter: AttemptFilter,
    ) -> Result<Vec<Kept>, DbError> {
        let client = self.db.client().await?;
        let (operator, order) = if walk.falling { ("<", "DESC") } else { (">", "ASC") };
        let (since, until) = walk.between(&filter);
        let (from, key) = (walk.from.map(time_of), walk.from.map(key_of));
        let endpoint = id(walk.endpoint.to_bytes());
        let ids = |events: Vec<EventId>| -> Vec<Vec<u8>> {
            events.into_iter().map(|event| id(event.to_bytes())).collect()
        };
        let events = walk.events.map(ids);
        let (condition, status) = condition(filter.status);
        let limit = i64::from(walk.limit);
        // The attempts of some events are few: nothing added keeps the planner from looking for them among all of the
        // endpoint.
        let (of, at) = match events {
            Some(_) => ("(endpoint || ''::bytea)", "(at + 0)"),
            None => ("endpoint", "at"),
        };
        let sql = format!(
            "SELECT key, event_id, position, attempt, at, duration_ms, status, failure, exhausted,
                 replay, answer,
                 (SELECT event FROM operational_events AS told
                  WHERE told.position = attempts.position AND told.id = attempts.event_id)
             FROM attempts WHERE {of} = $1 AND {at} >= $2 AND {at} <= $3
                 AND ($4::bigint IS NULL OR at {operator} $4 OR key {operator} $5)
                 AND ($6::bytea[] IS NULL OR event_id = ANY($6))
                 AND ($7::bigint IS NULL OR status = $7) AND {condition}
             ORDER BY {at} {order}, key {order} LIMIT $8"
        );
        // Planned for what is asked: most of it is left open.
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
            (&endpoint, Type::BYTEA),
            (&since, Type::INT8),
            (&until, Type::INT8),
            (&from, Type::INT8),
            (&key, Type::INT8),
            (&events, Type::BYTEA_ARRAY),
            (&status, Type::INT8),
            (&limit, Type::INT8),
        ];
        client.query_typed(&sql, parameters).await?.iter().map(kept).collect()
    }

    /// Every replica asks for it now and then; one at a time does it, and the others need not.
    pub(super) async fn forget_attempts(&self) -> Result<(), DbError> {
        let before = before(self.now(), self.retention());
        let mut client = self.db.client().await?;
        loop {
            let tx = client.transaction().await?;
            let lock =
                "SELECT pg_try_advisory_xact_lock(hashtextextended('dsync attempts ' || $1, 0))";
            let is_ours = first(&tx, lock, &[&self.db.schema()]).await?;
            if !is_ours.is_some_and(|row| row.get(0)) {
                return Ok(());
            }
            let sql = "DELETE FROM attempts WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM attempts WHERE at < $1 LIMIT $2))";
            let dropped = execute(&tx, sql, &[&before, &DROPPED_MAX]).await?;
            tx.commit().await?;
            if dropped < DROPPED_MAX.unsigned_abs() {
                return Ok(());
            }
        }
    }

    pub(super) async fn delivering(
        &self,
        endpoint: EndpointId,
        at: Option<Timestamp>,
    ) -> Result<Delivering, DbError> {
        let since = at.map(rated_since);
        let client = self.db.client().await?;
        let sql = "SELECT cursor, failing_since, failed_in_a_row, disabled_reason,
            (SELECT min(from_position) FROM blocked_lines WHERE owner = id), kind, is_paused
            FROM endpoints WHERE id = $1";
        let key = id(endpoint.to_bytes());
        let row = first(&client, sql, &[&key]).await?.ok_or_else(not_found)?;
        let (lag_events, oldest_waiting) = if row.text(5)? == EndpointKind::Operational.name() {
            let first = row.integer_if(4)?.map_or(i64::MAX, |from| from - 1);
            untold(&client, first.min(row.integer(0)?)).await?
        } else {
            (0, None)
        };
        let (last_error, (attempts, delivered)) = match since {
            Some(since) => (last_error(&client, &key).await?, rated(&client, &key, since).await?),
            None => (None, (0, 0)),
        };
        Ok(Delivering {
            lag_events,
            oldest_waiting,
            attempts,
            delivered,
            failing_since: row.time_if(1)?,
            failed_in_a_row: row.count(2)?,
            last_error,
            disabled_reason: row.text_if(3)?,
            is_paused: row.flag(6)?,
        })
    }
}

/// How many attempts there were since then, and how many of them succeeded. Indexes alone are read for it.
async fn rated(
    client: &deadpool_postgres::Object,
    endpoint: &Vec<u8>,
    since: i64,
) -> Result<(u64, u64), DbError> {
    let sql = "SELECT count(*) FROM (
        SELECT 1 FROM attempts WHERE endpoint = $1 AND at >= $2 LIMIT $3) AS rated";
    let row = first(client, sql, &[endpoint, &since, &RATED_MAX]).await?;
    let attempts = row.map_or(Ok(0), |row| row.count(0))?;
    if attempts == 0 {
        return Ok((0, 0));
    }
    let sql = "SELECT count(*) FROM attempts
        WHERE endpoint = $1 AND failure IS NOT NULL AND (at, key) >= (
            SELECT at, key FROM attempts WHERE endpoint = $1
            ORDER BY at DESC, key DESC LIMIT 1 OFFSET $2)";
    let row = first(client, sql, &[endpoint, &int(attempts - 1)]).await?;
    let failed = row.map_or(Ok(0), |row| row.count(0))?;
    Ok((attempts, attempts.saturating_sub(failed)))
}

/// How many operational events there are after a position, and when the first of them happened.
async fn untold(
    client: &deadpool_postgres::Object,
    after: i64,
) -> Result<(u64, Option<Timestamp>), DbError> {
    let sql = "SELECT count(*), min(at) FROM operational_events WHERE position > $1";
    match first(client, sql, &[&after]).await? {
        Some(row) => Ok((row.count(0)?, row.time_if(1)?)),
        None => Ok((0, None)),
    }
}

/// What a filter says of how attempts ended, and the status it asks for.
fn condition(status: Option<AttemptStatus>) -> (&'static str, Option<i64>) {
    match status {
        None => ("true", None),
        Some(AttemptStatus::Delivered) => ("failure IS NULL", None),
        Some(AttemptStatus::Failed) => ("failure IS NOT NULL", None),
        Some(AttemptStatus::Exhausted) => ("failure IS NOT NULL AND exhausted", None),
        Some(AttemptStatus::Answered(status)) => ("true", Some(i64::from(status))),
    }
}

async fn last_error(
    client: &deadpool_postgres::Object,
    endpoint: &Vec<u8>,
) -> Result<Option<LastError>, DbError> {
    let sql = "SELECT at, event_id, failure, status FROM attempts
        WHERE endpoint = $1 AND failure IS NOT NULL ORDER BY at DESC, key DESC LIMIT 1";
    let Some(row) = first(client, sql, &[endpoint]).await? else { return Ok(None) };
    Ok(Some(LastError {
        at: row.time(0)?,
        event_id: EventId::from_bytes(row.id(1)?),
        failure: word(&row.text(2)?),
        status: row.number_if(3)?,
    }))
}

/// Adds the attempts of all flushes in the order of their ends.
pub(super) async fn add(tx: &Transaction<'_>, flushes: &[Flush]) -> Result<(), DbError> {
    let all: Vec<(&Flush, &Attempt)> = flushes
        .iter()
        .flat_map(|flush| flush.attempts.iter().map(move |attempt| (flush, attempt)))
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    fn column<T>(all: &[(&Flush, &Attempt)], of: impl Fn(&Flush, &Attempt) -> T) -> Vec<T> {
        all.iter().map(|(flush, attempt)| of(flush, attempt)).collect()
    }
    let status = |attempt: &Attempt| match attempt.outcome {
        Outcome::Delivered { status } => status.map(i64::from),
        Outcome::Failed(failure) => failure.status().map(i64::from),
    };
    let failure = |attempt: &Attempt| match attempt.outcome {
        Outcome::Delivered { .. } => None,
        Outcome::Failed(failure) => Some(Failure::name(failure)),
    };
    let millis =
        |attempt: &Attempt| i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX);
    let sql =
        "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status,
            failure, exhausted, replay, answer)
        SELECT endpoint, event_id, position, attempt, at, duration_ms, status, failure, exhausted,
            replay, answer
        FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::text[], $9::boolean[], $10::bytea[], $11::bytea[])
            WITH ORDINALITY AS one (endpoint, event_id, position, attempt, at, duration_ms, status,
                failure, exhausted, replay, answer, place)
        ORDER BY place";
    let parameters: Parameters<'_> = &[
        &column(&all, |flush, _| id(flush.lane.endpoint.to_bytes())),
        &column(&all, |_, attempt| id(attempt.event_id.to_bytes())),
        &column(&all, |_, attempt| int(attempt.position.0)),
        &column(&all, |_, attempt| i64::from(attempt.attempt)),
        &column(&all, |_, attempt| attempt.at.millis()),
        &column(&all, |_, attempt| millis(attempt)),
        &column(&all, |_, attempt| status(attempt)),
        &column(&all, |_, attempt| failure(attempt)),
        &column(&all, |_, attempt| attempt.exhausted),
        &column(&all, |flush, _| flush.lane.replay.map(ReplayId::to_bytes).map(id)),
        &column(&all, |_, attempt| attempt.excerpt.as_ref().map(|answer| answer.to_vec())),
    ];
    execute(tx, sql, parameters).await?;
    Ok(())
}

/// Drops what is more than is kept.
pub(super) async fn drop_old(
    tx: &Transaction<'_>,
    endpoint: &Vec<u8>,
    retention: Retention,
) -> Result<(), DbError> {
    let sql = "DELETE FROM attempts WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM attempts WHERE endpoint = $1 AND (at, key) <= (SELECT at, key FROM attempts
            WHERE endpoint = $1 ORDER BY at DESC, key DESC LIMIT 1 OFFSET $2)
        ORDER BY at, key LIMIT $3))";
    execute(tx, sql, &[endpoint, &i64::from(retention.count), &DROPPED_MAX]).await?;
    Ok(())
}
