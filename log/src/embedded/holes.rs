//! Offsets whose records are lost for good, and of which an operator has said so.
//!
//! The writer leaves no offset out. So one without a record is damage, and every reader stops in front of it, until it is
//! written down here that the log goes on without. What the lost records said is missing all the same: the chain of each
//! stream shows it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::sqlite::{OFFSET_MAX, key, offset};
use crate::contract::{Offset, Partition};

/// From the first offset without a record to the next one that has one.
pub(super) type Hole = (Offset, Offset);

/// A log without holes has no such table, and a version that does not know it stops at each of them.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS holes (
    -- Keys as those of records.
    key  INTEGER PRIMARY KEY,
    next INTEGER NOT NULL
)";

/// Writes down every hole that a partition has, and returns those that nobody had accepted before.
pub(super) fn accept(
    connection: &mut Connection,
    partition: Partition,
) -> Result<Vec<Hole>, rusqlite::Error> {
    let transaction = connection.transaction()?;
    let mut accepted = Vec::new();
    for hole in find(&transaction, partition)? {
        if !is_accepted(&transaction, partition, hole)? {
            accepted.push(hole);
        }
    }
    if accepted.is_empty() {
        return Ok(accepted);
    }
    transaction.execute(CREATE, [])?;
    for (from, next) in &accepted {
        transaction.execute(
            "INSERT OR REPLACE INTO holes (key, next) VALUES (?1, ?2)",
            params![key(partition, *from), key(partition, *next)],
        )?;
    }
    transaction.commit()?;
    Ok(accepted)
}

fn find(connection: &Connection, partition: Partition) -> Result<Vec<Hole>, rusqlite::Error> {
    let mut select = connection.prepare(
        "SELECT before + 1, key FROM (
             SELECT key, lag(key, 1, ?1 - 1) OVER (ORDER BY key) AS before
             FROM records WHERE key BETWEEN ?1 AND ?2)
         WHERE key > before + 1",
    )?;
    let range = params![key(partition, Offset(0)), key(partition, OFFSET_MAX)];
    select.query_map(range, |row| Ok((offset(row.get(0)?), offset(row.get(1)?))))?.collect()
}

/// Whether all of these offsets are known to have no record, and readers pass over them.
pub(super) fn is_accepted(
    connection: &Connection,
    partition: Partition,
    (from, next): Hole,
) -> Result<bool, rusqlite::Error> {
    let table = "SELECT 1 FROM sqlite_schema WHERE name = 'holes'";
    if connection.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(false);
    }
    // Holes that grew into each other stand here one by one; the one that reaches furthest is the last.
    let reaches: Option<i64> = connection.query_row(
        "SELECT max(next) FROM holes WHERE key BETWEEN ?1 AND ?2",
        params![key(partition, Offset(0)), key(partition, from)],
        |row| row.get(0),
    )?;
    Ok(reaches.is_some_and(|reaches| offset(reaches) >= next))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;

    use super::super::{Embedded, sqlite};
    use super::*;
    use crate::conformance::records;
    use crate::contract::{EventLog as _, ReadError, ReadLimit};

    const P: Partition = Partition(1);

    const ALL: ReadLimit = ReadLimit { records: NonZeroUsize::MAX, bytes: NonZeroUsize::MAX };

    /// A log with ten records in each of two partitions.
    async fn log(path: &Path) {
        let log = Embedded::open(path, 2).unwrap();
        log.append(Partition(0), records("a", 10)).await.unwrap();
        log.append(P, records("b", 10)).await.unwrap();
    }

    fn lose(path: &Path, offsets: std::ops::Range<u64>) {
        let other = Connection::open(path).unwrap();
        let keys = [key(P, Offset(offsets.start)), key(P, Offset(offsets.end))];
        other.execute("DELETE FROM records WHERE key >= ?1 AND key < ?2", keys).unwrap();
    }

    fn accepted(path: &Path) -> Vec<(u64, u64)> {
        let accepted = Embedded::accept_holes(path, P).unwrap();
        accepted.into_iter().map(|(from, next)| (from.0, next.0)).collect()
    }

    /// What is read from an offset on, or where the damage is said to be.
    async fn read(path: &Path, from: u64) -> Result<Vec<u64>, u64> {
        let log = Embedded::open(path, 2).unwrap();
        match log.read(P, Offset(from), ALL).await {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.offset.0).collect()),
            Err(ReadError::Corrupt { offset, .. }) => Err(offset.0),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn readers_pass_over_a_hole_that_was_accepted_and_over_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        log(&path).await;
        assert_eq!(accepted(&path), []);
        lose(&path, 0..1);
        lose(&path, 4..6);
        assert_eq!(read(&path, 0).await, Err(0));
        assert_eq!(accepted(&path), [(0, 1), (4, 6)]);
        assert_eq!(accepted(&path), [], "they are known");
        assert_eq!(read(&path, 0).await, Ok(vec![1, 2, 3, 6, 7, 8, 9]));
        assert_eq!(read(&path, 5).await, Ok(vec![6, 7, 8, 9]));
        let scan = Embedded::scan(&path, P, Offset(0)).unwrap();
        assert_eq!(scan.filter_map(Result::ok).count(), 7);
        let scan = Embedded::scan(&path, P, Offset(0)).unwrap();
        assert_eq!(scan.filter(Result::is_err).count(), 0);
        let scan = Embedded::scan(&path, Partition(0), Offset(0)).unwrap();
        assert_eq!(scan.filter_map(Result::ok).count(), 10, "the other partition has none");

        lose(&path, 8..9);
        assert_eq!(read(&path, 6).await, Ok(vec![6, 7]), "what lies before it");
        assert_eq!(read(&path, 8).await, Err(8));
    }

    #[tokio::test]
    async fn a_hole_that_has_grown_is_accepted_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        log(&path).await;
        lose(&path, 4..6);
        assert_eq!(accepted(&path), [(4, 6)]);
        lose(&path, 6..7);
        assert_eq!(read(&path, 4).await, Err(4));
        assert_eq!(accepted(&path), [(4, 7)]);
        lose(&path, 3..4);
        assert_eq!(accepted(&path), [(3, 7)]);
        for from in 3..=7 {
            assert_eq!(read(&path, from).await, Ok(vec![7, 8, 9]));
        }
    }

    #[tokio::test]
    async fn a_log_with_holes_goes_on_behind_its_last_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        log(&path).await;
        lose(&path, 2..9);
        accepted(&path);
        let log = Embedded::open(&path, 2).unwrap();
        assert_eq!(log.append(P, records("c", 1)).await.unwrap(), Offset(10));
        assert_eq!(sqlite::tail(&Connection::open(&path).unwrap(), P).unwrap(), Offset(11));
    }
}
