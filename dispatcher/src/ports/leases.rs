//! Which of several dispatchers runs which lane.
//!
//! ```text
//!   join ──▶ renew ──▶ renew ──▶ …          "I live", every third of a lease
//!              │
//!              └─▶ standing ──▶ [share] ──▶ lease / release
//! ```
//!
//! A dispatcher holds its lanes as long as it lives: one lease for all of them. Who has not renewed in time does not
//! live any more, and others take its lanes. Each change of hands raises the lane's *epoch*, and the store refuses what
//! is written under an earlier one: so a dispatcher that was thought dead and was just slow changes nothing.
//!
//! [share]: crate::share

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Flush, LaneId, StoreError};

/// A dispatcher. It takes a new id whenever it begins, and whenever it has lost its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DispatcherId(u128);

impl DispatcherId {
    /// The id with these bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// How often a lane has changed hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A lane that was leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub lane: LaneId,
    /// What its flushes have to say.
    pub epoch: Epoch,
}

/// A flush with the epoch under which its lane is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fenced {
    /// The epoch of the lease.
    pub epoch: Epoch,
    /// What there is to write.
    pub flush: Flush,
}

/// Who else is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The other dispatchers that live.
    pub others: BTreeSet<DispatcherId>,
    /// The lanes that they hold. What neither they nor the asker hold is free.
    pub held: BTreeMap<LaneId, DispatcherId>,
}

/// The leases, as a store keeps them. Time is the store's: dispatchers need no common clock.
#[async_trait]
pub trait Leases: Send + Sync {
    /// A dispatcher begins. It lives for that long from now on.
    async fn join(&self, dispatcher: DispatcherId, lasts: Duration) -> Result<(), StoreError>;

    /// It lives on for that long from now. `None`: it came too late and holds nothing any more; it has to begin
    /// anew, as another.
    async fn renew(
        &self,
        dispatcher: DispatcherId,
        lasts: Duration,
    ) -> Result<Option<Standing>, StoreError>;

    /// Takes those of these lanes that are free. Nothing for a dispatcher that does not live.
    async fn lease(
        &self,
        dispatcher: DispatcherId,
        lanes: Vec<LaneId>,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Gives lanes back, for others to take at once.
    async fn release(&self, dispatcher: DispatcherId, leases: Vec<Lease>)
    -> Result<(), StoreError>;

    /// A dispatcher ends. Whatever it still holds is free.
    async fn leave(&self, dispatcher: DispatcherId) -> Result<(), StoreError>;

    /// Counts up when somebody joined, left or gave lanes back. It may miss some; whoever follows it renews now and
    /// then anyway.
    fn moves(&self) -> watch::Receiver<u64>;
}
