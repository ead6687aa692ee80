//! The port of the brake.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use dispatcher::brake::Counts;
use dispatcher::ports::{
    BrakeStore, Brakes, FeedEvent, FeedPosition, Judgement, Kept, SeenPage, StoreError,
};
use schemas::{DirectoryId, ScimId};

use super::delivery::store_error;
use crate::Store;
use crate::error::DbError;

#[async_trait]
impl BrakeStore for Store {
    async fn brakes(&self) -> Result<Brakes, StoreError> {
        self.config.brakes().await.map_err(store_error)
    }

    async fn wait_brakes_changed(&self, version: u64) -> Result<(), StoreError> {
        self.config.wait_brakes_changed(version).await.map_err(store_error)
    }

    async fn kept(&self) -> Result<Kept, StoreError> {
        self.config.kept_watches().await.map_err(store_error)
    }

    async fn census(&self, directory: DirectoryId) -> Result<(FeedPosition, Counts), StoreError> {
        self.state.census(directory).await.map_err(store_error)
    }

    async fn seen(
        &self,
        after: FeedPosition,
        limit: usize,
        watched: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, StoreError> {
        self.state.seen(after, limit, watched).await.map_err(store_error)
    }

    async fn held_subjects(
        &self,
        directory: DirectoryId,
        subjects: BTreeSet<ScimId>,
    ) -> Result<BTreeSet<ScimId>, StoreError> {
        self.config.held_subjects(directory, subjects).await.map_err(store_error)
    }

    async fn judge(&self, judgement: Judgement) -> Result<Option<u64>, StoreError> {
        self.config.judge(judgement).await.map_err(store_error)
    }

    async fn is_drained(&self, directory: DirectoryId) -> Result<bool, StoreError> {
        self.config.is_drained(directory).await.map_err(store_error)
    }
}

impl Store {
    /// Notes by which hold events are held.
    pub(super) async fn with_holds(
        &self,
        mut events: Vec<FeedEvent>,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(events) };
        let holds = self.config.holds_between(first.position, last.position).await?;
        for event in events.iter_mut().filter(|_| !holds.is_empty()) {
            event.held = holds.get(&event.position).copied();
        }
        Ok(events)
    }

    /// A page of the held events of a directory.
    pub(super) async fn held_line(
        &self,
        directory: DirectoryId,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let positions = self.config.held_positions(directory, after, up_to, limit).await?;
        self.state.at(self.config.known(), positions).await
    }
}
