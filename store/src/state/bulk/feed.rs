//! The feed of a generation in the making.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use projector::rebuild::FeedEntry;
use rusqlite::{Connection, Statement, params};
use schemas::{DirectoryId, ScimId};

use crate::error::DbError;
use crate::sqlite::as_sql;
use crate::state::apply::INSERT_FEED;
use crate::state::times::BLOCK;

/// How many rows one statement takes: what each begins and ends with is paid for once.
const ROWS_AT_ONCE: usize = 16;

/// [`INSERT_FEED`] for so many rows.
static INSERT_SEVERAL: LazyLock<String> = LazyLock::new(|| {
    let (into, row) = INSERT_FEED.split_once("VALUES").expect("it inserts values");
    let row = format!("({})", vec!["?"; row.matches('?').count()].join(", "));
    format!("{into}VALUES {}", vec![row; ROWS_AT_ONCE].join(", "))
});

/// An event and its position.
pub(super) type Placed<'a> = (u64, &'a FeedEntry);

/// Adds rows. The directories of all of them are known.
pub(super) fn insert(
    connection: &Connection,
    directories: &BTreeMap<DirectoryId, i64>,
    placed: &[Placed<'_>],
) -> Result<(), DbError> {
    let (several, rest) = placed.as_chunks::<ROWS_AT_ONCE>();
    let mut insert = connection.prepare_cached(&INSERT_SEVERAL)?;
    for rows in several {
        add(&mut insert, directories, rows)?;
    }
    let mut insert = connection.prepare_cached(INSERT_FEED)?;
    for row in rest {
        add(&mut insert, directories, std::slice::from_ref(row))?;
    }
    Ok(())
}

/// Adds as many rows as the statement takes.
fn add(
    insert: &mut Statement<'_>,
    directories: &BTreeMap<DirectoryId, i64>,
    rows: &[Placed<'_>],
) -> Result<(), DbError> {
    let mut number = 0;
    for (position, entry) in rows {
        let row = params![
            as_sql(*position),
            entry.id.to_bytes(),
            directories[&entry.directory_id],
            entry.event.name(),
            as_sql(entry.head.seq.0),
            entry.head.hash.0,
            entry.prev.0,
            entry.created_at.millis(),
            entry.user.map(ScimId::to_bytes),
            entry.group.map(ScimId::to_bytes),
            &*entry.actor,
            &*entry.data,
        ];
        for value in row {
            number += 1;
            insert.raw_bind_parameter(number, value)?;
        }
    }
    insert.raw_execute()?;
    Ok(())
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
