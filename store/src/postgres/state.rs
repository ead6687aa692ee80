//! What the log folds to, in PostgreSQL.

mod apply;
mod arrivals;
mod audit;
mod backend;
mod braking;
mod feed;
mod gather;
pub(crate) mod generation;
mod list;
mod lookups;
mod places;
mod reading;
mod refresh;
mod rows;
pub(crate) mod snapshot;
mod stops;
mod sweep;
mod times;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use deadpool_postgres::Object;
use directory::facts::TokenRecord;
use log::{Offset, Partition};
use projector::{Position, StoredHead};
use schemas::{DirectoryId, Hash, Head, Seq, TokenId};
use tokio_postgres::Row;

use super::Postgres;
use super::listen::{Listener, Listening, listen};
use super::query::Moment;
use super::rows::{Columns, as_sql};
use crate::error::{DbError, OpenError};
use crate::state::{DirectoryRow, Progress, Stops, Told};
use turns::Turns;

/// The state, as one process among several sees it.
#[derive(Debug)]
pub(crate) struct State {
    postgres: Postgres,
    progress: Arc<Progress>,
    /// Where those who write say how far they have come.
    channel: String,
    listening: Listening,
    turns: Turns,
    /// Directories that are known to be activated, which they stay.
    active: Mutex<BTreeSet<DirectoryId>>,
}

/// Takes note of how far the projectors of all processes have come.
struct Watching {
    postgres: Postgres,
    progress: Arc<Progress>,
}

impl Listener for Watching {
    fn heard(&self, said: &str) {
        if let Some((partition, why)) = stops::heard(said) {
            return self.progress.stop(partition, why);
        }
        // Partition, what was passed, end of the feed.
        let mut numbers = said.split(' ').map(str::parse::<u64>);
        if let (Some(Ok(partition)), Some(Ok(passed)), Some(Ok(end))) =
            (numbers.next(), numbers.next(), numbers.next())
            && let Ok(partition) = u16::try_from(partition)
        {
            self.progress.heard(Partition(partition), Offset(passed), end);
        }
    }

    async fn look(&self) -> Result<(), DbError> {
        let mut client = self.postgres.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let (passed, end) = standing(&moment).await?;
        for (partition, next) in passed {
            self.progress.heard(Partition(partition), next, end);
        }
        self.progress.stopped(stops::stops(&moment).await?);
        Ok(())
    }
}

impl State {
    pub(crate) async fn open(postgres: Postgres) -> Result<Self, OpenError> {
        let failed = |error| OpenError::server(postgres.settings(), error);
        let (channel, (passed, end), stops) = begin(&postgres).await.map_err(failed)?;
        let progress = Arc::new(Progress::new(passed, end));
        progress.stopped(stops);
        let watching = Watching { postgres: postgres.clone(), progress: Arc::clone(&progress) };
        let listening = listen(postgres.clone(), channel.clone(), Arc::new(watching));
        let turns = Turns::new();
        Ok(Self { postgres, progress, channel, listening, turns, active: Mutex::default() })
    }

    async fn client(&self) -> Result<Object, DbError> {
        self.postgres.client().await
    }

    fn close(&self) {
        self.listening.stop();
        self.postgres.close();
    }

    async fn position(&self, partition: Partition) -> Result<Position, DbError> {
        let mut client = self.client().await?;
        position(&Moment::reading(&mut client).await?, partition).await
    }

    async fn passed(&self, partition: Partition) -> Result<Offset, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = "SELECT passed FROM positions WHERE partition = $1";
        let row = moment.first(sql, &[&i32::from(partition.0)]).await?;
        row.map_or(Ok(Offset(0)), |row| Ok(Offset(row.number(0)?)))
    }

    async fn heads(&self, partition: Partition) -> Result<Vec<StoredHead>, DbError> {
        let mut client = self.client().await?;
        heads(&Moment::reading(&mut client).await?, partition).await
    }

    /// Once a directory is activated it stays so: only the first requests ask the server.
    async fn is_activated(&self, id: DirectoryId) -> Result<bool, DbError> {
        if self.active.lock().expect("nothing panics while it is held").contains(&id) {
            return Ok(true);
        }
        let mut client = self.client().await?;
        let row = directory_row(&Moment::reading(&mut client).await?, id).await?;
        let activated = row.is_some_and(|row| row.activated);
        if activated {
            self.active.lock().expect("nothing panics while it is held").insert(id);
        }
        Ok(activated)
    }

    /// Whether each of these records is in the stream. Nearly always the last of them is the head, and its row says
    /// it of all of them. Any other is among the latest events; only what has been gone for long is looked for in
    /// every month.
    async fn accepted(
        &self,
        directory: DirectoryId,
        records: Vec<Head>,
    ) -> Result<Vec<bool>, DbError> {
        // One statement needs no transaction around it, and whoever writes waits for this one.
        let client = self.client().await?;
        let sql =
            "SELECT seq, hash, key, (SELECT month FROM feed_end) FROM directories WHERE id = $1";
        let statement = client.prepare_cached(sql).await?;
        let row = client.query_opt(&statement, &[&&directory.to_bytes()[..]]).await?;
        let Some(row) = row else { return Ok(vec![false; records.len()]) };
        let head = Head { seq: Seq(row.number(0)?), hash: row.hash(1)? };
        let (key, month): (i64, i32) = (row.value(2)?, row.value(3)?);
        if records.last() == Some(&head) {
            return Ok(vec![true; records.len()]);
        }
        let before = records.iter().filter(|record| record.seq < head.seq);
        let places: Vec<i64> = before.map(|record| as_sql(record.seq.0)).collect();
        // Months are named, so that the others are not even locked.
        let recent = format!(" AND month >= {}", month - 1);
        let mut found = at_places(&client, (key, &places), &recent).await?;
        if places.iter().any(|place| !found.contains_key(&Seq(place.unsigned_abs()))) {
            found = at_places(&client, (key, &places), "").await?;
        }
        found.insert(head.seq, head.hash);
        let is_there = |record: &Head| found.get(&record.seq) == Some(&record.hash);
        Ok(records.iter().map(is_there).collect())
    }

    async fn told(&self) -> Result<Told, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let mut told = Told::default();
        for row in moment.all("SELECT id, gone FROM directories", &[]).await? {
            told.directory(DirectoryId::from_bytes(row.id(0)?), row.value(1)?);
        }
        let sql = "SELECT directories.id, tokens.id, revoked FROM tokens
            JOIN directories ON directories.key = directory";
        for row in moment.all(sql, &[]).await? {
            let directory = DirectoryId::from_bytes(row.id(0)?);
            told.token(directory, TokenId::from_bytes(row.id(1)?), record(row.value(2)?));
        }
        Ok(told)
    }
}

/// Which records are at these places of a stream.
async fn at_places(
    client: &Object,
    (directory, places): (i64, &Vec<i64>),
    within: &str,
) -> Result<BTreeMap<Seq, Hash>, DbError> {
    if places.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!("SELECT seq, hash FROM feed WHERE directory = $1 AND seq = ANY($2){within}");
    let statement = client.prepare_cached(&sql).await?;
    let found = client.query(&statement, &[&directory, places]).await?;
    found.iter().map(|row| Ok((Seq(row.number(0)?), row.hash(1)?))).collect()
}

const fn record(revoked: bool) -> TokenRecord {
    if revoked { TokenRecord::Revoked } else { TokenRecord::Made }
}

/// The channel of this schema, and how far everything has come.
async fn begin(postgres: &Postgres) -> Result<(String, Standing, Stops), DbError> {
    let mut client = postgres.client().await?;
    let moment = Moment::reading(&mut client).await?;
    // Channels are shared by all who use the database.
    let channel = moment.all("SELECT 'dsync_state_' || md5($1)", &[&postgres.schema()]).await?;
    let channel = channel[0].value(0)?;
    let standing = standing(&moment).await?;
    Ok((channel, standing, stops::stops(&moment).await?))
}

/// How far each partition was passed, and the end of the feed.
type Standing = (BTreeMap<u16, Offset>, u64);

async fn standing(moment: &Moment<'_>) -> Result<Standing, DbError> {
    let mut passed = BTreeMap::new();
    for row in moment.all("SELECT partition, passed FROM positions", &[]).await? {
        let partition = u16::try_from(row.value::<i32>(0)?).unwrap_or(u16::MAX);
        passed.insert(partition, Offset(row.number(1)?));
    }
    Ok((passed, feed_end(moment).await?))
}

/// The last position of the feed.
pub(super) async fn feed_end(moment: &Moment<'_>) -> Result<u64, DbError> {
    let row = moment.first("SELECT position FROM feed_end", &[]).await?;
    row.map_or(Ok(0), |row| row.number(0))
}

const POSITION: &str =
    "SELECT next, applied_offset, applied_hash FROM positions WHERE partition = $1";

async fn position(moment: &Moment<'_>, partition: Partition) -> Result<Position, DbError> {
    let row = moment.first(POSITION, &[&i32::from(partition.0)]).await?;
    row.map_or(Ok(Position::default()), |row| position_in(&row))
}

fn position_in(row: &Row) -> Result<Position, DbError> {
    let applied = match row.value::<Option<i64>>(1)? {
        Some(offset) => Some((Offset(offset.unsigned_abs()), row.hash(2)?)),
        None => None,
    };
    Ok(Position { next: Offset(row.number(0)?), applied })
}

const HEADS: &str =
    "SELECT id, seq, hash, stopped FROM directories WHERE partition = $1 ORDER BY key";

async fn heads(moment: &Moment<'_>, partition: Partition) -> Result<Vec<StoredHead>, DbError> {
    moment.all(HEADS, &[&i32::from(partition.0)]).await?.iter().map(head_of).collect()
}

fn head_of(row: &Row) -> Result<StoredHead, DbError> {
    Ok(StoredHead {
        directory_id: DirectoryId::from_bytes(row.id(0)?),
        head: Head { seq: Seq(row.number(1)?), hash: row.hash(2)? },
        stopped: row.value(3)?,
    })
}

/// The row of a directory that is not gone: what others have left behind is nobody's to see.
async fn present_row(
    moment: &Moment<'_>,
    id: DirectoryId,
) -> Result<Option<DirectoryRow>, DbError> {
    Ok(directory_row(moment, id).await?.filter(|row| !row.gone))
}

async fn directory_row(
    moment: &Moment<'_>,
    id: DirectoryId,
) -> Result<Option<DirectoryRow>, DbError> {
    let sql = "SELECT key, activated, gone, stopped, seq, hash, pending_members FROM directories
        WHERE id = $1";
    let row = moment.first(sql, &[&&id.to_bytes()[..]]).await?;
    let read = |row: Row| {
        Ok(DirectoryRow {
            key: row.value(0)?,
            activated: row.value(1)?,
            gone: row.value(2)?,
            stopped: row.value(3)?,
            head: Head { seq: Seq(row.number(4)?), hash: row.hash(5)? },
            pending_members: row.number(6)?,
        })
    };
    row.map(read).transpose()
}
