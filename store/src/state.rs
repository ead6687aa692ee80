//! What the log folds to: users, groups, memberships, feed, heads and positions.

pub(crate) mod apply;
mod arrivals;
pub(crate) mod audit;
mod backend;
pub(crate) mod blocks;
pub(crate) mod braking;
pub(crate) mod bulk;
pub(crate) mod feed;
mod flush;
mod gather;
pub(crate) mod insert;
pub(crate) mod late;
pub(crate) mod list;
mod lookups;
mod pending_members;
pub(crate) mod places;
mod progress;
pub(crate) mod reading;
mod refresh;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod snapshot;
pub(crate) mod sweep;
pub(crate) mod times;
mod wal;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use directory::{Directory, facts::TokenRecord};
use log::Offset;
use rusqlite::{Connection, OptionalExtension, params};
use schemas::{DirectoryId, Hash, Head, Seq};
use tokio::sync::Semaphore;

use crate::error::{DbError, OpenError};
use crate::sqlite::{Options, Pool, as_sql, connect, from_sql, migrate};
pub(crate) use progress::{Fault, Progress, Stops};
use wal::Wal;

/// What leads from one version of the schema to the next. The first is that of an empty file.
const MIGRATIONS: [&str; VERSION as usize] = [
    include_str!("state/schema.sql"),
    include_str!("state/pending_members.sql"),
    include_str!("state/shown.sql"),
    include_str!("state/lists.sql"),
    include_str!("state/times.sql"),
    include_str!("state/runs.sql"),
    include_str!("state/mapped.sql"),
    include_str!("state/blocks.sql"),
];

/// The version of the schema: how many migrations lead to it.
const VERSION: i32 = 8;

/// The first version that knows of pending members.
const PENDING_MEMBERS_SINCE: i32 = 2;

/// The first version that knows what apps are shown of users.
const SHOWN_SINCE: i32 = 3;

/// The first version with a column for the id that an attribute map chose.
const MAPPED_SINCE: i32 = 7;

/// The first version that leads to events by blocks.
const BLOCKS_SINCE: i32 = 8;

/// The page cache of the one connection that writes: the right edges of all indexes and more.
const WRITER_CACHE_KIB: u32 = 8_192;

/// The page cache of each connection that reads.
const READER_CACHE_KIB: u32 = 2_048;

/// Readers do not wait for each other; on a few cores more would not help.
const READERS: usize = 2;

/// How many readers lists may have that read on through a directory. One is always left for what is looked up.
const SCANS: usize = READERS - 1;

/// After how many pages the writer has to help, because the other thread cannot keep up: 64 MB.
const CHECKPOINT_PAGES: u32 = 8_000;

/// The state of one generation.
#[derive(Debug)]
pub(crate) struct State {
    writer: Pool,
    wal: Wal,
    /// Tells what is done beside the work that it has to end.
    ends: Arc<AtomicBool>,
    readers: Pool,
    /// For lists that read on through a directory.
    scans: Semaphore,
    progress: Arc<Progress>,
    /// Directories that are known to be activated, which they stay.
    active: Mutex<std::collections::BTreeSet<DirectoryId>>,
}

/// What the streams say of directories, as far as configuration has to agree with it.
#[derive(Default)]
pub(crate) struct Told {
    directories: BTreeMap<DirectoryId, Telling>,
}

struct Telling {
    gone: bool,
    tokens: BTreeMap<schemas::TokenId, TokenRecord>,
}

impl State {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let writing =
            Options { writable: true, synchronous: "NORMAL", cache_kib: WRITER_CACHE_KIB };
        let mut writer = connect(path, writing).map_err(OpenError::at(path))?;
        migrate(&mut writer, path, &MIGRATIONS)?;
        writer
            .pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
            .map_err(OpenError::at(path))?;
        let (passed, feed_end) = standing(&writer).map_err(OpenError::at(path))?;

        let checkpointing =
            Options { writable: true, synchronous: "NORMAL", cache_kib: READER_CACHE_KIB };
        let checkpointer = connect(path, checkpointing).map_err(OpenError::at(path))?;

        let reading =
            Options { writable: false, synchronous: "NORMAL", cache_kib: READER_CACHE_KIB };
        let readers = (0..READERS).map(|_| connect(path, reading).map_err(OpenError::at(path)));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;
        let wal = Wal::start(checkpointer)?;
        let ends = Arc::new(AtomicBool::new(false));
        let told_to_end = Arc::clone(&ends);
        wal.first(move |connection| {
            if let Err(error) = times::make_up(connection, &told_to_end) {
                tracing::warn!(%error, "the times of the feed cannot be gathered");
            }
        });
        Ok(Self {
            writer: Pool::start("state-writer", vec![writer])?,
            wal,
            ends,
            readers: Pool::start("state-reader", readers)?,
            scans: Semaphore::new(SCANS),
            progress: Arc::new(Progress::new(passed, feed_end)),
            active: Mutex::default(),
        })
    }

    pub(crate) async fn read<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.readers
            .run(move |connection| {
                // One moment for all that a job reads.
                let moment = connection.unchecked_transaction()?;
                job(&moment)
            })
            .await
    }

    pub(crate) async fn ready(&self) -> Result<(), DbError> {
        self.read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    pub(crate) fn close(&self) {
        self.ends.store(true, Ordering::Relaxed);
        self.readers.close();
        self.writer.close();
        self.wal.close();
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Once a directory is activated it stays so: only the first requests ask the disk.
    pub(crate) async fn is_activated(&self, id: DirectoryId) -> Result<bool, DbError> {
        if self.active.lock().expect("nothing panics while it is held").contains(&id) {
            return Ok(true);
        }
        let row = self.read(move |connection| Ok(directory_row(connection, id)?)).await?;
        let activated = row.is_some_and(|row| row.activated);
        if activated {
            self.active.lock().expect("nothing panics while it is held").insert(id);
        }
        Ok(activated)
    }

    /// Whether each of these records is in the stream.
    pub(crate) async fn accepted(
        &self,
        directory: DirectoryId,
        records: Vec<Head>,
    ) -> Result<Vec<bool>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else {
                return Ok(vec![false; records.len()]);
            };
            let sql = "SELECT hash FROM feed WHERE directory = ?1 AND seq = ?2";
            let accepted = |record: &Head| {
                let parameters = params![row.key, as_sql(record.seq.0)];
                let hash: Option<[u8; 32]> =
                    rows::first(connection, sql, parameters, |row| Ok(row.get(0)?))?;
                Ok(hash == Some(record.hash.0))
            };
            records.iter().map(accepted).collect()
        })
        .await
    }

    pub(crate) async fn told(&self) -> Result<Told, DbError> {
        self.read(told).await
    }
}

impl Told {
    pub(crate) fn directory(&mut self, id: DirectoryId, gone: bool) {
        self.directories.insert(id, Telling { gone, tokens: BTreeMap::new() });
    }

    pub(crate) fn token(&mut self, of: DirectoryId, id: schemas::TokenId, record: TokenRecord) {
        if let Some(told) = self.directories.get_mut(&of) {
            told.tokens.insert(id, record);
        }
    }

    /// Whether the stream says all that the configuration of a directory says.
    pub(crate) fn tells(&self, directory: &Directory) -> bool {
        let Some(told) = self.directories.get(&directory.id) else {
            return directory.tokens.is_empty() && !directory.deleting;
        };
        let token = |token: &directory::DirectoryToken| {
            let wanted = if token.revoked { TokenRecord::Revoked } else { TokenRecord::Made };
            told.tokens.get(&token.id) == Some(&wanted)
        };
        told.gone || (!directory.deleting && directory.tokens.iter().all(token))
    }
}

fn standing(connection: &Connection) -> Result<(BTreeMap<u16, Offset>, u64), rusqlite::Error> {
    let mut select = connection.prepare("SELECT partition, next FROM positions")?;
    let passed = select.query_map([], |row| Ok((row.get(0)?, Offset(from_sql(row.get(1)?)))))?;
    let passed = passed.collect::<Result<_, _>>()?;
    let end: Option<i64> =
        connection.query_row("SELECT max(position) FROM feed", [], |row| row.get(0))?;
    Ok((passed, end.map_or(0, from_sql)))
}

fn told(connection: &Connection) -> Result<Told, DbError> {
    let mut all = Told::default();
    let mut keys = BTreeMap::new();
    let mut select = connection.prepare("SELECT key, id, gone FROM directories")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let id = DirectoryId::from_bytes(row.get(1)?);
        keys.insert(row.get::<_, i64>(0)?, id);
        all.directory(id, row.get(2)?);
    }
    let mut select = connection.prepare("SELECT directory, id, revoked FROM tokens")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(id) = keys.get(&row.get(0)?) {
            let record = if row.get(2)? { TokenRecord::Revoked } else { TokenRecord::Made };
            all.token(*id, schemas::TokenId::from_bytes(row.get(1)?), record);
        }
    }
    Ok(all)
}

/// A directory's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryRow {
    pub(crate) key: i64,
    pub(crate) activated: bool,
    pub(crate) gone: bool,
    pub(crate) stopped: bool,
    pub(crate) head: Head,
    pub(crate) pending_members: u64,
}

/// The row of a directory that is not gone: what others have left behind is nobody's to see.
pub(crate) fn present_row(
    connection: &Connection,
    id: DirectoryId,
) -> Result<Option<DirectoryRow>, rusqlite::Error> {
    Ok(directory_row(connection, id)?.filter(|row| !row.gone))
}

pub(crate) fn directory_row(
    connection: &Connection,
    id: DirectoryId,
) -> Result<Option<DirectoryRow>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT key, activated, gone, stopped, seq, hash, pending_members FROM directories
             WHERE id = ?1",
        )?
        .query_row(params![id.to_bytes()], |row| {
            Ok(DirectoryRow {
                key: row.get(0)?,
                activated: row.get(1)?,
                gone: row.get(2)?,
                stopped: row.get(3)?,
                head: Head { seq: Seq(from_sql(row.get(4)?)), hash: Hash(row.get(5)?) },
                pending_members: from_sql(row.get(6)?),
            })
        })
        .optional()
}
