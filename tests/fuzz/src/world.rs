//! A SCIM service with one directory, complete but for the network: writers, a log in memory, a projector,
//! a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::fixtures;
use api::ports::{Directories, Organizations, Reach};
use axum::Router;
use log::memory::Memory;
use log::{EventLog, Partition};
use schemas::{Edge, Timestamp};
use sha2::{Digest as _, Sha256};
use store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const ENDPOINT: &str = "endpoint";
pub(crate) const TOKEN: &str = "dsync_token";

const P: Partition = Partition(0);

/// A clock and ids that count.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Edge for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000 + i64::try_from(self.id()).unwrap_or(i64::MAX))
    }

    fn id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1_000
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }

    fn dice(&self) -> f64 {
        0.5
    }
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) router: Router,
    stop: CancellationToken,
    _folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let (edge, stop) = (Arc::new(Counting::default()), CancellationToken::new());
        let store = Store::open(folder.path(), [7; 32], edge.clone()).expect("a store");
        let store = Arc::new(store);
        let log: Arc<dyn EventLog> = Arc::new(Memory::new(1));
        let tracker = TaskTracker::new();
        let router = runtime.block_on(async {
            make_directory(&store).await;
            tracker.spawn(projector::run(log.clone(), store.clone(), P, stop.clone()));
            let writers = (log, store.clone(), edge.clone(), tracker.clone(), stop.clone());
            let (log, replica, clock, tasks, end) = writers;
            let (request_log, keeper) = ingest::request_log::RequestLog::new();
            tracker.spawn(keeper.run(store.clone(), stop.clone()));
            ingest::router(ingest::Wiring {
                replica: store,
                writers: Arc::new(ingest::Writers::new(log, replica, clock, tasks, end)),
                public_url: "https://sync.test".into(),
                limits: Arc::new(ingest::Limits::new(None, false)),
                request_log,
                edge,
            })
        });
        Self { runtime, router, stop, _folder: folder }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn make_directory(store: &Store) {
    let organization = fixtures::organization(1);
    let mut new = fixtures::directory(organization.id, 1);
    (new.endpoint_id, new.token.digest) = (ENDPOINT.to_owned(), Sha256::digest(TOKEN).into());
    Organizations::create(store, organization).await.expect("an organization");
    Directories::create(store, Reach::Everything, new).await.expect("a directory");
}
