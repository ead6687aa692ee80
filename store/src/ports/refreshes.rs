//! Ingest's port for users who have to follow other rules.

use async_trait::async_trait;
use ingest::ports::{BoxError, Refresh, Refreshes, ToRefresh};
use schemas::{DirectoryId, UserId};
use tokio::sync::watch;

use crate::Store;

#[async_trait]
impl Refreshes for Store {
    async fn open(&self) -> Result<Vec<Refresh>, BoxError> {
        self.config.open_refreshes().await.map_err(BoxError::from)
    }

    async fn count(&self, directory: DirectoryId) -> Result<u64, BoxError> {
        self.state.count_users(directory).await.map_err(BoxError::from)
    }

    async fn users(
        &self,
        directory: DirectoryId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ToRefresh>, BoxError> {
        self.state.users_to_refresh(directory, after, limit).await.map_err(BoxError::from)
    }

    async fn moved(&self, refresh: Refresh) -> Result<(), BoxError> {
        self.config.refresh_moved(refresh).await.map_err(BoxError::from)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.config.refreshes()
    }
}
