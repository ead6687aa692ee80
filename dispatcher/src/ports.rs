//! What the dispatcher needs from the store, as a contract.
//!
//! ```text
//!  feed      1  2  3  4  5  6  7  8  9 10 …
//!                  ▲     ✗        ▲
//!                  │     │        └ cursor: all up to here was delivered, filtered out or waits in a blocked line
//!                  │     └ from: first undelivered event of a blocked line; later events of the line wait behind it
//!                  └ delivered
//! ```
//!
//! One lane owns its state: nobody else writes its cursor and its blocked lines. An endpoint has a lane that
//! follows the feed, and one for each replay, which walks part of it once more.

mod brake;
mod endpoint;
mod event;
mod leases;
mod progress;

use std::sync::Arc;

use async_trait::async_trait;
use schemas::EndpointId;

pub use brake::{BrakeNotice, BrakeStore, Braked, Brakes, HeldEvent, Judgement, Kept, SeenPage};
pub use endpoint::{Endpoint, Endpoints, Filter, LaneId, Order, Replay, Secret};
pub use event::{FeedEvent, FeedPosition, Line, OPERATIONAL, Topic};
pub use leases::{DispatcherId, Epoch, Fenced, Lease, Leases, Standing};
pub use progress::{Attempt, Blocked, DisableReason, Flush, LaneState, Notice, Outcome};

use crate::security_event::SigningKey;

/// What a store may answer instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is busy. The caller waits and asks again; a flush that got this
    /// answer may be repeated, also when it did take effect.
    #[error("store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be read. Asking again does not help; an operator must look.
    #[error("store holds what cannot be read")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The store, as the dispatcher needs it.
#[async_trait]
pub trait DeliveryStore: BrakeStore + Leases {
    /// All endpoints and replays, and the version that the answer reflects, read together.
    async fn endpoints(&self) -> Result<Endpoints, StoreError>;

    /// The key that tokens of this installation are signed with now. It is asked for before every token, so it
    /// is at hand; the first to ask has the first made. The API shows the public half.
    async fn signing_key(&self) -> Result<Arc<SigningKey>, StoreError>;

    /// Returns once the version differs from `version`, at once if it already does. It may return
    /// without a change; the caller looks again. Safe to drop.
    async fn wait_endpoints_changed(&self, version: u64) -> Result<(), StoreError>;

    /// Where a lane stands. `None`: there is no such endpoint, or no such replay that is not finished
    /// (any more).
    async fn lane(&self, lane: LaneId) -> Result<Option<LaneState>, StoreError>;

    /// Up to `limit` events after `after`, in order. Fewer than `limit` means that the end of the
    /// feed was reached. Never waits.
    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<Vec<FeedEvent>, StoreError>;

    /// Up to `limit` events of one line after `after` and not past `up_to`, in order. Fewer than
    /// `limit` means that there are no more up to `up_to`. Must not cost more when the line is short and the
    /// feed is long: the store keeps an index for it.
    async fn line(
        &self,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError>;

    /// Returns once the feed holds an event after `after`, at once if it already does. It may
    /// return too early; the caller looks again. Safe to drop. An implementation registers for
    /// the wake-up before it looks, so that none is missed.
    async fn wait_feed(&self, after: FeedPosition) -> Result<(), StoreError>;

    /// Up to `limit` operational events after `after`, in order. Never waits. Old ones may be gone:
    /// positions then begin later.
    async fn operational(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError>;

    /// As [`wait_feed`](Self::wait_feed), for operational events.
    async fn wait_operational(&self, after: FeedPosition) -> Result<(), StoreError>;

    /// The last position of the feed, for telling how far behind a lane is.
    async fn feed_end(&self) -> Result<FeedPosition, StoreError>;

    /// The last position of an operational event.
    async fn operational_end(&self) -> Result<FeedPosition, StoreError>;

    /// Writes the flushes of several lanes, at most one a lane, in one transaction. A flush for an endpoint or a
    /// replay that was deleted is dropped, and so is one under an epoch that is not the lane's any more: the lanes
    /// of which that is so are returned, and whoever runs one of them has to stop. It need not survive a power loss:
    /// what is lost is sent again.
    async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, StoreError>;

    /// Turns an endpoint off and notes why; its version changes. Its cursor and blocked lines stay.
    async fn disable(&self, endpoint: EndpointId, reason: DisableReason) -> Result<(), StoreError>;

    /// Drops attempts that are older than they are to be kept. Called now and then.
    async fn tidy(&self) -> Result<(), StoreError>;
}
