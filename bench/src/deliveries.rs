//! Webhooks to an app on the same cores, every attempt recorded.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Connection, Target};
use crate::dsync::Dsync;
use crate::load::{self, round};
use crate::sink::Sink;

/// Enough for a run of some seconds.
const EVENTS: usize = 100_000;

/// How many of them each of ten endpoints gets.
const EVENTS_EACH: usize = 20_000;

/// What bodies weigh in these figures, whatever an event happens to weigh.
const BARE_BODY: usize = 1_500;

/// How many events a second come in while their way is timed, and for how long.
const PACE: u32 = 1_000;
const SECONDS: u32 = 10;

/// As many in flight as the dispatcher has to one endpoint.
const IN_FLIGHT: usize = 64;

const CPU_US_MAX: f64 = 80.0;
const PER_SECOND_MIN: f64 = 12_000.0;
const DISK_BYTES_MAX: f64 = 120.0;

pub(crate) async fn run() -> Result<(), Failure> {
    let bare = bare_limit().await?;
    println!(
        "{}",
        json!({ "figure": "bare posts of 1.5 KB, 64 in flight", "per_second": round(bare) })
    );
    let data = tempfile::tempdir()?;
    let dsync = Dsync::start(data.path())?;
    let target = dsync.directory("Bench").await?;
    load::run(&target, load::creates("webhook", EVENTS), 64).await?;
    throughput(&dsync, EVENTS, 1, bare).await?;
    throughput(&dsync, EVENTS_EACH, 10, bare).await?;
    arrival(&dsync, &target).await?;
    dsync.stop()?;
    disk().await
}

/// What two cores can do at all: the same posts, unsigned, from a client that costs next to nothing.
async fn bare_limit() -> Result<f64, Failure> {
    let sink = Sink::start().await?;
    let target = Target {
        authority: sink.authority.clone(),
        prefix: String::new(),
        token: "none".into(),
        cookie: None,
    };
    let begun = Instant::now();
    let body = vec![b' '; BARE_BODY];
    let mut tasks = Vec::new();
    for _ in 0..IN_FLIGHT {
        let (target, body) = (target.clone(), body.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&target).await?;
            for _ in 0..EVENTS / IN_FLIGHT {
                connection.send(&target, "POST", "/", &body).await?;
            }
            Ok::<(), Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(sink.count() as f64 / begun.elapsed().as_secs_f64())
}

/// Endpoints that begin at the beginning, timed from the first arrival to the last.
async fn throughput(
    dsync: &Dsync,
    events: usize,
    endpoints: usize,
    bare: f64,
) -> Result<(), Failure> {
    let sink = Sink::start().await?;
    let mut paths = Vec::new();
    for number in 0..endpoints {
        let url = format!("http://{}/{number}", sink.authority);
        let body = json!({ "endpoint_url": url, "start": "beginning" });
        let endpoint = dsync.post("/webhook_endpoints", &body).await?;
        paths.push(format!("/webhook_endpoints/{}", endpoint["id"].as_str().ok_or("no id")?));
    }
    let begin = sink.wait_for(1).await;
    let cpu = dsync.cpu()?;
    // The first event of all tells of the directory.
    let end = sink.wait_for(events * endpoints).await;
    let (elapsed, cpu) = (end - begin, dsync.cpu()? - cpu);
    let count = sink.count();
    for path in paths {
        dsync.delete(&path).await?;
    }
    let per_second = count as f64 / elapsed.as_secs_f64();
    let cpu_us = cpu.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{}",
        json!({ "figure": format!("deliveries to {endpoints} endpoint(s)"), "deliveries": count,
            "body_bytes": sink.body_bytes(), "per_second": round(per_second),
            "cpu_us_each": round(cpu_us), "ratio": round(per_second / bare),
            "wanted": { "per_second_at_least": PER_SECOND_MIN, "cpu_us_below": CPU_US_MAX },
            "reached": per_second >= PER_SECOND_MIN && cpu_us < CPU_US_MAX })
    );
    Ok(())
}

/// From the decision to the arrival.
async fn arrival(dsync: &Dsync, target: &Target) -> Result<(), Failure> {
    let waits = paced(dsync, target, "paced", PACE, SECONDS).await?;
    let quantile = |share: f64| round(waits[((waits.len() - 1) as f64 * share) as usize]);
    println!(
        "{}",
        json!({ "figure": "an event appended until it arrives, at 1,000 a second",
            "events": waits.len(), "p50_ms": quantile(0.5), "p99_ms": quantile(0.99),
            "wanted": { "p50_ms_below": 3 }, "reached": quantile(0.5) < 3.0 })
    );
    Ok(())
}

/// How long events of new users take to arrive at a new endpoint, at an even pace: sorted, in milliseconds.
pub(crate) async fn paced(
    dsync: &Dsync,
    target: &Target,
    seed: &str,
    pace: u32,
    seconds: u32,
) -> Result<Vec<f64>, Failure> {
    let sink = Sink::start().await?;
    let body = json!({ "endpoint_url": format!("http://{}/", sink.authority) });
    let endpoint = dsync.post("/webhook_endpoints", &body).await?;
    sink.time()?;
    let calls = load::creates(seed, (pace * seconds) as usize);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / pace);
    let mut senders = Vec::new();
    for _ in 0..16 {
        let (sender, mut calls) = tokio::sync::mpsc::channel::<load::Call>(pace as usize);
        let target = target.clone();
        let task = tokio::spawn(async move {
            let mut connection = Connection::open(&target).await?;
            while let Some(call) = calls.recv().await {
                connection.send(&target, call.method, &call.path, &call.body).await?;
            }
            Ok::<(), Failure>(())
        });
        senders.push((sender, task));
    }
    let count = calls.len();
    for (number, call) in calls.into_iter().enumerate() {
        ticks.tick().await;
        senders[number % senders.len()].0.send(call).await?;
    }
    for (sender, task) in senders {
        drop(sender);
        task.await??;
    }
    sink.wait_for(count).await;
    dsync
        .delete(&format!("/webhook_endpoints/{}", endpoint["id"].as_str().ok_or("no id")?))
        .await?;
    sink.waits()
}

/// What a successful attempt takes on the disk, of a file that was closed.
async fn disk() -> Result<(), Failure> {
    let data = tempfile::tempdir()?;
    let size = || -> Result<u64, Failure> {
        Ok(std::fs::metadata(data.path().join("data/store.db"))?.len())
    };
    let dsync = Dsync::start(data.path())?;
    let target = dsync.directory("Disk").await?;
    load::run(&target, load::creates("disk", EVENTS_EACH), 64).await?;
    dsync.stop()?;
    let before = size()?;
    let sink = Sink::start().await?;
    let dsync = Dsync::start(data.path())?;
    for number in 0..10 {
        let url = format!("http://{}/{number}", sink.authority);
        let body: Value = json!({ "endpoint_url": url, "start": "beginning" });
        dsync.post("/webhook_endpoints", &body).await?;
    }
    sink.wait_for(10 * EVENTS_EACH).await;
    dsync.stop()?;
    let each = (size()? - before) as f64 / sink.count() as f64;
    println!(
        "{}",
        json!({ "figure": "disk for a successful attempt, ten endpoints", "attempts": sink.count(),
            "bytes_each": round(each), "wanted": { "bytes_below": DISK_BYTES_MAX },
            "reached": each < DISK_BYTES_MAX })
    );
    Ok(())
}
