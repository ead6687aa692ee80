//! Keeps the lanes of every enabled endpoint running, until shutdown.
//!
//! Of several dispatchers each runs its share: one task (`leases`) keeps the lease of this one, one (`lanes`) takes lanes
//! and gives them back. One task a lane (`deliver`) carries out its actions; one task (`flush`) writes what all lanes have to
//! write, many in one transaction; one (`tail`) reads the feed for those that have caught up. All wait for the store as long as it takes:
//! what was not written is sent again, never lost.

mod deliver;
mod flush;
mod judge;
mod lanes;
mod leases;
mod read;
mod tail;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemas::{Edge, EndpointKind};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Sender;
use crate::lane::{PerPool, Pool, share_of};
use crate::ports::{DeliveryStore, Endpoint, Endpoints, FeedPosition, LaneId, Replay, StoreError};
use crate::schedule::Schedule;
use judge::Gate;
use lanes::{Lanes, Wanted};
use leases::Keeper;
use tail::Tail;

/// How long the store is left alone after it did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// How often lag and blocked lines are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// How often attempts that are too old are dropped.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// How many lanes' flushes wait for the writer; each lane has at most one.
const FLUSHES_MAX: usize = 1_024;

/// What the dispatcher may be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who issues tokens: where the world reaches this installation, without a slash at the end.
    pub issuer: Arc<str>,
    /// When to try again.
    pub schedule: Schedule,
    /// First attempts in flight over all endpoints that are well. Each holds a socket; an ordinary
    /// limit of open files is 1,024. Of this and the next two each endpoint has at most its
    /// [share](crate::lane::share_of).
    pub fresh_in_flight: usize,
    /// Retries, probes and replays in flight over all endpoints.
    pub retries_in_flight: usize,
    /// Requests in flight to endpoints that are slow.
    pub slow_in_flight: usize,
    /// How long requests in flight may go on after shutdown was asked for. What answers later is sent again. The end itself
    /// takes up to [`ENDING`] more.
    pub grace: Duration,
    /// For how long a dispatcher counts that is not heard of: so long after its end others take its lanes.
    pub lease: Duration,
}

/// How long the end of a dispatcher may take behind its [grace](Config::grace): a last write, and giving lanes back.
pub const ENDING: Duration = deliver::FINAL_WRITE.saturating_add(lanes::LEAVE);

impl Config {
    /// The usual limits, for the installation that the world reaches here.
    #[must_use]
    pub fn of(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            schedule: Schedule::default(),
            fresh_in_flight: 512,
            retries_in_flight: 128,
            slow_in_flight: 192,
            grace: Duration::from_secs(4),
            lease: Duration::from_secs(10),
        }
    }
}

/// What every lane shares.
struct Shared {
    store: Arc<dyn DeliveryStore>,
    sender: Arc<dyn Sender>,
    edge: Arc<dyn Edge>,
    config: Config,
    fresh: Semaphore,
    retries: Semaphore,
    slow: Semaphore,
    takers: [AtomicUsize; 3],
    tail: Arc<Tail>,
    gate: Arc<Gate>,
    flushes: mpsc::Sender<flush::Request>,
    progress: Mutex<BTreeMap<LaneId, Progress>>,
    /// Counts the times at which every lane says how far it is.
    measured: watch::Sender<u64>,
}

/// How far a lane is, as it said last.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// What it follows, and where the first event stands that waits. A replay is behind on purpose and says nothing of it.
    follows: Option<(EndpointKind, FeedPosition)>,
    blocked_lines: usize,
}

impl Shared {
    const fn pool(&self, pool: Pool) -> &Semaphore {
        match pool {
            Pool::Fresh => &self.fresh,
            Pool::Retry => &self.retries,
            Pool::Slow => &self.slow,
        }
    }

    /// The share of a lane in each pool.
    fn shares(&self) -> PerPool {
        let Config { fresh_in_flight, retries_in_flight, slow_in_flight, .. } = self.config;
        PerPool::of(|pool| {
            let size = match pool {
                Pool::Fresh => fresh_in_flight,
                Pool::Retry => retries_in_flight,
                Pool::Slow => slow_in_flight,
            };
            share_of(size, self.takers(pool).load(Ordering::Relaxed))
        })
    }

    /// How many lanes have requests in a pool.
    const fn takers(&self, pool: Pool) -> &AtomicUsize {
        let [fresh, retry, slow] = &self.takers;
        match pool {
            Pool::Fresh => fresh,
            Pool::Retry => retry,
            Pool::Slow => slow,
        }
    }

    fn note_progress(&self, lane: LaneId, progress: Option<Progress>) {
        let mut all = self.progress.lock().expect("nothing panics while it is held");
        match progress {
            Some(progress) => drop(all.insert(lane, progress)),
            None => drop(all.remove(&lane)),
        }
    }
}

/// What a lane is made of. When that changes, another lane takes over.
#[derive(Clone, PartialEq, Eq)]
struct Making {
    endpoint: Endpoint,
    replay: Option<Replay>,
}

/// Delivers until `shutdown`; then lets the requests in flight end, writes what is known and
/// returns.
pub async fn run(
    store: Arc<dyn DeliveryStore>,
    sender: Arc<dyn Sender>,
    edge: Arc<dyn Edge>,
    config: Config,
    shutdown: CancellationToken,
) {
    let (flushes, requests) = mpsc::channel(FLUSHES_MAX);
    let tasks = TaskTracker::new();
    tasks.spawn(flush::run(Arc::clone(&store), requests, shutdown.clone()));
    let gate = Arc::new(Gate::default());
    tasks.spawn(judge::run(
        Arc::clone(&store),
        Arc::clone(&gate),
        Arc::clone(&edge),
        shutdown.clone(),
    ));
    let tail = Arc::new(Tail::new(Arc::clone(&store), Arc::clone(&gate)));
    tasks.spawn(Arc::clone(&tail).run(shutdown.clone()));
    let shared = Arc::new(Shared {
        slow: Semaphore::new(config.slow_in_flight),
        takers: Default::default(),
        tail,
        gate,
        fresh: Semaphore::new(config.fresh_in_flight),
        retries: Semaphore::new(config.retries_in_flight),
        store,
        sender,
        edge,
        config,
        flushes,
        progress: Mutex::default(),
        measured: watch::Sender::new(0),
    });
    tasks.spawn(measure(Arc::clone(&shared), shutdown.clone()));
    tasks.spawn(tidy(Arc::clone(&shared), shutdown.clone()));
    let (wanted, lanes_wanted) = watch::channel(None);
    let (tenure, lanes_tenure) = watch::channel(None);
    let keeper = Keeper {
        store: Arc::clone(&shared.store),
        edge: Arc::clone(&shared.edge),
        lasts: shared.config.lease,
        tenure,
    };
    let lanes = Lanes::new(Arc::clone(&shared), tasks.clone(), shutdown);
    tokio::select! {
        () = lanes.run(lanes_wanted, lanes_tenure) => {}
        // The lease is kept for as long as lanes end in good order.
        () = keeper.run() => {}
        () = follow(&shared, &wanted) => {}
    }
    drop(shared);
    tasks.close();
    tasks.wait().await;
}

/// Follows the endpoints. Never returns.
async fn follow(shared: &Shared, wanted: &watch::Sender<Option<Wanted>>) {
    loop {
        let changed = match shared.store.endpoints().await {
            Ok(endpoints) => {
                let version = endpoints.version;
                wanted.send_replace(Some(Arc::new(lanes_of(endpoints))));
                shared.store.wait_endpoints_changed(version).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = changed {
            report(&error, "cannot follow the endpoints");
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }
}

/// The lanes that there should be.
fn lanes_of(endpoints: Endpoints) -> BTreeMap<LaneId, Making> {
    let enabled = endpoints.list.into_iter().filter(|endpoint| endpoint.enabled);
    let mut wanted: BTreeMap<LaneId, Making> = enabled
        .map(|endpoint| {
            let id = LaneId { endpoint: endpoint.id, replay: None };
            (id, Making { endpoint, replay: None })
        })
        .collect();
    for replay in endpoints.replays {
        let of_feed = LaneId { endpoint: replay.endpoint, replay: None };
        let Some(Making { endpoint, .. }) = wanted.get(&of_feed).cloned() else { continue };
        let id = LaneId { replay: Some(replay.id), ..of_feed };
        wanted.insert(id, Making { endpoint, replay: Some(replay) });
    }
    wanted
}

/// Measures how far behind the lanes are: has each say it, and looks at what they said a while later.
async fn measure(shared: Arc<Shared>, shutdown: CancellationToken) {
    loop {
        let ends = Ends::read(&*shared.store).await;
        shared.measured.send_modify(|times| *times += 1);
        let pause = shutdown.run_until_cancelled(tokio::time::sleep(MEASURE_EVERY));
        if pause.await.is_none() {
            return;
        }
        let Ok(ends) = ends else { continue };
        let all = shared.progress.lock().expect("nothing panics while it is held").clone();
        let lag = all.values().filter_map(|lane| lane.follows).map(|lane| ends.behind(lane)).max();
        let blocked: usize = all.values().map(|lane| lane.blocked_lines).sum();
        gauge("dispatcher_lag_events", lag.unwrap_or(0));
        gauge("dispatcher_blocked_lines", blocked as u64);
    }
}

/// The last positions that there are.
struct Ends {
    feed: FeedPosition,
    operational: FeedPosition,
}

impl Ends {
    async fn read(store: &dyn DeliveryStore) -> Result<Self, StoreError> {
        Ok(Self { feed: store.feed_end().await?, operational: store.operational_end().await? })
    }

    /// How many events there are from this one to the end.
    const fn behind(&self, (follows, from): (EndpointKind, FeedPosition)) -> u64 {
        let end = match follows {
            EndpointKind::Directory => self.feed,
            EndpointKind::Operational => self.operational,
        };
        end.next().0.saturating_sub(from.0)
    }
}

async fn tidy(shared: Arc<Shared>, shutdown: CancellationToken) {
    loop {
        if let Err(error) = shared.store.tidy().await {
            report(&error, "cannot drop old attempts");
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(TIDY_EVERY)).await.is_none() {
            return;
        }
    }
}

fn gauge(name: &'static str, value: u64) {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    metrics::gauge!(name).set(f64::from(value));
}

fn report(error: &StoreError, what: &str) {
    match error {
        StoreError::Unavailable(_) => {
            tracing::warn!(error = error as &dyn std::error::Error, "{what}, trying again");
        }
        StoreError::Corrupt(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "{what}, trying again");
        }
    }
}

/// Asks the store until it answers.
async fn persist<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => report(&error, what),
        }
        tokio::time::sleep(STORE_PAUSE).await;
    }
}
