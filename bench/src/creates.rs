//! SCIM creates beside the bare limit.

use serde_json::json;

use crate::Failure;
use crate::client::Target;
use crate::dsync::Dsync;
use crate::limit::Limit;
use crate::load::{self, Run, round};

/// Enough for the p99 to rest on hundreds of requests.
const REQUESTS: usize = 40_000;

/// With one worker each request takes about as long as a disk flush.
const REQUESTS_ALONE: usize = 4_000;

const WARM_UP: usize = 1_000;

pub(crate) async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let limit = Limit::start(folder.path())?;
    let bare = measure(&limit.target, "limit").await?;
    drop(limit);

    let data = tempfile::tempdir()?;
    let dsync = Dsync::start(data.path())?;
    let target = dsync.directory("Bench").await?;
    let ours = measure(&target, "user").await?;
    let ratio = ours.0.per_second() / bare.0.per_second();
    println!(
        "{}",
        json!({ "figure": "scim creates, one directory, 64 workers",
            "dsync": ours.0.figures(), "bare_limit": bare.0.figures(), "ratio": round(ratio),
            "wanted": { "ratio_at_least": 0.4, "p99_ms_below": 25 },
            "reached": ratio >= 0.4 && ours.0.quantile_ms(0.99) < 25.0 })
    );
    println!(
        "{}",
        json!({ "figure": "scim creates, one directory, 1 worker",
            "dsync": ours.1.figures(), "bare_limit": bare.1.figures(),
            "wanted": { "p50_ms_below": 1 }, "reached": ours.1.quantile_ms(0.5) < 1.0 })
    );
    dsync.stop()
}

async fn measure(target: &Target, seed: &str) -> Result<(Run, Run), Failure> {
    load::run(target, load::creates(&format!("{seed}.warm"), WARM_UP), 64).await?;
    let busy = load::run(target, load::creates(seed, REQUESTS), 64).await?;
    let alone = load::creates(&format!("{seed}.alone"), REQUESTS_ALONE);
    Ok((busy, load::run(target, alone, 1).await?))
}
