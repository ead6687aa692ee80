//! From a directory and a type to positions of the feed.
//!
//! The feed is cut into blocks of so many positions, and it is kept which of them have something of a directory, of a type,
//! and of one in the other. A look goes from block to block and through the rows of each:
//!
//! ```text
//!   of one directory     ▪   ▪           ▪
//!   feed               ┊···▪┊▪▪··┊····┊·▪··┊
//! ```
//!
//! So what a change adds to is one row in many. An index of every event would be written to by every change, in a place of
//! its own.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use schemas::EventType;

use super::audit::Range;
use super::insert::FeedRow;
use super::reading::page::Conditions;
use crate::error::DbError;
use crate::sqlite::as_sql;

/// How many positions a block has: few enough that a look reads no more than a dozen pages for one of its events, and
/// enough that most commits find theirs noted.
const BLOCK: u64 = 64;

/// Stands for all directories: keys begin with 1.
const ANY_DIRECTORY: i64 = 0;

/// Stands for all types.
const ANY_TYPE: &str = "";

/// The feed as its blocks lead through it. Whatever else `feed` is compared with has a `+` in front, or SQLite might begin
/// there in place of the block.
pub(crate) const FEED: &str = "feed_blocks AS lies CROSS JOIN feed
    ON feed.position >= lies.block * 64 AND feed.position < lies.block * 64 + 64";

/// Whether the block of a row of the feed is noted wherever a look may begin.
pub(super) const HAS: &str = "EXISTS (SELECT 1 FROM feed_blocks AS lies
        WHERE lies.directory = feed.directory AND lies.event = feed.event AND lies.block = feed.position / 64)
    AND EXISTS (SELECT 1 FROM feed_blocks AS lies
        WHERE lies.directory = feed.directory AND lies.event = '' AND lies.block = feed.position / 64)
    AND EXISTS (SELECT 1 FROM feed_blocks AS lies
        WHERE lies.directory = 0 AND lies.event = feed.event AND lies.block = feed.position / 64)";

/// The directories that a look goes through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within {
    /// All of them.
    Feed,
    Directory(i64),
    /// Each of a list, one by one: `within.value`.
    Each,
}

/// Narrows to what a range has of these directories and of this type.
pub(crate) fn narrow(
    conditions: &mut Conditions,
    within: Within,
    kind: Option<EventType>,
    range: Range,
) {
    narrow_blocks(conditions, within, kind, range);
    match within {
        Within::Feed => {}
        Within::Directory(_) | Within::Each => {
            conditions.and_all("+feed.directory = lies.directory", []);
        }
    }
    if kind.is_some() {
        conditions.and_all("+feed.event = lies.event", []);
    }
    conditions.and("+feed.position >= {}", as_sql(range.first));
    conditions.and("+feed.position <= {}", as_sql(range.last));
}

/// The same of the blocks alone: those at the ends of the range may have it outside.
pub(crate) fn narrow_blocks(
    conditions: &mut Conditions,
    within: Within,
    kind: Option<EventType>,
    range: Range,
) {
    match within {
        Within::Feed => conditions.and("lies.directory = {}", ANY_DIRECTORY),
        Within::Directory(key) => conditions.and("lies.directory = {}", key),
        Within::Each => conditions.and_all("lies.directory = within.value", []),
    }
    conditions.and("lies.event = {}", kind.map_or(ANY_TYPE, EventType::name).to_owned());
    let (first, last) = blocks_of(range);
    conditions.and("lies.block >= {}", as_sql(first));
    conditions.and("lies.block <= {}", as_sql(last));
}

/// The first block that has a position of a range, and the last.
pub(crate) const fn blocks_of(range: Range) -> (u64, u64) {
    (block_of(range.first), block_of(range.last))
}

/// The block of a position.
pub(crate) const fn block_of(position: u64) -> u64 {
    position / BLOCK
}

/// The order of positions, or the other way round.
pub(crate) const fn order_of_positions(rising: bool) -> &'static str {
    if rising { "feed.position ASC" } else { "feed.position DESC" }
}

/// The same where blocks lead.
pub(crate) const fn order(rising: bool) -> &'static str {
    if rising { "lies.block ASC, feed.position ASC" } else { "lies.block DESC, feed.position DESC" }
}

/// Whether the feed has any event of this type.
pub(crate) fn has(connection: &Connection, kind: EventType) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM feed_blocks WHERE directory = ?1 AND event = ?2)";
    let parameters = params![ANY_DIRECTORY, kind.name()];
    Ok(connection.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?)
}

/// Adds the blocks of these rows of the feed.
pub(crate) fn note(connection: &Connection, rows: &[FeedRow<'_>]) -> Result<(), DbError> {
    let block = |row: &FeedRow<'_>| (row.directory, row.event.name(), block_of(row.position));
    let blocks: BTreeSet<_> = rows.iter().map(block).collect();
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO feed_blocks VALUES (?1, ?2, ?3), (?1, ?4, ?3), (?5, ?2, ?3)",
    )?;
    for (directory, event, block) in blocks {
        insert.execute(params![directory, event, as_sql(block), ANY_TYPE, ANY_DIRECTORY])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_long_as_the_statements_say() {
        assert!(FEED.contains(&format!("lies.block * {BLOCK} + {BLOCK}")));
        assert_eq!(HAS.matches(&format!("lies.block = feed.position / {BLOCK})")).count(), 3);
        assert!(include_str!("blocks.sql").contains(&format!("position / {BLOCK} ")));
        let range = Range { first: BLOCK, last: 2 * BLOCK - 1 };
        assert_eq!(blocks_of(range), (1, 1));
        assert_eq!(blocks_of(Range { first: range.first - 1, last: range.last + 1 }), (0, 2));
    }
}
