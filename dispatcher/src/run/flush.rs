//! Writes what the lanes have to write, as many as wait in one transaction.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{STORE_PAUSE, report};
use crate::ports::{DeliveryStore, Flush};

/// The most flushes in one transaction: each holds up to some hundred attempts, and the store has
/// other work too.
const BATCH_MAX: usize = 64;

/// What a lane has to write, and how it learns that it is written.
pub(super) struct Request {
    pub(super) flush: Flush,
    pub(super) written: oneshot::Sender<()>,
}

/// Writes until no lane is left.
pub(super) async fn run(
    store: Arc<dyn DeliveryStore>,
    mut requests: mpsc::Receiver<Request>,
    shutdown: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while requests.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (flushes, written): (Vec<Flush>, Vec<oneshot::Sender<()>>) =
            batch.drain(..).map(|request: Request| (request.flush, request.written)).unzip();
        if write(&*store, flushes, &shutdown).await {
            for lane in written {
                // A lane that is gone does not need to know.
                let _ = lane.send(());
            }
        }
    }
}

/// Writes, again and again; after shutdown, once.
async fn write(
    store: &dyn DeliveryStore,
    flushes: Vec<Flush>,
    shutdown: &CancellationToken,
) -> bool {
    loop {
        let Err(error) = store.flush(flushes.clone()).await else { return true };
        report(&error, "cannot write what was delivered");
        if shutdown.is_cancelled() {
            return false;
        }
        tokio::time::sleep(STORE_PAUSE).await;
    }
}
