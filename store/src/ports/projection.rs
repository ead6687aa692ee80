//! The projector's port.

use async_trait::async_trait;
use log::{Durable, Offset, Partition};
use projector::{Batch, Position, ProjectionStore, StoreError, StoredHead};
use schemas::DirectoryId;

use crate::Store;
use crate::error::DbError;

#[async_trait]
impl ProjectionStore for Store {
    async fn position(&self, partition: Partition) -> Result<Position, StoreError> {
        self.state.position(partition).await.map_err(unavailable)
    }

    async fn heads(&self, partition: Partition) -> Result<Vec<StoredHead>, StoreError> {
        self.state.heads(partition).await.map_err(unavailable)
    }

    async fn apply(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError> {
        self.state.apply(partition, from, to, batch, durable).await
    }

    async fn passed(&self, partition: Partition) -> Result<Offset, StoreError> {
        self.state.passed(partition).await.map_err(unavailable)
    }

    async fn stop(&self, partition: Partition, why: Option<String>) -> Result<(), StoreError> {
        self.state.stop(partition, why).await.map_err(unavailable)
    }

    async fn wait_stopped(&self, partition: Partition) -> Result<(), StoreError> {
        let mut stops = self.state.progress().stops();
        let noted = stops.wait_for(|stops| stops.contains_key(&partition)).await;
        noted.map(drop).map_err(|closed| StoreError::Unavailable(closed.into()))
    }

    async fn stopped_directories(&self) -> Result<Vec<DirectoryId>, StoreError> {
        let stopped = self.state.stopped().await.map_err(unavailable)?;
        // Of one that is gone nothing is wanted any more.
        let known = self.config.known();
        Ok(stopped.into_iter().filter(|id| known.get(*id).is_some()).collect())
    }

    async fn sweep(&self, partition: Partition) -> Result<bool, StoreError> {
        self.state.sweep(partition).await.map_err(unavailable)
    }
}

fn unavailable(error: DbError) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}
