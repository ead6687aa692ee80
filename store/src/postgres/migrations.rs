//! The schema, brought to what this version knows: one series, forward only, each step once.
//!
//! Replicas of two versions run beside each other while they are replaced one by one. So a step says how far back
//! the versions reach that still work with what it leaves, and a version that meets steps it does not know goes on
//! if all of them reach back to it. A step that adds does; one that takes away waits until nobody asks for it. Which
//! statements a step may have is in the tests of this module (`rules`), and what a replica that was there before
//! goes on doing meanwhile as well (`older`).

use std::time::Duration;

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
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0014_token_ends.sql"),
    },
    Migration {
        half: Half::Config,
        works_since: 1,
        sql: include_str!("migrations/0015_admin_events.sql"),
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
    let ran = apply(client, schema, MIGRATIONS).await;
    match ran.map_err(|error| OpenError::server(settings, error))? {
        Ok(()) => Ok(()),
        Err(found) => {
            Err(OpenError::Schema { server: settings.to_string(), found, known: known() })
        }
    }
}

/// The number of steps that this version knows.
pub(super) fn known() -> i32 {
    number_of(MIGRATIONS.len())
}

/// How long a step waits for a table that somebody uses. Everybody else waits behind it, so it gives way soon, and
/// before PostgreSQL looks for one to end among those that wait for each other, which is after a second.
const WAIT: Duration = Duration::from_millis(500);

/// How long it lets the others go on before it tries again.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it tries: for two minutes, where no statement of ours takes more than half of one.
const TRIES: u32 = 120;

/// What has become of the next step.
enum Next {
    Done,
    /// There is none.
    AllDone,
    /// This version cannot live with one that was done. The last has this number.
    TooOld(i32),
}

/// The number of the last step if there is one that this version cannot live with. Each step is a transaction of its
/// own, so that none keeps a table from others while the next waits for another.
async fn apply(
    client: &mut Client,
    schema: &str,
    steps: &[Migration],
) -> Result<Result<(), i32>, DbError> {
    let mut tries = 0;
    loop {
        match next(client, schema, steps).await {
            Ok(Next::AllDone) => return Ok(Ok(())),
            Ok(Next::TooOld(last)) => return Ok(Err(last)),
            Ok(Next::Done) => tries = 0,
            Err(error) if error.is_in_the_way() && tries < TRIES => {
                tries += 1;
                tracing::info!(%error, "a step of the schema waits for a table that is in use");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn next(client: &mut Client, schema: &str, steps: &[Migration]) -> Result<Next, DbError> {
    let known = number_of(steps.len());
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
        return Ok(Next::TooOld(last));
    }
    let Some((step, number)) = steps.iter().zip(1_i32..).find(|(_, number)| *number > last) else {
        transaction.commit().await?;
        return Ok(Next::AllDone);
    };
    let wait = format!("SET LOCAL lock_timeout = {}", WAIT.as_millis());
    transaction.batch_execute(&wait).await?;
    transaction.batch_execute(step.sql).await?;
    let done = "INSERT INTO migrations (number, works_since) VALUES ($1, $2)";
    transaction.execute(done, &[&number, &step.works_since]).await?;
    transaction.commit().await?;
    Ok(Next::Done)
}

fn number_of(steps: usize) -> i32 {
    i32::try_from(steps).expect("there are a handful")
}

#[cfg(test)]
mod older;
#[cfg(test)]
mod rules;
