//! How many partitions the log has: asked at the start, and again and again, since some may be added.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use log::{EventLog, Partition};
use projector::ProjectionStore as _;
use store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::log::OpenLog;
use super::share;

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

/// Refuses a log that has fewer records than apps have been told events of, where there is no state that would notice.
///
/// # Errors
/// If it has; the message says what to do.
pub(super) async fn check_length(store: &Store, log: &dyn EventLog) -> anyhow::Result<()> {
    if !store.is_without_events() {
        return Ok(());
    }
    let told = store.told_up_to().await?;
    if told == 0 {
        return Ok(());
    }
    let mut records = 0;
    for partition in (0..log.partitions()).map(Partition) {
        records += log.tail(partition).await?.0;
    }
    if records < told {
        bail!(
            "DSYNC-003: the log has {records} records, and apps have been told {told} events: it has lost some, or is an \
             older one; bring back the right one, or see dsync rebuild --accept-loss"
        );
    }
    Ok(())
}

/// Spreads new directories over the partitions that the log has, for as long as the process runs. Where one process
/// follows them all it is told of those that were added, before any directory gets into one.
pub(super) async fn follow(
    log: OpenLog,
    store: Arc<Store>,
    grows: Option<watch::Sender<BTreeSet<Partition>>>,
    end: CancellationToken,
) {
    while end.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        match log.look_for_partitions().await {
            Ok(count) => {
                if let Err(error) = check(&store, count) {
                    tracing::error!("{error}");
                }
                if let Some(followed) = &grows {
                    followed.send_if_modified(|all| {
                        let more = usize::from(count) > all.len();
                        if more {
                            *all = share::all(count);
                        }
                        more
                    });
                }
                store.set_partitions(count);
            }
            // Who reads or writes says more of it.
            Err(error) => tracing::debug!(%error, "the partitions of the log are not known"),
        }
    }
}

/// How many directories are named that are stopped: enough to begin with.
const NAMED_MAX: usize = 10;

/// Whether every directory is followed. If not, which are stopped.
pub(super) async fn none_is_stopped(store: &Store) -> Result<(), String> {
    // Whether it answers is another question.
    let Ok(stopped) = store.stopped_directories().await else { return Ok(()) };
    if stopped.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = stopped.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    Err(format!(
        "DSYNC-003: {} directories are stopped by a gap in their streams: {}",
        stopped.len(),
        named.join(", ")
    ))
}

/// How long all partitions together may take to answer: less than a check may take, so that those that do not are named.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// Of how many partitions it is asked at once.
const ASKED_AT_ONCE: usize = 8;

/// Whether every partition of the log can be read. If not, which cannot, and why.
pub(super) async fn answer(log: &dyn EventLog) -> Result<(), String> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let asked = (0..log.partitions()).map(Partition).map(|partition| async move {
        let why = match timeout_at(deadline, log.tail(partition)).await {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        Some(format!("partition {}: {why}", partition.0))
    });
    let answers: Vec<Option<String>> = iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    let silent: Vec<String> = answers.into_iter().flatten().collect();
    if silent.is_empty() { Ok(()) } else { Err(silent.join("; ")) }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use log::{Append, AppendError, Entry, Offset, ReadError, ReadLimit};

    use super::*;

    /// A log of twenty partitions, some of which have no leader: they refuse, or they keep silent.
    struct Headless {
        refuse: &'static [u16],
        keep_silent: &'static [u16],
    }

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
            if self.keep_silent.contains(&partition.0) {
                std::future::pending::<()>().await;
            }
            if self.refuse.contains(&partition.0) {
                return Err(ReadError::Unavailable("no leader".into()));
            }
            Ok(Offset(partition.0.into()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_partition_that_does_not_answer_is_named_in_time() {
        assert_eq!(answer(&Headless { refuse: &[], keep_silent: &[] }).await, Ok(()));
        let begun = Instant::now();
        let headless = Headless { refuse: &[3, 17], keep_silent: &[4, 5, 6, 7, 8, 9, 10, 11, 12] };
        let said = answer(&headless).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2), "before the check is given up");
        assert!(said.starts_with("partition 3: the log is unavailable; partition 4: "), "{said}");
        assert!(said.contains("; partition 12: no answer within 1.5s"), "{said}");
        assert!(said.contains("; partition 17: "), "{said}");
    }
}
