//! The event streams as the API sees them: the writers of ingest, behind the API's own port.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{BoxError, PortError, Streams};
use async_trait::async_trait;
use ingest::Writers;
use schemas::{Actor, DirectoryId};
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often it is looked which streams lag behind configuration. One that still does at the second look is nobody's
/// who is waiting for it.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Lets the writers make a stream say what configuration says.
pub(super) struct Reconciling {
    writers: Arc<Writers>,
}

impl Reconciling {
    pub(super) const fn new(writers: Arc<Writers>) -> Self {
        Self { writers }
    }
}

#[async_trait]
impl Streams for Reconciling {
    async fn reconcile(&self, directory: DirectoryId, actor: Actor) -> Result<(), PortError> {
        let done = self.writers.reconcile(directory, actor).await;
        done.map_err(|error| PortError::Unavailable(BoxError::from(error)))
    }
}

/// What configuration says and the streams do not: the process ended in between, the log was away for longer than
/// anybody waits, who asked has gone, or the time of a token is over.
#[async_trait]
trait Lagging: Send + Sync {
    async fn lagging(&self) -> Result<BTreeSet<DirectoryId>, BoxError>;
    async fn reconcile(&self, directory: DirectoryId) -> Result<(), BoxError>;
}

struct Behind {
    store: Arc<Store>,
    writers: Arc<Writers>,
}

#[async_trait]
impl Lagging for Behind {
    async fn lagging(&self) -> Result<BTreeSet<DirectoryId>, BoxError> {
        for directory in self.store.revoke_expired_tokens().await? {
            // Nobody else waits for it. If it fails now, its stream lags, and is made up for.
            if let Err(error) = self.reconcile(directory).await {
                tracing::debug!(directory.id = %directory, %error, "the stream does not tell yet that a token is void");
            }
        }
        Ok(self.store.unreconciled().await?.into_iter().collect())
    }

    async fn reconcile(&self, directory: DirectoryId) -> Result<(), BoxError> {
        Ok(self.writers.reconcile(directory, Actor::default()).await?)
    }
}

/// Makes up for what streams lag behind, at the start and for as long as the process runs.
pub(super) fn catch_up(
    store: &Arc<Store>,
    writers: &Arc<Writers>,
    tracker: &TaskTracker,
    end: CancellationToken,
) {
    let behind = Behind { store: Arc::clone(store), writers: Arc::clone(writers) };
    tracker.spawn(async move { end.run_until_cancelled(keep_up(&behind)).await });
}

async fn keep_up(behind: &dyn Lagging) {
    let mut before: Option<BTreeSet<DirectoryId>> = None;
    loop {
        match behind.lagging().await {
            Ok(lagging) => {
                // Of those that lag for the first time somebody may be waiting for the answer right now.
                let is_left =
                    |id: &&DirectoryId| before.as_ref().is_none_or(|all| all.contains(id));
                for directory in lagging.iter().filter(is_left) {
                    if let Err(error) = behind.reconcile(*directory).await {
                        tracing::warn!(directory.id = %directory, %error, "the stream does not tell yet what configuration says");
                    }
                }
                before = Some(lagging);
            }
            Err(error) => {
                tracing::warn!(%error, "it is unknown which streams lag behind configuration");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::timeout;

    use super::*;

    /// Some streams lag, and the log is away for the first so many attempts.
    struct Away {
        lagging: Mutex<BTreeSet<DirectoryId>>,
        away: Mutex<u32>,
    }

    #[async_trait]
    impl Lagging for Away {
        async fn lagging(&self) -> Result<BTreeSet<DirectoryId>, BoxError> {
            Ok(self.lagging.lock().unwrap().clone())
        }

        async fn reconcile(&self, directory: DirectoryId) -> Result<(), BoxError> {
            let mut away = self.away.lock().unwrap();
            if *away > 0 {
                *away -= 1;
                return Err("the log is away".into());
            }
            self.lagging.lock().unwrap().remove(&directory);
            Ok(())
        }
    }

    fn ids(numbers: &[u128]) -> Mutex<BTreeSet<DirectoryId>> {
        Mutex::new(numbers.iter().map(|number| DirectoryId::from_bits(*number)).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_lags_is_made_up_for_when_the_log_is_back() {
        let behind = Away { lagging: ids(&[1, 2]), away: Mutex::new(5) };
        let _ = timeout(LOOK_EVERY * 4, keep_up(&behind)).await;
        assert_eq!(*behind.lagging.lock().unwrap(), BTreeSet::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_begins_to_lag_is_left_to_who_waits_for_it_and_then_made_up_for() {
        let behind = Away { lagging: ids(&[]), away: Mutex::new(0) };
        let later = async {
            tokio::time::sleep(LOOK_EVERY / 2).await;
            behind.lagging.lock().unwrap().insert(DirectoryId::from_bits(3));
            tokio::time::sleep(LOOK_EVERY).await;
            assert_eq!(behind.lagging.lock().unwrap().len(), 1, "at the first look");
            tokio::time::sleep(LOOK_EVERY).await;
            assert_eq!(behind.lagging.lock().unwrap().len(), 0, "at the second");
        };
        tokio::select! {
            () = keep_up(&behind) => unreachable!("it goes on"),
            () = later => {}
        }
    }
}
