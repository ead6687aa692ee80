//! Statements, prepared once on each connection.

use deadpool_postgres::GenericClient;
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
