//! From times to positions of the feed.
//!
//! Times rise with positions, but for clocks that differ or are set back. So of every so many positions it is kept
//! what their times are at least, and what they were at most so far: that leads to where a range of times begins and
//! ends, whatever clocks did.
//!
//! What a state of an earlier version lacks of it is made up for beside the work. Until then the times themselves are
//! looked at.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, params};
use schemas::Timestamp;

use super::rows::first;
use crate::error::DbError;
use crate::sqlite::{as_sql, from_sql};

/// How many positions are taken together: a look at all their times takes a millisecond.
pub(crate) const BLOCK: u64 = 1_024;

/// Whether a range of times that has this row of the feed leads to it. What is not complete yet is looked at row by row.
pub(super) const HAS: &str = "coalesce(
    (SELECT created_at BETWEEN earliest AND latest FROM feed_times WHERE block = (feed.position - 1) / 1024),
    (SELECT coalesce(max(block), -1) < (feed.position - 1) / 1024 FROM feed_times))";

/// How many a commit adds beside its own, of what was left before it.
pub(crate) const LEFT_AT_ONCE: u64 = 4;

/// Adds what is complete since the feed ended at `before`.
pub(crate) fn grown(connection: &Connection, before: u64, end: u64) -> Result<(), DbError> {
    let own = end / BLOCK - before / BLOCK;
    if own == 0 {
        return Ok(());
    }
    for _ in 0..own + LEFT_AT_ONCE {
        if !add(connection, end)? {
            break;
        }
    }
    Ok(())
}

/// Adds everything that is complete, unless it has to end.
pub(super) fn make_up(connection: &Connection, ends: &AtomicBool) -> Result<(), DbError> {
    let end = first(connection, "SELECT max(position) FROM feed", [], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.map_or(0, from_sql))
    })?;
    while !ends.load(Ordering::Relaxed) && add(connection, end.unwrap_or(0))? {}
    Ok(())
}

/// Adds the next block. False: none is complete.
fn add(connection: &Connection, end: u64) -> Result<bool, DbError> {
    let sql = "SELECT block, latest FROM feed_times ORDER BY block DESC LIMIT 1";
    let last = first(connection, sql, [], |row| Ok((from_sql(row.get(0)?), row.get(1)?)))?;
    let (block, latest) = last.map_or((0, i64::MIN), |(block, latest)| (block + 1, latest));
    if (block + 1) * BLOCK > end {
        return Ok(false);
    }
    let sql = "SELECT coalesce(min(created_at), ?3), coalesce(max(created_at), ?4) FROM feed
        WHERE position > ?1 AND position <= ?2";
    let (from, to) = (as_sql(block * BLOCK), as_sql((block + 1) * BLOCK));
    let (earliest, highest): (i64, i64) = connection
        .prepare_cached(sql)?
        .query_row(params![from, to, i64::MAX, i64::MIN], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Somebody else may have added it meanwhile, and has found the same.
    connection
        .prepare_cached("INSERT OR IGNORE INTO feed_times VALUES (?1, ?2, ?3)")?
        .execute(params![as_sql(block), earliest, highest.max(latest)])?;
    Ok(true)
}

/// Whether any of it is not what the feed says.
pub(super) fn mislead(connection: &Connection) -> Result<bool, DbError> {
    let of_block = "FROM feed WHERE position > block * 1024 AND position <= (block + 1) * 1024";
    let sql = format!(
        "SELECT 1 FROM (
             SELECT earliest, latest, low, max(high) OVER (ORDER BY block) AS highest FROM (
                 SELECT block, earliest, latest, (SELECT coalesce(min(created_at), ?1) {of_block}) AS low,
                     (SELECT coalesce(max(created_at), ?2) {of_block}) AS high
                 FROM feed_times))
         WHERE earliest <> low OR latest <> highest LIMIT 1"
    );
    Ok(first(connection, &sql, params![i64::MAX, i64::MIN], |_| Ok(()))?.is_some())
}

/// The first position with an event of this time or later.
pub(super) fn not_before(connection: &Connection, from: Timestamp) -> Result<u64, DbError> {
    let sql = "SELECT coalesce(
            (SELECT block FROM feed_times WHERE latest >= ?1 ORDER BY block LIMIT 1),
            (SELECT max(block) + 1 FROM feed_times), 0)";
    let block: i64 =
        connection.prepare_cached(sql)?.query_row([from.millis()], |row| row.get(0))?;
    let sql = "SELECT position FROM feed WHERE position > ?1 AND created_at >= ?2
        ORDER BY position LIMIT 1";
    let parameters = params![as_sql(from_sql(block) * BLOCK), from.millis()];
    let found = first(connection, sql, parameters, |row| Ok(from_sql(row.get(0)?)))?;
    Ok(found.unwrap_or(u64::MAX))
}

/// The last position with an event of this time or earlier; 0 if there is none.
pub(super) fn not_after(connection: &Connection, to: Timestamp) -> Result<u64, DbError> {
    let within = |low: u64, high: u64| {
        let sql = "SELECT position FROM feed WHERE position > ?1 AND position <= ?2
            AND created_at <= ?3 ORDER BY position DESC LIMIT 1";
        let parameters = params![as_sql(low), as_sql(high), to.millis()];
        first(connection, sql, parameters, |row| Ok(from_sql(row.get(0)?)))
    };
    let sql = "SELECT coalesce(max(block) + 1, 0) FROM feed_times";
    let known: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    if let Some(found) = within(from_sql(known) * BLOCK, u64::MAX)? {
        return Ok(found);
    }
    let sql = "SELECT block FROM feed_times WHERE earliest <= ?1 ORDER BY block DESC LIMIT 1";
    let block = first(connection, sql, [to.millis()], |row| Ok(from_sql(row.get(0)?)))?;
    let found = block.map(|block| within(block * BLOCK, (block + 1) * BLOCK)).transpose()?;
    Ok(found.flatten().unwrap_or(0))
}
