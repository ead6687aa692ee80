//! Writes what the lanes have to write, as many as wait in one transaction.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{STORE_PAUSE, report};
use crate::ports::{DeliveryStore, Fenced, LaneId};

/// The most flushes in one transaction: each holds up to some hundred attempts, and the store has
/// other work too.
const BATCH_MAX: usize = 64;

/// What a lane has to write, and how it learns that it is written.
pub(super) struct Request {
    pub(super) flush: Fenced,
    /// Whether the lane is still ours.
    pub(super) written: oneshot::Sender<bool>,
}

/// Writes until no lane is left.
pub(super) async fn run(
    store: Arc<dyn DeliveryStore>,
    mut requests: mpsc::Receiver<Request>,
    shutdown: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while requests.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (flushes, written): (Vec<Fenced>, Vec<oneshot::Sender<bool>>) =
            batch.drain(..).map(|request: Request| (request.flush, request.written)).unzip();
        let lanes: Vec<LaneId> = flushes.iter().map(|fenced| fenced.flush.lane).collect();
        if let Some(refused) = write(&*store, flushes, &shutdown).await {
            for (lane, written) in lanes.into_iter().zip(written) {
                // A lane that is gone does not need to know.
                let _ = written.send(!refused.contains(&lane));
            }
        }
    }
}

/// Writes, again and again; after shutdown, once. Returns the lanes that are others' by now.
async fn write(
    store: &dyn DeliveryStore,
    flushes: Vec<Fenced>,
    shutdown: &CancellationToken,
) -> Option<Vec<LaneId>> {
    loop {
        let error = match store.flush(flushes.clone()).await {
            Ok(refused) => return Some(refused),
            Err(error) => error,
        };
        report(&error, "cannot write what was delivered");
        if shutdown.is_cancelled() {
            return None;
        }
        tokio::time::sleep(STORE_PAUSE).await;
    }
}
