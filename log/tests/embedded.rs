//! The log in one SQLite file: the contract, and what a crash does to it.

use std::path::Path;

use log::conformance::{self, everything, records};
use log::{Embedded, EventLog, Offset, Partition};

const P: Partition = Partition(0);

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db"), 3).unwrap();
    conformance::all(&log).await;
}

#[tokio::test]
async fn what_was_appended_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = Embedded::open(&path, 2).unwrap();
    log.append(P, records("a", 3)).await.unwrap();
    log.append(Partition(1), records("b", 2)).await.unwrap();
    let before = everything(&log, P, 10).await;
    drop(log);
    let log = Embedded::open(&path, 2).unwrap();
    assert_eq!(everything(&log, P, 10).await, before);
    assert_eq!(log.append(Partition(1), records("c", 1)).await.unwrap(), Offset(2));
}

#[tokio::test]
async fn a_copy_of_the_files_taken_at_any_moment_holds_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db"), 1).unwrap();
    for number in 0..20 {
        log.append(P, records(&format!("a.{number}"), 5)).await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        for name in ["log.db", "log.db-wal"] {
            let from = folder.path().join(name);
            if from.exists() {
                std::fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        let crashed = Embedded::open(&copy.path().join("log.db"), 1).unwrap();
        assert_eq!(everything(&crashed, P, 100).await, everything(&log, P, 100).await);
    }
}

#[tokio::test]
async fn records_that_are_no_longer_in_memory_are_read_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = Embedded::open(&path, 1).unwrap();
    for number in 0..60 {
        let mut large = records(&format!("a.{number}"), 1);
        large[0].value = vec![b'x'; 100_000].into();
        log.append(P, large).await.unwrap();
    }
    assert_eq!(everything(&log, P, 7).await.len(), 60);
    let scanned: Vec<_> =
        Embedded::scan(&path, P, Offset(10)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(scanned[..], everything(&log, P, 100).await[10..]);
}

#[tokio::test]
async fn a_scan_says_where_a_record_is_missing_and_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = Embedded::open(&path, 1).unwrap();
    log.append(P, records("a", 5)).await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("DELETE FROM records WHERE key IN (1, 2)", []).unwrap();
    let scanned = Embedded::scan(&path, P, Offset(0)).unwrap();
    let found: Vec<_> = scanned.map(|entry| entry.map(|entry| entry.offset.0).ok()).collect();
    assert_eq!(found, [Some(0), None, Some(3), Some(4)]);
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(other);
    let refused = Embedded::open(&path, 1).unwrap_err();
    assert!(refused.to_string().contains("is not a log of dsync"), "{refused}");
    assert!(Embedded::scan(Path::new("/nowhere/log.db"), P, Offset(0)).is_err());
}
