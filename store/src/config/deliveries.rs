//! How far deliveries have come: cursors, blocked lines, attempts.

use dispatcher::Failure;
use dispatcher::ports::{
    Attempt, Blocked, DisableReason, FeedPosition, Flush, LaneState, Line, Outcome,
};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, EndpointId, EventId, ScimId, Timestamp};

use super::Config;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{Time, all, first};

/// How many attempts are kept for each endpoint: the latest days of a busy one, years of a quiet one.
const ATTEMPTS_KEPT: i64 = 10_000;

/// Old attempts are dropped once in so many, so that a flush seldom pays for it.
const DROP_EVERY: i64 = 2_000;

impl Config {
    pub(crate) async fn lane(&self, endpoint: EndpointId) -> Result<Option<LaneState>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT cursor, failing_since FROM endpoints WHERE id = ?1";
            let id = endpoint.to_bytes();
            let found = first(connection, sql, [id], |row| {
                let since = row.get::<_, Option<Time>>(1)?.map(|time| time.0);
                Ok((FeedPosition(from_sql(row.get(0)?)), since))
            })?;
            let Some((cursor, failing_since)) = found else { return Ok(None) };
            let sql = "SELECT line, from_position, failures, due_at FROM blocked_lines
                WHERE endpoint = ?1";
            let blocked = all(connection, sql, [id], |row| {
                let line: String = row.get(0)?;
                Ok(Blocked {
                    line: line_named(&line).ok_or_else(|| unreadable("line")(line.as_str()))?,
                    from: FeedPosition(from_sql(row.get(1)?)),
                    failures: row.get(2)?,
                    due: row.get::<_, Option<Time>>(3)?.map(|time| time.0),
                })
            })?;
            Ok(Some(LaneState { cursor, blocked, failing_since }))
        })
        .await
    }

    /// All in one transaction. What belongs to an endpoint that was deleted meanwhile is dropped.
    pub(crate) async fn flush(&self, flushes: Vec<Flush>) -> Result<(), DbError> {
        self.progress
            .run(move |connection| {
                let transaction = connection.transaction()?;
                for one in &flushes {
                    flush(&transaction, one)?;
                }
                transaction.commit()?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn disable(
        &self,
        endpoint: EndpointId,
        reason: DisableReason,
    ) -> Result<(), DbError> {
        self.change(move |connection| {
            connection.execute(
                "UPDATE endpoints SET enabled = 0, disabled_reason = ?2 WHERE id = ?1",
                params![endpoint.to_bytes(), reason.name()],
            )?;
            Ok(())
        })
        .await?;
        self.endpoints_changed();
        Ok(())
    }

    pub(crate) async fn wait_endpoints_changed(&self, version: u64) -> Result<(), DbError> {
        let mut changes = self.endpoints_version.subscribe();
        let changed = changes.wait_for(|current| *current != version).await;
        changed.map(drop).map_err(|_| DbError::Closed)
    }
}

fn flush(connection: &Connection, flush: &Flush) -> Result<(), DbError> {
    let id = flush.endpoint.to_bytes();
    let failed = flush.attempts.iter().rev().take_while(|attempt| attempt.failed()).count();
    let all_failed = failed == flush.attempts.len();
    let moved = connection
        .prepare_cached(
            "UPDATE endpoints SET cursor = ?2, failing_since = ?3,
                 failed_in_a_row = CASE WHEN ?4 THEN failed_in_a_row ELSE 0 END + ?5
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            as_sql(flush.cursor.0),
            flush.failing_since.map(Timestamp::millis),
            all_failed,
            as_sql(failed as u64),
        ])?;
    if moved == 0 {
        return Ok(());
    }
    for line in &flush.unblocked {
        connection
            .prepare_cached("DELETE FROM blocked_lines WHERE endpoint = ?1 AND line = ?2")?
            .execute(params![id, line_name(*line)])?;
    }
    for blocked in &flush.blocked {
        connection
            .prepare_cached(
                "INSERT INTO blocked_lines (endpoint, line, from_position, failures, due_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET from_position = excluded.from_position,
                     failures = excluded.failures, due_at = excluded.due_at",
            )?
            .execute(params![
                id,
                line_name(blocked.line),
                as_sql(blocked.from.0),
                blocked.failures,
                blocked.due.map(Timestamp::millis),
            ])?;
    }
    for attempt in &flush.attempts {
        insert(connection, id, attempt)?;
    }
    Ok(())
}

fn insert(connection: &Connection, id: [u8; 16], attempt: &Attempt) -> Result<(), DbError> {
    let (status, failure) = match attempt.outcome {
        Outcome::Delivered { status } => (Some(status), None),
        Outcome::Failed(failure) => (status_of(failure), Some(failure.to_string())),
    };
    connection
        .prepare_cached(
            "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status,
                 failure, exhausted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id,
            attempt.event_id.to_bytes(),
            as_sql(attempt.position.0),
            attempt.attempt,
            attempt.at.millis(),
            i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
            status,
            failure,
            attempt.exhausted,
        ])?;
    if connection.last_insert_rowid() % DROP_EVERY == 0 {
        drop_old(connection, id)?;
    }
    Ok(())
}

fn drop_old(connection: &Connection, id: [u8; 16]) -> Result<(), DbError> {
    connection
        .prepare_cached(
            "DELETE FROM attempts WHERE endpoint = ?1 AND key <= (
                 SELECT key FROM attempts WHERE endpoint = ?1
                 ORDER BY key DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![id, ATTEMPTS_KEPT])?;
    Ok(())
}

const fn status_of(failure: Failure) -> Option<u16> {
    match failure {
        Failure::Status(status) => Some(status),
        Failure::Refused
        | Failure::Dns
        | Failure::Connect
        | Failure::Proxy
        | Failure::Tls
        | Failure::Timeout
        | Failure::Protocol
        | Failure::Unreadable => None,
    }
}

trait Failed {
    fn failed(&self) -> bool;
}

impl Failed for Attempt {
    fn failed(&self) -> bool {
        match self.outcome {
            Outcome::Failed(_) => true,
            Outcome::Delivered { .. } => false,
        }
    }
}

fn line_name(line: Line) -> String {
    match line {
        Line::User(id) => format!("user {id}"),
        Line::Group(id) => format!("group {id}"),
        Line::Directory(id) => format!("directory {id}"),
        Line::Stream(id) => format!("stream {id}"),
        Line::Event(id) => format!("event {id}"),
    }
}

fn line_named(name: &str) -> Option<Line> {
    let (kind, id) = name.split_once(' ')?;
    match kind {
        "user" => id.parse::<ScimId>().ok().map(Line::User),
        "group" => id.parse::<ScimId>().ok().map(Line::Group),
        "directory" => id.parse::<DirectoryId>().ok().map(Line::Directory),
        "stream" => id.parse::<DirectoryId>().ok().map(Line::Stream),
        "event" => id.parse::<EventId>().ok().map(Line::Event),
        _ => None,
    }
}
