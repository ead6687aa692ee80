//! Rows of either database, read in one way: ids are bytes, times and numbers are integers, lists and our own words
//! are text.

use rusqlite::types::FromSql as FromSqlite;
use schemas::Timestamp;
use tokio_postgres::types::FromSql as FromPostgres;

use crate::error::{DbError, unreadable};

/// A row.
pub(crate) trait Columns {
    fn bytes_if(&self, column: usize) -> Result<Option<Vec<u8>>, DbError>;

    fn text_if(&self, column: usize) -> Result<Option<String>, DbError>;

    fn integer_if(&self, column: usize) -> Result<Option<i64>, DbError>;

    fn flag(&self, column: usize) -> Result<bool, DbError>;

    fn bytes(&self, column: usize) -> Result<Vec<u8>, DbError> {
        self.bytes_if(column)?.ok_or_else(nothing)
    }

    fn text(&self, column: usize) -> Result<String, DbError> {
        self.text_if(column)?.ok_or_else(nothing)
    }

    fn integer(&self, column: usize) -> Result<i64, DbError> {
        self.integer_if(column)?.ok_or_else(nothing)
    }

    /// A number that is never negative.
    fn count(&self, column: usize) -> Result<u64, DbError> {
        Ok(self.integer(column)?.unsigned_abs())
    }

    /// A number that fits.
    fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, DbError> {
        T::try_from(self.integer(column)?).map_err(|_| unreadable("number")("it is too large"))
    }

    fn number_if<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>, DbError> {
        let number = self.integer_if(column)?.map(T::try_from).transpose();
        number.map_err(|_| unreadable("number")("it is too large"))
    }

    fn time(&self, column: usize) -> Result<Timestamp, DbError> {
        self.integer(column).map(Timestamp::from_millis)
    }

    fn time_if(&self, column: usize) -> Result<Option<Timestamp>, DbError> {
        Ok(self.integer_if(column)?.map(Timestamp::from_millis))
    }

    fn id(&self, column: usize) -> Result<[u8; 16], DbError> {
        exactly(self.bytes(column)?)
    }

    fn id_if(&self, column: usize) -> Result<Option<[u8; 16]>, DbError> {
        self.bytes_if(column)?.map(exactly).transpose()
    }

    fn digest(&self, column: usize) -> Result<[u8; 32], DbError> {
        exactly(self.bytes(column)?)
    }
}

fn nothing() -> DbError {
    unreadable("column")("it is empty")
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], DbError> {
    bytes.try_into().map_err(|_| unreadable("id")("it has another length"))
}

fn of_sqlite<T: FromSqlite>(row: &rusqlite::Row<'_>, column: usize) -> Result<T, DbError> {
    Ok(row.get(column)?)
}

impl Columns for rusqlite::Row<'_> {
    fn bytes_if(&self, column: usize) -> Result<Option<Vec<u8>>, DbError> {
        of_sqlite(self, column)
    }

    fn text_if(&self, column: usize) -> Result<Option<String>, DbError> {
        of_sqlite(self, column)
    }

    fn integer_if(&self, column: usize) -> Result<Option<i64>, DbError> {
        of_sqlite(self, column)
    }

    fn flag(&self, column: usize) -> Result<bool, DbError> {
        of_sqlite(self, column)
    }
}

fn of_postgres<'r, T: FromPostgres<'r>>(
    row: &'r tokio_postgres::Row,
    column: usize,
) -> Result<T, DbError> {
    Ok(row.try_get(column)?)
}

impl Columns for tokio_postgres::Row {
    fn bytes_if(&self, column: usize) -> Result<Option<Vec<u8>>, DbError> {
        of_postgres(self, column)
    }

    fn text_if(&self, column: usize) -> Result<Option<String>, DbError> {
        of_postgres(self, column)
    }

    fn integer_if(&self, column: usize) -> Result<Option<i64>, DbError> {
        of_postgres(self, column)
    }

    fn flag(&self, column: usize) -> Result<bool, DbError> {
        of_postgres(self, column)
    }
}
