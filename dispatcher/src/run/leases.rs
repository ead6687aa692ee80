//! Keeps the lease of this dispatcher, and tells when it is lost.

use std::sync::Arc;
use std::time::Duration;

use schemas::Edge;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{STORE_PAUSE, report};
use crate::ports::{DeliveryStore, DispatcherId, Standing, StoreError};

/// How many times a lease is renewed while it lasts: one or two of them may fail.
const RENEWALS: u32 = 3;

/// The last part of a lease, a tenth, is not used: whoever loses it has ended before another begins.
const UNUSED: u32 = 10;

/// A dispatcher from its joining until it has lost its lease.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    pub(super) id: DispatcherId,
    /// Cancelled when the lease is lost. Whatever was done under it ends there and then.
    pub(super) lost: CancellationToken,
    /// Who else is there, as of the last renewal.
    pub(super) standing: Standing,
}

pub(super) struct Keeper {
    pub(super) store: Arc<dyn DeliveryStore>,
    pub(super) edge: Arc<dyn Edge>,
    pub(super) lasts: Duration,
    pub(super) tenure: watch::Sender<Option<Tenure>>,
}

impl Keeper {
    /// Joins and renews, and joins again as another when that failed for too long. Never returns.
    pub(super) async fn run(self) {
        loop {
            let (id, until) = self.join().await;
            let lost = CancellationToken::new();
            // However this ends, nothing goes on without a lease.
            let guard = lost.clone().drop_guard();
            self.renew(id, &lost, until).await;
            drop(guard);
            tracing::warn!("the lease of this dispatcher was lost, its lanes have stopped");
            metrics::counter!("dispatcher_leases_lost_total").increment(1);
        }
    }

    /// How long this process counts on what it was given when it asked.
    fn used(&self) -> Duration {
        self.lasts - self.lasts / UNUSED
    }

    async fn join(&self) -> (DispatcherId, Instant) {
        loop {
            let id = DispatcherId::from_bits(self.edge.id());
            let asked = Instant::now();
            match self.store.join(id, self.lasts).await {
                Ok(()) => return (id, asked + self.used()),
                Err(error) => report(&error, "cannot join the other dispatchers"),
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    /// Returns when the lease is lost.
    async fn renew(&self, id: DispatcherId, lost: &CancellationToken, mut until: Instant) {
        let mut moves = self.store.moves();
        loop {
            moves.mark_unchanged();
            let asked = Instant::now();
            let renewed = tokio::time::timeout_at(until, self.store.renew(id, self.lasts)).await;
            match renewed {
                Ok(Ok(Some(standing))) => {
                    until = asked + self.used();
                    let tenure = Tenure { id, lost: lost.clone(), standing };
                    self.tenure.send_replace(Some(tenure));
                }
                Ok(Err(error)) if asked + STORE_PAUSE < until => {
                    self.wait_for_the_store(&error).await;
                    continue;
                }
                Ok(Ok(None) | Err(_)) | Err(_) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(self.lasts / RENEWALS) => {}
                moved = moves.changed() => if moved.is_err() { return },
            }
        }
    }

    async fn wait_for_the_store(&self, error: &StoreError) {
        report(error, "cannot renew the lease of this dispatcher");
        tokio::time::sleep(STORE_PAUSE.min(self.lasts / UNUSED)).await;
    }
}
