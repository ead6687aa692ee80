//! The walk through the log as the API asks for it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::ports::{BoxError, PortError, Verification, Verifier};
use async_trait::async_trait;
use projector::rebuild::RebuildError;
use projector::verify::{Snapshot as _, VerifyError, check_partitions, check_store, verify};
use schemas::DirectoryId;
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::LogSource;

/// A walk reads the whole log and keeps a core busy: one is enough at a time.
const WALKS_MAX: usize = 1;

/// How many walks of one directory each may be under way or wait for their turn: whoever waits holds a connection, and
/// behind more than these it would be for longer than clients wait.
const OF_DIRECTORIES_MAX: usize = 5;

/// Walks beside the running server.
pub(super) struct Walker {
    store: Arc<Store>,
    /// Where a walk keeps what it has to remember.
    scratch: Arc<PathBuf>,
    log: LogSource,
    turns: Arc<Turns>,
    end: CancellationToken,
}

/// Who walks, and who waits for that.
struct Turns {
    walks: Arc<Semaphore>,
    /// What is walked or waits: a directory, or all of them. A lock of the standard library: it is held for a look-up,
    /// never over an await.
    asked: Mutex<BTreeSet<Option<DirectoryId>>>,
}

/// The place of one who walks or waits, until it is dropped.
struct Place {
    turns: Arc<Turns>,
    directory: Option<DirectoryId>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { walks: Arc::new(Semaphore::new(WALKS_MAX)), asked: Mutex::default() }
    }
}

impl Turns {
    /// A place, if the same is not asked for already. There is always one for a walk of all, so that customers' keys do
    /// not keep out whoever runs the server.
    fn place(self: &Arc<Self>, directory: Option<DirectoryId>) -> Option<Place> {
        let mut asked = self.asked.lock().expect("nothing panics while it is held");
        let is_full = directory.is_some() && asked.iter().flatten().count() >= OF_DIRECTORIES_MAX;
        let is_taken = is_full || !asked.insert(directory);
        (!is_taken).then(|| Place { turns: Arc::clone(self), directory })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut asked = self.turns.asked.lock().expect("nothing panics while it is held");
        asked.remove(&self.directory);
    }
}

impl Walker {
    pub(super) fn new(
        store: Arc<Store>,
        scratch: PathBuf,
        log: LogSource,
        end: CancellationToken,
    ) -> Self {
        Self { store, scratch: Arc::new(scratch), log, turns: Arc::default(), end }
    }
}

#[async_trait]
impl Verifier for Walker {
    async fn verify(
        &self,
        directory: Option<DirectoryId>,
    ) -> Result<Option<Verification>, PortError> {
        let unavailable = |error: BoxError| PortError::Unavailable(error);
        let Some(place) = self.turns.place(directory) else { return Ok(None) };
        let walk = Arc::clone(&self.turns.walks).acquire_owned().await;
        let walk = walk.map_err(|error| unavailable(error.into()))?;
        let snapshot = self.store.snapshot().await.map_err(|error| unavailable(error.into()))?;
        let (scratch, log) = (Arc::clone(&self.scratch), self.log.clone());
        let end = self.end.clone();
        let walked = tokio::task::spawn_blocking(move || {
            // Held until the walk is over, whether or not the caller still waits.
            let _turn = (walk, place);
            walk_all(snapshot, &scratch, &log, directory, &end)
        });
        let walked = walked.await.map_err(|error| unavailable(error.into()))?;
        match walked {
            Ok(events) => Ok(Some(Verification::Whole { events })),
            Err(VerifyError::Difference(found)) => Ok(Some(Verification::Broken {
                directory: found.directory_id,
                seq: found.seq,
                what: found.what,
            })),
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
    // Whoever asks for one directory is told of that one.
    if directory.is_none() {
        check_store(events, &mut snapshot)?;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_walk_is_not_asked_for_twice_and_few_wait_for_their_turn() {
        let turns = Arc::<Turns>::default();
        let of = |number: u128| turns.place(Some(DirectoryId::from_bits(number)));
        let first = of(1);
        assert!(first.is_some() && of(1).is_none());
        let others: Vec<_> = (2..=5).map(of).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(of(6).is_none(), "five wait");
        let all = turns.place(None);
        assert!(all.is_some() && turns.place(None).is_none(), "all are walked in any case");
        drop(first);
        assert!(of(6).is_some());
    }
}
