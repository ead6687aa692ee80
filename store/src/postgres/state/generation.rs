//! A new generation of the state, in a schema beside the one in use, loaded by COPY and swapped in by one transaction.
//!
//! Nobody reads it before it is whole. An event keeps the position that it has in the feed in use: cursors of endpoints
//! are positions. What breaks off leaves a schema that the next rebuild removes.

use std::collections::BTreeMap;

use deadpool_postgres::{ClientWrapper, Object};
use directory::resource::text;
use log::Partition;
use projector::fold::{Fold, FoldedDirectory};
use projector::rebuild::FeedEntry;
use projector::{Position, StoreError};
use schemas::{Change, DirectoryId, EventId, ScimId};
use tokio::runtime::Handle;

use super::super::copy::Rows;
use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::super::{Postgres, migrations};
use super::apply::{Month, begin};
use crate::error::{DbError, OpenError};
use crate::state::apply::{Counted, columns_of, email_key, is_active, other_emails, shown_columns};
use crate::state::bulk::{change, in_order_of_creation, store_error};

/// A generation in the making. Its methods block, on a thread that is not one of the runtime's.
#[derive(Debug)]
pub(crate) struct Generation {
    runtime: Handle,
    /// Two connections of its own: one that writes, and one that looks at what is in use.
    writing: ClientWrapper,
    looking: ClientWrapper,
    schema: String,
    feed: Rows,
    /// The end of the feed, which the one in use has reached already.
    end: i64,
    months: BTreeMap<Month, i64>,
    directories: BTreeMap<DirectoryId, i64>,
    keys: Keys,
}

/// The last keys that were given out.
#[derive(Debug, Default)]
struct Keys {
    users: i64,
    groups: i64,
}

impl Generation {
    pub(crate) async fn create(postgres: &Postgres) -> Result<Self, OpenError> {
        let failed = |error| OpenError::server(postgres.settings(), error);
        Self::made(postgres).await.map_err(failed)
    }

    async fn made(postgres: &Postgres) -> Result<Self, DbError> {
        let looking = Object::take(postgres.client().await?);
        let writing = Object::take(postgres.client().await?);
        let schema = postgres.schema().to_owned();
        let next = quoted(&next_to(&schema));
        writing
            .batch_execute(&format!(
                "SET statement_timeout = 0; DROP SCHEMA IF EXISTS {next} CASCADE;
                 CREATE SCHEMA {next}; SET search_path = {next}; SET synchronous_commit = off"
            ))
            .await?;
        for sql in migrations::of_state() {
            writing.batch_execute(sql).await?;
        }
        let end = looking.query_one("SELECT position FROM feed_end", &[]).await?.value(0)?;
        Ok(Self {
            runtime: Handle::current(),
            writing,
            looking,
            schema,
            feed: Rows::new(FEED),
            end,
            months: BTreeMap::new(),
            directories: BTreeMap::new(),
            keys: Keys::default(),
        })
    }

    /// Keys are given out in the order in which directories first appear in the feed.
    fn directory(&mut self, id: DirectoryId) -> i64 {
        let next = i64::try_from(self.directories.len()).unwrap_or(i64::MAX) + 1;
        *self.directories.entry(id).or_insert(next)
    }

    async fn push(&mut self, entries: &[FeedEntry]) -> Result<(), DbError> {
        let places = self.places(entries).await?;
        for entry in entries {
            let directory = self.directory(entry.directory_id);
            let (month, position) = match places.get(&entry.id) {
                Some(place) => *place,
                None => {
                    self.end += 1;
                    let last = self.months.keys().next_back().copied();
                    (last.unwrap_or(Month(0)).max(Month::of(entry.created_at)), self.end)
                }
            };
            let first = self.months.get(&month).copied();
            self.months.insert(month, first.unwrap_or(position).min(position));
            if first.is_none() {
                let moment = Moment::writing(&mut self.writing).await?;
                begin(&moment, month, position).await?;
                moment.commit().await?;
            }
            let rows = &mut self.feed;
            rows.number(month.0);
            rows.number(position);
            rows.bytes(&entry.id.to_bytes());
            rows.number(directory);
            rows.text(entry.event.name());
            rows.number(as_sql(entry.head.seq.0));
            rows.bytes(&entry.head.hash.0);
            rows.bytes(&entry.prev.0);
            rows.number(entry.created_at.millis());
            rows.bytes_if_any(entry.user.map(ScimId::to_bytes).as_ref().map(|id| &id[..]));
            rows.bytes_if_any(entry.group.map(ScimId::to_bytes).as_ref().map(|id| &id[..]));
            rows.text(&entry.actor);
            rows.text(&entry.data);
            rows.end();
        }
        if self.feed.is_full() {
            self.feed.send(&self.writing).await?;
        }
        Ok(())
    }

    /// Where these events stand in the feed in use.
    async fn places(
        &self,
        entries: &[FeedEntry],
    ) -> Result<BTreeMap<EventId, (Month, i64)>, DbError> {
        let ids: Vec<Vec<u8>> = entries.iter().map(|entry| entry.id.to_bytes().to_vec()).collect();
        let sql = "SELECT event_id, month, position FROM feed WHERE event_id = ANY($1)";
        let statement = self.looking.prepare_cached(sql).await?;
        let rows = self.looking.query(&statement, &[&ids]).await?;
        let place = |row: &tokio_postgres::Row| {
            Ok((EventId::from_bytes(row.id(0)?), (Month(row.value(1)?), row.value(2)?)))
        };
        rows.iter().map(place).collect()
    }

    async fn write(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), DbError> {
        self.feed.send(&self.writing).await?;
        let mut tables = Tables::default();
        for (id, folded) in &fold.directories {
            let key = self.directory(*id);
            tables.directory(&mut self.keys, partition, (key, *id), folded)?;
            tables.send(&self.writing, false).await?;
        }
        tables.send(&self.writing, true).await?;
        let sql = "INSERT INTO positions (partition, next, applied_offset, applied_hash, passed)
            VALUES ($1, $2, $3, $4, $2)";
        let (offset, hash) = position.applied.unzip();
        let (offset, hash) = (offset.map(|at| as_sql(at.0)), hash.map(|hash| hash.0.to_vec()));
        let (partition, next) = (i32::from(partition.0), as_sql(position.next.0));
        self.writing.execute(sql, &[&partition, &next, &offset, &hash]).await?;
        Ok(())
    }

    /// Makes it the state in use. False: a projector has moved on meanwhile, and nothing is changed.
    pub(crate) async fn swap_in(mut self) -> Result<bool, DbError> {
        self.complete().await?;
        let (schema, next) = (quoted(&self.schema), quoted(&next_to(&self.schema)));
        let old = quoted(&format!("{}_old", self.schema));
        let moment = Moment::writing(&mut self.writing).await?;
        moment.batch(&format!("LOCK TABLE {schema}.positions IN ACCESS EXCLUSIVE MODE")).await?;
        let behind = format!(
            "SELECT 1 FROM {schema}.positions AS used
             LEFT JOIN {next}.positions AS made USING (partition)
             WHERE made.next IS NULL OR made.next < used.next"
        );
        if moment.first(&behind, &[]).await?.is_some() {
            moment.batch("ROLLBACK").await?;
            return Ok(false);
        }
        // Partitions of the feed are tables as well, and the two do not have the same.
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1
            AND (tablename = ANY($2) OR tablename ~ '^feed_[0-9]+_[0-9]+$')";
        let mut swap = format!("DROP SCHEMA IF EXISTS {old} CASCADE; CREATE SCHEMA {old};");
        for (from, from_name, to) in
            [(self.schema.clone(), &schema, &old), (next_to(&self.schema), &next, &schema)]
        {
            for row in moment.all(tables, &[&from, &TABLES]).await? {
                let table: &str = row.value(0)?;
                swap.push_str(&format!("ALTER TABLE {from_name}.{table} SET SCHEMA {to};"));
            }
        }
        swap.push_str(&format!("DROP SCHEMA {next} CASCADE; DROP SCHEMA {old} CASCADE;"));
        moment.batch(&swap).await?;
        moment.commit().await?;
        Ok(true)
    }

    /// What is known when all rows are there: ends, and keys that are not given out again.
    async fn complete(&mut self) -> Result<(), DbError> {
        let month = self.months.keys().next_back().map_or(0, |month| month.0);
        for (month, first) in &self.months {
            let sql = "UPDATE feed_months SET first = $2 WHERE month = $1";
            self.writing.execute(sql, &[&month.0, first]).await?;
        }
        let sql = "UPDATE feed_end SET position = $1, month = $2";
        self.writing.execute(sql, &[&self.end, &month]).await?;
        self.writing.batch_execute(migrations::FEED_TIMES).await?;
        for table in ["users", "groups", "directories"] {
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'key'), (SELECT max(key) FROM {table}));
                 ANALYZE {table}"
            );
            self.writing.batch_execute(&sql).await?;
        }
        self.writing.batch_execute("ANALYZE feed; ANALYZE memberships").await?;
        Ok(())
    }
}

const FEED: &str = "feed (month, position, event_id, directory, event, seq, hash, prev, created_at, user_id, \
    group_id, actor, data)";

/// All tables of the state, but for the partitions of the feed.
const TABLES: &[&str] = &[
    "positions",
    "directories",
    "tokens",
    "users",
    "emails",
    "groups",
    "memberships",
    "pending_members",
    "feed_end",
    "feed_months",
    "feed_times",
    "feed",
];

/// The schema where the next generation is made.
fn next_to(schema: &str) -> String {
    format!("{schema}_next")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Rows of the folded tables.
#[derive(Debug)]
struct Tables {
    directories: Rows,
    tokens: Rows,
    users: Rows,
    emails: Rows,
    groups: Rows,
    memberships: Rows,
    pending_members: Rows,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            directories: Rows::new(
                "directories (key, id, partition, activated, gone, stopped, seq, hash, active_users,
                 inactive_users, hidden_users, groups, pending_members)",
            ),
            tokens: Rows::new("tokens (directory, id, revoked)"),
            users: Rows::new(
                "users (key, directory, scim_id, user_id, name_key, external_id, email, display, active,
                 hidden, created_at, updated_at, version, attributes, mapped_email, shown)",
            ),
            emails: Rows::new("emails (directory, value, user_key)"),
            groups: Rows::new(
                "groups (key, directory, scim_id, group_id, idp_id, name_key, external_id, display,
                 created_at, updated_at, modified_at, version, attributes)",
            ),
            memberships: Rows::new("memberships (group_key, user_key)"),
            pending_members: Rows::new("pending_members (group_key, value, name_key, directory)"),
        }
    }
}

impl Tables {
    /// Sends what has become large, or everything.
    async fn send(&mut self, client: &ClientWrapper, all: bool) -> Result<(), DbError> {
        for rows in [
            &mut self.directories,
            &mut self.tokens,
            &mut self.users,
            &mut self.emails,
            &mut self.groups,
            &mut self.memberships,
            &mut self.pending_members,
        ] {
            if all || rows.is_full() {
                rows.send(client).await?;
            }
        }
        Ok(())
    }

    fn directory(
        &mut self,
        keys: &mut Keys,
        partition: Partition,
        (key, id): (i64, DirectoryId),
        folded: &FoldedDirectory,
    ) -> Result<(), DbError> {
        let (users, counted) = self.users(keys, key, folded)?;
        let groups = self.groups(keys, key, folded)?;
        for (group, members) in &folded.members {
            for user in members {
                let (Some(group), Some(user)) = (groups.get(group), users.get(user)) else {
                    continue;
                };
                self.memberships.number(*group);
                self.memberships.number(*user);
                self.memberships.end();
            }
        }
        let pending = self.pending_members(key, folded, &groups);
        for (token, revoked) in &folded.tokens {
            self.tokens.number(key);
            self.tokens.bytes(&token.to_bytes());
            self.tokens.truth(*revoked);
            self.tokens.end();
        }
        let count = |number: usize| as_sql(number as u64);
        let users_that_are = |kind| count(counted.iter().filter(|one| **one == kind).count());
        let rows = &mut self.directories;
        rows.number(key);
        rows.bytes(&id.to_bytes());
        rows.number(partition.0);
        rows.truth(folded.activated);
        rows.truth(folded.gone);
        rows.truth(folded.stopped);
        rows.number(as_sql(folded.head.seq.0));
        rows.bytes(&folded.head.hash.0);
        rows.number(users_that_are(Counted::Active));
        rows.number(users_that_are(Counted::Inactive));
        rows.number(users_that_are(Counted::Hidden));
        rows.number(count(groups.len()));
        rows.number(count(pending));
        rows.end();
        Ok(())
    }

    /// Returns the keys of the users, and among whom each is counted.
    fn users(
        &mut self,
        keys: &mut Keys,
        directory: i64,
        folded: &FoldedDirectory,
    ) -> Result<(BTreeMap<ScimId, i64>, Vec<Counted>), DbError> {
        let mut given = BTreeMap::new();
        let mut counted = Vec::with_capacity(folded.users.len());
        for (id, user) in in_order_of_creation(&folded.users) {
            let Change::User { user_id, name_key, created_at, attributes, shown, .. } =
                change(user)?
            else {
                continue;
            };
            keys.users += 1;
            let (shown, columns) = (shown_columns(&shown)?, columns_of(&attributes)?);
            let (active, email) = (is_active(&columns), email_key(&columns));
            counted.push(Counted::of(active, shown.hidden));
            for other in other_emails(&columns, email.as_deref()) {
                self.emails.number(directory);
                self.emails.text(&other);
                self.emails.number(keys.users);
                self.emails.end();
            }
            let rows = &mut self.users;
            rows.number(keys.users);
            rows.number(directory);
            rows.bytes(&id.to_bytes());
            rows.bytes(&user_id.to_bytes());
            rows.text(&name_key);
            rows.text_if_any(text(&columns, "externalId"));
            rows.text_if_any(email.as_deref());
            rows.text_if_any(text(&columns, "displayName"));
            rows.truth(active);
            rows.truth(shown.hidden);
            rows.number(created_at.millis());
            rows.number(user.updated_at.millis());
            rows.number(as_sql(user.version.0));
            rows.text(attributes.get());
            rows.text_if_any(shown.mapped_email.as_deref());
            rows.text_if_any(shown.json.as_deref());
            rows.end();
            given.insert(*id, keys.users);
        }
        Ok((given, counted))
    }

    fn groups(
        &mut self,
        keys: &mut Keys,
        directory: i64,
        folded: &FoldedDirectory,
    ) -> Result<BTreeMap<ScimId, i64>, DbError> {
        let mut given = BTreeMap::new();
        for (id, group) in in_order_of_creation(&folded.groups) {
            let Change::Group { group_id, idp_id, name_key, created_at, attributes, .. } =
                change(group)?
            else {
                continue;
            };
            keys.groups += 1;
            let columns = columns_of(&attributes)?;
            let changed = group.members_changed.filter(|(_, seq)| *seq > group.version);
            let (modified_at, version) = changed.unwrap_or((group.updated_at, group.version));
            let rows = &mut self.groups;
            rows.number(keys.groups);
            rows.number(directory);
            rows.bytes(&id.to_bytes());
            rows.bytes(&group_id.to_bytes());
            rows.text(&idp_id);
            rows.text(&name_key);
            rows.text_if_any(text(&columns, "externalId"));
            rows.text_if_any(text(&columns, "displayName"));
            rows.number(created_at.millis());
            rows.number(group.updated_at.millis());
            rows.number(modified_at.millis());
            rows.number(as_sql(version.0));
            rows.text(attributes.get());
            rows.end();
            given.insert(*id, keys.groups);
        }
        Ok(given)
    }

    /// Returns how many there are.
    fn pending_members(
        &mut self,
        directory: i64,
        folded: &FoldedDirectory,
        groups: &BTreeMap<ScimId, i64>,
    ) -> usize {
        let mut count = 0;
        for (group, pending) in &folded.pending_members {
            let Some(group) = groups.get(group) else { continue };
            for (value, name_key) in pending {
                let rows = &mut self.pending_members;
                rows.number(*group);
                rows.text(value);
                rows.text(name_key);
                rows.number(directory);
                rows.end();
                count += 1;
            }
        }
        count
    }
}

impl projector::rebuild::Generation for Generation {
    fn feed(&mut self, entries: &[FeedEntry]) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.push(entries)).map_err(store_error)
    }

    fn finish(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.write(partition, position, fold)).map_err(store_error)
    }
}
