//! A topic of a million events brought into an empty PostgreSQL, beside a plain COPY of what comes of it.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_postgres::Client;

use super::topic;
use super::world::World;
use crate::Failure;
use crate::load::round;

const DIRECTORIES: usize = 10;
const USERS: usize = 100_000;

/// Each user is created once and changed so often.
const CHANGES: usize = 9;

const EVENTS: usize = USERS * (1 + CHANGES);

/// What a projection fills, but for where it stands.
const TABLES: [&str; 3] = ["directories", "users", "feed"];

/// How much of a file is sent at once.
const SEND_BYTES: usize = 1 << 20;

/// How often it is asked how far the projector has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) async fn run() -> Result<(), Failure> {
    let world = World::start().await?;
    topic::fill(&world, DIRECTORIES, USERS / DIRECTORIES, CHANGES).await?;
    let in_kafka = mib_in(&world.kafka.data(0).join(format!("{}-0", world.topic)))?;
    eprintln!("the topic is made");

    let (rebuilt, cpu) = rebuild(&world).await?;
    let client = world.postgres.connect().await;
    let rows = rows(&client).await?;
    if rows[1..] != [USERS as i64, EVENTS as i64] {
        return Err(format!("the rebuild left {rows:?} rows in {TABLES:?}").into());
    }
    let size = "SELECT pg_database_size(current_database())";
    let in_postgres = client.query_one(size, &[]).await?.get::<_, i64>(0) >> 20;
    let files = copy_out(&client, world.folder()).await?;
    let copied = copy_in(&client, &files).await?;
    drop(client);

    let world = world.with_empty_database().await?;
    let followed = follow(&world).await?;
    let per_second = |time: Duration| round(EVENTS as f64 / time.as_secs_f64());
    let ratio = copied.as_secs_f64() / rebuilt.as_secs_f64();
    println!(
        "{}",
        json!({ "figure": "cluster: projection of 1,000,000 events over 100,000 users into an empty PostgreSQL",
            "rebuild": { "seconds": round(rebuilt.as_secs_f64()),
                "events_per_second": per_second(rebuilt), "cpu": cpu, "ratio": round(ratio) },
            "projector": { "seconds": round(followed.as_secs_f64()),
                "events_per_second": per_second(followed),
                "ratio": round(copied.as_secs_f64() / followed.as_secs_f64()) },
            "bare_limit": { "what": "COPY of the same rows of users and feed into the same tables, indexes and all",
                "seconds": round(copied.as_secs_f64()), "events_per_second": per_second(copied) },
            "disk_mib": { "kafka": in_kafka, "postgres": in_postgres },
            "wanted": { "ratio_at_least": 0.5 }, "reached": ratio >= 0.5 })
    );
    Ok(())
}

/// As an operator does it who has a topic and an empty database: `dsync rebuild`.
async fn rebuild(world: &World) -> Result<(Duration, serde_json::Value), Failure> {
    let before = world.cpu()?;
    let mut rebuild = world.command()?;
    let begun = Instant::now();
    let mut child = rebuild.arg("rebuild").stdout(Stdio::null()).spawn()?;
    let mut ours = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        ours = crate::dsync::cpu_of(child.id()).unwrap_or(ours);
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let elapsed = begun.elapsed();
    if !status.success() {
        return Err("the rebuild failed".into());
    }
    let after = world.cpu()?;
    let used = |who| round((after[who] - before[who]).as_secs_f64());
    let cpu = json!({ "dsync": round(ours.as_secs_f64()), "kafka": used("kafka"),
        "postgres": used("postgres") });
    Ok((elapsed, cpu))
}

/// As a projector does it that finds the database empty: batch by batch, as it follows.
async fn follow(world: &World) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let projector = world.dsync(Some("projector"))?;
    let client = world.postgres.connect().await;
    let sql = "SELECT passed FROM positions WHERE passed >= $1";
    while client.query_opt(sql, &[&(EVENTS as i64)]).await?.is_none() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let elapsed = begun.elapsed();
    projector.stop()?;
    Ok(elapsed)
}

async fn rows(client: &Client) -> Result<Vec<i64>, Failure> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT count(*) FROM {table}");
        rows.push(client.query_one(&sql, &[]).await?.get(0));
    }
    Ok(rows)
}

/// The rows as COPY writes them, a file for each table.
async fn copy_out(client: &Client, folder: &Path) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
    let mut files = Vec::new();
    for table in TABLES {
        let path = folder.join(table);
        let mut file = BufWriter::new(File::create(&path)?);
        let copy = format!("COPY (SELECT * FROM {table}) TO STDOUT");
        let mut rows = std::pin::pin!(client.copy_out(&copy).await?);
        while let Some(part) = rows.next().await {
            file.write_all(&part?)?;
        }
        file.flush()?;
        files.push((table, path));
    }
    Ok(files)
}

/// The bare limit: the rows into empty tables that have the same indexes.
async fn copy_in(client: &Client, files: &[(&str, PathBuf)]) -> Result<Duration, Failure> {
    client.batch_execute("CREATE SCHEMA bare; CHECKPOINT").await?;
    for (table, _) in files {
        client
            .batch_execute(&format!("CREATE TABLE bare.{table} (LIKE {table} INCLUDING ALL)"))
            .await?;
    }
    let begun = Instant::now();
    for (table, path) in files {
        let mut file = File::open(path)?;
        let sink = client.copy_in::<_, Bytes>(&format!("COPY bare.{table} FROM STDIN")).await?;
        let mut sink = std::pin::pin!(sink);
        loop {
            let mut part = Vec::with_capacity(SEND_BYTES);
            if std::io::Read::by_ref(&mut file).take(SEND_BYTES as u64).read_to_end(&mut part)? == 0
            {
                break;
            }
            sink.send(Bytes::from(part)).await?;
        }
        sink.finish().await?;
    }
    Ok(begun.elapsed())
}

fn mib_in(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        // Indexes are as large as they may become, and hold as much as they need.
        bytes += std::os::unix::fs::MetadataExt::blocks(&file?.metadata()?) * 512;
    }
    Ok(bytes >> 20)
}
