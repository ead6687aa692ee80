//! SCIM creates over ten directories beside the bare limit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::bare;
use super::world::World;
use crate::Failure;
use crate::client::Target;
use crate::dsync::Dsync;
use crate::load::{self, Run, round};

const DIRECTORIES: usize = 10;
const WORKERS: usize = 64;
const REQUESTS: usize = 30_000;
const REQUESTS_ALONE: usize = 1_000;

/// A JVM compiles what it runs often, on the same two cores: until then the figures are those of its compiler.
const WARM_UP: usize = 15_000;

/// Each of them in a process of its own, where they are apart.
const ROLES: [&str; 4] = ["ingest", "projector", "dispatcher", "api"];

pub(crate) async fn run() -> Result<(), Failure> {
    let world = World::start().await?;
    let limit = bare::start(&world)?;
    let bare = measure(std::slice::from_ref(&limit.target), "limit").await?;
    drop(limit);

    let dsync = world.dsync(None)?;
    let targets = directories(&dsync, dsync.api()).await?;
    load::run_over(&targets, load::creates("one.warm", WARM_UP), WORKERS).await?;
    let before = used(&world, &[("all roles", &dsync)])?;
    let busy = load::run_over(&targets, load::creates("one", REQUESTS), WORKERS).await?;
    let after = used(&world, &[("all roles", &dsync)])?;
    let alone = load::run(&targets[0], load::creates("one.alone", REQUESTS_ALONE), 1).await?;
    dsync.stop()?;
    print_busy("every role in one process", &busy, &bare.0, &per_create(&before, &after));
    print_alone("every role in one process", &alone, &bare.1);

    apart(&world, &bare).await
}

/// The same with a process for each role.
async fn apart(world: &World, bare: &(Run, Run)) -> Result<(), Failure> {
    let mut processes = BTreeMap::new();
    for role in ROLES {
        processes.insert(role, world.dsync(Some(role))?);
    }
    let named: Vec<_> = processes.iter().map(|(role, process)| (*role, process)).collect();
    let targets = directories(&processes["api"], processes["ingest"].api()).await?;
    load::run_over(&targets, load::creates("apart.warm", WARM_UP), WORKERS).await?;
    let before = used(world, &named)?;
    let busy = load::run_over(&targets, load::creates("apart", REQUESTS), WORKERS).await?;
    let after = used(world, &named)?;
    let alone = load::run(&targets[0], load::creates("apart.alone", REQUESTS_ALONE), 1).await?;
    print_busy("a process for each role", &busy, &bare.0, &per_create(&before, &after));
    print_alone("a process for each role", &alone, &bare.1);
    processes.into_values().try_for_each(Dsync::stop)
}

async fn measure(targets: &[Target], seed: &str) -> Result<(Run, Run), Failure> {
    load::run_over(targets, load::creates(&format!("{seed}.warm"), WARM_UP), WORKERS).await?;
    let busy = load::run_over(targets, load::creates(seed, REQUESTS), WORKERS).await?;
    let alone = load::creates(&format!("{seed}.alone"), REQUESTS_ALONE);
    Ok((busy, load::run(&targets[0], alone, 1).await?))
}

/// Directories made at one process and reached at another.
async fn directories(api: &Dsync, ingest: &Target) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for number in 0..DIRECTORIES {
        let made = api.directory(&format!("Cluster {number}")).await?;
        targets.push(Target { authority: ingest.authority.clone(), ..made });
    }
    Ok(targets)
}

type Used = BTreeMap<&'static str, Duration>;

fn used(world: &World, processes: &[(&'static str, &Dsync)]) -> Result<Used, Failure> {
    let mut used = world.cpu()?;
    for (role, process) in processes {
        used.insert(role, process.cpu()?);
    }
    Ok(used)
}

/// Processor time for one create, in microseconds, by who used it.
fn per_create(before: &Used, after: &Used) -> Value {
    let each = after.iter().map(|(who, after)| {
        let spent = *after - before.get(who).copied().unwrap_or_default();
        ((*who).to_owned(), json!(round(spent.as_secs_f64() * 1e6 / REQUESTS as f64)))
    });
    Value::Object(each.collect())
}

const BARE: &str = "parse the body, produce it with acks=all and idempotence, and insert it in one transaction with \
    what else has come";

fn print_busy(how: &str, ours: &Run, bare: &Run, cpu: &Value) {
    let ratio = ours.per_second() / bare.per_second();
    println!(
        "{}",
        json!({ "figure": "cluster: scim creates, 10 directories, 64 workers", "how": how,
            "dsync": ours.figures(), "cpu_us_per_create": cpu,
            "bare_limit": { "what": BARE, "run": bare.figures() }, "ratio": round(ratio),
            "wanted": { "per_second_at_least": 2_000 }, "reached": ours.per_second() >= 2_000.0 })
    );
}

fn print_alone(how: &str, ours: &Run, bare: &Run) {
    println!(
        "{}",
        json!({ "figure": "cluster: scim creates, one directory, 1 worker", "how": how,
            "dsync": ours.figures(), "bare_limit": { "what": BARE, "run": bare.figures() },
            "wanted": { "p50_ms_below": 15 }, "reached": ours.quantile_ms(0.5) < 15.0 })
    );
}
