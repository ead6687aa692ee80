//! Values as PostgreSQL has them and as the rules know them.

use schemas::{Hash, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::{DbError, unreadable};

/// Numbers that are never negative are kept in signed ones.
pub(crate) fn as_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A row by the places of its columns.
pub(crate) trait Columns {
    fn value<'a, T: FromSql<'a>>(&'a self, at: usize) -> Result<T, DbError>;

    /// A number that is never negative.
    fn number(&self, at: usize) -> Result<u64, DbError> {
        Ok(self.value::<i64>(at)?.unsigned_abs())
    }

    fn id(&self, at: usize) -> Result<[u8; 16], DbError> {
        self.value::<&[u8]>(at)?.try_into().map_err(unreadable("id"))
    }

    fn id_if_any(&self, at: usize) -> Result<Option<[u8; 16]>, DbError> {
        let bytes: Option<&[u8]> = self.value(at)?;
        bytes.map(|bytes| bytes.try_into().map_err(unreadable("id"))).transpose()
    }

    fn hash(&self, at: usize) -> Result<Hash, DbError> {
        Ok(Hash(self.value::<&[u8]>(at)?.try_into().map_err(unreadable("hash"))?))
    }

    fn time(&self, at: usize) -> Result<Timestamp, DbError> {
        Ok(Timestamp::from_millis(self.value(at)?))
    }
}

impl Columns for Row {
    fn value<'a, T: FromSql<'a>>(&'a self, at: usize) -> Result<T, DbError> {
        Ok(self.try_get(at)?)
    }
}
