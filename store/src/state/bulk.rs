//! A new generation of the state, written as fast as the disk takes it.
//!
//! Nobody reads it before it is whole, so it is written without journal and flushes, rows first and
//! indexes when all rows are there. A crash leaves a file that the next opening removes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use directory::resource::text;
use log::Partition;
use projector::fold::{Fold, Folded, FoldedDirectory};
use projector::rebuild::FeedEntry;
use projector::{Position, StoreError};
use rusqlite::{Connection, params};
use schemas::{Change, DirectoryId, ScimId};

use super::apply::{
    INSERT_FEED, INSERT_GROUP, INSERT_USER, email_key, is_active, set_position, token,
};
use super::{INDEXES, SCHEMA};
use crate::error::{DbError, OpenError, unreadable};
use crate::sqlite::{Options, as_sql, connect};

/// The page cache while rows and indexes are written.
const CACHE_KIB: u32 = 65_536;

/// How many rows of the feed one transaction takes.
const COMMIT_EVERY: u64 = 50_000;

/// A generation in the making.
#[derive(Debug)]
pub struct Generation {
    connection: Connection,
    path: PathBuf,
    number: u64,
    feed_end: u64,
    directories: BTreeMap<DirectoryId, i64>,
}

impl Generation {
    pub(crate) fn create(path: &Path, number: u64) -> Result<Self, OpenError> {
        for left in ["", "-wal", "-shm", "-journal"] {
            let file = PathBuf::from(format!("{}{left}", path.display()));
            if file.exists() {
                std::fs::remove_file(&file)?;
            }
        }
        let writing = Options { writable: true, synchronous: "OFF", cache_kib: CACHE_KIB };
        let connection = connect(path, writing).map_err(OpenError::at(path))?;
        connection
            .pragma_update(None, "journal_mode", "OFF")
            .and_then(|()| connection.pragma_update(None, "locking_mode", "EXCLUSIVE"))
            // Indexes are sorted in memory, on both of a small machine's cores.
            .and_then(|()| connection.pragma_update(None, "temp_store", "MEMORY"))
            .and_then(|()| connection.pragma_update(None, "threads", 2))
            .and_then(|()| connection.execute_batch(SCHEMA))
            .and_then(|()| connection.execute_batch("BEGIN"))
            .map_err(OpenError::at(path))?;
        let path = path.to_owned();
        Ok(Self { connection, path, number, feed_end: 0, directories: BTreeMap::new() })
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Keys are given out in the order in which directories first appear in the feed.
    fn directory(&mut self, id: DirectoryId) -> i64 {
        let next = i64::try_from(self.directories.len()).unwrap_or(i64::MAX) + 1;
        *self.directories.entry(id).or_insert(next)
    }

    fn push(&mut self, entry: &FeedEntry) -> Result<(), DbError> {
        self.feed_end += 1;
        let directory = self.directory(entry.directory_id);
        let actor = serde_json::to_string(&entry.actor).map_err(unreadable("actor"))?;
        self.connection.prepare_cached(INSERT_FEED)?.execute(params![
            as_sql(self.feed_end),
            entry.id.to_bytes(),
            directory,
            entry.event.name(),
            as_sql(entry.head.seq.0),
            entry.head.hash.0,
            entry.prev.0,
            entry.created_at.millis(),
            entry.user.map(ScimId::to_bytes),
            entry.group.map(ScimId::to_bytes),
            actor,
            &*entry.data,
        ])?;
        if self.feed_end.is_multiple_of(COMMIT_EVERY) {
            self.connection.execute_batch("COMMIT; BEGIN")?;
        }
        Ok(())
    }

    fn write(&mut self, partition: Partition, fold: &Fold) -> Result<(), DbError> {
        for (id, folded) in &fold.directories {
            let key = self.directory(*id);
            self.write_directory(partition, key, *id, folded)?;
        }
        Ok(())
    }

    fn write_directory(
        &self,
        partition: Partition,
        key: i64,
        id: DirectoryId,
        folded: &FoldedDirectory,
    ) -> Result<(), DbError> {
        let (users, active) = self.write_users(key, folded)?;
        let groups = self.write_groups(key, folded)?;
        for (group, members) in &folded.members {
            for user in members {
                let (Some(group), Some(user)) = (groups.get(group), users.get(user)) else {
                    continue;
                };
                self.connection
                    .prepare_cached(
                        "INSERT INTO memberships (group_key, user_key) VALUES (?1, ?2)",
                    )?
                    .execute([group, user])?;
            }
        }
        for (id, revoked) in &folded.tokens {
            token(&self.connection, key, id.to_bytes(), *revoked)?;
        }
        let count = |number: usize| as_sql(number as u64);
        self.connection.execute(
            "INSERT INTO directories (key, id, partition, activated, gone, stopped, seq, hash,
                 active_users, inactive_users, groups)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                key,
                id.to_bytes(),
                partition.0,
                folded.activated,
                folded.gone,
                folded.stopped,
                as_sql(folded.head.seq.0),
                folded.head.hash.0,
                count(active),
                count(users.len() - active),
                count(groups.len()),
            ],
        )?;
        Ok(())
    }

    /// Returns the keys of the users, and how many are active.
    fn write_users(
        &self,
        directory: i64,
        folded: &FoldedDirectory,
    ) -> Result<(BTreeMap<ScimId, i64>, usize), DbError> {
        let (mut keys, mut active_users) = (BTreeMap::new(), 0);
        for (id, user) in in_order_of_creation(&folded.users) {
            let Change::User { user_id, name_key, created_at, attributes, .. } = change(user)?
            else {
                continue;
            };
            let active = is_active(&attributes);
            active_users += usize::from(active);
            let json = serde_json::to_string(&attributes).map_err(unreadable("attributes"))?;
            self.connection.prepare_cached(INSERT_USER)?.execute(params![
                directory,
                id.to_bytes(),
                user_id.to_bytes(),
                name_key,
                text(&attributes, "externalId"),
                email_key(&attributes),
                text(&attributes, "displayName"),
                active,
                created_at.millis(),
                user.updated_at.millis(),
                as_sql(user.version.0),
                json,
            ])?;
            keys.insert(*id, self.connection.last_insert_rowid());
        }
        Ok((keys, active_users))
    }

    fn write_groups(
        &self,
        directory: i64,
        folded: &FoldedDirectory,
    ) -> Result<BTreeMap<ScimId, i64>, DbError> {
        let mut keys = BTreeMap::new();
        for (id, group) in in_order_of_creation(&folded.groups) {
            let Change::Group { group_id, idp_id, name_key, created_at, attributes, .. } =
                change(group)?
            else {
                continue;
            };
            let json = serde_json::to_string(&attributes).map_err(unreadable("attributes"))?;
            let changed = group.members_changed.filter(|(_, seq)| *seq > group.version);
            let (modified_at, version) = changed.unwrap_or((group.updated_at, group.version));
            self.connection.prepare_cached(INSERT_GROUP)?.execute(params![
                directory,
                id.to_bytes(),
                group_id.to_bytes(),
                idp_id,
                name_key,
                text(&attributes, "externalId"),
                text(&attributes, "displayName"),
                created_at.millis(),
                group.updated_at.millis(),
                modified_at.millis(),
                as_sql(version.0),
                json,
            ])?;
            keys.insert(*id, self.connection.last_insert_rowid());
        }
        Ok(keys)
    }

    fn complete(&self) -> Result<(), DbError> {
        self.connection.execute_batch("COMMIT")?;
        self.connection.execute_batch(INDEXES)?;
        self.connection.pragma_update(None, "user_version", 1)?;
        self.connection.flush_prepared_statement_cache();
        let file = File::open(&self.path).map_err(unreadable("new state"))?;
        file.sync_all().map_err(unreadable("new state"))
    }
}

impl projector::rebuild::Generation for Generation {
    fn feed(&mut self, entry: &FeedEntry) -> Result<(), StoreError> {
        self.push(entry).map_err(store_error)
    }

    fn finish(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), StoreError> {
        self.write(partition, fold).map_err(store_error)?;
        set_position(&self.connection, partition, position)
            .map_err(|error| store_error(error.into()))?;
        self.complete().map_err(store_error)
    }
}

fn in_order_of_creation(resources: &BTreeMap<ScimId, Folded>) -> Vec<(&ScimId, &Folded)> {
    let mut sorted: Vec<_> = resources.iter().collect();
    sorted.sort_unstable_by_key(|(_, folded)| folded.created);
    sorted
}

fn change(folded: &Folded) -> Result<Change, DbError> {
    serde_json::from_str(&folded.resource).map_err(unreadable("change"))
}

fn store_error(error: DbError) -> StoreError {
    if error.is_full() {
        StoreError::Full(Box::new(error))
    } else {
        StoreError::Unavailable(Box::new(error))
    }
}
