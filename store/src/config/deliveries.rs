//! How far lanes have come: cursors and blocked lines, written together with the attempts.

use dispatcher::ports::{
    Blocked, DisableReason, FeedPosition, Fenced, Flush, LaneId, LaneState, Line, Outcome,
};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, EndpointId, EventId, ScimId, Timestamp};

use super::attempts::{self, Retention};
use super::{Config, operational, replays};
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{Time, all, first};

/// The rows of lines that wait: those of the lane that follows the feed by its endpoint, those of a
/// replay by its own id.
#[derive(Clone, Copy)]
struct Rows {
    delete: &'static str,
    insert: &'static str,
    select: &'static str,
    owner: [u8; 16],
}

impl Rows {
    const fn of(lane: LaneId) -> Self {
        match lane.replay {
            None => Self {
                delete: "DELETE FROM blocked_lines WHERE endpoint = ?1 AND line = ?2",
                insert:
                    "INSERT INTO blocked_lines (endpoint, line, from_position, failures, due_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET from_position = excluded.from_position,
                         failures = excluded.failures, due_at = excluded.due_at",
                select: "SELECT line, from_position, failures, due_at FROM blocked_lines
                     WHERE endpoint = ?1",
                owner: lane.endpoint.to_bytes(),
            },
            Some(replay) => Self {
                delete: "DELETE FROM replay_lines WHERE replay = ?1 AND line = ?2",
                insert: "INSERT INTO replay_lines (replay, line, from_position, failures, due_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET from_position = excluded.from_position,
                         failures = excluded.failures, due_at = excluded.due_at",
                select: "SELECT line, from_position, failures, due_at FROM replay_lines
                     WHERE replay = ?1",
                owner: replay.to_bytes(),
            },
        }
    }
}

impl Config {
    pub(crate) async fn lane(&self, lane: LaneId) -> Result<Option<LaneState>, DbError> {
        self.read(move |connection| {
            let found = match lane.replay {
                None => standing(connection, lane.endpoint)?,
                Some(replay) => replays::standing(connection, replay)?,
            };
            let Some(state) = found else { return Ok(None) };
            Ok(Some(LaneState { blocked: blocked(connection, Rows::of(lane))?, ..state }))
        })
        .await
    }

    /// All in one transaction. What belongs to an endpoint or a replay that was deleted meanwhile is
    /// dropped, and so is what comes from a dispatcher that was replaced.
    pub(crate) async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, DbError> {
        let (flushes, refused) = self.leases.checked(flushes);
        let retention = self.retention();
        let edge = std::sync::Arc::clone(&self.edge);
        let (told, is_finished) = self
            .progress
            .run(move |connection| {
                let transaction = connection.transaction()?;
                for one in &flushes {
                    flush(&transaction, one, retention, &*edge)?;
                }
                let told = operational::end(&transaction)?;
                transaction.commit()?;
                Ok((told, flushes.iter().any(|flush| flush.is_finished)))
            })
            .await?;
        self.told(told);
        if is_finished {
            self.endpoints_changed();
        }
        Ok(refused)
    }

    pub(crate) async fn disable(
        &self,
        endpoint: EndpointId,
        reason: DisableReason,
    ) -> Result<(), DbError> {
        let edge = std::sync::Arc::clone(&self.edge);
        let told = self
            .change_beside(move |connection| {
                let changed = connection.execute(
                    "UPDATE endpoints SET enabled = 0, disabled_reason = ?2
                     WHERE id = ?1 AND enabled",
                    params![endpoint.to_bytes(), reason.name()],
                )?;
                if changed > 0 {
                    operational::disabled(connection, endpoint, reason, &*edge)?;
                }
                operational::end(connection)
            })
            .await?;
        self.told(told);
        self.endpoints_changed();
        Ok(())
    }

    pub(crate) async fn wait_endpoints_changed(&self, version: u64) -> Result<(), DbError> {
        let mut changes = self.endpoints_version.subscribe();
        let changed = changes.wait_for(|current| *current != version).await;
        changed.map(drop).map_err(|_| DbError::Closed)
    }
}

fn standing(connection: &Connection, id: EndpointId) -> Result<Option<LaneState>, DbError> {
    let sql = "SELECT cursor, failing_since, is_told, done FROM endpoints WHERE id = ?1";
    first(connection, sql, [id.to_bytes()], |row| {
        let cursor = FeedPosition(from_sql(row.get(0)?));
        Ok(LaneState {
            cursor,
            done: positions(cursor, &row.get::<_, Vec<u8>>(3)?),
            blocked: Vec::new(),
            failing_since: row.get::<_, Option<Time>>(1)?.map(|time| time.0),
            is_told: row.get(2)?,
        })
    })
}

fn blocked(connection: &Connection, rows: Rows) -> Result<Vec<Blocked>, DbError> {
    all(connection, rows.select, [rows.owner], |row| {
        let line: String = row.get(0)?;
        Ok(Blocked {
            line: line_named(&line).ok_or_else(|| unreadable("line")(line.as_str()))?,
            from: FeedPosition(from_sql(row.get(1)?)),
            failures: row.get(2)?,
            due: row.get::<_, Option<Time>>(3)?.map(|time| time.0),
        })
    })
}

fn flush(
    connection: &Connection,
    flush: &Flush,
    retention: Retention,
    edge: &dyn schemas::Edge,
) -> Result<(), DbError> {
    let moved = match flush.lane.replay {
        None => moved(connection, flush)?,
        Some(replay) => replays::moved(connection, replay, flush, edge.now())?,
    };
    if !moved {
        return Ok(());
    }
    let rows = Rows::of(flush.lane);
    for line in &flush.unblocked {
        connection.prepare_cached(rows.delete)?.execute(params![rows.owner, line_name(*line)])?;
    }
    for blocked in &flush.blocked {
        connection.prepare_cached(rows.insert)?.execute(params![
            rows.owner,
            line_name(blocked.line),
            as_sql(blocked.from.0),
            blocked.failures,
            blocked.due.map(Timestamp::millis),
        ])?;
    }
    attempts::add(connection, flush, retention)?;
    operational::note(connection, flush, edge)
}

/// Positions beyond a cursor as they are kept.
pub(crate) fn distances(cursor: FeedPosition, done: &[FeedPosition]) -> Vec<u8> {
    let distance = |position: &FeedPosition| position.0.checked_sub(cursor.0)?.try_into().ok();
    done.iter().filter_map(distance).flat_map(u32::to_be_bytes).collect()
}

/// The other way round.
pub(crate) fn positions(cursor: FeedPosition, distances: &[u8]) -> Vec<FeedPosition> {
    let (distances, _) = distances.as_chunks::<4>();
    let position = |bytes: &[u8; 4]| FeedPosition(cursor.0 + u64::from(u32::from_be_bytes(*bytes)));
    distances.iter().map(position).collect()
}

/// How many of its attempts failed since the last success, and whether there was none.
pub(crate) fn failed_at_the_end(flush: &Flush) -> (usize, bool) {
    let has_failed = |outcome: Outcome| match outcome {
        Outcome::Failed(_) => true,
        Outcome::Delivered { .. } => false,
    };
    let outcomes = flush.attempts.iter().rev().map(|attempt| attempt.outcome);
    let failed = outcomes.take_while(|outcome| has_failed(*outcome)).count();
    (failed, failed == flush.attempts.len())
}

fn moved(connection: &Connection, flush: &Flush) -> Result<bool, DbError> {
    let (failed, all_failed) = failed_at_the_end(flush);
    let moved = connection
        .prepare_cached(
            "UPDATE endpoints SET cursor = ?2, failing_since = ?3,
                 failed_in_a_row = CASE WHEN ?4 THEN failed_in_a_row ELSE 0 END + ?5, is_told = ?6,
                 done = ?7, is_paused = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            flush.lane.endpoint.to_bytes(),
            as_sql(flush.cursor.0),
            flush.failing_since.map(Timestamp::millis),
            all_failed,
            as_sql(failed as u64),
            flush.is_told,
            distances(flush.cursor, &flush.done),
            flush.is_paused,
        ])?;
    Ok(moved > 0)
}

pub(crate) fn line_name(line: Line) -> String {
    match line {
        Line::User(id) => format!("user {id}"),
        Line::Group(id) => format!("group {id}"),
        Line::Directory(id) => format!("directory {id}"),
        Line::Stream(id) => format!("stream {id}"),
        Line::Event(id) => format!("event {id}"),
        Line::Held(id) => format!("held {id}"),
        Line::HeldStream(id) => format!("held-stream {id}"),
    }
}

pub(crate) fn line_named(name: &str) -> Option<Line> {
    let (kind, id) = name.split_once(' ')?;
    match kind {
        "user" => id.parse::<ScimId>().ok().map(Line::User),
        "group" => id.parse::<ScimId>().ok().map(Line::Group),
        "directory" => id.parse::<DirectoryId>().ok().map(Line::Directory),
        "stream" => id.parse::<DirectoryId>().ok().map(Line::Stream),
        "held" => id.parse::<DirectoryId>().ok().map(Line::Held),
        "held-stream" => id.parse::<DirectoryId>().ok().map(Line::HeldStream),
        "event" => id.parse::<EventId>().ok().map(Line::Event),
        _ => None,
    }
}
