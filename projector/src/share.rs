//! Following the partitions that fall to this process.
//!
//! ```text
//!  assignment: {0, 2} ──▶ {2, 3}        0 is stopped, 2 goes on, 3 begins
//! ```
//!
//! Who assigns does not matter for what is right: should two processes follow one partition for a while, the store
//! refuses the one whose position is old.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use log::{EventLog, Partition};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ports::{ProjectionStore, StoreError};
use crate::run::{Error, chain, run_and_tell};

/// How long one that was replaced waits before it looks whether the other is still there. Until then one of them
/// learns that the partition is not its own any more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long a partition that was stopped rests before it is looked at again: an operator may have mended what was wrong
/// with it. Until then nothing is appended to it.
const STOPPED_FOR: Duration = Duration::from_secs(10);

/// Why partitions are not followed although they should be, by number.
pub type Stopped = BTreeMap<Partition, String>;

/// Follows what is assigned, until shutdown. What stands still for good is told to `stopped`.
pub async fn share(
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    mut assigned: watch::Receiver<BTreeSet<Partition>>,
    stopped: watch::Sender<Stopped>,
    shutdown: CancellationToken,
) {
    let mut following =
        Following { log, store, stopped, running: BTreeMap::new(), tasks: JoinSet::new() };
    while !shutdown.is_cancelled() {
        let wanted = assigned.borrow_and_update().clone();
        following.follow(&wanted);
        tokio::select! {
            changed = assigned.changed() => if changed.is_err() {
                // Whoever assigned is gone; what is followed stays so until shutdown.
                following.wait_for_end_or(&shutdown).await;
            },
            Some(ended) = following.tasks.join_next() => following.note(ended),
            () = shutdown.cancelled() => {}
        }
    }
    following.follow(&BTreeSet::new());
    while following.tasks.join_next().await.is_some() {}
}

type Ended = Partition;

struct Following {
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    stopped: watch::Sender<Stopped>,
    running: BTreeMap<Partition, Running>,
    tasks: JoinSet<Ended>,
}

struct Running {
    stop: CancellationToken,
    id: tokio::task::Id,
}

impl Following {
    /// Stops what is not wanted any more and begins what is. What is still stopping begins again when it has stopped.
    fn follow(&mut self, wanted: &BTreeSet<Partition>) {
        for (partition, running) in &self.running {
            if !wanted.contains(partition) {
                running.stop.cancel();
            }
        }
        // Given back and assigned anew, it is looked at anew.
        self.stopped.send_if_modified(|stopped| {
            let before = stopped.len();
            stopped.retain(|partition, _| wanted.contains(partition));
            stopped.len() != before
        });
        for partition in wanted {
            let stuck = self.stopped.borrow().contains_key(partition);
            if !stuck && !self.running.contains_key(partition) {
                self.begin(*partition);
            }
        }
    }

    fn begin(&mut self, partition: Partition) {
        let stop = CancellationToken::new();
        let told = stop.clone();
        let (log, store) = (Arc::clone(&self.log), Arc::clone(&self.store));
        let one = One { log, store, partition, stopped: self.stopped.clone() };
        let task = self.tasks.spawn(async move {
            one.follow(told).await;
            partition
        });
        self.running.insert(partition, Running { stop, id: task.id() });
    }

    /// Takes note of one that has ended, by a panic too, which the hook has logged.
    fn note(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let broken = match ended {
            Ok(partition) => {
                self.running.remove(&partition);
                return;
            }
            Err(broken) => broken,
        };
        let of = |task: &Running| task.id == broken.id();
        let found = self.running.iter().find(|(_, task)| of(task));
        let Some(partition) = found.map(|(partition, _)| *partition) else { return };
        self.running.remove(&partition);
        let why = "the projector has panicked; its log says where".to_owned();
        self.stopped.send_modify(|stopped| drop(stopped.insert(partition, why)));
    }

    async fn wait_for_end_or(&mut self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.note(ended),
                () = shutdown.cancelled() => return,
            }
        }
    }
}

/// One partition that is ours, whoever else believes the same.
struct One {
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    partition: Partition,
    stopped: watch::Sender<Stopped>,
}

impl One {
    /// Follows it until it is another's. Where that would be wrong it stands still, and looks now and then whether it
    /// has been mended.
    async fn follow(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let (log, store) = (Arc::clone(&self.log), Arc::clone(&self.store));
            let goes_on = || self.goes_on();
            let ran = run_and_tell(log, store, self.partition, stop.clone(), &goes_on).await;
            let rest = match ran {
                Ok(()) => return,
                Err(Error::Store(StoreError::Replaced)) => {
                    self.is_replaced();
                    LOOK_AGAIN_AFTER
                }
                // What went wrong while it was taken away is the business of whoever has it now.
                Err(_) if stop.is_cancelled() => return,
                Err(error) => {
                    self.stands_still(&error).await;
                    STOPPED_FOR
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(rest)).await;
        }
    }

    fn is_replaced(&self) {
        let partition = self.partition.0;
        tracing::warn!(partition, "another projector follows this partition too");
        metrics::counter!("projector_replaced_total").increment(1);
    }

    fn goes_on(&self) {
        let goes_on = self.stopped.send_if_modified(|all| all.remove(&self.partition).is_some());
        if goes_on {
            tracing::info!(partition = self.partition.0, "the partition is followed again");
        }
    }

    /// Tells who runs the server, and through the store everybody who would append to the partition.
    async fn stands_still(&self, error: &Error) {
        let (partition, why) = (self.partition, chain(error));
        let is_new = self.stopped.borrow().get(&partition) != Some(&why);
        if is_new {
            let error = error as &dyn std::error::Error;
            tracing::error!(partition = partition.0, error, "{error}");
            self.stopped.send_modify(|stopped| drop(stopped.insert(partition, why.clone())));
        }
        if let Err(error) = self.store.stop(partition, Some(why)).await {
            tracing::warn!(partition = partition.0, %error, "ingest is not told that the partition stands still");
        }
    }
}
