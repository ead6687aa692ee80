//! How long a list keeps a reader. A filter has hundreds of terms, a resource a thousand values of each attribute, and a job
//! that SQLite has begun cannot be taken from it: so it is asked now and then whether there is time left, and a list goes
//! on with fewer rows where there was not.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::time::Instant;

use super::SCAN_ROWS;
use crate::error::DbError;

/// How long one job may read on: what others wait for behind it.
const JOB_MAX: Duration = Duration::from_millis(100);

/// The same where fewer rows cannot be had: of one row, or of what an index leads to.
const WHOLE_MAX: Duration = Duration::from_secs(2);

/// How long a list may take in all. Clients wait for some half a minute.
pub(crate) const LIST_MAX: Duration = Duration::from_secs(10);

/// After how many steps of its program SQLite asks: some tens of microseconds.
const ASKED_EVERY: i32 = 1_000;

/// How many rows the next job takes, and how long all have taken.
#[derive(Debug)]
pub(super) struct Pace {
    rows: u32,
    spent: Duration,
    hopeless: bool,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { rows: SCAN_ROWS, spent: Duration::ZERO, hopeless: false }
    }

    pub(super) const fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether the list is to be given up.
    pub(super) fn is_over(&self) -> bool {
        self.hopeless || self.spent > LIST_MAX
    }

    /// Does a job, if there is time for it. `whole`: it cannot do with less.
    pub(super) fn run<T>(
        &mut self,
        connection: &Connection,
        whole: bool,
        job: impl FnOnce() -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        let begun = Instant::now();
        let limit = if whole || self.rows == 1 { WHOLE_MAX } else { JOB_MAX };
        connection.progress_handler(ASKED_EVERY, Some(move || begun.elapsed() > limit))?;
        let done = job();
        connection.progress_handler(0, None::<fn() -> bool>)?;
        let took = begun.elapsed();
        self.spent += took;
        match done {
            Ok(done) => {
                if took < JOB_MAX / 4 {
                    self.rows = SCAN_ROWS.min(self.rows * 2);
                }
                Ok(Some(done))
            }
            Err(error) if is_interrupted(&error) => {
                self.hopeless = !whole && self.rows == 1;
                self.rows = (self.rows / 8).max(1);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_interrupted(error: &DbError) -> bool {
    matches!(error, DbError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_ever(connection: &Connection) -> Result<(), DbError> {
        let sql = "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more)
            SELECT count(*) FROM more";
        Ok(connection.query_row(sql, [], |_| Ok(()))?)
    }

    #[test]
    fn what_takes_too_long_is_tried_with_fewer_rows_and_given_up_at_one() {
        let connection = Connection::open_in_memory().unwrap();
        let mut pace = Pace::new();
        let mut tried = Vec::new();
        while !pace.is_over() {
            tried.push(pace.rows());
            assert!(pace.run(&connection, false, || for_ever(&connection)).unwrap().is_none());
        }
        assert_eq!(tried, [2_000, 250, 31, 3, 1]);
    }

    #[test]
    fn what_an_index_leads_to_is_given_up_for_reading_on() {
        let connection = Connection::open_in_memory().unwrap();
        let mut pace = Pace::new();
        assert!(pace.run(&connection, true, || for_ever(&connection)).unwrap().is_none());
        assert!(!pace.is_over() && pace.rows() < SCAN_ROWS);
    }

    #[test]
    fn after_quick_jobs_more_rows_are_taken_and_nothing_is_cut_off_behind_them() {
        let connection = Connection::open_in_memory().unwrap();
        let mut pace = Pace { rows: 3, ..Pace::new() };
        assert!(pace.run(&connection, false, || Ok(())).unwrap().is_some());
        assert_eq!(pace.rows(), 6);
        let long =
            "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more LIMIT 3000000)
            SELECT count(*) FROM more";
        connection.query_row(long, [], |_| Ok(())).unwrap();
    }
}
