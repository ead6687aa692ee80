//! Statements, prepared once for each connection.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::TryStreamExt as _;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{IsolationLevel, Row, RowStream, Transaction};

use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::reading::page::Spent;

/// The parameters of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How many bytes a row has.
pub(crate) type Bytes = fn(&Row) -> Result<usize, DbError>;

/// A transaction on a connection of the pool, with the statements that the connection has prepared.
pub(crate) struct Moment<'a>(deadpool_postgres::Transaction<'a>);

impl<'a> Moment<'a> {
    /// Reads everything as of one moment.
    pub(crate) async fn reading(client: &'a mut ClientWrapper) -> Result<Self, DbError> {
        let begin = ClientWrapper::build_transaction(client);
        let begin = begin.isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        Ok(Self(begin.start().await?))
    }

    /// Writes, and reads what is there by then.
    pub(crate) async fn writing(client: &'a mut ClientWrapper) -> Result<Self, DbError> {
        Ok(Self(ClientWrapper::transaction(client).await?))
    }

    /// From here on nothing is sorted that an index has in order: a list is walked along, and ends soon. The planner may
    /// take a long one for short.
    pub(crate) async fn walking(&self) -> Result<(), DbError> {
        self.batch("SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off").await
    }

    /// From here on no statement takes longer.
    pub(crate) async fn within(&self, most: Duration) -> Result<(), DbError> {
        self.batch(&format!("SET LOCAL statement_timeout = {}", most.as_millis())).await
    }

    pub(crate) async fn commit(self) -> Result<(), DbError> {
        Ok(self.0.commit().await?)
    }

    pub(crate) async fn rollback(self) -> Result<(), DbError> {
        Ok(self.0.rollback().await?)
    }

    /// Every row of a query that is always the same.
    pub(crate) async fn all(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DbError> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query(&statement, parameters).await?)
    }

    /// The first row, if there is one.
    pub(crate) async fn first(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, DbError> {
        Ok(self.all(sql, parameters).await?.into_iter().next())
    }

    /// How many rows a statement has changed.
    pub(crate) async fn execute(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<u64, DbError> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, parameters).await?)
    }

    /// Every row of a query that was put together for one request: it is planned for its parameters and
    /// forgotten.
    pub(crate) async fn once(
        &self,
        sql: &str,
        parameters: &[Option<Parameter>],
    ) -> Result<Vec<Row>, DbError> {
        let typed: Vec<_> = parameters.iter().map(|one| one.as_ref().map_or(NULL, typed)).collect();
        let client: &Transaction<'_> = &self.0;
        Ok(client.query_typed(sql, &typed).await?)
    }

    /// The rows of such a query of which a page shows up to the one with which it has enough bytes, and the first that
    /// does not fit. What comes behind that is passed over as it arrives, so it takes no memory.
    pub(crate) async fn enough_once(
        &self,
        sql: &str,
        parameters: &[Option<Parameter>],
        bytes: Bytes,
    ) -> Result<Vec<Row>, DbError> {
        let typed: Vec<_> = parameters.iter().map(|one| one.as_ref().map_or(NULL, typed)).collect();
        let client: &Transaction<'_> = &self.0;
        enough(client.query_typed_raw(sql, typed).await?, bytes).await
    }

    /// The same of a query that is always the same.
    pub(crate) async fn enough(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
        bytes: Bytes,
    ) -> Result<Vec<Row>, DbError> {
        let statement = self.0.prepare_cached(sql).await?;
        let parameters = parameters.iter().copied();
        enough(self.0.query_raw(&statement, parameters).await?, bytes).await
    }

    /// The same statement that changes what is not ours to bind: tables.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), DbError> {
        Ok(self.0.batch_execute(sql).await?)
    }
}

async fn enough(rows: RowStream, bytes: Bytes) -> Result<Vec<Row>, DbError> {
    let mut rows = std::pin::pin!(rows);
    let (mut found, mut spent) = (Vec::new(), Spent::default());
    while let Some(row) = rows.try_next().await? {
        let fits = spent.fits(bytes(&row)?);
        found.push(row);
        if !fits {
            break;
        }
    }
    Ok(found)
}

/// What is not there.
const NULL: (&(dyn ToSql + Sync), Type) = (&None::<&str>, Type::TEXT);

fn typed(parameter: &Parameter) -> (&(dyn ToSql + Sync), Type) {
    match parameter {
        Parameter::Text(text) => (text, Type::TEXT),
        Parameter::Integer(number) => (number, Type::INT8),
        Parameter::Real(number) => (number, Type::FLOAT8),
        Parameter::Bytes(bytes) => (bytes, Type::BYTEA),
    }
}
