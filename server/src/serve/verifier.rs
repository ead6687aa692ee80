//! The walk through the log as the API asks for it.

use std::path::PathBuf;
use std::sync::Arc;

use api::ports::{BoxError, PortError, Verification, Verifier};
use async_trait::async_trait;
use projector::rebuild::RebuildError;
use projector::verify::{Snapshot as _, VerifyError, check_partitions, verify};
use schemas::DirectoryId;
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::LogSource;

/// A walk reads the whole log and keeps a core busy: one is enough at a time.
const WALKS_MAX: usize = 1;

/// Walks beside the running server.
pub(super) struct Walker {
    store: Arc<Store>,
    /// Where a walk keeps what it has to remember.
    scratch: Arc<PathBuf>,
    log: LogSource,
    walks: Arc<Semaphore>,
    end: CancellationToken,
}

impl Walker {
    pub(super) fn new(
        store: Arc<Store>,
        scratch: PathBuf,
        log: LogSource,
        end: CancellationToken,
    ) -> Self {
        let walks = Arc::new(Semaphore::new(WALKS_MAX));
        Self { store, scratch: Arc::new(scratch), log, walks, end }
    }
}

#[async_trait]
impl Verifier for Walker {
    async fn verify(&self, directory: Option<DirectoryId>) -> Result<Verification, PortError> {
        let unavailable = |error: BoxError| PortError::Unavailable(error);
        let walk = Arc::clone(&self.walks).acquire_owned().await;
        let walk = walk.map_err(|error| unavailable(error.into()))?;
        let snapshot = self.store.snapshot().await.map_err(|error| unavailable(error.into()))?;
        let (scratch, log) = (Arc::clone(&self.scratch), self.log.clone());
        let end = self.end.clone();
        let walked = tokio::task::spawn_blocking(move || {
            // Held until the walk is over, whether or not the caller still waits.
            let _walk = walk;
            walk_all(snapshot, &scratch, &log, directory, &end)
        });
        let walked = walked.await.map_err(|error| unavailable(error.into()))?;
        match walked {
            Ok(events) => Ok(Verification::Whole { events }),
            Err(VerifyError::Difference(found)) => Ok(Verification::Broken {
                directory: found.directory_id,
                seq: found.seq,
                what: found.what,
            }),
            Err(error) => Err(unavailable(error.into())),
        }
    }
}

fn walk_all(
    mut snapshot: store::Snapshot,
    folder: &std::path::Path,
    log: &LogSource,
    directory: Option<DirectoryId>,
    end: &CancellationToken,
) -> Result<u64, VerifyError> {
    let unread = |error: anyhow::Error| VerifyError::Walk(RebuildError::Log(error.into()));
    let mut events = 0;
    let partitions = log.partitions().map_err(unread)?;
    check_partitions(&partitions, &mut snapshot)?;
    for partition in partitions {
        let mut scratch =
            store::Scratch::create(folder).map_err(|error| VerifyError::Scratch(error.into()))?;
        let scan = log.scan(partition).map_err(unread)?.scan;
        let end = end.clone();
        let scan = Box::new(scan.map(move |entry| {
            if end.is_cancelled() { Err("the server ends".into()) } else { entry }
        }));
        let seen = verify(partition, scan, &mut snapshot, &mut scratch, directory, &mut |_| {})?;
        events += match directory {
            None => seen.events,
            // How many others have is none of the business of who asks for one.
            Some(id) => {
                let heads = snapshot.heads(partition).map_err(VerifyError::Store)?;
                let own = heads.into_iter().find(|stored| stored.directory_id == id);
                own.map_or(0, |stored| stored.head.seq.0)
            }
        };
    }
    Ok(events)
}
