//! A new generation of the state, in a schema beside the one in use, loaded by COPY and swapped in by one transaction.
//!
//! Nobody reads it before it is whole. An event keeps the position that it has in the feed in use: cursors of endpoints
//! are positions. What breaks off leaves a schema that the next rebuild removes.

mod tables;

use std::collections::BTreeMap;
use std::path::Path;

use deadpool_postgres::{ClientWrapper, Object};
use log::Partition;
use projector::fold::Fold;
use projector::rebuild::FeedEntry;
use projector::rebuild::order::{Order, Place};
use projector::{Position, StoreError};
use schemas::{DirectoryId, EventId, ScimId};
use tokio::runtime::Handle;
use tokio_postgres::Row;

use super::super::copy::Rows;
use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::super::{Postgres, migrations};
use super::apply::{LATEST_MONTH, Month, begin};
use tables::{Keys, Tables};

use crate::error::{DbError, OpenError};
use crate::state::bulk::store_error;
use crate::state::late::Late;

/// A generation in the making. Its methods block, on a thread that is not one of the runtime's.
#[derive(Debug)]
pub(crate) struct Generation {
    runtime: Handle,
    /// Two connections of its own: one that writes, and one that looks at what is in use.
    writing: ClientWrapper,
    looking: ClientWrapper,
    schema: String,
    order: Order,
    /// Those that wait for other partitions.
    late: Late,
    feed: Rows,
    /// The end of the feed, which the one in use has reached already.
    end: i64,
    months: BTreeMap<Month, i64>,
    /// Later ones are taken for this.
    latest: Month,
    directories: BTreeMap<DirectoryId, i64>,
    keys: Keys,
    /// Where projectors stood when it was begun.
    begun: Positions,
}

/// What has become of a generation that was to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    Done,
    /// A projector has applied what it does not know.
    ProjectorMoved,
    /// A later version has changed the tables since it was begun.
    SchemaMoved,
}

/// What takes as long as it takes, and waits for the log meanwhile.
const PATIENT: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// The next record of each partition.
type Positions = BTreeMap<i32, i64>;

impl Generation {
    /// A new one beside the state in use, of a log with so many partitions. What has to wait does so in `scratch`.
    pub(crate) async fn create(
        postgres: &Postgres,
        (partitions, scratch): (u16, &Path),
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::server(postgres.settings(), error);
        let (order, late) = (Order::of(partitions), Late::of(partitions, scratch)?);
        let (found, known) = (steps_done(postgres).await.map_err(failed)?, migrations::known());
        if found > known {
            let server = postgres.settings().to_string();
            return Err(OpenError::Outgrown { server, found, known });
        }
        let writing = alone(postgres).await.map_err(failed)?;
        let writing = writing
            .ok_or_else(|| OpenError::Rebuilding { server: postgres.settings().to_string() })?;
        Self::made(postgres, writing, order, late).await.map_err(failed)
    }

    async fn made(
        postgres: &Postgres,
        writing: ClientWrapper,
        order: Order,
        late: Late,
    ) -> Result<Self, DbError> {
        let looking = Object::take(postgres.client().await?);
        looking.batch_execute(PATIENT).await?;
        let schema = postgres.schema().to_owned();
        let next = quoted(&next_to(&schema));
        writing
            .batch_execute(&format!(
                "{PATIENT}; DROP SCHEMA IF EXISTS {next} CASCADE;
                 CREATE SCHEMA {next}; SET search_path = {next}; SET synchronous_commit = off"
            ))
            .await?;
        for sql in migrations::of_state() {
            writing.batch_execute(sql).await?;
        }
        let end = looking.query_one("SELECT position FROM feed_end", &[]).await?.value(0)?;
        let latest = looking.query_one(&format!("SELECT {LATEST_MONTH}"), &[]).await?.value(0)?;
        let begun = looking.query("SELECT partition, next FROM positions", &[]).await?;
        let begun = positions(&begun)?;
        Ok(Self {
            runtime: Handle::current(),
            writing,
            looking,
            schema,
            order,
            late,
            begun,
            feed: Rows::new(FEED),
            end,
            months: BTreeMap::new(),
            latest: Month(latest),
            directories: BTreeMap::new(),
            keys: Keys::default(),
        })
    }

    /// Keys are given out in the order in which directories first appear in the feed.
    fn directory(&mut self, id: DirectoryId) -> i64 {
        let next = i64::try_from(self.directories.len()).unwrap_or(i64::MAX) + 1;
        *self.directories.entry(id).or_insert(next)
    }

    async fn push(&mut self, partition: Partition, entries: &[FeedEntry]) -> Result<(), DbError> {
        let places = self.places(entries).await?;
        let mut placed = Vec::with_capacity(entries.len());
        for entry in entries {
            let kept = places.get(&entry.id);
            let position = kept.map(|(_, position)| position.unsigned_abs());
            match (self.order.place(partition, position, entry.created_at), kept) {
                (Place::Kept(_), Some(place)) => placed.push((Some(*place), entry)),
                (Place::Kept(_) | Place::Next, _) => placed.push((None, entry)),
                (Place::Later(turn), _) => self.late.put(turn, entry)?,
            }
        }
        self.insert(&placed).await
    }

    /// Adds what had to wait for all partitions.
    async fn push_late(&mut self) -> Result<(), DbError> {
        let mut after = None;
        loop {
            let page = self.late.page(after)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            let placed: Vec<_> = page.iter().map(|(_, entry)| (None, entry)).collect();
            self.insert(&placed).await?;
        }
    }

    /// Adds events where they stand in the feed in use, or at the end.
    async fn insert(&mut self, placed: &[(Option<Standing>, &FeedEntry)]) -> Result<(), DbError> {
        for (place, entry) in placed {
            if let Some((_, position)) = place {
                // A projector may have put it there since the end was asked for.
                self.end = self.end.max(*position);
            }
            let directory = self.directory(entry.directory_id);
            let (month, position) = place.unwrap_or_else(|| {
                self.end += 1;
                let last = self.months.keys().next_back().copied();
                let of = Month::of(entry.created_at).min(self.latest);
                (last.unwrap_or(Month(0)).max(of), self.end)
            });
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
    async fn places(&self, entries: &[FeedEntry]) -> Result<BTreeMap<EventId, Standing>, DbError> {
        let ids: Vec<Vec<u8>> = entries.iter().map(|entry| entry.id.to_bytes().to_vec()).collect();
        let sql = "SELECT event_id, month, position FROM feed WHERE event_id = ANY($1)";
        let statement = self.looking.prepare_cached(sql).await?;
        let rows = self.looking.query(&statement, &[&ids]).await?;
        let place = |row: &Row| {
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

    /// Makes it the state in use, unless somebody has come between: then nothing is changed.
    pub(crate) async fn swap_in(mut self) -> Result<Swap, DbError> {
        let (schema, next) = (quoted(&self.schema), quoted(&next_to(&self.schema)));
        let old = quoted(&format!("{}_old", self.schema));
        let moment = Moment::writing(&mut self.writing).await?;
        moment
            .batch(&format!(
                "LOCK TABLE {schema}.migrations IN SHARE MODE;
                 LOCK TABLE {schema}.positions IN ACCESS EXCLUSIVE MODE"
            ))
            .await?;
        let steps = format!("SELECT coalesce(max(number), 0) FROM {schema}.migrations");
        let found: Option<i32> =
            moment.first(&steps, &[]).await?.map(|row| row.value(0)).transpose()?;
        if found > Some(migrations::known()) {
            moment.rollback().await?;
            return Ok(Swap::SchemaMoved);
        }
        // Even if all that was applied since is in the new one too: events were looked up before they had their
        // positions, and got others.
        let used = format!("SELECT partition, next FROM {schema}.positions");
        let used = positions(&moment.all(&used, &[]).await?)?;
        let has_moved = |(partition, next): (&i32, &i64)| {
            self.begun.get(partition).copied().unwrap_or_default() != *next
        };
        if used.iter().any(has_moved) {
            moment.rollback().await?;
            return Ok(Swap::ProjectorMoved);
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
            for function in FUNCTIONS {
                swap.push_str(&format!("ALTER FUNCTION {from_name}.{function}() SET SCHEMA {to};"));
            }
        }
        swap.push_str(&format!("DROP SCHEMA {next} CASCADE; DROP SCHEMA {old} CASCADE;"));
        moment.batch(&swap).await?;
        moment.commit().await?;
        Ok(Swap::Done)
    }

    /// What is known when all rows are there: ends, and keys that are not given out again.
    async fn complete(&mut self) -> Result<(), DbError> {
        self.push_late().await?;
        self.feed.send(&self.writing).await?;
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

/// A connection that nobody else rebuilds beside, for as long as it lasts: what two make at once would be one's name and
/// the other's tables. None if somebody does.
async fn alone(postgres: &Postgres) -> Result<Option<ClientWrapper>, DbError> {
    let client = Object::take(postgres.client().await?);
    let sql = "SELECT pg_try_advisory_lock(hashtextextended('dsync rebuild ' || $1, 0))";
    let is_alone = client.query_one(sql, &[&postgres.schema()]).await?.value(0)?;
    Ok(if is_alone { Some(client) } else { None })
}

/// The number of steps that have made the tables in use.
async fn steps_done(postgres: &Postgres) -> Result<i32, DbError> {
    let last = "SELECT coalesce(max(number), 0) FROM migrations";
    postgres.client().await?.query_one(last, &[]).await?.value(0)
}

const FEED: &str = "feed (month, position, event_id, directory, event, seq, hash, prev, created_at, user_id, \
    group_id, actor, data)";

/// The month and the position of an event.
type Standing = (Month, i64);

fn positions(rows: &[Row]) -> Result<Positions, DbError> {
    rows.iter().map(|row| Ok((row.value(0)?, row.value(1)?))).collect()
}

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

/// What its triggers call. A function goes with its schema, and a trigger with its function.
const FUNCTIONS: &[&str] = &["user_of_membership", "memberships_of_user"];

/// The schema where the next generation is made.
fn next_to(schema: &str) -> String {
    format!("{schema}_next")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl projector::rebuild::Generation for Generation {
    fn feed(&mut self, partition: Partition, entries: &[FeedEntry]) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.push(partition, entries)).map_err(store_error)
    }

    fn state(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.write(partition, position, fold)).map_err(store_error)
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.complete()).map_err(store_error)
    }
}
