//! A new generation of the state, written as fast as the disk takes it.
//!
//! Nobody reads it before it is whole, so it is written without journal and flushes. All indexes but two are there before the
//! rows, as in an empty state: to make one later takes reading all rows once more. The two are written behind the rows in a
//! way of their own: see [`by_subject`]. A crash leaves a file that the next opening removes.
//!
//! The events of a log with one partition are numbered as they come. Where there are more, the feed in use says where
//! they stand.

mod by_subject;
mod cached;
mod feed;
#[cfg(test)]
mod tests;
mod users;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use directory::resource::text;
use log::Partition;
use projector::fold::{Fold, Folded, FoldedDirectory};
use projector::rebuild::FeedEntry;
use projector::rebuild::order::{Order, Place};
use projector::{Position, StoreError};
use rusqlite::{Connection, params};
use schemas::{Change, DirectoryId, ScimId, StoredChange};

use self::by_subject::BySubject;
use self::cached::Cached;
use self::feed::{Placed, Times};
use super::apply::{Counted, INSERT_GROUP, columns_of, set_position, token};
use super::flush::Flusher;
use super::late::Late;
use super::pending_members::INSERT_PENDING_MEMBER;
use super::rows::first;
use super::{MIGRATIONS, VERSION};
use crate::error::{DbError, OpenError, unreadable};
use crate::sqlite::{Options, as_sql, connect, from_sql, migrate};

/// The page cache while the feed in use is asked: its index by event, which for a million of them is so large.
const IN_USE_CACHE_KIB: u32 = 65_536;

/// After how many rows of the feed a transaction ends: some 10 MB, which the page cache holds.
const COMMIT_EVERY: u64 = 5_000;

/// After how many rows of the feed what is written is flushed: some 50 MB, so that the system needs room for no more than
/// twice as much.
const FLUSH_EVERY: u64 = 25_000;

/// A generation in the making.
#[derive(Debug)]
pub(crate) struct Generation {
    connection: Connection,
    flusher: Option<Flusher>,
    number: u64,
    order: Order,
    /// The state in use, if its feed says where events stand.
    in_use: Option<Connection>,
    /// Those that wait for other partitions.
    late: Late,
    feed_end: u64,
    times: Times,
    /// Until the feed is whole.
    by_subject: Option<BySubject>,
    written: u64,
    directories: BTreeMap<DirectoryId, i64>,
    cached: Cached,
}

impl Generation {
    /// A new one beside the state in use, of a log with so many partitions. What has to wait does so in
    /// `scratch`.
    pub(crate) fn create(
        path: &Path,
        number: u64,
        in_use: &Path,
        (partitions, scratch): (u16, &Path),
    ) -> Result<Self, OpenError> {
        for left in ["", "-wal", "-shm", "-journal"] {
            let file = PathBuf::from(format!("{}{left}", path.display()));
            if file.exists() {
                std::fs::remove_file(&file)?;
            }
        }
        let cache_kib = Cached::default().kib();
        let writing = Options { writable: true, synchronous: "OFF", cache_kib };
        let mut connection = connect(path, writing).map_err(OpenError::at(path))?;
        connection
            .pragma_update(None, "journal_mode", "OFF")
            .and_then(|()| connection.pragma_update(None, "locking_mode", "EXCLUSIVE"))
            .map_err(OpenError::at(path))?;
        migrate(&mut connection, path, &MIGRATIONS)?;
        // It has no version before it is whole: should it ever be taken for a state, it is none that can be opened.
        connection.pragma_update(None, "user_version", 0).map_err(OpenError::at(path))?;
        let by_subject = Some(BySubject::begin(&connection).map_err(OpenError::at(path))?);
        connection.execute_batch("BEGIN").map_err(OpenError::at(path))?;
        let flusher = Some(Flusher::start(path)?);
        let reading =
            Options { writable: false, synchronous: "NORMAL", cache_kib: IN_USE_CACHE_KIB };
        let open = || connect(in_use, reading).map_err(OpenError::at(in_use));
        let in_use = (partitions > 1).then(open).transpose()?;
        let feed_end = in_use.as_ref().map_or(Ok(0), end).map_err(OpenError::at(path))?;
        Ok(Self {
            connection,
            flusher,
            number,
            order: Order::of(partitions),
            in_use,
            late: Late::of(partitions, scratch)?,
            feed_end,
            times: Times::new(),
            by_subject,
            written: 0,
            directories: BTreeMap::new(),
            cached: Cached::default(),
        })
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Keys are given out in the order in which directories first appear in the feed.
    fn directory(&mut self, id: DirectoryId) -> i64 {
        let next = i64::try_from(self.directories.len()).unwrap_or(i64::MAX) + 1;
        *self.directories.entry(id).or_insert(next)
    }

    fn push(&mut self, partition: Partition, entries: &[FeedEntry]) -> Result<(), DbError> {
        let mut placed = Vec::with_capacity(entries.len());
        for entry in entries {
            // They are known when the rows are written.
            self.directory(entry.directory_id);
            let kept = self.in_use.as_ref().map_or(Ok(None), |used| position(used, entry))?;
            match self.order.place(partition, kept, entry.created_at) {
                Place::Kept(position) => placed.push((position, entry)),
                Place::Next => {
                    self.feed_end += 1;
                    placed.push((self.feed_end, entry));
                }
                Place::Later(turn) => self.late.put(turn, entry)?,
            }
        }
        self.insert(&placed)
    }

    /// Adds what had to wait for all partitions.
    fn push_late(&mut self) -> Result<(), DbError> {
        let mut after = None;
        loop {
            let page = self.late.page(after)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            let first = self.feed_end + 1;
            self.feed_end += page.len() as u64;
            let placed: Vec<_> = (first..).zip(page.iter().map(|(_, entry)| entry)).collect();
            self.insert(&placed)?;
        }
    }

    fn insert(&mut self, placed: &[Placed<'_>]) -> Result<(), DbError> {
        let before = self.written;
        self.written += placed.len() as u64;
        feed::insert(&self.connection, &self.directories, placed)?;
        self.times.note(&self.connection, placed)?;
        if let Some(by_subject) = &mut self.by_subject {
            by_subject.note(&self.connection, placed)?;
        }
        let ends_with = |every| before / every != self.written / every;
        if ends_with(COMMIT_EVERY) {
            self.connection.execute_batch("COMMIT; BEGIN")?;
            self.cached.directories = self.directories.len();
            self.cached.set(&self.connection)?;
        }
        if ends_with(FLUSH_EVERY) {
            self.flusher.as_ref().inspect(|flusher| flusher.written());
        }
        Ok(())
    }

    fn write(&mut self, partition: Partition, fold: &Fold) -> Result<(), DbError> {
        fold.directories.values().for_each(|folded| self.cached.add(folded));
        self.cached.set(&self.connection)?;
        for (id, folded) in &fold.directories {
            let key = self.directory(*id);
            self.write_directory(partition, key, *id, folded)?;
        }
        // What of this has left the page cache is flushed beside what follows.
        self.flusher.as_ref().inspect(|flusher| flusher.written());
        Ok(())
    }

    fn write_directory(
        &self,
        partition: Partition,
        key: i64,
        id: DirectoryId,
        folded: &FoldedDirectory,
    ) -> Result<(), DbError> {
        let (users, counted) = users::write(&self.connection, key, folded)?;
        let users_that_are = |kind| counted.iter().filter(|one| **one == kind).count();
        let groups = self.write_groups(key, folded)?;
        for (group, members) in &folded.members {
            for user in members {
                let (Some(group), Some(user)) = (groups.get(group), users.get(user)) else {
                    continue;
                };
                let sql = "INSERT INTO memberships (group_key, user_key, user_id)
                    SELECT ?1, key, CASE hidden WHEN 0 THEN user_id END FROM users WHERE key = ?2";
                self.connection.prepare_cached(sql)?.execute([group, user])?;
            }
        }
        let pending = self.write_pending_members(key, folded, &groups)?;
        for (id, revoked) in &folded.tokens {
            token(&self.connection, key, id.to_bytes(), *revoked)?;
        }
        let count = |number: usize| as_sql(number as u64);
        self.connection.execute(
            "INSERT INTO directories (key, id, partition, activated, gone, stopped, seq, hash,
                 active_users, inactive_users, hidden_users, groups, pending_members)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                key,
                id.to_bytes(),
                partition.0,
                folded.activated,
                folded.gone,
                folded.stopped,
                as_sql(folded.head.seq.0),
                folded.head.hash.0,
                count(users_that_are(Counted::Active)),
                count(users_that_are(Counted::Inactive)),
                count(users_that_are(Counted::Hidden)),
                count(groups.len()),
                count(pending),
            ],
        )?;
        Ok(())
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
            let columns = columns_of(&attributes)?;
            let changed = group.members_changed.filter(|(_, seq)| *seq > group.version);
            let (modified_at, version) = changed.unwrap_or((group.updated_at, group.version));
            self.connection.prepare_cached(INSERT_GROUP)?.execute(params![
                directory,
                id.to_bytes(),
                group_id.to_bytes(),
                idp_id,
                name_key,
                text(&columns, "externalId"),
                text(&columns, "displayName"),
                created_at.millis(),
                group.updated_at.millis(),
                modified_at.millis(),
                as_sql(version.0),
                attributes.json(),
            ])?;
            keys.insert(*id, self.connection.last_insert_rowid());
        }
        Ok(keys)
    }

    /// Returns how many there are.
    fn write_pending_members(
        &self,
        directory: i64,
        folded: &FoldedDirectory,
        groups: &BTreeMap<ScimId, i64>,
    ) -> Result<usize, DbError> {
        let mut count = 0;
        for (group, pending) in &folded.pending_members {
            let Some(group) = groups.get(group) else { continue };
            for (value, name_key) in pending {
                let parameters = params![group, value, name_key, directory];
                count +=
                    self.connection.prepare_cached(INSERT_PENDING_MEMBER)?.execute(parameters)?;
            }
        }
        Ok(count)
    }

    fn complete(&mut self) -> Result<(), DbError> {
        if let Some(by_subject) = self.by_subject.take() {
            by_subject.finish(&self.connection)?;
        }
        self.connection.execute_batch("COMMIT")?;
        self.connection.pragma_update(None, "user_version", VERSION)?;
        self.connection.flush_prepared_statement_cache();
        self.flusher.take().map_or(Ok(()), Flusher::finish).map_err(unreadable("new state"))
    }
}

impl projector::rebuild::Generation for Generation {
    fn feed(&mut self, partition: Partition, entries: &[FeedEntry]) -> Result<(), StoreError> {
        self.push(partition, entries).map_err(store_error)
    }

    fn state(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), StoreError> {
        self.write(partition, fold).map_err(store_error)?;
        set_position(&self.connection, partition, position)
            .map_err(|error| store_error(error.into()))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.push_late().and_then(|()| self.complete()).map_err(store_error)
    }
}

/// The last position of a feed.
fn end(used: &Connection) -> Result<u64, rusqlite::Error> {
    let end: Option<i64> =
        used.query_row("SELECT max(position) FROM feed", [], |row| row.get(0))?;
    Ok(end.map_or(0, from_sql))
}

/// Where an event stands in a feed, if it is there.
fn position(used: &Connection, entry: &FeedEntry) -> Result<Option<u64>, DbError> {
    let sql = "SELECT position FROM feed WHERE event_id = ?1";
    first(used, sql, [entry.id.to_bytes()], |row| Ok(from_sql(row.get(0)?)))
}

pub(crate) fn in_order_of_creation(
    resources: &BTreeMap<ScimId, Folded>,
) -> Vec<(&ScimId, &Folded)> {
    let mut sorted: Vec<_> = resources.iter().collect();
    sorted.sort_unstable_by_key(|(_, folded)| folded.created);
    sorted
}

pub(crate) fn change(folded: &Folded) -> Result<StoredChange, DbError> {
    folded.change().map_err(unreadable("record"))
}

pub(crate) fn store_error(error: DbError) -> StoreError {
    if error.is_full() {
        StoreError::Full(Box::new(error))
    } else {
        StoreError::Unavailable(Box::new(error))
    }
}
