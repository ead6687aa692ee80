//! How far the projection is behind the log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use log::{EventLog, Offset, Partition, ReadError};
use tokio_util::sync::CancellationToken;

use crate::ports::ProjectionStore;

/// How often it is measured: a few times between two scrapes.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Of how many partitions it is asked at once: enough that many are soon done, and few questions on their way.
const ASKED_AT_ONCE: usize = 8;

/// Sets the gauge `projector_lag_records` of every partition, and `projector_stopped_directories`, every few seconds,
/// until told to end.
///
/// It asks log and store, not the projector: a projector that has stopped is what it is there to show.
pub async fn measure(
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    end: CancellationToken,
) {
    while end.run_until_cancelled(tokio::time::sleep(MEASURE_EVERY)).await.is_some() {
        for (partition, behind) in
            end.run_until_cancelled(lags(&*log, &*store)).await.into_iter().flatten()
        {
            let behind = f64::from(u32::try_from(behind).unwrap_or(u32::MAX));
            metrics::gauge!("projector_lag_records", "partition" => partition.0.to_string())
                .set(behind);
        }
        let stopped = end.run_until_cancelled(store.stopped_directories()).await;
        if let Some(Ok(stopped)) = stopped {
            let count = f64::from(u32::try_from(stopped.len()).unwrap_or(u32::MAX));
            metrics::gauge!("projector_stopped_directories").set(count);
        }
    }
}

/// How many records of each partition are not in the store yet. What cannot be asked is left out.
pub async fn lags(log: &dyn EventLog, store: &dyn ProjectionStore) -> Vec<(Partition, u64)> {
    let lag = |partition| {
        Box::pin(async move {
            // What was passed first: what is appended in between makes the lag too large, never too small. The position
            // would not do: a half commit that nobody completes holds it back, with nothing left to do.
            let passed = store.passed(partition).await.ok()?;
            let tail = log.tail(partition).await.ok()?;
            Some((partition, tail.0.saturating_sub(passed.0)))
        })
    };
    let asked = iter(partitions(log).map(lag)).buffered(ASKED_AT_ONCE);
    asked.filter_map(std::future::ready).collect().await
}

/// The tail of every partition, or why it is not known.
pub async fn tails(log: &dyn EventLog) -> Vec<(Partition, Result<Offset, ReadError>)> {
    let asked = iter(partitions(log).map(|partition| log.tail(partition))).buffered(ASKED_AT_ONCE);
    partitions(log).zip(asked.collect::<Vec<_>>().await).collect()
}

fn partitions(log: &dyn EventLog) -> impl Iterator<Item = Partition> + use<> {
    (0..log.partitions()).map(Partition)
}
