//! The schema, brought to what this version knows: one series, forward only, each step once.
//!
//! Replicas of two versions run beside each other while they are replaced one by one. So a step says how far back
//! the versions reach that still work with what it leaves, and a version that meets steps it does not know goes on
//! if all of them reach back to it. A step that adds does; one that takes away waits until nobody asks for it.

use tokio_postgres::Client;

use super::settings::PostgresSettings;
use crate::error::{DbError, OpenError};

/// A step. Its number is its place in the series.
struct Migration {
    /// Which half it is of.
    half: Half,
    /// The lowest number of steps that a version knows which still works when this one is done.
    works_since: i32,
    sql: &'static str,
}

/// The half of the store that a step changes. A rebuild runs those of the state once more, in a schema beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    State,
    Config,
}

/// Only ever added to, at the end.
const MIGRATIONS: &[Migration] = &[
    Migration { half: Half::State, works_since: 1, sql: include_str!("migrations/0001_state.sql") },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0002_config.sql"),
    },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0003_people.sql"),
    },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0004_brake.sql"),
    },
    Migration {
        half: Half::State,
        works_since: 1,
        sql: concat!(
            include_str!("migrations/0005_feed_times.sql"),
            include_str!("migrations/feed_times.sql")
        ),
    },
    Migration { half: Half::Config, works_since: 1, sql: include_str!("migrations/0006_many.sql") },
    Migration {
        half: Half::State,
        works_since: 1,
        sql: include_str!("migrations/0007_bounds.sql"),
    },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0008_standing.sql"),
    },
    Migration { half: Half::State, works_since: 1, sql: include_str!("migrations/0009_stops.sql") },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0010_attempts_of_events.sql"),
    },
    Migration { half: Half::State, works_since: 1, sql: include_str!("migrations/0011_runs.sql") },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0012_attempts.sql"),
    },
    Migration {
        half: Half::State,
        works_since: 1,
        sql: include_str!("migrations/0013_members.sql"),
    },
];

/// Gathers the times of a feed that was written without.
pub(super) const FEED_TIMES: &str = include_str!("migrations/feed_times.sql");

/// What has been done, and by how old a version it can still be used.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY,
    works_since integer NOT NULL
)";

/// All that makes a state, for a schema of its own.
pub(super) fn of_state() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().filter(|step| step.half == Half::State).map(|step| step.sql)
}

/// Does what is not done yet. Of several replicas that start at once one does it, and the others wait.
pub(super) async fn run(
    client: &mut Client,
    settings: &PostgresSettings,
    schema: &str,
) -> Result<(), OpenError> {
    let known = number_of(MIGRATIONS.len());
    let ran = apply(client, schema, known).await;
    match ran.map_err(|error| OpenError::server(settings, error))? {
        Ok(()) => Ok(()),
        Err(found) => Err(OpenError::Schema { server: settings.to_string(), found, known }),
    }
}

/// The number of the last step if there is one that this version cannot live with.
async fn apply(client: &mut Client, schema: &str, known: i32) -> Result<Result<(), i32>, DbError> {
    let transaction = client.transaction().await?;
    // Whoever comes second waits as long as the first one takes, and so does what it waits for.
    transaction
        .batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
        .await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('dsync migrations ' || $1, 0))";
    transaction.execute(lock, &[&schema]).await?;
    transaction.batch_execute(TABLE).await?;
    let rows = transaction.query("SELECT number, works_since FROM migrations", &[]).await?;
    let done: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let last = done.iter().map(|(number, _)| *number).max().unwrap_or(0);
    if done.iter().any(|(number, works_since)| *number > known && *works_since > known) {
        transaction.rollback().await?;
        return Ok(Err(last));
    }
    for (migration, number) in MIGRATIONS.iter().zip(1_i32..).skip_while(|(_, at)| *at <= last) {
        transaction.batch_execute(migration.sql).await?;
        let done = "INSERT INTO migrations (number, works_since) VALUES ($1, $2)";
        transaction.execute(done, &[&number, &migration.works_since]).await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

fn number_of(steps: usize) -> i32 {
    i32::try_from(steps).expect("there are a handful")
}
