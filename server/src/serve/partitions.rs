//! How many partitions the log has: asked at the start, and again and again, since some may be added.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use store::Store;
use tokio_util::sync::CancellationToken;

use super::log::OpenLog;

/// How often it is asked: adding partitions is rare, and a new one lies idle for this long.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Refuses a log that lacks partitions which the store rests on: what lay in them is gone.
///
/// # Errors
/// If it does; the message says what to do.
pub(crate) fn check(store: &Store, partitions: u16) -> anyhow::Result<()> {
    match store.last_partition() {
        Some(last) if last.0 >= partitions => bail!(
            "DSYNC-011: the log has {partitions} partitions, and the store has directories in partition {}: the topic was made \
             anew with fewer, or log names another; bring back the right topic, or add partitions to this one",
            last.0
        ),
        Some(_) | None => Ok(()),
    }
}

/// Spreads new directories over the partitions that the log has, for as long as the process runs.
pub(super) async fn follow(log: OpenLog, store: Arc<Store>, end: CancellationToken) {
    while end.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        match log.look_for_partitions().await {
            Ok(count) => {
                if let Err(error) = check(&store, count) {
                    tracing::error!("{error}");
                }
                store.set_partitions(count);
            }
            // Who reads or writes says more of it.
            Err(error) => tracing::debug!(%error, "the partitions of the log are not known"),
        }
    }
}
