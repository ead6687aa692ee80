//! The state made anew from a log of a million events.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Failure;
use crate::dsync::{Dsync, command, memory_mib};
use crate::load::{self, Call, round};

const USERS: usize = 100_000;

/// Each user is created once and changed so often.
const CHANGES: usize = 9;

pub(crate) async fn run() -> Result<(), Failure> {
    let data = tempfile::tempdir()?;
    fill(data.path()).await?;
    let bare = read_and_hash(data.path())?;

    let mut child = command(data.path())?.arg("rebuild").stdout(Stdio::null()).spawn()?;
    let begun = Instant::now();
    let mut peak: f64 = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // The peak itself is what the kernel remembers; it is gone with the process.
        if let Ok(now) = memory_mib(child.id(), "VmHWM:") {
            peak = peak.max(now);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let elapsed = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err("the rebuild failed".into());
    }
    let events = (USERS * (1 + CHANGES)) as f64;
    println!(
        "{}",
        json!({ "figure": "rebuild of 1,000,000 events over 100,000 users",
            "seconds": round(elapsed), "events_per_second": round(events / elapsed),
            "peak_rss_mib": round(peak),
            "bare_limit": { "what": "reading the log and hashing every record",
                "events_per_second": round(events / bare) },
            "wanted": { "events_per_second_at_least": 100_000, "peak_rss_mib_below": 1_024 },
            "reached": events / elapsed >= 100_000.0 && peak < 1_024.0 })
    );
    Ok(())
}

/// Fills a log the way it fills in life: over SCIM.
async fn fill(data: &Path) -> Result<(), Failure> {
    let dsync = Dsync::start(data)?;
    let target = dsync.directory("Rebuild").await?;
    let created = load::run(&target, load::creates("rebuild", USERS), 64).await?;
    let ids = load::ids(&created.bodies)?;
    drop(created);
    for round in 0..CHANGES {
        let patches = ids.iter().map(|id| patch(id, round)).collect();
        load::run(&target, patches, 64).await?;
    }
    dsync.stop()
}

fn patch(id: &str, round: usize) -> Call {
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "title", "value": format!("Title {round}") }] });
    Call { method: "PATCH", path: format!("/Users/{id}"), body: body.to_string().into_bytes() }
}

/// The bare limit: every record read and hashed, on one core.
fn read_and_hash(data: &Path) -> Result<f64, Failure> {
    let begun = Instant::now();
    let database = rusqlite::Connection::open_with_flags(
        data.join("data").join("log.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )?;
    let mut records = database.prepare("SELECT value FROM records")?;
    let mut rows = records.query([])?;
    let mut last = schemas::Hash::default();
    while let Some(row) = rows.next()? {
        last = schemas::Hash::of(row.get_ref(0)?.as_blob()?);
    }
    std::hint::black_box(last);
    Ok(begun.elapsed().as_secs_f64())
}
