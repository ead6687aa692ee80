//! What the operator is told, until he has been.

use deadpool_postgres::{GenericClient, Transaction};
use dispatcher::ports::{FeedEvent, FeedPosition};
use schemas::Edge;

use super::Config;
use super::query::{all, execute, first, id, int};
use crate::columns::Columns as _;
use crate::config::operational::{DROP_EVERY, KEPT, Note, event};
use crate::error::DbError;

impl Config {
    pub(super) async fn operational(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let client = self.db.client().await?;
        let sql = "SELECT position, id, event, at, data FROM operational_events
            WHERE position > $1 ORDER BY position LIMIT $2";
        all(&client, sql, &[&int(after.0), &int(limit as u64)]).await?.iter().map(event).collect()
    }

    pub(super) async fn wait_operational(&self, after: FeedPosition) -> Result<(), DbError> {
        let mut end = self.memory.told.subscribe();
        end.wait_for(|end| *end > after.0).await.map(drop).map_err(|_| DbError::Closed)
    }

    pub(super) fn operational_end(&self) -> u64 {
        *self.memory.told.borrow()
    }
}

/// The last position that was given out.
pub(super) async fn end(client: &impl GenericClient) -> Result<i64, DbError> {
    let row = first(client, "SELECT last FROM told", &[]).await?;
    row.map_or(Ok(0), |row| row.integer(0))
}

/// Notes what there is to tell; returns the last position. The count stays locked until the end of the transaction.
pub(super) async fn insert(
    tx: &Transaction<'_>,
    notes: &[Note],
    edge: &dyn Edge,
) -> Result<i64, DbError> {
    let number = int(notes.len() as u64);
    let row = first(tx, "UPDATE told SET last = last + $1 RETURNING last", &[&number]).await?;
    let last = row.map_or(Ok(number), |row| row.integer(0))?;
    let before = last - number;
    for (note, position) in notes.iter().zip(before + 1..) {
        let sql = "INSERT INTO operational_events (position, id, event, at, data)
            VALUES ($1, $2, $3, $4, $5)";
        let (key, data) = (id(edge.id().to_be_bytes()), note.data.to_string());
        let name = note.event.name();
        execute(tx, sql, &[&position, &key, &name, &note.at.millis(), &data]).await?;
    }
    if before / DROP_EVERY != last / DROP_EVERY {
        let sql = "DELETE FROM operational_events WHERE position <= $1";
        execute(tx, sql, &[&(last - KEPT)]).await?;
    }
    Ok(last)
}
