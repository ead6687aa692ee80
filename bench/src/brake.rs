//! What the brake costs: time on the way of what is not held, and disk for what is.

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Connection, Target};
use crate::deliveries::paced;
use crate::dsync::Dsync;
use crate::load::{self, Call, round};

/// A tenth of the users may go.
const BRAKE: (&str, &str) = ("DSYNC_BRAKE", "10%,1h,10");

const USERS: usize = 5_000;
const REMOVED: usize = 4_000;

/// What goes out before the brake holds.
const PASSING: usize = USERS / 10;

/// How many events a second come in while their way is timed, and for how long at a time.
const PACE: u32 = 200;
const SECONDS: u32 = 5;

/// Each is timed so often, in turns, so that whatever else the machine does hits all alike.
const ROUNDS: usize = 5;

pub(crate) async fn run() -> Result<(), Failure> {
    ways().await?;
    disk().await
}

/// From the decision to the arrival, of users who are created.
async fn ways() -> Result<(), Failure> {
    let names =
        ["without a brake", "with a brake, nothing held", "with a brake, its directory held"];
    let data = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let mut sides = Vec::new();
    for (number, data) in data.iter().enumerate() {
        let settings: &[(&str, &str)] = if number == 0 { &[] } else { &[BRAKE] };
        let dsync = Dsync::start_with(data.path(), settings)?;
        let target = dsync.directory("Brake").await?;
        let users = users(&target).await?;
        if number == 2 {
            remove(&dsync, &target, &users, true).await?;
        }
        sides.push((dsync, target, Vec::new()));
    }
    for round in 0..ROUNDS {
        for (dsync, target, figures) in &mut sides {
            let waits = paced(dsync, target, &format!("paced{round}"), PACE, SECONDS).await?;
            let quantile = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
            figures.push((quantile(0.5), quantile(0.99)));
        }
    }
    for (name, (dsync, _, figures)) in names.into_iter().zip(sides) {
        let of = |pick: fn(&(f64, f64)) -> f64| middle(figures.iter().map(pick).collect());
        println!(
            "{}",
            json!({ "figure": format!("an event until it arrives, {name}"), "per_second": PACE,
                "p50_ms": round(of(|figure| figure.0)), "p99_ms": round(of(|figure| figure.1)) })
        );
        dsync.stop()?;
    }
    Ok(())
}

/// What an event that is held takes on the disk beyond what one takes that is not.
async fn disk() -> Result<(), Failure> {
    let (without, with) = (grown(&[], false).await?, grown(&[BRAKE], true).await?);
    let held = REMOVED - PASSING;
    println!(
        "{}",
        json!({ "figure": "disk for an event that is held", "events": held,
            "bytes_each": round((with - without) / held as f64) })
    );
    Ok(())
}

/// By how much the store grows by the removals.
async fn grown(settings: &[(&str, &str)], is_held: bool) -> Result<f64, Failure> {
    let data = tempfile::tempdir()?;
    let size = || -> Result<f64, Failure> {
        Ok(std::fs::metadata(data.path().join("data/store.db"))?.len() as f64)
    };
    let dsync = Dsync::start_with(data.path(), settings)?;
    let target = dsync.directory("Disk").await?;
    let users = users(&target).await?;
    dsync.stop()?;
    let before = size()?;
    let dsync = Dsync::start_with(data.path(), settings)?;
    let target = Target { authority: dsync.api().authority.clone(), ..target };
    remove(&dsync, &target, &users, is_held).await?;
    dsync.stop()?;
    Ok(size()? - before)
}

async fn users(target: &Target) -> Result<Vec<String>, Failure> {
    let created = load::run(target, load::creates("brake", USERS), 16).await?;
    load::ids(&created.bodies)
}

/// Deletes most of them, and waits until the rest of it is held.
async fn remove(
    dsync: &Dsync,
    target: &Target,
    users: &[String],
    is_held: bool,
) -> Result<(), Failure> {
    let delete =
        |id: &String| Call { method: "DELETE", path: format!("/Users/{id}"), body: Vec::new() };
    load::run(target, users[..REMOVED].iter().map(delete).collect(), 16).await?;
    while is_held && held(dsync).await? < (REMOVED - PASSING) as u64 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn held(dsync: &Dsync) -> Result<u64, Failure> {
    let mut connection = Connection::open(dsync.api()).await?;
    let list = connection.send(dsync.api(), "GET", "/directories", b"").await?;
    let list: Value = serde_json::from_slice(&list.body)?;
    let id = list["data"][0]["id"].as_str().ok_or("no directory")?;
    let path = format!("/directories/{id}");
    let directory = connection.send(dsync.api(), "GET", &path, b"").await?;
    let directory: Value = serde_json::from_slice(&directory.body)?;
    Ok(directory["hold"]["events"].as_u64().unwrap_or_default())
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
