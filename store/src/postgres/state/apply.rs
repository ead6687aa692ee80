//! A batch of the projector, in one transaction and in statements that take all rows of a kind at once.
//!
//! What the batch needs to know of what is there is read first; then its changes are folded in memory
//! ([`fold`]), so that a user who changes ten times is written once; then the result is written ([`mod@write`]). The
//! last thing before the commit is the feed: its positions are given out under a lock that all projectors share.

mod feed;
mod fold;
mod write;

use std::collections::BTreeMap;

use log::{Durable, Offset, Partition};
use projector::{Batch, Position, StoreError};
use schemas::{DirectoryId, Head};
use tokio_postgres::types::ToSql;

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::State;
use crate::error::DbError;
use crate::state::Fault;
use crate::state::apply::apply_error;
pub(super) use feed::{LATEST_MONTH, Month, begin};
use fold::{Delta, Known};

/// A directory as the batch changes it.
#[derive(Clone, Copy, Debug)]
struct Touched {
    key: i64,
    /// The last record of the batch.
    head: Head,
    active_users: i64,
    inactive_users: i64,
    hidden_users: i64,
    groups: i64,
    pending_members: i64,
}

type Directories = BTreeMap<DirectoryId, Touched>;

impl State {
    pub(super) async fn apply(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError> {
        // Kafka, beside which this store mostly stands, shows nothing before it is durable: nothing would be gained.
        if !durable.wait().await {
            return Err(StoreError::Withdrawn);
        }
        match self.written(partition, from, to, &batch).await {
            Ok(Some(feed_end)) => {
                let accepted = batch.accepted.iter().map(|accepted| accepted.head.hash);
                self.progress.moved(partition, batch.passed, accepted, feed_end);
                Ok(())
            }
            Ok(None) => Err(StoreError::Replaced),
            Err(error) => Err(self.failed(partition, batch.passed, error)),
        }
    }

    fn failed(&self, partition: Partition, next: Offset, error: DbError) -> StoreError {
        if error.is_full() {
            tracing::error!(%error, "DSYNC-004: the disk of the state has no room");
            self.progress.failed(partition, next, Fault::Full);
            return StoreError::Full(Box::new(error));
        }
        self.progress.failed(partition, next, Fault::Other(error.to_string()));
        apply_error(error)
    }

    /// Returns the end of the feed; `None` if another projector has moved the position.
    async fn written(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: &Batch,
    ) -> Result<Option<u64>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::writing(&mut client).await?;
        // All at once, without waiting for one before the next is sent: what they read is nobody else's to write as
        // long as the position is ours.
        let (moved, mut directories, known) = tokio::try_join!(
            move_position(&moment, partition, from, to, batch),
            directories(&moment, partition, batch),
            Known::of(&moment, batch)
        )?;
        if !moved {
            moment.rollback().await?;
            return Ok(None);
        }
        if !batch.accepted.is_empty() {
            let delta = Delta::of(batch, known, &mut directories)?;
            write::write(&moment, &delta, &mut directories).await?;
        }
        write::directories(&moment, &directories, batch).await?;
        let end = feed::append(&moment, &directories, batch).await?;
        let said = format!("{} {} {end}", partition.0, batch.passed.0);
        moment.execute("SELECT pg_notify($1, $2)", &[&self.channel, &said]).await?;
        moment.commit().await?;
        Ok(Some(end))
    }
}

/// Moves the position, if it is where this projector left it. Whoever comes second waits here for the first one's
/// commit, and finds it moved.
async fn move_position(
    moment: &Moment<'_>,
    partition: Partition,
    from: Position,
    to: Position,
    batch: &Batch,
) -> Result<bool, DbError> {
    let (number, passed) = (i32::from(partition.0), as_sql(batch.passed.0));
    let split = |position: Position| {
        let (offset, hash) = position.applied.unzip();
        let offset = offset.map(|offset| as_sql(offset.0));
        (as_sql(position.next.0), offset, hash.map(|hash| hash.0.to_vec()))
    };
    let (next, offset, hash) = split(to);
    if from == Position::default() {
        let sql = "INSERT INTO positions (partition, next, passed) VALUES ($1, 0, 0)
            ON CONFLICT DO NOTHING";
        moment.execute(sql, &[&number]).await?;
    }
    let (from, from_offset, from_hash) = split(from);
    let sql = "UPDATE positions
        SET next = $2, applied_offset = $3, applied_hash = $4, passed = greatest(passed, $5), stopped = NULL
        WHERE partition = $1 AND next = $6 AND applied_offset IS NOT DISTINCT FROM $7
          AND applied_hash IS NOT DISTINCT FROM $8";
    let parameters: [&(dyn ToSql + Sync); 8] =
        [&number, &next, &offset, &hash, &passed, &from, &from_offset, &from_hash];
    Ok(moment.execute(sql, &parameters).await? == 1)
}

/// The rows of the directories that the batch is about. Those that are not there are made.
async fn directories(
    moment: &Moment<'_>,
    partition: Partition,
    batch: &Batch,
) -> Result<Directories, DbError> {
    let accepted = batch.accepted.iter().map(|accepted| accepted.directory_id);
    // In the order in which they come, which is that of their keys.
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for id in accepted.chain(batch.stopped.iter().copied()) {
        let id = id.to_bytes().to_vec();
        if ids.last() != Some(&id) && !ids.contains(&id) {
            ids.push(id);
        }
    }
    let sql = "SELECT id, key, active_users, inactive_users, hidden_users, groups, pending_members
        FROM directories WHERE id = ANY($1)";
    let mut found = moment.all(sql, &[&ids]).await?;
    if found.len() < ids.len() {
        let insert = "INSERT INTO directories (id, partition) SELECT id, $2
            FROM unnest($1::bytea[]) WITH ORDINALITY AS new (id, at) ORDER BY at
            ON CONFLICT (id) DO NOTHING";
        moment.execute(insert, &[&ids, &i32::from(partition.0)]).await?;
        found = moment.all(sql, &[&ids]).await?;
    }
    let touched = |row: &tokio_postgres::Row| {
        let touched = Touched {
            key: row.value(1)?,
            head: Head::default(),
            active_users: row.value(2)?,
            inactive_users: row.value(3)?,
            hidden_users: row.value(4)?,
            groups: row.value(5)?,
            pending_members: row.value(6)?,
        };
        Ok((DirectoryId::from_bytes(row.id(0)?), touched))
    };
    found.iter().map(touched).collect()
}
