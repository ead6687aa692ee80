//! The app, the clock and a dispatcher between them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dispatcher::client::{Answer, Request, Sender};
use dispatcher::ports::Outcome;
use dispatcher::{Config, Failure};
use schemas::{Edge, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::Store;

/// An app that fails each event as often as `fails` says.
pub(crate) struct App {
    pub(crate) fails: fn(&str, u64) -> Option<Failure>,
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) hangs: bool,
    /// How long it thinks.
    pub(crate) thinks: Duration,
    /// How many requests it has, and how many were given up.
    pub(crate) begun: watch::Sender<u32>,
    pub(crate) given_up: watch::Sender<u32>,
}

/// Counts a request that is dropped.
pub(crate) struct Open<'a>(&'a watch::Sender<u32>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl App {
    pub(crate) fn new(fails: fn(&str, u64) -> Option<Failure>) -> Arc<Self> {
        Self::with(fails, false)
    }

    /// One that takes its time.
    pub(crate) fn thinking(thinks: Duration) -> Arc<Self> {
        let app = Self::with(|_, _| None, false);
        Arc::new(Self { thinks, ..Arc::into_inner(app).unwrap() })
    }

    pub(crate) fn with(fails: fn(&str, u64) -> Option<Failure>, hangs: bool) -> Arc<Self> {
        let (begun, given_up) = (watch::Sender::new(0), watch::Sender::new(0));
        Arc::new(Self {
            fails,
            seen: Mutex::default(),
            hangs,
            thinks: Duration::ZERO,
            begun,
            given_up,
        })
    }
}

#[async_trait]
impl Sender for App {
    async fn send(&self, request: Request, _: Timestamp) -> Answer {
        if self.hangs {
            let _open = Open(&self.given_up);
            self.begun.send_modify(|count| *count += 1);
            std::future::pending::<()>().await;
        }
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let attempt = request.headers["dsync-attempt"].to_str().unwrap().parse().unwrap();
        self.begun.send_modify(|count| *count += 1);
        tokio::time::sleep(self.thinks).await;
        tokio::task::yield_now().await;
        let failure = (self.fails)(&body, attempt);
        if failure.is_none() {
            self.seen.lock().unwrap().push(body);
        }
        let outcome = failure.map_or(Outcome::Delivered { status: Some(200) }, Outcome::Failed);
        Answer { outcome, retry_after: None, excerpt: None }
    }
}

/// A clock that goes along with tokio's.
pub(crate) struct World {
    pub(crate) begin: tokio::time::Instant,
    pub(crate) ids: AtomicU64,
}

impl Edge for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_772_446_530_123).after(self.begin.elapsed())
    }
    fn id(&self) -> u128 {
        self.ids.fetch_add(1, Ordering::Relaxed).into()
    }
    fn secret(&self) -> [u8; 32] {
        [0; 32]
    }
    fn dice(&self) -> f64 {
        0.5
    }
}

pub(crate) fn start(store: &Arc<Store>, app: &Arc<App>) -> (CancellationToken, JoinHandle<()>) {
    start_with(store, app, Duration::from_secs(60))
}

pub(crate) fn start_with(
    store: &Arc<Store>,
    app: &Arc<App>,
    lease: Duration,
) -> (CancellationToken, JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let edge = World { begin: tokio::time::Instant::now(), ids: AtomicU64::new(0) };
    let config = Config {
        schedule: "20ms,20ms,20ms".parse().unwrap(),
        grace: Duration::from_millis(200),
        lease,
        ..Config::of("https://sync.example")
    };
    let (store, app) = (Arc::clone(store), Arc::clone(app));
    let run = dispatcher::run(store, app, Arc::new(edge), config, shutdown.clone());
    (shutdown, TaskTracker::new().spawn(run))
}
