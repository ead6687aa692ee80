//! The feed of a generation in the making.

use std::collections::BTreeMap;

use projector::rebuild::FeedEntry;
use rusqlite::{Connection, params};
use schemas::DirectoryId;

use crate::error::DbError;
use crate::sqlite::as_sql;
use crate::state::insert::{self, FeedRow};
use crate::state::times::BLOCK;

/// An event and its position.
pub(super) type Placed<'a> = (u64, &'a FeedEntry);

/// Adds rows. The directories of all of them are known.
pub(super) fn insert(
    connection: &Connection,
    directories: &BTreeMap<DirectoryId, i64>,
    placed: &[Placed<'_>],
) -> Result<(), DbError> {
    let rows = placed.iter().map(|(position, entry)| FeedRow {
        position: *position,
        id: entry.id,
        directory: directories[&entry.directory_id],
        event: entry.event,
        head: entry.head,
        prev: entry.prev,
        created_at: entry.created_at,
        user: entry.user,
        group: entry.group,
        actor: &entry.actor,
        data: &entry.data,
    });
    insert::feed(connection, &rows.collect::<Vec<_>>())
}

/// The times of the feed, while its events come in their order. Of one that is put together of several partitions they
/// are made up when it is in use.
#[derive(Debug)]
pub(super) struct Times {
    /// The last position.
    end: u64,
    /// Whether every event so far came behind the one before it.
    in_order: bool,
    earliest: i64,
    /// Of all events so far.
    latest: i64,
}

impl Times {
    pub(super) const fn new() -> Self {
        Self { end: 0, in_order: true, earliest: i64::MAX, latest: i64::MIN }
    }

    /// Takes note of further events, and keeps what is complete.
    pub(super) fn note(
        &mut self,
        connection: &Connection,
        placed: &[Placed<'_>],
    ) -> Result<(), DbError> {
        for (position, entry) in placed {
            self.in_order &= *position == self.end + 1;
            if !self.in_order {
                return Ok(());
            }
            let at = entry.created_at.millis();
            self.end = *position;
            self.earliest = self.earliest.min(at);
            self.latest = self.latest.max(at);
            if self.end.is_multiple_of(BLOCK) {
                connection
                    .prepare_cached("INSERT INTO feed_times VALUES (?1, ?2, ?3)")?
                    .execute(params![as_sql(self.end / BLOCK - 1), self.earliest, self.latest])?;
                self.earliest = i64::MAX;
            }
        }
        Ok(())
    }
}
