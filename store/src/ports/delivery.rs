//! The dispatcher's port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dispatcher::ports::{
    DeliveryStore, DisableReason, DispatcherId, Endpoints, FeedEvent, FeedPosition, Fenced, LaneId,
    LaneState, Lease, Leases, Line, Standing, StoreError,
};
use dispatcher::security_event::SigningKey;
use schemas::EndpointId;
use tokio::sync::watch;

use crate::Store;
use crate::error::DbError;

#[async_trait]
impl Leases for Store {
    async fn join(&self, dispatcher: DispatcherId, lasts: Duration) -> Result<(), StoreError> {
        self.config.join(dispatcher, lasts).await.map_err(store_error)
    }

    async fn renew(
        &self,
        dispatcher: DispatcherId,
        lasts: Duration,
    ) -> Result<Option<Standing>, StoreError> {
        self.config.renew(dispatcher, lasts).await.map_err(store_error)
    }

    async fn lease(
        &self,
        dispatcher: DispatcherId,
        lanes: Vec<LaneId>,
    ) -> Result<Vec<Lease>, StoreError> {
        self.config.lease(dispatcher, lanes).await.map_err(store_error)
    }

    async fn release(
        &self,
        dispatcher: DispatcherId,
        leases: Vec<Lease>,
    ) -> Result<(), StoreError> {
        self.config.release(dispatcher, leases).await.map_err(store_error)
    }

    async fn leave(&self, dispatcher: DispatcherId) -> Result<(), StoreError> {
        self.config.leave(dispatcher).await.map_err(store_error)
    }

    fn moves(&self) -> watch::Receiver<u64> {
        self.config.moves()
    }
}

#[async_trait]
impl DeliveryStore for Store {
    async fn endpoints(&self) -> Result<Endpoints, StoreError> {
        self.config.lanes().await.map_err(store_error)
    }

    async fn signing_key(&self) -> Result<Arc<SigningKey>, StoreError> {
        self.config.signing_key().await.map_err(store_error)
    }

    async fn wait_endpoints_changed(&self, version: u64) -> Result<(), StoreError> {
        self.config.wait_endpoints_changed(version).await.map_err(store_error)
    }

    async fn lane(&self, lane: LaneId) -> Result<Option<LaneState>, StoreError> {
        self.config.lane(lane).await.map_err(store_error)
    }

    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<Vec<FeedEvent>, StoreError> {
        let events = self.state.feed(self.config.known(), after, limit).await;
        self.with_holds(events.map_err(store_error)?).await.map_err(store_error)
    }

    async fn line(
        &self,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError> {
        let events = self.events_of_line(line, after, up_to, limit).await.map_err(store_error)?;
        self.with_holds(events).await.map_err(store_error)
    }

    async fn wait_feed(&self, after: FeedPosition) -> Result<(), StoreError> {
        let mut end = self.state.progress().feed_end();
        let waited = end.wait_for(|end| *end > after.0).await;
        waited.map(drop).map_err(|closed| StoreError::Unavailable(closed.into()))
    }

    async fn operational(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError> {
        self.config.operational(after, limit).await.map_err(store_error)
    }

    async fn wait_operational(&self, after: FeedPosition) -> Result<(), StoreError> {
        self.config.wait_operational(after).await.map_err(store_error)
    }

    async fn feed_end(&self) -> Result<FeedPosition, StoreError> {
        Ok(FeedPosition(*self.state.progress().feed_end().borrow()))
    }

    async fn operational_end(&self) -> Result<FeedPosition, StoreError> {
        Ok(FeedPosition(self.config.operational_end()))
    }

    async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, StoreError> {
        self.config.flush(flushes).await.map_err(store_error)
    }

    async fn disable(&self, endpoint: EndpointId, reason: DisableReason) -> Result<(), StoreError> {
        self.config.disable(endpoint, reason).await.map_err(store_error)
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        self.config.forget_attempts().await.map_err(store_error)
    }
}

pub(super) fn store_error(error: DbError) -> StoreError {
    match error {
        error @ DbError::Unreadable { .. } => StoreError::Corrupt(Box::new(error)),
        error @ (DbError::Sqlite(_)
        | DbError::Postgres(_)
        | DbError::Pool(_)
        | DbError::Tls(_)
        | DbError::Silent
        | DbError::Closed
        | DbError::Unsure(_)
        | DbError::Refused(_)) => StoreError::Unavailable(Box::new(error)),
    }
}

impl Store {
    /// The events of a line, without their holds.
    pub(super) async fn events_of_line(
        &self,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let known = self.config.known();
        match line {
            Line::Held(directory) => self.held_line(directory, after, up_to, limit).await,
            Line::HeldStream(directory) => {
                self.state.line(known, Line::Stream(directory), after, up_to, limit).await
            }
            Line::User(_)
            | Line::Group(_)
            | Line::Directory(_)
            | Line::Stream(_)
            | Line::Event(_) => self.state.line(known, line, after, up_to, limit).await,
        }
    }
}
