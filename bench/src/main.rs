//! The benchmark harness: each figure beside the bare limit measured in the same run.
//!
//! `cargo run --release -p bench` runs everything against a release build of `dsync` that it starts
//! itself, on loopback and in a temporary directory, and prints a JSON line for each figure.
//! `cargo run --release -p bench -- creates members rebuild idle deliveries lists export brake` runs some of it.
//!
//! With `--features kafka` there are two more, `cluster` and `projection`, on a Kafka and a PostgreSQL that it starts.
//!
//! The bare limit for writes is an HTTP handler that parses the same body and waits for a group
//! commit of the same bytes to SQLite with `synchronous=FULL`: what any server of this kind on this
//! machine has to pay. Requests come from the same client, on the same two cores.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]
#![expect(clippy::disallowed_methods, reason = "measuring takes a clock, and the load takes tasks")]

mod brake;
mod client;
#[cfg(feature = "kafka")]
mod cluster;
mod creates;
mod deliveries;
mod dsync;
mod export;
mod idle;
mod limit;
mod lists;
mod load;
mod members;
mod rebuild;
mod sink;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SCENARIOS: &[&str] = &[
    "creates",
    "members",
    "rebuild",
    "idle",
    "deliveries",
    "lists",
    "export",
    "brake",
    #[cfg(feature = "kafka")]
    "cluster",
    #[cfg(feature = "kafka")]
    "projection",
];

fn main() -> Result<(), Failure> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if asked.first().is_some_and(|first| first == limit::COMMAND) {
        return runtime()?.block_on(limit::serve(asked.get(1).ok_or("a folder is missing")?));
    }
    #[cfg(feature = "kafka")]
    if asked.first().is_some_and(|first| first == cluster::LIMIT) {
        return runtime()?.block_on(cluster::serve_limit(&asked[1..]));
    }
    if let Some(unknown) = asked.iter().find(|name| !SCENARIOS.contains(&name.as_str())) {
        return Err(format!("unknown scenario {unknown:?}; there are {SCENARIOS:?}").into());
    }
    dsync::build()?;
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let runtime = runtime()?;
    if wanted("creates") {
        runtime.block_on(creates::run())?;
    }
    if wanted("members") {
        runtime.block_on(members::run())?;
    }
    if wanted("rebuild") {
        runtime.block_on(rebuild::run())?;
    }
    if wanted("idle") {
        runtime.block_on(idle::run())?;
    }
    if wanted("deliveries") {
        runtime.block_on(deliveries::run())?;
    }
    if wanted("lists") {
        runtime.block_on(lists::run())?;
    }
    if wanted("export") {
        runtime.block_on(export::run())?;
    }
    if wanted("brake") {
        runtime.block_on(brake::run())?;
    }
    #[cfg(feature = "kafka")]
    if wanted("cluster") {
        runtime.block_on(cluster::creates())?;
    }
    #[cfg(feature = "kafka")]
    if wanted("projection") {
        runtime.block_on(cluster::projection())?;
    }
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
