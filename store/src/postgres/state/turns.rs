//! Turns at writing to a directory: an advisory lock, for which replicas wait in the order in which they come.
//!
//! The chain settles which of two writers was first, so a turn that is lost with its connection does no harm.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use ingest::ports::Turn;
use schemas::DirectoryId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::error::SqlState;

use super::State;
use crate::error::DbError;

/// How many turns a process holds or waits for at once. Each takes a connection of the pool, and most have to be left for
/// everything else. Who gets none writes without.
const TURNS_MAX: usize = 4;

/// How long to wait for a turn: a little less than a writer does, so that the connection is of use afterwards.
const WAIT_MAX: Duration = Duration::from_millis(900);

/// What a lock is of.
const NAME: &str = "hashtextextended('dsync writer ' || $1 || ' ' || $2, 0)";

/// Turns that are left.
#[derive(Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(TURNS_MAX)))
    }
}

/// A connection that has the lock, or waits for it.
struct Held {
    /// None when it is given back.
    client: Option<Object>,
    schema: String,
    directory: String,
    _place: OwnedSemaphorePermit,
}

impl State {
    pub(super) async fn turn(&self, directory: DirectoryId) -> Option<Box<dyn Turn>> {
        let place = Arc::clone(&self.turns.0).try_acquire_owned().ok()?;
        let client = Some(self.client().await.ok()?);
        let (schema, directory) = (self.postgres.schema().to_owned(), directory.to_string());
        let mut held = Held { client, schema, directory, _place: place };
        match held.wait().await {
            Ok(()) => Some(Box::new(held)),
            Err(error) => {
                if matches!(&error, DbError::Postgres(error) if is_late(error)) {
                    // It has no lock and waits for none, so others may have it.
                    drop(held.client.take());
                }
                tracing::debug!(%error, "a writer goes on without its turn");
                None
            }
        }
    }
}

impl Held {
    /// Waits no longer than whoever asks for it does: the server would go on waiting for one who has left.
    async fn wait(&self) -> Result<(), DbError> {
        let Some(client) = &self.client else { return Ok(()) };
        let wait = format!("SELECT set_config('lock_timeout', $3, true), pg_advisory_lock({NAME})");
        let statement = client.prepare_cached(&wait).await?;
        let within = WAIT_MAX.as_millis().to_string();
        client.query_one(&statement, &[&self.schema, &self.directory, &within]).await?;
        Ok(())
    }

    async fn run(&self, function: &str) -> Result<(), DbError> {
        let Some(client) = &self.client else { return Ok(()) };
        let statement = client.prepare_cached(&format!("SELECT {function}({NAME})")).await?;
        client.query_one(&statement, &[&self.schema, &self.directory]).await?;
        Ok(())
    }
}

fn is_late(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

#[async_trait]
impl Turn for Held {
    async fn end(mut self: Box<Self>) {
        match self.run("pg_advisory_unlock").await {
            // Free of the lock, it may go back to the pool.
            Ok(()) => drop(self.client.take()),
            Err(error) => tracing::debug!(%error, "a turn ends with its connection"),
        }
    }
}

impl Drop for Held {
    /// Nobody else gets a connection that has the lock, or will have it soon: it is closed.
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}
