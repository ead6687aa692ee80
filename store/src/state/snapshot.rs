//! The state as of one moment, for `dsync verify`: read from the files themselves, with the server
//! running or not.

use std::path::Path;

use log::Partition;
use projector::ports::BoxError;
use projector::verify::{
    Columns, StoredDirectory, StoredEvent, StoredPendingMember, StoredResource, VerifyError,
};
use projector::{Position, StoredHead};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use schemas::{
    Change, DirectoryId, EventId, Hash, Head, ScimId, Seq, StoredChange, Timestamp, TokenId,
};

use super::rows::{Time, all, first, shown};
use super::{BLOCKS_SINCE, MAPPED_SINCE, PENDING_MEMBERS_SINCE, SHOWN_SINCE, apply, blocks, times};
use crate::error::{DbError, OpenError};
use crate::sqlite::{Options, as_sql, connect, from_sql};
use crate::written::{self, written};

/// The column of users for the id that an attribute map chose.
const MAPPED_IDP_ID: &str = "mapped_idp_id";

/// The first version with all that [`written::ACCORDS`] ask for: the places of members in lists came last.
const ACCORDS_SINCE: i32 = 4;

/// One moment of the state, held by a transaction that only reads.
#[derive(Debug)]
pub(crate) struct Snapshot {
    connection: Connection,
    version: i32,
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
        Ok(Self { connection, version })
    }

    /// Whether there are the columns of what apps are shown of users. As long as no server has opened the file that
    /// knows of it, they are shown what attributes say.
    const fn has_shown(&self) -> bool {
        self.version >= SHOWN_SINCE
    }

    /// Whether the id that an attribute map chose has a column of its own.
    const fn has_mapped_ids(&self) -> bool {
        self.version >= MAPPED_SINCE
    }

    /// Whether lists come upon an event of the feed. A file of an early version has indexes in place of blocks, and is not
    /// looked at for that.
    fn is_listed(&self) -> String {
        if self.version < BLOCKS_SINCE {
            return "TRUE".to_owned();
        }
        format!("{} AND {}", blocks::HAS, times::HAS)
    }

    /// The columns of users that not every version has.
    fn columns_of_later_versions(&self) -> Vec<&'static str> {
        let mut columns = Vec::new();
        if self.has_shown() {
            columns.extend(written::SHOWN);
        }
        if self.has_mapped_ids() {
            columns.push(MAPPED_IDP_ID);
        }
        columns
    }

    /// What SQLite finds wrong with the file: an index that lacks a row finds it for nobody, and would let a name be
    /// taken twice. That takes some seven seconds for each gigabyte.
    fn damage(&self) -> Result<Option<String>, DbError> {
        let found = first(&self.connection, "PRAGMA integrity_check(1)", [], |row| Ok(row.get(0)?));
        Ok(found?.filter(|found: &String| found != "ok"))
    }

    /// What of a directory does not go with its other rows. A file of an early version does not have it all.
    fn discord(&self, key: i64) -> Result<Option<&'static str>, DbError> {
        if self.version < ACCORDS_SINCE {
            return Ok(None);
        }
        for (what, holds) in written::ACCORDS {
            let sql = format!("SELECT {holds} FROM directories WHERE key = ?1");
            let holds = first(&self.connection, &sql, [key], |row| Ok(row.get(0)?))?;
            if holds == Some(false) {
                return Ok(Some(what));
            }
        }
        Ok(None)
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
        let sql = "SELECT partition FROM positions WHERE next > 0
            UNION SELECT partition FROM directories ORDER BY partition";
        Ok(all(&self.connection, sql, [], |row| Ok(Partition(row.get(0)?)))?)
    }

    fn position(&mut self, partition: Partition) -> Result<Position, BoxError> {
        Ok(position(&self.connection, partition)?)
    }

    fn heads(&mut self, partition: Partition) -> Result<Vec<StoredHead>, BoxError> {
        Ok(heads(&self.connection, partition)?)
    }

    fn feed(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, BoxError> {
        let sql = format!(
            "SELECT directories.id, feed.seq, feed.hash, feed.data, feed.position, feed.prev,
                feed.event_id, feed.event, feed.created_at, feed.actor, feed.user_id, feed.group_id, {}
            FROM feed JOIN directories ON directories.key = feed.directory
            WHERE feed.position > ?1 ORDER BY feed.position LIMIT ?2",
            self.is_listed()
        );
        let parameters = params![as_sql(after), as_sql(limit as u64)];
        Ok(all(&self.connection, &sql, parameters, |row| {
            Ok(StoredEvent {
                directory_id: DirectoryId::from_bytes(row.get(0)?),
                head: Head { seq: Seq(from_sql(row.get(1)?)), hash: Hash(row.get(2)?) },
                data: row.get(3)?,
                position: from_sql(row.get(4)?),
                prev: Hash(row.get(5)?),
                id: EventId::from_bytes(row.get(6)?),
                event: row.get(7)?,
                created_at: row.get::<_, Time>(8)?.0,
                actor: row.get(9)?,
                user: row.get::<_, Option<_>>(10)?.map(ScimId::from_bytes),
                group: row.get::<_, Option<_>>(11)?.map(ScimId::from_bytes),
                is_listed: row.get(12)?,
            })
        })?)
    }

    fn count_events(&mut self) -> Result<u64, BoxError> {
        let count = |row: &rusqlite::Row<'_>| Ok(from_sql(row.get(0)?));
        let counted = first(&self.connection, "SELECT count(*) FROM feed", [], count)?;
        Ok(counted.unwrap_or_default())
    }

    fn disorder(&mut self) -> Result<Option<String>, BoxError> {
        if self.version >= BLOCKS_SINCE && times::mislead(&self.connection)? {
            let what = "what leads to the events of a range of times is wrong in the store";
            return Ok(Some(what.to_owned()));
        }
        let found = self.damage()?;
        Ok(found.map(|found| format!("the file of the state is damaged: {found}")))
    }

    fn columns(&self, change: &StoredChange, at: Timestamp) -> Result<Columns, BoxError> {
        let mut columns = written(change, at, |value| value)?;
        columns.retain(|(name, _)| self.has_shown() || !written::SHOWN.contains(name));
        if let Change::User { shown, .. } = change
            && self.has_mapped_ids()
        {
            let mapped = shown.mapped.as_ref();
            columns.push((MAPPED_IDP_ID, mapped.map(|mapped| mapped.idp_id.clone())));
        }
        Ok(columns)
    }

    fn directory(&mut self, id: DirectoryId) -> Result<Option<StoredDirectory>, BoxError> {
        let sql = "SELECT key, activated, gone FROM directories WHERE id = ?1";
        let of = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(i64, bool, bool)> = first(&self.connection, sql, [id.to_bytes()], of)?;
        let Some((key, activated, gone)) = found else { return Ok(None) };
        let sql = "SELECT id, revoked FROM tokens WHERE directory = ?1";
        let tokens = all(&self.connection, sql, [key], |row| {
            Ok((TokenId::from_bytes(row.get(0)?), row.get(1)?))
        })?;
        let discord = self.discord(key)?;
        let tokens = tokens.into_iter().collect();
        Ok(Some(StoredDirectory { activated, gone, tokens, discord }))
    }

    fn version_of_user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Seq>, BoxError> {
        let sql = "SELECT version FROM users
            WHERE scim_id = ?1 AND directory = (SELECT key FROM directories WHERE id = ?2 AND gone = 0)";
        let parameters = params![id.to_bytes(), directory.to_bytes()];
        let version = |row: &rusqlite::Row<'_>| Ok(Seq(from_sql(row.get(0)?)));
        Ok(first(&self.connection, sql, parameters, version)?)
    }

    fn user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        // Who looks for an address looks in a directory.
        let others = "(SELECT group_concat(value, char(10)) FROM
            (SELECT CASE emails.directory WHEN users.directory THEN value ELSE 'elsewhere' END AS value
             FROM emails WHERE user_key = users.key ORDER BY value))";
        let shown = if self.has_shown() { "shown" } else { "NULL" };
        let since = &self.columns_of_later_versions();
        let more: String = since.iter().map(|column| format!(", {column}")).collect();
        let sql = format!(
            "SELECT scim_id, version, attributes, {shown}, lower(hex(user_id)), name_key, external_id, email,
                 display, active, created_at, updated_at, {others}{more} FROM users
             WHERE scim_id = ?1 AND directory = (SELECT key FROM directories WHERE id = ?2 AND gone = 0)"
        );
        let parameters = params![id.to_bytes(), directory.to_bytes()];
        let names: Vec<_> = written::USERS.into_iter().chain(since.iter().copied()).collect();
        Ok(first(&self.connection, &sql, parameters, |row| resource(row, &names))?)
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
        let sql = "SELECT scim_id, version, attributes, NULL, lower(hex(group_id)), idp_id, name_key, external_id,
                display, created_at, updated_at FROM groups
            WHERE scim_id = ?1 AND directory = (SELECT key FROM directories WHERE id = ?2 AND gone = 0)";
        let parameters = params![id.to_bytes(), directory.to_bytes()];
        Ok(first(&self.connection, sql, parameters, |row| resource(row, &written::GROUPS))?)
    }

    fn groups(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, Seq, Timestamp) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let sql = "SELECT scim_id, version, modified_at FROM groups
            WHERE directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)";
        let read = |row: &rusqlite::Row<'_>| {
            let version = Seq(from_sql(row.get(1)?));
            Ok((ScimId::from_bytes(row.get(0)?), version, row.get::<_, Time>(2)?.0))
        };
        self.each(sql, directory, read, |(id, version, at)| each(id, version, at))
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
        let sql = "SELECT groups.scim_id, value,
                CASE pending_members.directory WHEN groups.directory THEN pending_members.name_key END FROM groups
            JOIN pending_members ON pending_members.group_key = groups.key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = ?1 AND gone = 0)";
        let read = |row: &rusqlite::Row<'_>| {
            let group = ScimId::from_bytes(row.get(0)?);
            // Of one that lies in another directory nobody finds it.
            let name_key = row.get::<_, Option<_>>(2)?.unwrap_or_default();
            Ok(StoredPendingMember { group, value: row.get(1)?, name_key })
        };
        self.each(sql, directory, read, each)
    }
}

/// A row: the resource, and behind it the columns of these names.
fn resource(row: &rusqlite::Row<'_>, names: &[&'static str]) -> Result<StoredResource, DbError> {
    let mut columns = Columns::new();
    for (at, name) in (4..).zip(names) {
        columns.push((*name, as_text(row.get_ref(at)?)));
    }
    Ok(StoredResource {
        id: ScimId::from_bytes(row.get(0)?),
        version: Seq(from_sql(row.get(1)?)),
        attributes: row.get(2)?,
        shown: shown(row.get_ref(3)?)?,
        columns,
    })
}

fn as_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
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
