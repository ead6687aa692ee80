//! Writes what the lanes have to write, as many as wait in one transaction.

use std::collections::BTreeSet;
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
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    while !waiting.is_empty() || requests.recv_many(&mut waiting, BATCH_MAX).await > 0 {
        let mut batch = one_of_each(&mut waiting, |request| request.flush.flush.lane);
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

/// Takes the first of each lane; the others stay, in their order. A lane that was lost may have left one behind, which is to
/// be refused without harm to that of the lane which runs now.
fn one_of_each<T>(waiting: &mut Vec<T>, lane: impl Fn(&T) -> LaneId) -> Vec<T> {
    let mut taken = BTreeSet::new();
    waiting.extract_if(.., |one| taken.insert(lane(one))).collect()
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

#[cfg(test)]
mod tests {
    use schemas::EndpointId;

    use super::*;

    #[test]
    fn a_batch_holds_at_most_one_flush_of_a_lane() {
        let lane = |bits| LaneId { endpoint: EndpointId::from_bits(bits), replay: None };
        let mut waiting = vec![(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd'), (1, 'e')];
        let mut batches = Vec::new();
        while !waiting.is_empty() {
            batches.push(one_of_each(&mut waiting, |(bits, _)| lane(*bits)));
        }
        let first = vec![(1, 'a'), (2, 'b'), (3, 'd')];
        assert_eq!(batches, [first, vec![(1, 'c')], vec![(1, 'e')]]);
    }
}
