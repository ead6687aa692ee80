//! Replays: lanes that walk part of the feed once more.

use api::ports::{Conflict, LIVE_REPLAYS_MAX, NewReplay, Page, PageRequest, Replay};
use dispatcher::ports::{self as lanes, FeedPosition, Filter, Flush, LaneState, Outcome};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, EndpointId, ReplayId, Timestamp};

use super::Config;
use super::deliveries::{distances, positions};
use super::endpoints::{json, list};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::paging::by_id;
use crate::ports::{conflicted, not_found};
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{all, first};

/// How many finished replays of an endpoint are remembered.
pub(crate) const FINISHED_KEPT: i64 = 100;

pub(crate) const COLUMNS: &str = "id, endpoint, directories, events, rate, total, delivered, exhausted, \
    created_at, finished_at";

/// Which positions a replay walks, and how many events it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// After this one.
    pub(crate) after: u64,
    /// Up to and with this one.
    pub(crate) up_to: u64,
    /// How many of them the endpoint wants.
    pub(crate) total: u64,
}

impl Config {
    /// Replays that are not finished, as the dispatcher needs them.
    pub(super) async fn live_replays(&self) -> Result<Vec<lanes::Replay>, DbError> {
        self.read(|connection| {
            let sql = "SELECT id, endpoint, up_to, directories, events, rate FROM replays
                WHERE finished_at IS NULL ORDER BY id";
            all(connection, sql, [], |row| lane(row))
        })
        .await
    }

    pub(crate) async fn create_replay(
        &self,
        new: NewReplay,
        extent: Extent,
    ) -> Result<Replay, DbError> {
        let replay = self.change_beside(move |connection| create(connection, &new, extent)).await?;
        self.endpoints_changed();
        Ok(replay)
    }

    pub(crate) async fn replays(
        &self,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, DbError> {
        self.read(move |connection| {
            exists(connection, endpoint)?;
            let sql = format!("SELECT {COLUMNS} FROM replays WHERE endpoint = ?1 ORDER BY id");
            let found = all(connection, &sql, [endpoint.to_bytes()], |row| read(row))?;
            Ok(by_id(found, &page, |replay| replay.id))
        })
        .await
    }

    pub(crate) async fn replay(
        &self,
        endpoint: EndpointId,
        id: ReplayId,
    ) -> Result<Replay, DbError> {
        self.read(move |connection| get(connection, endpoint, id)).await
    }

    pub(crate) async fn cancel_replay(
        &self,
        endpoint: EndpointId,
        id: ReplayId,
    ) -> Result<(), DbError> {
        self.change_beside(move |connection| {
            let sql = "DELETE FROM replays WHERE id = ?1 AND endpoint = ?2";
            let deleted = connection.execute(sql, params![id.to_bytes(), endpoint.to_bytes()])?;
            if deleted == 0 { Err(not_found()) } else { Ok(()) }
        })
        .await?;
        self.endpoints_changed();
        Ok(())
    }
}

/// Where a replay stands that is not finished.
pub(super) fn standing(
    connection: &Connection,
    id: ReplayId,
) -> Result<Option<LaneState>, DbError> {
    let sql = "SELECT cursor, done FROM replays WHERE id = ?1 AND finished_at IS NULL";
    first(connection, sql, [id.to_bytes()], |row| {
        let cursor = FeedPosition(from_sql(row.get(0)?));
        let done = positions(cursor, &row.get::<_, Vec<u8>>(1)?);
        Ok(LaneState { cursor, done, ..LaneState::default() })
    })
}

/// It went on. `false` if it is there no more.
pub(super) fn moved(
    connection: &Connection,
    id: ReplayId,
    flush: &Flush,
    now: Timestamp,
) -> Result<bool, DbError> {
    let delivered = flush.attempts.iter().filter(|attempt| match attempt.outcome {
        Outcome::Delivered { .. } => true,
        Outcome::Failed(_) => false,
    });
    let exhausted = flush.attempts.iter().filter(|attempt| attempt.exhausted);
    let moved = connection
        .prepare_cached(
            "UPDATE replays SET cursor = ?2, delivered = delivered + ?3, exhausted = exhausted + ?4,
                 finished_at = ?5, done = ?6 WHERE id = ?1 AND finished_at IS NULL",
        )?
        .execute(params![
            id.to_bytes(),
            as_sql(flush.cursor.0),
            as_sql(delivered.count() as u64),
            as_sql(exhausted.count() as u64),
            flush.is_finished.then_some(now.millis()),
            distances(flush.cursor, &flush.done),
        ])?;
    Ok(moved > 0)
}

fn create(connection: &Connection, new: &NewReplay, extent: Extent) -> Result<Replay, DbError> {
    let endpoint = new.endpoint.to_bytes();
    exists(connection, new.endpoint)?;
    let sql = "SELECT count(*) FROM replays WHERE endpoint = ?1 AND finished_at IS NULL";
    let live: i64 = connection.query_row(sql, [endpoint], |row| row.get(0))?;
    if from_sql(live) >= LIVE_REPLAYS_MAX as u64 {
        return Err(conflicted(Conflict::LiveReplays));
    }
    let directories: Vec<DirectoryId> = new.directory.into_iter().collect();
    // Where there is nothing to send there is no lane either.
    let finished_at = (extent.total == 0).then_some(new.created_at.millis());
    connection.execute(
        "INSERT INTO replays (id, endpoint, directories, events, rate, cursor, up_to, total,
             created_at, finished_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            new.id.to_bytes(),
            endpoint,
            json(&directories)?,
            json(&new.events)?,
            new.rate.get(),
            as_sql(extent.after),
            as_sql(extent.up_to),
            as_sql(extent.total),
            new.created_at.millis(),
            finished_at,
        ],
    )?;
    connection.execute(
        "DELETE FROM replays WHERE endpoint = ?1 AND finished_at IS NOT NULL AND id <= (
             SELECT id FROM replays WHERE endpoint = ?1 AND finished_at IS NOT NULL
             ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![endpoint, FINISHED_KEPT],
    )?;
    get(connection, new.endpoint, new.id)
}

fn exists(connection: &Connection, endpoint: EndpointId) -> Result<(), DbError> {
    let sql = "SELECT 1 FROM endpoints WHERE id = ?1";
    first(connection, sql, [endpoint.to_bytes()], |_| Ok(()))?.ok_or_else(not_found)
}

fn get(connection: &Connection, endpoint: EndpointId, id: ReplayId) -> Result<Replay, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE id = ?1 AND endpoint = ?2");
    let parameters = params![id.to_bytes(), endpoint.to_bytes()];
    first(connection, &sql, parameters, |row| read(row))?.ok_or_else(not_found)
}

/// A replay of the [`COLUMNS`].
pub(crate) fn read(row: &impl Columns) -> Result<Replay, DbError> {
    Ok(Replay {
        id: ReplayId::from_bytes(row.id(0)?),
        endpoint: EndpointId::from_bytes(row.id(1)?),
        directory: list(row, 2, "directories")?.first().copied(),
        events: list(row, 3, "event types")?,
        rate: row.number(4)?,
        total: row.count(5)?,
        delivered: row.count(6)?,
        exhausted: row.count(7)?,
        created_at: row.time(8)?,
        finished_at: row.time_if(9)?,
    })
}

/// A replay that is not finished, as the dispatcher needs it.
pub(crate) fn lane(row: &impl Columns) -> Result<lanes::Replay, DbError> {
    let rate: u32 = row.number(5)?;
    Ok(lanes::Replay {
        id: ReplayId::from_bytes(row.id(0)?),
        endpoint: EndpointId::from_bytes(row.id(1)?),
        up_to: FeedPosition(row.count(2)?),
        filter: Filter {
            events: list(row, 4, "event types")?,
            organizations: Vec::new(),
            directories: list(row, 3, "directories")?,
        },
        rate: rate.try_into().map_err(unreadable("rate"))?,
    })
}
