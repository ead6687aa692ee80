//! The file: its schema, how it is opened, how it is read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::holes;
use crate::contract::{Entry, Offset, Partition, ReadError, ReadLimit};
use crate::file;

/// "dsyL": says that a SQLite file is a log of ours.
const APPLICATION_ID: i32 = 0x6473_794c;

const SCHEMA_VERSION: i32 = 1;

/// Records are 2 to 4 KB; on larger pages most need no overflow page.
pub(super) const PAGE_BYTES: u32 = 16_384;

/// The page cache of the connection that writes. An idle process keeps it.
const CACHE_KIB: i64 = 1_024;

/// The page cache of a connection that reads. The tail is in memory anyway, and a scan reads each page once: into memory that
/// the cache of a processor holds, if there is no more of it than that.
const READER_CACHE_KIB: i64 = 256;

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite cannot open it.
    #[error("the log {} cannot be opened: {why}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// It is a file of something else.
    #[error("{} is not a log of dsync", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a later version.
    #[error("the log {} has version {found}, this program knows {SCHEMA_VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: i32,
    },
    /// The system starts no more threads.
    #[error("the threads of the log cannot be started")]
    Thread(#[source] std::io::Error),
}

impl OpenError {
    pub(super) fn at(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        move |error| Self::Sqlite { path: path.to_owned(), why: file::words(path, &error) }
    }
}

pub(super) fn open_for_writing(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = OpenError::at(path);
    file::make(path).map_err(&failed)?;
    let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(&failed)?;
    if prepare(&connection).map_err(&failed)? {
        create(&connection).map_err(&failed)?;
    }
    check(&connection, path)?;
    Ok(connection)
}

pub(super) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = OpenError::at(path);
    let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(&failed)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(&failed)?;
    check(&connection, path)?;
    Ok(connection)
}

/// Sets what holds for a connection, and says whether the file is new.
fn prepare(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have a thread of their own.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(tables == 0)
}

fn create(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS records (
             -- The partition in the upper 16 bits, the offset in the lower 48.
             key   INTEGER PRIMARY KEY,
             value BLOB NOT NULL
         );
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {SCHEMA_VERSION};
         COMMIT;"
    ))
}

fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(OpenError::at(path))?;
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let found = number("user_version").map_err(OpenError::at(path))?;
    if found != SCHEMA_VERSION {
        return Err(OpenError::Version { path: path.to_owned(), found });
    }
    Ok(())
}

/// The first offset of a partition that is not written yet.
pub(super) fn tail(
    connection: &Connection,
    partition: Partition,
) -> Result<Offset, rusqlite::Error> {
    let last: Option<i64> = connection.query_row(
        "SELECT max(key) FROM records WHERE key BETWEEN ?1 AND ?2",
        params![key(partition, Offset(0)), key(partition, OFFSET_MAX)],
        |row| row.get(0),
    )?;
    Ok(last.map_or(Offset(0), |last| offset(last).next()))
}

/// The first offset from this one on that a record is at.
pub(super) fn first_from(
    connection: &Connection,
    partition: Partition,
    from: Offset,
) -> Result<Option<Offset>, rusqlite::Error> {
    let first: Option<i64> = connection.query_row(
        "SELECT min(key) FROM records WHERE key BETWEEN ?1 AND ?2",
        params![key(partition, from), key(partition, OFFSET_MAX)],
        |row| row.get(0),
    )?;
    Ok(first.map(offset))
}

pub(super) fn read(
    connection: &Connection,
    partition: Partition,
    from: Offset,
    limit: ReadLimit,
) -> Result<Vec<Entry>, ReadError> {
    read_into(Bytes::copy_from_slice, connection, partition, from, limit)
}

/// The same, with values where they are put.
pub(super) fn read_into(
    mut put: impl FnMut(&[u8]) -> Bytes,
    connection: &Connection,
    partition: Partition,
    from: Offset,
    limit: ReadLimit,
) -> Result<Vec<Entry>, ReadError> {
    let failed = |error| read_error(error, partition, from);
    let mut select = connection
        .prepare_cached("SELECT key, value FROM records WHERE key BETWEEN ?1 AND ?2 ORDER BY key")
        .map_err(failed)?;
    let range = params![key(partition, from), key(partition, OFFSET_MAX)];
    let mut rows = select.query(range).map_err(failed)?;
    let (mut entries, mut bytes, mut expected) = (Vec::new(), 0, from);
    while entries.len() < limit.records.get() {
        let Some(row) = rows.next().map_err(failed)? else { break };
        let entry = entry(row, &mut put).map_err(failed)?;
        let hole = (expected, entry.offset);
        if entry.offset != expected
            && !holes::is_accepted(connection, partition, hole).map_err(failed)?
        {
            // The writer leaves no offset out, so something has been lost. What lies before it has not,
            // and whoever reads on is told where.
            if entries.is_empty() {
                return Err(ReadError::Corrupt { partition, offset: expected });
            }
            break;
        }
        bytes += entry.value.len();
        if bytes > limit.bytes.get() && !entries.is_empty() {
            break;
        }
        expected = entry.offset.next();
        entries.push(entry);
    }
    Ok(entries)
}

fn read_error(error: rusqlite::Error, partition: Partition, offset: Offset) -> ReadError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ReadError::Corrupt { partition, offset }
        }
        Some(_) | None => ReadError::Unavailable(error.into()),
    }
}

fn entry(
    row: &rusqlite::Row<'_>,
    put: &mut impl FnMut(&[u8]) -> Bytes,
) -> Result<Entry, rusqlite::Error> {
    let value = row.get_ref(1)?.as_blob()?;
    Ok(Entry::new(offset(row.get(0)?), put(value)))
}

/// How many bits of a key are the offset.
const OFFSET_BITS: u32 = 48;

/// 8,900 years at a thousand records a second.
pub(super) const OFFSET_MAX: Offset = Offset((1 << OFFSET_BITS) - 1);

pub(super) fn key(partition: Partition, offset: Offset) -> i64 {
    // Partitions stay below 2^15, so that keys stay positive.
    let key = (u64::from(partition.0) << OFFSET_BITS) | offset.0.min(OFFSET_MAX.0);
    i64::try_from(key).expect("the number of partitions was checked")
}

pub(super) const fn offset(key: i64) -> Offset {
    Offset(key.unsigned_abs() & OFFSET_MAX.0)
}
