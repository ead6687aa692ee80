//! Events that a feed in the making has no place for yet, because those of other partitions come between them: on disk,
//! until every partition was read.

use std::path::Path;

use log::Partition;
use projector::rebuild::FeedEntry;
use projector::rebuild::order::Turn;
use rusqlite::{Connection, Row, params};
use schemas::{DirectoryId, EventId, Hash, Head, ScimId, Seq, Timestamp};

use super::rows::{Time, all};
use super::scratch::unnamed;
use crate::error::{DbError, OpenError, unreadable};
use crate::sqlite::{as_sql, from_sql};

/// How many are read at once.
const PAGE: u64 = 512;

/// They are sorted by this when all of them are there.
const INDEX: &str = "CREATE INDEX late_turn ON late (at, partition, number)";

const TABLE: &str =
    "CREATE TABLE late (at INTEGER NOT NULL, partition INTEGER NOT NULL, number INTEGER NOT NULL,
    directory BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, prev BLOB NOT NULL,
    event_id BLOB NOT NULL, event TEXT NOT NULL, created_at INTEGER NOT NULL, user_id BLOB,
    group_id BLOB, actor TEXT NOT NULL, data TEXT NOT NULL)";

/// Late events.
#[derive(Debug)]
pub(crate) struct Late {
    /// None where there is one partition, whose events wait for nobody.
    file: Option<Connection>,
}

impl Late {
    /// Room for those of a log with so many partitions, in this folder.
    pub(crate) fn of(partitions: u16, folder: &Path) -> Result<Self, OpenError> {
        let make = || unnamed(folder, "rebuild", TABLE);
        Ok(Self { file: (partitions > 1).then(make).transpose()? })
    }

    pub(crate) fn put(&self, turn: Turn, entry: &FeedEntry) -> Result<(), DbError> {
        let file = self.file.as_ref().expect("one partition alone has no late events");
        let sql =
            "INSERT INTO late VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        file.prepare_cached(sql)?.execute(params![
            turn.at.millis(),
            turn.partition.0,
            as_sql(turn.number),
            entry.directory_id.to_bytes(),
            as_sql(entry.head.seq.0),
            entry.head.hash.0,
            entry.prev.0,
            entry.id.to_bytes(),
            entry.event.name(),
            entry.created_at.millis(),
            entry.user.map(ScimId::to_bytes),
            entry.group.map(ScimId::to_bytes),
            &*entry.actor,
            &*entry.data,
        ])?;
        Ok(())
    }

    /// Those whose turn is next, behind this one; from the first one, every one of them.
    pub(crate) fn page(&self, after: Option<Turn>) -> Result<Vec<(Turn, FeedEntry)>, DbError> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        if after.is_none() {
            file.execute_batch(INDEX)?;
        }
        let sql = "SELECT at, partition, number, directory, seq, hash, prev, event_id, event,
                created_at, user_id, group_id, actor, data FROM late
            WHERE (at, partition, number) > (?1, ?2, ?3) ORDER BY at, partition, number LIMIT ?4";
        let (at, partition, number) = after.map_or((i64::MIN, 0, 0), |turn| {
            (turn.at.millis(), turn.partition.0, as_sql(turn.number))
        });
        all(file, sql, params![at, partition, number, as_sql(PAGE)], late)
    }
}

fn late(row: &Row<'_>) -> Result<(Turn, FeedEntry), DbError> {
    let turn = Turn {
        at: row.get::<_, Time>(0)?.0,
        partition: Partition(row.get(1)?),
        number: from_sql(row.get(2)?),
    };
    let entry = FeedEntry {
        directory_id: DirectoryId::from_bytes(row.get(3)?),
        head: Head { seq: Seq(from_sql(row.get(4)?)), hash: Hash(row.get(5)?) },
        prev: Hash(row.get(6)?),
        id: EventId::from_bytes(row.get(7)?),
        event: row.get::<_, String>(8)?.parse().map_err(unreadable("type of an event"))?,
        created_at: Timestamp::from_millis(row.get(9)?),
        user: row.get::<_, Option<[u8; 16]>>(10)?.map(ScimId::from_bytes),
        group: row.get::<_, Option<[u8; 16]>>(11)?.map(ScimId::from_bytes),
        actor: row.get::<_, String>(12)?.into(),
        data: row.get::<_, String>(13)?.into(),
    };
    Ok((turn, entry))
}
