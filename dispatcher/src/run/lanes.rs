//! Keeps the lanes running that this dispatcher holds: takes its share, gives back what is beyond it, and stops at once
//! what it has lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::leases::Tenure;
use super::{Making, STORE_PAUSE, Shared, deliver, report};
use crate::ports::{LaneId, Lease, StoreError};
use crate::share::share;

/// How long giving back may take at the end. What is not given back then is free when the lease ends.
pub(super) const LEAVE: Duration = Duration::from_millis(500);

/// The lanes that there should be, as of the last change.
pub(super) type Wanted = Arc<BTreeMap<LaneId, Making>>;

/// See the module.
pub(super) struct Lanes {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    held: BTreeMap<LaneId, Held>,
    /// Lanes that were cut, until they have ended: a lane never runs twice.
    cut: BTreeMap<LaneId, JoinHandle<()>>,
    ended: Arc<Notify>,
    /// What was last looked at.
    seen: Option<Wanted>,
}

/// A lane that is leased.
struct Held {
    lease: Lease,
    running: Option<Running>,
    /// It is given back when it has ended.
    is_leaving: bool,
}

struct Running {
    making: Making,
    /// To end in good order.
    stop: CancellationToken,
    /// To end at once, because the lane is somebody else's.
    cut: CancellationToken,
    /// It has ended.
    over: CancellationToken,
    task: JoinHandle<()>,
}

/// Says that a lane has ended, however it did.
struct Ending {
    over: CancellationToken,
    ended: Arc<Notify>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.over.cancel();
        self.ended.notify_one();
    }
}

impl Lanes {
    pub(super) fn new(
        shared: Arc<Shared>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        let (held, cut) = (BTreeMap::new(), BTreeMap::new());
        Self { shared, tasks, shutdown, held, cut, ended: Arc::default(), seen: None }
    }

    /// Until shutdown; then gives everything back, each lane as soon as it has ended.
    pub(super) async fn run(
        mut self,
        mut wanted: watch::Receiver<Option<Wanted>>,
        mut tenure: watch::Receiver<Option<Tenure>>,
    ) {
        let mut under: Option<Tenure> = None;
        while !self.shutdown.is_cancelled() {
            let lanes = wanted.borrow_and_update().clone();
            let now = tenure.borrow_and_update().clone();
            if under.as_ref().map(|before| before.id) != now.as_ref().map(|now| now.id) {
                self.forget();
            }
            under = now;
            let shutdown = self.shutdown.clone();
            if let (Some(lanes), Some(tenure)) = (lanes, &under)
                && let Some(Err(error)) =
                    shutdown.run_until_cancelled(self.step(&lanes, tenure)).await
            {
                report(&error, "cannot share lanes with the other dispatchers");
                tokio::time::sleep(STORE_PAUSE).await;
                continue;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = self.ended.notified() => {}
                changed = wanted.changed() => if changed.is_err() { break },
                changed = tenure.changed() => if changed.is_err() { break },
            }
        }
        if let Some(tenure) = under {
            self.leave(&tenure).await;
        }
    }

    async fn step(&mut self, wanted: &Wanted, tenure: &Tenure) -> Result<(), StoreError> {
        self.let_go(wanted);
        self.give_back(tenure).await?;
        let names: BTreeSet<LaneId> = wanted.keys().copied().collect();
        let own = self.held.iter().filter(|(_, held)| !held.is_leaving).map(|(lane, _)| *lane);
        let share = share(tenure.id, &names, &own.collect(), &tenure.standing);
        for lane in share.give {
            self.held.entry(lane).and_modify(Held::leave);
        }
        self.give_back(tenure).await?;
        let take: Vec<LaneId> =
            share.take.into_iter().filter(|lane| !self.held.contains_key(lane)).collect();
        if !take.is_empty() {
            for lease in self.shared.store.lease(tenure.id, take).await? {
                let held = Held { lease, running: None, is_leaving: false };
                self.held.insert(lease.lane, held);
            }
        }
        self.start(wanted, tenure);
        Ok(())
    }

    /// Another tenure has begun: nothing is held under it.
    fn forget(&mut self) {
        self.cut.retain(|_, task| !task.is_finished());
        for (lane, held) in std::mem::take(&mut self.held) {
            if let Some(running) = held.running {
                running.cut.cancel();
                self.cut.insert(lane, running.task);
            }
        }
    }

    /// Drops what was lost, and lets those end that are not wanted any more.
    fn let_go(&mut self, wanted: &Wanted) {
        let is_lost =
            |held: &Held| held.running.as_ref().is_some_and(|running| running.cut.is_cancelled());
        for (lane, held) in self.held.extract_if(.., |_, held| is_lost(held)) {
            if let Some(running) = held.running {
                self.cut.insert(lane, running.task);
            }
        }
        let unwanted = self.held.iter_mut().filter(|(lane, _)| !wanted.contains_key(lane));
        unwanted.for_each(|(_, held)| held.leave());
    }

    /// Gives back what has ended.
    async fn give_back(&mut self, tenure: &Tenure) -> Result<(), StoreError> {
        let ended = self.held.values().filter(|held| held.is_leaving && held.has_ended());
        let leases: Vec<Lease> = ended.map(|held| held.lease).collect();
        if leases.is_empty() {
            return Ok(());
        }
        self.shared.store.release(tenure.id, leases.clone()).await?;
        for lease in leases {
            self.held.remove(&lease.lane);
        }
        Ok(())
    }

    /// Starts what is held and does not run as it should.
    fn start(&mut self, wanted: &Wanted, tenure: &Tenure) {
        let is_new = self.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, wanted));
        self.seen = Some(Arc::clone(wanted));
        for (lane, held) in self.held.iter_mut().filter(|(_, held)| !held.is_leaving) {
            let Some(making) = wanted.get(lane) else { continue };
            let before = match held.running.take() {
                // One that ended by itself gets another try when something has changed.
                Some(same) if same.making == *making && !(is_new && same.over.is_cancelled()) => {
                    held.running = Some(same);
                    continue;
                }
                Some(other) => {
                    other.stop.cancel();
                    Some(other.task)
                }
                None => self.cut.remove(lane),
            };
            let (stop, cut) = (self.shutdown.child_token(), tenure.lost.child_token());
            let under = deliver::Under {
                epoch: held.lease.epoch,
                before,
                stop: stop.clone(),
                shutdown: self.shutdown.clone(),
                cut: cut.clone(),
            };
            let lane = deliver::run(making.clone(), Arc::clone(&self.shared), under);
            let over = CancellationToken::new();
            let ending = Ending { over: over.clone(), ended: Arc::clone(&self.ended) };
            let task = self.tasks.spawn(async move {
                let _ending = ending;
                lane.await;
            });
            held.running = Some(Running { making: making.clone(), stop, cut, over, task });
        }
    }

    /// Gives every lane back as soon as it has ended, which takes as long as requests in flight may.
    async fn leave(mut self, tenure: &Tenure) {
        self.held.values_mut().for_each(Held::leave);
        let mut gives_back = true;
        while self.held.values().any(|held| !held.has_ended()) {
            if gives_back && let Err(error) = self.give_back(tenure).await {
                report(&error, "cannot give lanes back");
                gives_back = false;
            }
            tokio::select! {
                () = self.ended.notified() => {}
                () = tenure.lost.cancelled() => return,
            }
        }
        let left = tokio::time::timeout(LEAVE, self.shared.store.leave(tenure.id)).await;
        if let Ok(Err(error)) = left {
            report(&error, "cannot leave the other dispatchers");
        }
    }
}

impl Held {
    fn leave(&mut self) {
        self.is_leaving = true;
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }

    fn has_ended(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.over.is_cancelled())
    }
}
