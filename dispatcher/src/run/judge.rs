//! Goes through the feed ahead of the lanes and says what is held.
//!
//! ```text
//!  feed  … 41 42 43 44 45 46 47 48
//!           │     lanes   │  └ not judged: no lane sees it
//!           ▼             └ judged
//! ```
//!
//! What is held is written before a lane can see it. Where nothing is held there is nothing to wait for:
//! what directories come to is written now and then, and a crash makes the judge look at the same events
//! again, with the same result. Without any brake it does nothing, and lanes do not wait for it.
//!
//! Several dispatchers that share a store all judge. Each writes what it has judged before its lanes see it, and only
//! if nobody has written since it last looked: otherwise it takes over what was written and goes on from there. So
//! whoever is first decides, and the lanes of all see the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use schemas::{Brake, DirectoryId, Edge, ScimId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{gauge, persist};
use crate::brake::{Hold, Verdict, Watch};
use crate::lane::Released;
use crate::ports::{
    BrakeNotice, Brakes, DeliveryStore, FeedPosition, HeldEvent, Judgement, SeenPage,
};

/// How many events are looked at before lanes see them.
const PAGE: usize = 512;

/// How long what directories come to may be unwritten.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How much of the feed may be judged without a word of it, so that a start has not much to repeat.
const SAVE_EVENTS: u64 = 10_000;

/// How often it is asked whether endpoints have what was released.
const CLOSE_EVERY: Duration = Duration::from_secs(5);

/// Everything, for when there is no brake.
const NO_END: FeedPosition = FeedPosition(u64::MAX);

/// What lanes know of the judge.
#[derive(Debug, Default)]
pub(super) struct Gate {
    judged: watch::Sender<FeedPosition>,
    released: watch::Sender<Released>,
}

impl Gate {
    /// Up to here the feed is judged.
    pub(super) fn judged(&self) -> FeedPosition {
        *self.judged.borrow()
    }

    /// Returns once something after this position is judged, if there is something.
    pub(super) async fn passed(&self, after: FeedPosition) {
        let mut judged = self.judged.subscribe();
        // The sender lives as long as this.
        let _ = judged.wait_for(|judged| *judged > after).await;
    }

    /// The holds that are released.
    pub(super) fn released(&self) -> watch::Receiver<Released> {
        self.released.subscribe()
    }
}

/// Judges until shutdown.
pub(super) async fn run(
    store: Arc<dyn DeliveryStore>,
    gate: Arc<Gate>,
    edge: Arc<dyn Edge>,
    shutdown: CancellationToken,
) {
    shutdown.run_until_cancelled(follow(store, gate, edge)).await;
}

async fn follow(store: Arc<dyn DeliveryStore>, gate: Arc<Gate>, edge: Arc<dyn Edge>) {
    let kept = persist("cannot read what is held", || store.kept()).await;
    let mut judge = Judge {
        watches: kept.watches.into_iter().collect(),
        rules: BTreeMap::new(),
        watched: Arc::default(),
        judged: kept.judged,
        revision: kept.revision,
        is_shared: kept.is_shared,
        changed: BTreeSet::new(),
        version: 0,
        saved_at: Instant::now(),
        saved: kept.judged,
        closed_at: Instant::now(),
        store,
        gate,
        edge,
    };
    judge.publish();
    loop {
        judge.learn().await;
        if judge.watched.is_empty() {
            judge.gate.judged.send_replace(NO_END);
            judge.wait(None).await;
        } else if !judge.look().await {
            judge.gate.judged.send_replace(judge.judged);
            judge.wait(Some(judge.judged)).await;
        }
        judge.upkeep().await;
    }
}

struct Judge {
    store: Arc<dyn DeliveryStore>,
    gate: Arc<Gate>,
    edge: Arc<dyn Edge>,
    /// Those of every directory that was ever watched.
    watches: BTreeMap<DirectoryId, Watch>,
    rules: BTreeMap<DirectoryId, Brake>,
    watched: Arc<BTreeSet<DirectoryId>>,
    judged: FeedPosition,
    /// Which judgement is the last that it knows of.
    revision: u64,
    /// Whether others judge as well.
    is_shared: bool,
    /// Whose watches differ from what is kept.
    changed: BTreeSet<DirectoryId>,
    version: u64,
    saved_at: Instant,
    saved: FeedPosition,
    closed_at: Instant,
}

impl Judge {
    /// Takes in what brakes say and what is asked of them, if that has changed.
    async fn learn(&mut self) {
        let has_changed = self.store.wait_brakes_changed(self.version).now_or_never().is_some();
        if self.version > 0 && !has_changed {
            return;
        }
        let brakes = persist("cannot read the brakes", || self.store.brakes()).await;
        self.version = brakes.version.max(1);
        if self.is_shared {
            self.look_again().await;
        }
        if !self.release(&brakes).await {
            return;
        }
        let rule = |braked: &crate::ports::Braked| Some((braked.directory, braked.rule?));
        self.rules = brakes.list.iter().filter_map(rule).collect();
        let held = self.watches.iter().filter(|(_, watch)| watch.hold().is_some());
        let wanted: BTreeSet<DirectoryId> =
            held.map(|(id, _)| *id).chain(self.rules.keys().copied()).collect();
        if self.watched.is_empty() && !self.watches.values().any(Watch::is_on) {
            // Nothing was watched: what lies before is nobody's.
            self.judged = persist("cannot read the feed", || self.store.feed_end()).await;
            if !wanted.is_empty() {
                // Counting directories takes a while. What comes meanwhile is judged before lanes see it.
                self.gate.judged.send_replace(self.judged);
            }
        }
        for id in &wanted {
            self.begin(*id).await;
        }
        for (id, watch) in &mut self.watches {
            if watch.is_on() && !wanted.contains(id) {
                watch.turn_off();
                self.changed.insert(*id);
            }
        }
        self.watched = Arc::new(wanted);
        if !self.changed.is_empty() {
            self.save(Judgement::default()).await;
        }
    }

    async fn begin(&mut self, id: DirectoryId) {
        let before = self.watches.get(&id);
        if before.is_some_and(Watch::is_on) {
            return;
        }
        let (end, counts) = persist("cannot count a directory", || self.store.census(id)).await;
        let begun = match self.watches.get(&id) {
            Some(before) => before.begin_again(end, counts),
            None => Watch::new(end, counts),
        };
        self.watches.insert(id, begun);
        self.changed.insert(id);
    }

    /// Releases what the operator wants released. False if another was faster.
    async fn release(&mut self, brakes: &Brakes) -> bool {
        let mut judgement = Judgement::default();
        for braked in brakes.list.iter().filter(|braked| braked.release) {
            let id = braked.directory;
            judgement.answered.push(id);
            if let Some(hold) = self.watches.get_mut(&id).and_then(Watch::release) {
                self.changed.insert(id);
                judgement.notices.push((id, hold, self.released()));
            }
        }
        if judgement.answered.is_empty() {
            return true;
        }
        let is_saved = self.save(judgement).await;
        self.publish();
        is_saved
    }

    fn released(&self) -> BrakeNotice {
        BrakeNotice::Released { at: self.edge.now() }
    }

    /// Looks at the next part of the feed; false if there is none.
    async fn look(&mut self) -> bool {
        let (after, watched) = (self.judged, &self.watched);
        let read = || self.store.seen(after, PAGE, Arc::clone(watched));
        let page = persist("cannot read the feed", read).await;
        if page.read_to <= after {
            return false;
        }
        let mut known = self.subjects(&page).await;
        let mut judgement = Judgement::default();
        for (id, seen) in &page.events {
            let Some(watch) = self.watches.get_mut(id) else { continue };
            let rule = self.rules.get(id).copied();
            let is_behind = seen.subjects().any(|subject| known.contains(&(*id, subject)));
            let was_held = watch.held();
            self.changed.insert(*id);
            let verdict = watch.see(seen, rule, is_behind);
            let is_held = watch.held();
            if let Verdict::Held { hold, has_tripped } = verdict {
                known.extend(seen.subjects().map(|subject| (*id, subject)));
                judgement.held.push(HeldEvent {
                    directory: *id,
                    position: seen.position,
                    hold,
                    subjects: seen.subjects().collect(),
                });
                if let (true, Some(hold), Some(rule)) = (has_tripped, is_held, rule) {
                    judgement.notices.push((*id, hold, BrakeNotice::Held { rule }));
                }
            }
            if let (Some(hold), None) = (was_held, is_held) {
                judgement.notices.push((*id, hold, self.released()));
            }
        }
        self.judged = page.read_to;
        if self.is_shared || !judgement.held.is_empty() || !judgement.notices.is_empty() {
            self.save(judgement).await;
            self.publish();
        }
        self.gate.judged.send_replace(self.judged);
        true
    }

    /// The users and groups in a page of which something is held already.
    async fn subjects(&self, page: &SeenPage) -> BTreeSet<(DirectoryId, ScimId)> {
        let mut asked: BTreeMap<DirectoryId, BTreeSet<ScimId>> = BTreeMap::new();
        for (id, seen) in &page.events {
            if self.watches.get(id).is_some_and(|watch| watch.hold().is_some()) {
                asked.entry(*id).or_default().extend(seen.subjects());
            }
        }
        let mut known = BTreeSet::new();
        for (id, subjects) in asked {
            let ask = || self.store.held_subjects(id, subjects.clone());
            let held = persist("cannot read what is held", ask).await;
            known.extend(held.into_iter().map(|subject| (id, subject)));
        }
        known
    }

    /// Takes over what is kept, which is more than is known here where others judge as well.
    async fn look_again(&mut self) {
        let kept = persist("cannot read what is held", || self.store.kept()).await;
        self.watches = kept.watches.into_iter().collect();
        (self.revision, self.judged, self.saved) = (kept.revision, kept.judged, kept.judged);
        self.changed.clear();
        self.publish();
        self.count_held();
    }

    /// Writes what was decided, with what directories have come to, and tells of it. False if another has judged
    /// before: then nothing of it is written or told, and all of it is to be decided again from what the other has
    /// come to.
    async fn save(&mut self, judgement: Judgement) -> bool {
        let changed = std::mem::take(&mut self.changed);
        let kept = |id: DirectoryId| Some((id, self.watches.get(&id)?.clone()));
        let watches = changed.into_iter().filter_map(kept).collect();
        let (judged, revision) = (self.judged, self.revision);
        let judgement = Judgement { judged, revision, watches, ..judgement };
        let write = || self.store.judge(judgement.clone());
        let Some(revision) = persist("cannot write what is held", write).await else {
            self.look_again().await;
            self.version = 0;
            return false;
        };
        self.revision = revision;
        (self.saved_at, self.saved) = (Instant::now(), self.judged);
        judgement.notices.iter().for_each(|(id, hold, notice)| tell(*id, *hold, *notice));
        self.count_held();
        true
    }

    fn count_held(&self) {
        let held = self.watches.values().filter(|watch| watch.held().is_some()).count();
        gauge("dispatcher_held_directories", held as u64);
    }

    /// Tells the lanes what is released.
    fn publish(&self) {
        let is_released = |watch: &Watch| watch.released() > FeedPosition(0);
        let released = self.watches.iter().filter(|(_, watch)| is_released(watch));
        let released: Released = released.map(|(id, watch)| (*id, watch.released())).collect();
        self.gate.released.send_if_modified(|known| {
            let is_news = *known != released;
            *known = released;
            is_news
        });
    }

    /// Waits for something to look at, or for the time of the upkeep.
    async fn wait(&self, after: Option<FeedPosition>) {
        let feed = async {
            match after {
                Some(after) => {
                    persist("cannot wait for the feed", || self.store.wait_feed(after)).await
                }
                None => std::future::pending().await,
            }
        };
        let brakes = || self.store.wait_brakes_changed(self.version);
        let due = self.upkeep_at();
        tokio::select! {
            () = feed => {}
            () = persist("cannot wait for the brakes", brakes) => {}
            () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
        }
    }

    fn upkeep_at(&self) -> Option<Instant> {
        let save = (!self.changed.is_empty()).then(|| self.saved_at + SAVE_EVERY);
        let releases = self.watches.values().any(Watch::is_releasing);
        let close = releases.then(|| self.closed_at + CLOSE_EVERY);
        save.into_iter().chain(close).min()
    }

    async fn upkeep(&mut self) {
        let now = Instant::now();
        if self.closed_at + CLOSE_EVERY <= now {
            self.closed_at = now;
            self.close().await;
        }
        let is_far = self.judged.0 >= self.saved.0 + SAVE_EVENTS;
        if (is_far || !self.changed.is_empty()) && self.saved_at + SAVE_EVERY <= now {
            self.save(Judgement::default()).await;
        }
    }

    /// Forgets what was held of directories that every endpoint is through with.
    async fn close(&mut self) {
        let releasing = self.watches.iter().filter(|(_, watch)| watch.is_releasing());
        let ids: Vec<DirectoryId> = releasing.map(|(id, _)| *id).collect();
        for id in ids {
            let is_drained =
                persist("cannot read what is held", || self.store.is_drained(id)).await;
            if let Some(watch) = self.watches.get_mut(&id).filter(|_| is_drained) {
                watch.close();
                self.changed.insert(id);
                self.save(Judgement { closed: vec![id], ..Judgement::default() }).await;
                // It may be that nothing is to be watched any more.
                self.version = 0;
            }
        }
    }
}

/// Of several dispatchers that decide the same, the one whose decision was written tells of it.
fn tell(id: DirectoryId, hold: Hold, notice: BrakeNotice) {
    match notice {
        BrakeNotice::Held { .. } => {
            tracing::warn!(
                directory.id = %id,
                users_removed = hold.removed.users,
                users = hold.of.users,
                memberships_removed = hold.removed.memberships,
                memberships = hold.of.memberships,
                "DSYNC-007: too much of a directory is removed at once; what tells apps of it is held until it is released"
            );
            metrics::counter!("dispatcher_holds_total").increment(1);
        }
        BrakeNotice::Released { .. } => {
            tracing::warn!(directory.id = %id, events = hold.events, "what was held of a directory is released");
        }
    }
}
