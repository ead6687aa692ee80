//! The log on one machine: SQLite in WAL mode, one file.
//!
//! One thread writes. It takes whatever has queued up, commits it in one transaction with
//! `synchronous=FULL`, and answers every waiter: group commit, at one disk flush for all of them. A
//! second thread checkpoints, so that no commit pays for it. A third reads what is no longer among
//! the recent records kept in memory.
//!
//! SQLite's own write-ahead log is as fast as a file of ours with `fdatasync` would be, and it is
//! known to survive crashes.

mod checkpoint;
mod holes;
mod recent;
mod room;
mod scan;
mod sqlite;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::ahead::{self, Coming};
use crate::contract::{
    Append, AppendError, Entry, EventLog, Offset, Partition, ReadError, ReadLimit, Source,
    check_sizes,
};
use recent::Recent;
pub use scan::Scan;
pub use sqlite::OpenError;
use writer::Request;

/// How many appends may wait for the writer. Beyond it callers wait: that is the back-pressure.
const APPENDS_WAITING_MAX: usize = 1_024;

/// How many reads may wait for the reader.
const READS_WAITING_MAX: usize = 256;

/// Partitions share a key with the offset; a machine has no use for more than a few.
const PARTITIONS_MAX: u16 = 1 << 10;

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// The log in one SQLite file.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    partitions: u16,
    recent: Arc<Vec<Recent>>,
    tails: Vec<watch::Receiver<Offset>>,
    coming: Vec<Coming>,
    appends: Mutex<Option<mpsc::Sender<Request>>>,
    reads: Mutex<Option<mpsc::Sender<ReadJob>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(test)]
    wal: Arc<checkpoint::Wal>,
}

impl Embedded {
    /// Opens the log, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or is something else.
    pub fn open(path: &Path, partitions: u16) -> Result<Self, OpenError> {
        let writer = sqlite::open_for_writing(path)?;
        let partitions = partitions.clamp(1, PARTITIONS_MAX);
        let next = (0..partitions).map(|number| sqlite::tail(&writer, Partition(number)));
        let next: Vec<Offset> = next.collect::<Result<_, _>>().map_err(OpenError::at(path))?;
        let reader = sqlite::open_for_reading(path)?;
        let checkpointer = sqlite::open_for_writing(path)?;

        let recent: Arc<Vec<Recent>> =
            Arc::new(next.iter().map(|tail| Recent::starting_at(*tail)).collect());
        let (senders, tails) = next.iter().map(|tail| watch::channel(*tail)).unzip();
        let (announcers, coming) = next.iter().map(|tail| ahead::ending_at(*tail)).unzip();
        let (appends, requests) = mpsc::channel(APPENDS_WAITING_MAX);
        let (reads, jobs) = mpsc::channel(READS_WAITING_MAX);
        let (full, grown) = mpsc::channel(1);
        let wal = Arc::new(checkpoint::Wal::default());
        let writer = writer::Writer::new(
            writer,
            next,
            Arc::clone(&recent),
            senders,
            announcers,
            full,
            Arc::clone(&wal),
        );
        #[cfg(test)]
        let watched = Arc::clone(&wal);
        let threads = vec![
            spawn("log-writer", move || writer.run(requests))?,
            spawn("log-reader", move || read_all(&reader, jobs))?,
            spawn("log-checkpoint", move || checkpoint::run(&checkpointer, grown, &wal))?,
        ];
        Ok(Self {
            path: path.to_owned(),
            partitions,
            recent,
            tails,
            coming,
            appends: Mutex::new(Some(appends)),
            reads: Mutex::new(Some(reads)),
            threads: Mutex::new(threads),
            #[cfg(test)]
            wal: watched,
        })
    }

    /// Everything from an offset on, as fast as the disk gives it; for tools that read all of it.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn scan(path: &Path, partition: Partition, from: Offset) -> Result<Scan, OpenError> {
        Scan::open(path, partition, from)
    }

    /// Writes down that the log goes on without the records that it lacks, and returns where some were found to be
    /// missing: from which offset to the next that has one. Readers stop in front of any other hole.
    ///
    /// # Errors
    ///
    /// If the log cannot be read or written.
    pub fn accept_holes(
        path: &Path,
        partition: Partition,
    ) -> Result<Vec<(Offset, Offset)>, OpenError> {
        let mut connection = sqlite::open_for_writing(path)?;
        holes::accept(&mut connection, partition).map_err(OpenError::at(path))
    }

    /// Where the log is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Commits what was accepted, and ends the threads. Blocks; for shutdown.
    pub fn close(&self) {
        drop(self.appends.lock().expect("nothing panics while it is held").take());
        drop(self.reads.lock().expect("nothing panics while it is held").take());
        let threads = std::mem::take(&mut *self.threads.lock().expect("locked here alone"));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
    }

    async fn read_on_thread<T, F>(&self, job: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| drop(answer.send(job(connection))));
        let sender = self.reads.lock().expect("nothing panics while it is held").clone();
        let sender = sender.ok_or_else(|| ReadError::Unavailable(closed()))?;
        sender.send(job).await.map_err(|_| ReadError::Unavailable(closed()))?;
        answered.await.map_err(|_| ReadError::Unavailable(closed()))?
    }

    fn partition(&self, partition: Partition) -> usize {
        assert!(partition.0 < self.partitions, "there are {} partitions", self.partitions);
        usize::from(partition.0)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl EventLog for Embedded {
    fn partitions(&self) -> u16 {
        self.partitions
    }

    async fn append(
        &self,
        partition: Partition,
        records: Vec<Append>,
    ) -> Result<Offset, AppendError> {
        self.partition(partition);
        check_sizes(&records)?;
        let (answer, answered) = oneshot::channel();
        let sender = self.appends.lock().expect("nothing panics while it is held").clone();
        let sender = sender.ok_or_else(|| AppendError::Unavailable(closed()))?;
        let request = Request { partition, records, answer };
        sender.send(request).await.map_err(|_| AppendError::Unavailable(closed()))?;
        // The writer answers everything it takes; without an answer it is unknown how far it came.
        answered.await.map_err(|_| AppendError::Indeterminate(closed()))?
    }

    async fn read(
        &self,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        if let Some(entries) = self.recent[self.partition(partition)].read(from, limit) {
            return Ok(entries);
        }
        let entries = self
            .read_on_thread(move |connection| sqlite::read(connection, partition, from, limit))
            .await?;
        // What is kept in memory begins later, so there is something to read.
        if entries.is_empty() {
            return Err(ReadError::Corrupt { partition, offset: from });
        }
        Ok(entries)
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), ReadError> {
        let mut tail = self.tails[self.partition(partition)].clone();
        let passed = tail.wait_for(|tail| *tail > offset).await;
        passed.map(drop).map_err(|_| ReadError::Unavailable(closed()))
    }

    fn coming(&self, partition: Partition) -> Option<&Coming> {
        Some(&self.coming[self.partition(partition)])
    }

    async fn tail(&self, partition: Partition) -> Result<Offset, ReadError> {
        Ok(*self.tails[self.partition(partition)].borrow())
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(OpenError::Thread)
}

fn read_all(connection: &Connection, mut jobs: mpsc::Receiver<ReadJob>) {
    while let Some(job) = jobs.blocking_recv() {
        job(connection);
    }
}

fn closed() -> Source {
    "the log is closed".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Known;
    use crate::conformance::{everything, records};

    const P: Partition = Partition(0);

    #[tokio::test]
    async fn a_full_disk_refuses_and_room_is_used_as_soon_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let log = Embedded::open(&folder.path().join("log.db"), 1).unwrap();
        log.append(P, records("a", 3)).await.unwrap();
        log.wal.set_page_limit(1);
        let mut large = records("b", 2);
        large[1].value = vec![b'x'; 100_000].into();
        for _ in 0..3 {
            let refused = log.append(P, large.clone()).await;
            assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
            assert_eq!(log.tail(P).await.unwrap(), Offset(3));
        }
        assert_eq!(everything(&log, P, 10).await.len(), 3);
        log.wal.set_page_limit(1_000_000);
        assert_eq!(log.append(P, large).await.unwrap(), Offset(4));
        assert_eq!(everything(&log, P, 10).await.len(), 5);
    }

    #[tokio::test]
    async fn what_is_known_of_a_record_reaches_readers_while_it_is_held_and_is_never_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = Embedded::open(&path, 1).unwrap();
        let holder = Arc::new("what it says".to_owned());
        let mut appended = records("a", 1);
        appended[0].known = Known::by(&holder);
        log.append(P, appended).await.unwrap();
        let read = everything(&log, P, 10).await;
        assert_eq!(read[0].known.get::<String>(), Some(Arc::clone(&holder)));
        assert_eq!(read[0].known.get::<u64>(), None, "it is not of that type");
        drop(holder);
        assert_eq!(read[0].known.get::<String>(), None);

        let holder = Arc::new("what it says".to_owned());
        let mut appended = records("b", 1);
        appended[0].known = Known::by(&holder);
        log.append(P, appended).await.unwrap();
        drop(log);
        let again = everything(&Embedded::open(&path, 1).unwrap(), P, 10).await;
        assert!(again.iter().all(|entry| entry.known.get::<String>().is_none()));
    }

    #[tokio::test]
    async fn a_lost_record_is_damage_and_is_not_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = Embedded::open(&path, 1).unwrap();
        log.append(P, records("a", 5)).await.unwrap();
        drop(log);
        let other = Connection::open(&path).unwrap();
        other.execute("DELETE FROM records WHERE key = 2", []).unwrap();
        drop(other);
        let log = Embedded::open(&path, 1).unwrap();
        assert_eq!(log.read(P, Offset(0), limit()).await.unwrap().len(), 2, "what lies before it");
        let read = log.read(P, Offset(2), limit()).await;
        let damage = matches!(read, Err(ReadError::Corrupt { offset: Offset(2), .. }));
        assert!(damage, "{read:?}");
    }

    /// A disk that is held up is given up after five seconds.
    const SHOWN_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

    fn limit() -> ReadLimit {
        let one = std::num::NonZeroUsize::MIN;
        ReadLimit { records: one.saturating_add(9), bytes: one.saturating_add(999) }
    }

    /// Holds the lock that the writer of the log needs next.
    fn hold_up(path: &Path) -> Connection {
        let other = Connection::open(path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waits_for_the_disk_is_read_ahead_and_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = Embedded::open(&path, 2).unwrap();
        log.append(P, records("a", 3)).await.unwrap();
        let disk = hold_up(&path);
        let read = async {
            log.wait_ahead(P, Offset(3)).await.unwrap();
            let ahead = log.read_ahead(P, Offset(3), limit()).await.unwrap();
            assert_eq!(ahead.entries.len(), 2);
            assert_eq!(log.read(P, Offset(3), limit()).await.unwrap(), []);
            assert_eq!(log.tail(P).await.unwrap(), Offset(3));
            let other = log.read_ahead(Partition(1), Offset(0), limit()).await.unwrap();
            assert_eq!(other.entries, []);
            disk.execute_batch("ROLLBACK").unwrap();
            assert!(ahead.durable.wait().await);
            assert_eq!(log.read(P, Offset(3), limit()).await.unwrap(), ahead.entries);
        };
        let both = async { tokio::join!(log.append(P, records("b", 2)), read) };
        let both = tokio::time::timeout(SHOWN_WITHIN, both).await;
        let (appended, ()) = both.expect("it is shown");
        assert_eq!(appended.unwrap(), Offset(4));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_ahead_and_fails_is_told_and_others_take_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = Embedded::open(&path, 1).unwrap();
        log.append(P, records("a", 3)).await.unwrap();
        log.wal.set_page_limit(1);
        let mut large = records("b", 2);
        large[1].value = vec![b'x'; 100_000].into();
        let disk = hold_up(&path);
        let read = async {
            log.wait_ahead(P, Offset(3)).await.unwrap();
            let ahead = log.read_ahead(P, Offset(3), limit()).await.unwrap();
            disk.execute_batch("ROLLBACK").unwrap();
            assert!(!ahead.durable.wait().await);
            assert_eq!(log.read_ahead(P, Offset(3), limit()).await.unwrap().entries, []);
        };
        let both = async { tokio::join!(log.append(P, large), read) };
        let both = tokio::time::timeout(SHOWN_WITHIN, both).await;
        let (refused, ()) = both.expect("it is shown");
        assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
        log.wal.set_page_limit(1_000_000);
        assert_eq!(log.append(P, records("c", 1)).await.unwrap(), Offset(3));
        let found = log.read_ahead(P, Offset(3), limit()).await.unwrap();
        assert_eq!(found.entries[0].value, "c-0");
        assert!(found.durable.wait().await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_write_ahead_log_stays_bounded_under_writers_that_never_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let log = Embedded::open(&path, 1).unwrap();
        let write = async || {
            for _ in 0..100 {
                let mut large = records("a", 1);
                large[0].value = vec![b'x'; 500_000].into();
                log.append(P, large).await.unwrap();
            }
        };
        tokio::join!(write(), write(), write(), write());
        let wal = std::fs::metadata(folder.path().join("log.db-wal")).unwrap().len();
        assert!(wal < 150 << 20, "{wal} bytes for 200 MB appended");
    }
}
