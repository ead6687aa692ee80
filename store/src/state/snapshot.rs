//! The state as of one moment, for `dsync verify`: read from the files themselves, with the server
//! running or not.

use std::path::Path;

use log::Partition;
use projector::ports::BoxError;
use projector::verify::{StoredEvent, StoredPendingMember, StoredResource, VerifyError};
use projector::{Position, StoredHead};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, Hash, Head, ScimId, Seq};

use super::rows::{all, attributes, first, shown};
use super::{PENDING_MEMBERS_SINCE, SHOWN_SINCE, apply};
use crate::error::{DbError, OpenError};
use crate::sqlite::{Options, as_sql, connect, from_sql};

/// One moment of the state, held by a transaction that only reads.
#[derive(Debug)]
pub(crate) struct Snapshot {
    connection: Connection,
    version: i32,
    /// The column of what apps are shown of users. As long as no server has opened the file that knows of it,
    /// they are shown what attributes say.
    shown: &'static str,
}

impl Snapshot {
    /// The state in this folder as it is now.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        let reading = Options { writable: false, synchronous: "NORMAL", cache_kib: 8_192 };
        let config = folder.join("store.db");
        let generation: i64 = connect(&config, reading)
            .and_then(|store| store.query_row("SELECT generation FROM meta", [], |row| row.get(0)))
            .map_err(OpenError::at(&config))?;
        let path = super::super::state_path(folder, from_sql(generation));
        let connection = connect(&path, reading).map_err(OpenError::at(&path))?;
        // The first read fixes the moment.
        connection
            .execute_batch("BEGIN; SELECT count(*) FROM positions;")
            .map_err(OpenError::at(&path))?;
        let version = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(OpenError::at(&path))?;
        let shown = if version < SHOWN_SINCE { "NULL" } else { "shown" };
        Ok(Self { connection, version, shown })
    }
}

impl Snapshot {
    /// Calls for each row of a directory, and holds one at a time.
    fn each<T>(
        &self,
        sql: &str,
        directory: DirectoryId,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<T, DbError>,
        mut call: impl FnMut(T) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let unread = |error: rusqlite::Error| VerifyError::Store(error.into());
        let mut select = self.connection.prepare_cached(sql).map_err(unread)?;
        let mut rows = select.query([directory.to_bytes()]).map_err(unread)?;
        while let Some(row) = rows.next().map_err(unread)? {
            call(read(row).map_err(|error| VerifyError::Store(error.into()))?)?;
        }
        Ok(())
    }
}

impl projector::verify::Snapshot for Snapshot {
    fn partitions(&mut self) -> Result<Vec<Partition>, BoxError> {
        let sql = "SELECT partition FROM positions WHERE next > 0 ORDER BY partition";
        Ok(all(&self.connection, sql, [], |row| Ok(Partition(row.get(0)?)))?)
    }

    fn position(&mut self, partition: Partition) -> Result<Position, BoxError> {
        Ok(position(&self.connection, partition)?)
    }

    fn heads(&mut self, partition: Partition) -> Result<Vec<StoredHead>, BoxError> {
        Ok(heads(&self.connection, partition)?)
    }

    fn feed(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, BoxError> {
        let sql = "SELECT directories.id, feed.seq, feed.hash, feed.data, feed.position FROM feed
            JOIN directories ON directories.key = feed.directory
            WHERE feed.position > ?1 ORDER BY feed.position LIMIT ?2";
        let parameters = params![as_sql(after), as_sql(limit as u64)];
        Ok(all(&self.connection, sql, parameters, |row| {
            Ok(StoredEvent {
                directory_id: DirectoryId::from_bytes(row.get(0)?),
                head: Head { seq: Seq(from_sql(row.get(1)?)), hash: Hash(row.get(2)?) },
                data: row.get(3)?,
                position: from_sql(row.get(4)?),
            })
        })?)
    }

    fn user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        let sql = format!(
            "SELECT scim_id, version, attributes, {} FROM users
             WHERE scim_id = ?1 AND directory = (SELECT key FROM directories WHERE id = ?2 AND gone = 0)",
            self.shown
        );
        let parameters = params![id.to_bytes(), directory.to_bytes()];
        Ok(first(&self.connection, &sql, parameters, resource)?)
    }

    fn count_users(&mut self, directory: DirectoryId) -> Result<u64, BoxError> {
        let sql = "SELECT count(*) FROM users
            WHERE directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)";
        let count = |row: &rusqlite::Row<'_>| Ok(from_sql(row.get(0)?));
        Ok(first(&self.connection, sql, [directory.to_bytes()], count)?.unwrap_or_default())
    }

    fn stray_user(&mut self, directory: DirectoryId) -> Result<Option<ScimId>, BoxError> {
        let sql = "SELECT scim_id FROM users
            WHERE directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)
              AND NOT EXISTS (SELECT 1 FROM feed WHERE feed.directory = users.directory
                  AND feed.seq = users.version AND feed.user_id = users.scim_id)
            LIMIT 1";
        let id = |row: &rusqlite::Row<'_>| Ok(ScimId::from_bytes(row.get(0)?));
        Ok(first(&self.connection, sql, [directory.to_bytes()], id)?)
    }

    fn group(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        let sql = "SELECT scim_id, version, attributes, NULL FROM groups
            WHERE scim_id = ?1 AND directory = (SELECT key FROM directories WHERE id = ?2 AND gone = 0)";
        let parameters = params![id.to_bytes(), directory.to_bytes()];
        Ok(first(&self.connection, sql, parameters, resource)?)
    }

    fn groups(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, Seq) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let sql = "SELECT scim_id, version FROM groups
            WHERE directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)";
        let read = |row: &rusqlite::Row<'_>| {
            Ok((ScimId::from_bytes(row.get(0)?), Seq(from_sql(row.get(1)?))))
        };
        self.each(sql, directory, read, |(id, version)| each(id, version))
    }

    fn memberships(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, ScimId) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let sql = "SELECT groups.scim_id, users.scim_id FROM groups
            JOIN memberships ON memberships.group_key = groups.key
            JOIN users ON users.key = memberships.user_key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)";
        let read = |row: &rusqlite::Row<'_>| {
            Ok((ScimId::from_bytes(row.get(0)?), ScimId::from_bytes(row.get(1)?)))
        };
        self.each(sql, directory, read, |(group, user)| each(group, user))
    }

    fn pending_members(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(StoredPendingMember) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        // A file that no server has opened since it learnt of pending members has none.
        if self.version < PENDING_MEMBERS_SINCE {
            return Ok(());
        }
        let sql = "SELECT groups.scim_id, value, pending_members.name_key FROM groups
            JOIN pending_members ON pending_members.group_key = groups.key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)";
        let read = |row: &rusqlite::Row<'_>| {
            let group = ScimId::from_bytes(row.get(0)?);
            Ok(StoredPendingMember { group, value: row.get(1)?, name_key: row.get(2)? })
        };
        self.each(sql, directory, read, each)
    }
}

fn resource(row: &rusqlite::Row<'_>) -> Result<StoredResource, DbError> {
    Ok(StoredResource {
        id: ScimId::from_bytes(row.get(0)?),
        version: Seq(from_sql(row.get(1)?)),
        attributes: attributes(row.get_ref(2)?)?,
        shown: shown(row.get_ref(3)?)?,
    })
}

pub(crate) fn position(connection: &Connection, partition: Partition) -> Result<Position, DbError> {
    Ok(apply::position(connection, partition)?)
}

/// The directories that a gap has stopped.
pub(crate) fn stopped(connection: &Connection) -> Result<Vec<DirectoryId>, DbError> {
    let sql = "SELECT id FROM directories WHERE stopped ORDER BY key";
    all(connection, sql, [], |row| Ok(DirectoryId::from_bytes(row.get(0)?)))
}

pub(crate) fn heads(
    connection: &Connection,
    partition: Partition,
) -> Result<Vec<StoredHead>, DbError> {
    let sql = "SELECT id, seq, hash, stopped FROM directories WHERE partition = ?1";
    all(connection, sql, [partition.0], |row| {
        Ok(StoredHead {
            directory_id: DirectoryId::from_bytes(row.get(0)?),
            head: Head { seq: Seq(from_sql(row.get(1)?)), hash: Hash(row.get(2)?) },
            stopped: row.get(3)?,
        })
    })
}
