//! Statements, prepared once on each connection.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::error::DbError;
use crate::ports::conflicted;

pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Every row of a query.
pub(super) async fn all(
    client: &impl GenericClient,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, parameters).await?)
}

/// The first row of a query, if there is one.
pub(super) async fn first(
    client: &impl GenericClient,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>, DbError> {
    Ok(all(client, sql, parameters).await?.into_iter().next())
}

/// How many rows it was about.
pub(super) async fn execute(
    client: &impl GenericClient,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<u64, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, parameters).await?)
}

/// Commits.
pub(super) async fn commit(tx: Transaction<'_>) -> Result<(), DbError> {
    tx.commit().await.map_err(uncommitted)
}

/// Whether the change is there is known just where the server says that it is not: data, constraints, a transaction that
/// was over, one that lost against another, no room, a limit. A connection that is lost, or a server that shuts down, may
/// have made it.
fn uncommitted(error: tokio_postgres::Error) -> DbError {
    const UNDONE: [&str; 6] = ["22", "23", "25", "40", "53", "54"];
    if error.code().is_some_and(|state| UNDONE.contains(&&state.code()[..2])) {
        return error.into();
    }
    DbError::from(error).behind_commit()
}

/// Numbers that are never negative are kept in signed ones.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An id as it is kept.
pub(super) fn id(bytes: [u8; 16]) -> Vec<u8> {
    bytes.to_vec()
}

/// A value that must be unique and is not, in the port's terms.
pub(super) fn conflict(error: DbError, conflict: api::ports::Conflict) -> DbError {
    let is_taken =
        |error: &tokio_postgres::Error| error.code() == Some(&SqlState::UNIQUE_VIOLATION);
    if matches!(&error, DbError::Postgres(error) if is_taken(error)) {
        return conflicted(conflict);
    }
    error
}

#[cfg(test)]
mod tests {
    use ::tests::Postgres as Server;

    use super::*;
    use crate::postgres::{Postgres, PostgresSettings};

    #[tokio::test]
    async fn a_commit_may_have_been_made_unless_the_server_says_that_it_was_not() {
        let server = match Server::shared().await {
            Ok(server) => server,
            Err(missing) => return ::tests::not_checked(&missing),
        };
        let settings: PostgresSettings = server.config().clone().into();
        let db = Postgres::open(settings).await.unwrap();
        let mut client = db.client().await.unwrap();

        let refused = client.transaction().await.unwrap();
        let twice = "CREATE TEMPORARY TABLE twice (key int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP;
            INSERT INTO twice VALUES (1), (1)";
        refused.batch_execute(twice).await.unwrap();
        assert!(matches!(commit(refused).await, Err(DbError::Postgres(_))));

        let lost = client.transaction().await.unwrap();
        let pid = first(&lost, "SELECT pg_backend_pid()", &[]).await.unwrap().unwrap();
        let pid: i32 = pid.get(0);
        let other = db.client().await.unwrap();
        let ended = first(&other, "SELECT pg_terminate_backend($1, 5000)", &[&pid]).await;
        assert!(ended.unwrap().unwrap().get::<_, bool>(0));
        assert!(matches!(commit(lost).await, Err(DbError::Unsure(_))));
    }
}
