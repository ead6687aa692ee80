//! The event streams as the API sees them: the writers of ingest, behind the API's own port.

use std::sync::Arc;

use api::ports::{BoxError, PortError, Streams};
use async_trait::async_trait;
use ingest::Writers;
use schemas::{Actor, DirectoryId};
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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

/// What configuration says and the streams do not, because the process ended in between, is made up
/// for at the start.
pub(super) fn catch_up(
    store: &Arc<Store>,
    writers: &Arc<Writers>,
    tracker: &TaskTracker,
    end: CancellationToken,
) {
    let (store, writers) = (Arc::clone(store), Arc::clone(writers));
    tracker.spawn(async move {
        let all = async {
            let directories = match store.unreconciled().await {
                Ok(directories) => directories,
                Err(error) => {
                    tracing::error!(%error, "it is unknown which streams lag behind configuration");
                    return;
                }
            };
            for directory in directories {
                if let Err(error) = writers.reconcile(directory, Actor::default()).await {
                    tracing::warn!(directory.id = %directory, %error, "the stream does not tell yet what configuration says");
                }
            }
        };
        end.run_until_cancelled(all).await;
    });
}
