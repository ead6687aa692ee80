//! Keeps a lane running for every enabled endpoint, until shutdown.
//!
//! One task an endpoint (`deliver`) carries out the actions of its lane; one task (`flush`) writes
//! what all lanes have to write, many in one transaction. All wait for the store as long as it takes:
//! what was not written is sent again, never lost.

mod deliver;
mod flush;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemas::{Edge, EndpointId};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Sender;
use crate::lane::Pool;
use crate::ports::{DeliveryStore, Endpoint, FeedPosition, StoreError};
use crate::schedule::Schedule;

/// How long the store is left alone after it did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// How often lag and blocked lines are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// How many lanes' flushes wait for the writer; each lane has at most one.
const FLUSHES_MAX: usize = 1_024;

/// What the dispatcher may be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who issues tokens: where the world reaches this installation, without a slash at the end.
    pub issuer: Arc<str>,
    /// When to try again.
    pub schedule: Schedule,
    /// First attempts in flight over all endpoints. Each holds a socket; an ordinary limit of open
    /// files is 1,024.
    pub fresh_in_flight: usize,
    /// Retries in flight over all endpoints.
    pub retries_in_flight: usize,
    /// How long requests in flight may go on after shutdown was asked for.
    pub grace: Duration,
}

impl Config {
    /// The usual limits, for the installation that the world reaches here.
    #[must_use]
    pub fn of(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            schedule: Schedule::default(),
            fresh_in_flight: 512,
            retries_in_flight: 128,
            grace: Duration::from_secs(8),
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
    flushes: mpsc::Sender<flush::Request>,
    progress: Mutex<BTreeMap<EndpointId, Progress>>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    cursor: FeedPosition,
    blocked_lines: usize,
}

impl Shared {
    const fn pool(&self, pool: Pool) -> &Semaphore {
        match pool {
            Pool::Fresh => &self.fresh,
            Pool::Retry => &self.retries,
        }
    }

    fn note_progress(&self, endpoint: EndpointId, progress: Option<Progress>) {
        let mut all = self.progress.lock().expect("nothing panics while it is held");
        match progress {
            Some(progress) => drop(all.insert(endpoint, progress)),
            None => drop(all.remove(&endpoint)),
        }
    }
}

struct Running {
    endpoint: Endpoint,
    stop: CancellationToken,
    task: JoinHandle<()>,
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
    let shared = Arc::new(Shared {
        fresh: Semaphore::new(config.fresh_in_flight),
        retries: Semaphore::new(config.retries_in_flight),
        store,
        sender,
        edge,
        config,
        flushes,
        progress: Mutex::default(),
    });
    tasks.spawn(measure(Arc::clone(&shared), shutdown.clone()));
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow(&shared, &tasks, &shutdown) => {}
    }
    drop(shared);
    tasks.close();
    tasks.wait().await;
}

/// Keeps the lanes in step with the endpoints. Never returns.
async fn follow(shared: &Arc<Shared>, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let mut running: BTreeMap<EndpointId, Running> = BTreeMap::new();
    loop {
        let found = shared.store.endpoints().await;
        let changed = match found {
            Ok(endpoints) => {
                reconcile(&mut running, endpoints.list, shared, tasks, shutdown);
                shared.store.wait_endpoints_changed(endpoints.version).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = changed {
            report(&error, "cannot follow the endpoints");
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }
}

fn reconcile(
    running: &mut BTreeMap<EndpointId, Running>,
    endpoints: Vec<Endpoint>,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let enabled = endpoints.into_iter().filter(|endpoint| endpoint.enabled);
    let wanted: BTreeMap<EndpointId, Endpoint> = enabled.map(|one| (one.id, one)).collect();
    for (id, lane) in &*running {
        if !wanted.contains_key(id) {
            lane.stop.cancel();
        }
    }
    // A lane that was told to stop is kept until it has ended: should the endpoint come back, the
    // next lane waits for it, for there is never more than one lane an endpoint.
    running.retain(|_, lane| !lane.task.is_finished());
    for (id, endpoint) in wanted {
        let before = running.remove(&id);
        let before = match before {
            Some(same) if same.endpoint == endpoint && !same.stop.is_cancelled() => {
                running.insert(id, same);
                continue;
            }
            before => before.map(|before| {
                before.stop.cancel();
                before.task
            }),
        };
        let stop = shutdown.child_token();
        let lane = deliver::run(endpoint.clone(), before, Arc::clone(shared), stop.clone());
        running.insert(id, Running { endpoint, stop, task: tasks.spawn(lane) });
    }
}

/// Measures how far behind the lanes are.
async fn measure(shared: Arc<Shared>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(MEASURE_EVERY)).await.is_some() {
        let Ok(end) = shared.store.feed_end().await else { continue };
        let all = shared.progress.lock().expect("nothing panics while it is held").clone();
        let lag = all.values().map(|lane| end.0.saturating_sub(lane.cursor.0)).max();
        let blocked: usize = all.values().map(|lane| lane.blocked_lines).sum();
        gauge("dispatcher_lag_events", lag.unwrap_or(0));
        gauge("dispatcher_blocked_lines", blocked as u64);
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
