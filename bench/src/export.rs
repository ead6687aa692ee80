//! The whole history of a million users in one answer, and the walk that proves it: what that takes of memory.

use std::time::Instant;

use serde_json::{Value, json};

use crate::Failure;
use crate::client::stream;
use crate::dsync::Dsync;
use crate::lists::Data;
use crate::load::{self, Call, round};

/// So many events there are at least.
const EVENTS: u64 = 1_000_000;

/// What the server may hold at most, with all that it holds anyway.
const LIMIT_MIB: f64 = 128.0;

pub(crate) async fn run() -> Result<(), Failure> {
    let data = Data::filled().await?;
    for (name, accept) in [("NDJSON", "application/x-ndjson"), ("CSV", "text/csv")] {
        // Anew for each: the peak is that of the process.
        let dsync = Dsync::start(data.path())?;
        let before = dsync.peak_mib()?;
        let begun = Instant::now();
        let sent = stream(dsync.api(), "/audit/events", accept).await?;
        let (seconds, peak) = (begun.elapsed().as_secs_f64(), dsync.peak_mib()?);
        println!(
            "{}",
            json!({ "figure": format!("export of the history as {name}"), "lines": sent.lines,
                "mib_sent": sent.bytes >> 20, "seconds": round(seconds),
                "peak_mib_before": round(before), "peak_mib": round(peak),
                "wanted": { "lines_at_least": EVENTS, "peak_mib_below": LIMIT_MIB },
                "reached": sent.lines >= EVENTS && peak < LIMIT_MIB })
        );
        dsync.stop()?;
    }
    let dsync = Dsync::start(data.path())?;
    let before = dsync.peak_mib()?;
    let walk = Call { method: "GET", path: "/audit/verify".into(), body: Vec::new() };
    let walked = load::run(dsync.api(), vec![walk], 1).await?;
    let answer: Value = serde_json::from_slice(&walked.bodies[0])?;
    let (events, peak) = (answer["events"].as_u64().unwrap_or_default(), dsync.peak_mib()?);
    println!(
        "{}",
        json!({ "figure": "walk through the history", "events": events,
            "verified": answer["verified"], "seconds": round(walked.elapsed.as_secs_f64()),
            "peak_mib_before": round(before), "peak_mib": round(peak),
            "wanted": { "events_at_least": EVENTS, "peak_mib_below": LIMIT_MIB },
            "reached": events >= EVENTS && peak < LIMIT_MIB })
    );
    dsync.stop()
}
