//! Room on disk for what a walk through the log has to remember.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use projector::ports::BoxError;
use projector::verify::ScratchEntry;
use rusqlite::{Connection, params};

use super::rows::first;
use crate::error::OpenError;
use crate::sqlite::{Options, connect, from_sql};

/// What of it is held in memory.
const CACHE_KIB: u32 = 8_192;

/// Several walks may run in one process, and several processes beside each other.
static FILES: AtomicU64 = AtomicU64::new(0);

/// A file that is gone with the process: it has no name once it is open.
#[derive(Debug)]
pub struct Scratch {
    connection: Connection,
}

impl Scratch {
    /// An empty file in this folder.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(folder: &Path) -> Result<Self, OpenError> {
        let table =
            "CREATE TABLE scratch (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID";
        Ok(Self { connection: unnamed(folder, "verify", table)? })
    }
}

/// A file with this table, without a name once it is open, in a transaction that never ends.
pub(super) fn unnamed(folder: &Path, name: &str, table: &str) -> Result<Connection, OpenError> {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{name}-{}-{number}.tmp", std::process::id()));
    let options = Options { writable: true, synchronous: "OFF", cache_kib: CACHE_KIB };
    let open = || {
        let connection = connect(&path, options)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.execute_batch(&format!("{table}; BEGIN;"))?;
        Ok(connection)
    };
    let opened = open().map_err(OpenError::at(&path));
    let removed = std::fs::remove_file(&path);
    let connection = opened?;
    removed?;
    Ok(connection)
}

/// The first key behind all that begin like this. There is always one: the first byte is a small number.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

impl projector::verify::Scratch for Scratch {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        let sql = "INSERT INTO scratch (key, value) VALUES (?1, ?2)
            ON CONFLICT DO UPDATE SET value = excluded.value";
        self.connection.prepare_cached(sql)?.execute(params![key, value])?;
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        let sql = "SELECT value FROM scratch WHERE key = ?1";
        Ok(first(&self.connection, sql, [key], |row| Ok(row.get(0)?))?)
    }

    fn first(&mut self, prefix: &[u8]) -> Result<Option<ScratchEntry>, BoxError> {
        let sql =
            "SELECT key, value FROM scratch WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 1";
        Ok(first(&self.connection, sql, params![prefix, behind(prefix)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?)
    }

    fn count(&mut self, prefix: &[u8]) -> Result<u64, BoxError> {
        let sql = "SELECT count(*) FROM scratch WHERE key >= ?1 AND key < ?2";
        let found = first(&self.connection, sql, params![prefix, behind(prefix)], |row| {
            Ok(from_sql(row.get(0)?))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn remove(&mut self, prefix: &[u8]) -> Result<(), BoxError> {
        let sql = "DELETE FROM scratch WHERE key >= ?1 AND key < ?2";
        self.connection.prepare_cached(sql)?.execute(params![prefix, behind(prefix)])?;
        Ok(())
    }
}
