//! How many partitions the log has: asked at the start, and again and again, since some may be added.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use log::EventLog;
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

/// Whether every partition of the log can be read. If not, which cannot, and why.
pub(super) async fn answer(log: &dyn EventLog) -> Result<(), String> {
    let tails = projector::lag::tails(log).await;
    let silent = tails.into_iter().filter_map(|(partition, tail)| Some((partition, tail.err()?)));
    let silent: Vec<String> =
        silent.map(|(partition, error)| format!("partition {}: {error}", partition.0)).collect();
    if silent.is_empty() { Ok(()) } else { Err(silent.join("; ")) }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use log::{Append, AppendError, Entry, Offset, Partition, ReadError, ReadLimit};

    use super::*;

    /// A log of twenty partitions, some of which have no leader.
    struct Headless(&'static [u16]);

    #[async_trait]
    impl EventLog for Headless {
        fn partitions(&self) -> u16 {
            20
        }

        async fn append(&self, _: Partition, _: Vec<Append>) -> Result<Offset, AppendError> {
            unreachable!("nobody writes")
        }

        async fn read(
            &self,
            _: Partition,
            _: Offset,
            _: ReadLimit,
        ) -> Result<Vec<Entry>, ReadError> {
            unreachable!("nobody reads")
        }

        async fn wait_past(&self, _: Partition, _: Offset) -> Result<(), ReadError> {
            unreachable!("nobody waits")
        }

        async fn tail(&self, partition: Partition) -> Result<Offset, ReadError> {
            if self.0.contains(&partition.0) {
                return Err(ReadError::Unavailable("no leader".into()));
            }
            Ok(Offset(partition.0.into()))
        }
    }

    #[tokio::test]
    async fn every_partition_that_does_not_answer_is_named() {
        assert_eq!(answer(&Headless(&[])).await, Ok(()));
        let said = answer(&Headless(&[3, 17])).await.unwrap_err();
        assert!(said.starts_with("partition 3: ") && said.contains("; partition 17: "), "{said}");
    }
}
