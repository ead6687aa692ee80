//! A batch of the projector, in one transaction.

mod columns;
mod resources;

use std::collections::BTreeMap;
use std::sync::Arc;

use log::{Durable, Partition};
use projector::{Accepted, Batch, Position, StoreError};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use schemas::{Change, DirectoryId, Hash, Head, ScimId, StoredChange};

use super::insert::{self, FeedRow, ROWS_MAX, UserRow};
use super::{Fault, State, directory_row, pending_members, times};
use crate::error::DbError;
use crate::sqlite::{as_sql, from_sql};
use resources::{
    MemberChange, drop_directory, drop_group, drop_user, member_change, put_group, touch_group,
    update_user, user_before, user_row,
};

pub(crate) use columns::{
    ShownColumns, columns_of, email_key, insert_other_emails, is_active, other_emails,
    shown_columns,
};
pub(crate) use resources::token;

impl State {
    pub(crate) async fn apply(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError> {
        let (before, next) = (*self.progress.feed_end().borrow(), batch.passed);
        let (progress, rest) = (Arc::clone(&self.progress), self.wal.rest());
        let applied = self.writer.run(move |connection| {
            let applied = apply(connection, partition, from, to, &batch, durable);
            if let Ok(Applied::To(feed_end)) = applied {
                let accepted = batch.accepted.iter().map(|accepted| accepted.head.hash);
                progress.moved(partition, batch.passed, accepted, feed_end);
                // Behind the news, so that those who wait for this batch do not wait for that.
                rest.move_if_due(connection);
            }
            applied
        });
        match applied.await {
            Ok(Applied::To(feed_end)) => {
                self.wal.grown(before, feed_end);
                Ok(())
            }
            Ok(Applied::Replaced) => Err(StoreError::Replaced),
            Ok(Applied::Withdrawn) => Err(StoreError::Withdrawn),
            Err(error) => {
                let full = error.is_full();
                if full {
                    tracing::error!(%error, "DSYNC-004: the disk of the state has no room");
                }
                let fault = if full { Fault::Full } else { Fault::Other(error.to_string()) };
                self.progress.failed(partition, next, fault);
                Err(if full { StoreError::Full(Box::new(error)) } else { apply_error(error) })
            }
        }
    }
}

/// What became of a batch.
enum Applied {
    /// It is written, and the feed ends here.
    To(u64),
    /// Another projector has moved the position.
    Replaced,
    /// The log has not kept its records.
    Withdrawn,
}

/// A database that is away is told from one that does not take the rows.
pub(crate) fn apply_error(error: DbError) -> StoreError {
    if error.is_lasting() {
        StoreError::Unwritable(Box::new(error))
    } else {
        StoreError::Unavailable(Box::new(error))
    }
}

/// Writes while the records are flushed, and commits when they are durable.
fn apply(
    connection: &mut Connection,
    partition: Partition,
    from: Position,
    to: Position,
    batch: &Batch,
    durable: Durable,
) -> Result<Applied, DbError> {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(_) if !durable.wait_blocking() => return Ok(Applied::Withdrawn),
        Err(error) => return Err(error.into()),
    };
    let mut end = write(&transaction, partition, from, to, batch);
    if end.is_ok() && durable.is_pending() {
        // There is time to write the pages: what is left of the commit is one that says that they count.
        end = transaction.cache_flush().map_err(DbError::from).and(end);
    }
    // Before any error, too: of what is not in the log nothing needs to be written.
    if !durable.wait_blocking() {
        return Ok(Applied::Withdrawn);
    }
    let Some(end) = end? else { return Ok(Applied::Replaced) };
    transaction.commit()?;
    Ok(Applied::To(end))
}

/// Returns the end of the feed; `None` if another projector has moved the position.
fn write(
    transaction: &Transaction<'_>,
    partition: Partition,
    from: Position,
    to: Position,
    batch: &Batch,
) -> Result<Option<u64>, DbError> {
    if position(transaction, partition)? != from {
        return Ok(None);
    }
    let mut applying = Applying::begin(transaction, partition)?;
    for accepted in &batch.accepted {
        applying.accept(accepted)?;
    }
    let mut stopped = Vec::with_capacity(batch.stopped.len());
    for id in &batch.stopped {
        stopped.push(applying.directory(*id)?.key);
    }
    let end = applying.finish()?;
    for key in stopped {
        transaction
            .prepare_cached("UPDATE directories SET stopped = 1 WHERE key = ?1")?
            .execute([key])?;
    }
    times::grown(transaction, end - batch.accepted.len() as u64, end)?;
    set_position(transaction, partition, to)?;
    Ok(Some(end))
}

pub(crate) fn position(
    connection: &Connection,
    partition: Partition,
) -> Result<Position, rusqlite::Error> {
    let found = connection
        .prepare_cached(
            "SELECT next, applied_offset, applied_hash FROM positions WHERE partition = ?1",
        )?
        .query_row([partition.0], |row| {
            let offset: Option<i64> = row.get(1)?;
            let hash: Option<[u8; 32]> = row.get(2)?;
            let applied = offset.zip(hash);
            Ok(Position {
                next: log::Offset(from_sql(row.get(0)?)),
                applied: applied.map(|(at, hash)| (log::Offset(from_sql(at)), Hash(hash))),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

pub(crate) fn set_position(
    connection: &Connection,
    partition: Partition,
    to: Position,
) -> Result<(), rusqlite::Error> {
    let applied = to.applied.map(|(offset, _)| as_sql(offset.0));
    let hash = to.applied.map(|(_, hash)| hash.0);
    connection
        .prepare_cached(
            "INSERT INTO positions (partition, next, applied_offset, applied_hash)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (partition) DO UPDATE SET next = excluded.next,
                 applied_offset = excluded.applied_offset, applied_hash = excluded.applied_hash",
        )?
        .execute(params![partition.0, as_sql(to.next.0), applied, hash])?;
    Ok(())
}

/// A directory as the batch changes it; written once, at the end.
#[derive(Clone, Copy)]
struct Touched {
    key: i64,
    head: Head,
    active_users: i64,
    inactive_users: i64,
    hidden_users: i64,
    groups: i64,
    pending_members: i64,
}

impl Touched {
    const fn count(&mut self, user: Counted, by: i64) {
        match user {
            Counted::Active => self.active_users += by,
            Counted::Inactive => self.inactive_users += by,
            Counted::Hidden => self.hidden_users += by,
        }
    }

    /// Counts rows of pending members that have come or gone.
    fn pending(&mut self, rows: usize, by: i64) {
        self.pending_members += by * as_sql(rows as u64);
    }
}

/// Among whom a user is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Active,
    Inactive,
    /// Apps do not see it; identity providers do.
    Hidden,
}

impl Counted {
    pub(crate) const fn of(active: bool, hidden: bool) -> Self {
        match (active, hidden) {
            (_, true) => Self::Hidden,
            (true, false) => Self::Active,
            (false, false) => Self::Inactive,
        }
    }
}

struct Applying<'a> {
    transaction: &'a Transaction<'a>,
    partition: Partition,
    directories: BTreeMap<DirectoryId, Touched>,
    /// Users that come one behind the other, until anything else is changed.
    new_users: Vec<UserRow<'a>>,
    /// The last change to the members of a group, which alone touches the group: of many with nothing but users between.
    members_changed: Option<MemberChange>,
    /// Nothing that a batch does asks for what it adds to the feed.
    feed: Vec<FeedRow<'a>>,
    feed_end: u64,
}

impl<'a> Applying<'a> {
    fn begin(transaction: &'a Transaction<'a>, partition: Partition) -> Result<Self, DbError> {
        let end: Option<i64> = transaction
            .prepare_cached("SELECT max(position) FROM feed")?
            .query_row([], |row| row.get(0))?;
        let feed_end = end.map_or(0, from_sql);
        Ok(Self {
            transaction,
            partition,
            directories: BTreeMap::new(),
            new_users: Vec::new(),
            members_changed: None,
            feed: Vec::new(),
            feed_end,
        })
    }

    fn directory(&mut self, id: DirectoryId) -> Result<Touched, DbError> {
        if let Some(known) = self.directories.get(&id) {
            return Ok(*known);
        }
        if directory_row(self.transaction, id)?.is_none() {
            self.transaction
                .prepare_cached(
                    "INSERT INTO directories (id, partition, hash) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![id.to_bytes(), self.partition.0, [0_u8; 32]])?;
        }
        let sql = "SELECT key, active_users, inactive_users, groups, pending_members, hidden_users
            FROM directories WHERE id = ?1";
        let touched = self.transaction.prepare_cached(sql)?.query_row([id.to_bytes()], |row| {
            Ok(Touched {
                key: row.get(0)?,
                head: Head::default(),
                active_users: row.get(1)?,
                inactive_users: row.get(2)?,
                groups: row.get(3)?,
                pending_members: row.get(4)?,
                hidden_users: row.get(5)?,
            })
        })?;
        self.directories.insert(id, touched);
        Ok(touched)
    }

    fn accept(&mut self, accepted: &'a Accepted) -> Result<(), DbError> {
        let mut touched = self.directory(accepted.directory_id)?;
        self.change(&mut touched, accepted)?;
        self.feed(touched.key, accepted);
        touched.head = accepted.head;
        self.directories.insert(accepted.directory_id, touched);
        Ok(())
    }

    fn change(&mut self, touched: &mut Touched, accepted: &'a Accepted) -> Result<(), DbError> {
        if let Some(row) = user_row(touched.key, accepted)? {
            return self.put_user(touched, row);
        }
        self.write_new_users()?;
        if let Some(change) = member_change(accepted) {
            return self.member(change);
        }
        self.touch_group()?;
        let transaction = self.transaction;
        let (at, version) = (accepted.created_at, as_sql(accepted.head.seq.0));
        match &accepted.change {
            // They have been seen to.
            Change::User { .. } | Change::MemberAdded { .. } | Change::MemberRemoved { .. } => {
                Ok(())
            }
            Change::UserGone { id } => drop_user(transaction, touched, *id, at, version),
            Change::Group { .. } => put_group(transaction, touched, &accepted.change, at, version),
            Change::GroupGone { id } => drop_group(transaction, touched, *id),
            Change::PendingMemberAdded { group, value, name_key } => {
                let directory = touched.key;
                let rows = pending_members::add(transaction, directory, *group, value, name_key)?;
                touched.pending(rows, 1);
                Ok(())
            }
            Change::PendingMemberRemoved { group, value } => {
                touched.pending(pending_members::remove(transaction, *group, value)?, -1);
                Ok(())
            }
            Change::DirectoryActivated => {
                let sql = "UPDATE directories SET activated = 1 WHERE key = ?1";
                transaction.prepare_cached(sql)?.execute([touched.key])?;
                Ok(())
            }
            Change::DirectoryGone => drop_directory(transaction, touched),
            Change::TokenMade { id } => token(transaction, touched.key, id.to_bytes(), false),
            Change::TokenRevoked { id } => token(transaction, touched.key, id.to_bytes(), true),
        }
    }

    fn put_user(&mut self, touched: &mut Touched, row: UserRow<'a>) -> Result<(), DbError> {
        let is_new = |new: &UserRow<'_>| new.id == row.id;
        if self.new_users.len() == ROWS_MAX || self.new_users.iter().any(is_new) {
            self.write_new_users()?;
        }
        if let Some(before) = user_before(self.transaction, row.id)? {
            self.write_new_users()?;
            return update_user(self.transaction, touched, before, &row);
        }
        touched.count(row.counted(), 1);
        self.new_users.push(row);
        Ok(())
    }

    fn write_new_users(&mut self) -> Result<(), DbError> {
        if !self.new_users.is_empty() {
            insert::users(self.transaction, &self.new_users)?;
            self.new_users.clear();
        }
        Ok(())
    }

    fn member(&mut self, change: MemberChange) -> Result<(), DbError> {
        if self.members_changed.is_some_and(|last| last.group != change.group) {
            self.touch_group()?;
        }
        self.transaction
            .prepare_cached(change.sql)?
            .execute(params![change.group.to_bytes(), change.user.to_bytes()])?;
        self.members_changed = Some(change);
        Ok(())
    }

    fn touch_group(&mut self) -> Result<(), DbError> {
        self.members_changed.take().map_or(Ok(()), |change| touch_group(self.transaction, change))
    }

    fn feed(&mut self, directory: i64, accepted: &'a Accepted) {
        self.feed_end += 1;
        let (user, group) = subjects(&accepted.change);
        self.feed.push(FeedRow {
            position: self.feed_end,
            id: accepted.id,
            directory,
            event: accepted.event,
            head: accepted.head,
            prev: accepted.prev,
            created_at: accepted.created_at,
            user,
            group,
            actor: &accepted.actor,
            data: &accepted.data,
        });
    }

    fn finish(mut self) -> Result<u64, DbError> {
        self.write_new_users()?;
        self.touch_group()?;
        insert::feed(self.transaction, &self.feed)?;
        let mut update = self.transaction.prepare_cached(
            "UPDATE directories SET seq = ?2, hash = ?3, active_users = ?4, inactive_users = ?5,
                 groups = ?6, pending_members = ?7, hidden_users = ?8, stopped = 0 WHERE key = ?1",
        )?;
        for touched in self.directories.values().filter(|touched| touched.head.seq.0 > 0) {
            update.execute(params![
                touched.key,
                as_sql(touched.head.seq.0),
                touched.head.hash.0,
                touched.active_users,
                touched.inactive_users,
                touched.groups,
                touched.pending_members,
                touched.hidden_users,
            ])?;
        }
        Ok(self.feed_end)
    }
}

pub(crate) const INSERT_GROUP: &str = "INSERT INTO groups (directory, scim_id, group_id, idp_id, \
    name_key, external_id, display, created_at, updated_at, modified_at, version, attributes) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// Which lines an event stands in.
pub(crate) fn subjects(change: &StoredChange) -> (Option<ScimId>, Option<ScimId>) {
    match change {
        Change::User { id, .. } | Change::UserGone { id } => (Some(*id), None),
        Change::Group { id, .. } | Change::GroupGone { id } => (None, Some(*id)),
        Change::MemberAdded { group, user } | Change::MemberRemoved { group, user } => {
            (Some(*user), Some(*group))
        }
        Change::PendingMemberAdded { group, .. } | Change::PendingMemberRemoved { group, .. } => {
            (None, Some(*group))
        }
        Change::DirectoryActivated
        | Change::DirectoryGone
        | Change::TokenMade { .. }
        | Change::TokenRevoked { .. } => (None, None),
    }
}
