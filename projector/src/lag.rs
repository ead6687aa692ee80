//! How far the projection is behind the log.

use std::sync::Arc;
use std::time::Duration;

use log::{EventLog, Partition};
use tokio_util::sync::CancellationToken;

use crate::ports::ProjectionStore;

/// How often it is measured: a few times between two scrapes.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Sets the gauge `projector_lag_records` of a partition every few seconds, until told to end.
///
/// It asks log and store, not the projector: a projector that has stopped is what it is there to show.
pub async fn measure(
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    partition: Partition,
    end: CancellationToken,
) {
    let label = partition.0.to_string();
    while end.run_until_cancelled(tokio::time::sleep(MEASURE_EVERY)).await.is_some() {
        // The position first: what is appended in between makes the lag too large, never too small.
        let Ok(position) = store.position(partition).await else { continue };
        let Ok(tail) = log.tail(partition).await else { continue };
        let lag = tail.0.saturating_sub(position.next.0);
        let lag = u32::try_from(lag).unwrap_or(u32::MAX);
        metrics::gauge!("projector_lag_records", "partition" => label.clone()).set(f64::from(lag));
    }
}
