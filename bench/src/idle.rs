//! What the server holds in memory when it has nothing to do.

use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::dsync::Dsync;
use crate::load;

const USERS: usize = 100_000;

/// How long the server is left alone before its memory is read.
const REST: Duration = Duration::from_secs(5);

pub(crate) async fn run() -> Result<(), Failure> {
    let data = tempfile::tempdir()?;
    let dsync = Dsync::start(data.path())?;
    let target = dsync.directory("Idle").await?;
    load::run(&target, load::creates("idle", USERS), 64).await?;
    tokio::time::sleep(REST).await;
    let after_load = dsync.rss_mib()?;
    dsync.stop()?;
    let dsync = Dsync::start(data.path())?;
    tokio::time::sleep(REST).await;
    let after_start = dsync.rss_mib()?;
    println!(
        "{}",
        json!({ "figure": "idle RSS with 100,000 users stored",
            "mib_after_start": load::round(after_start), "mib_after_load": load::round(after_load),
            "wanted": { "mib_below": 64 }, "reached": after_start < 64.0 && after_load < 64.0 })
    );
    dsync.stop()
}
