//! The one thread that writes.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, ffi, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::{self, Wal};
use super::recent::Recent;
use super::{room, sqlite};
use crate::ahead::Announcer;
use crate::contract::{Append, AppendError, Entry, Offset, Partition};

/// How many records one transaction takes: a few milliseconds' worth, so that the first to wait does
/// not wait for thousands behind it.
const COMMIT_RECORDS_MAX: usize = 4_096;

/// How many bytes one transaction takes.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// After so many bytes the checkpoint thread is woken: often enough to keep the write-ahead log in the
/// page cache, seldom enough that a page which is written many times is moved once.
const CHECKPOINT_EVERY_BYTES: usize = 16 << 20;

type Answer = oneshot::Sender<Result<Offset, AppendError>>;

/// An append that waits.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) partition: Partition,
    pub(super) records: Vec<Append>,
    pub(super) answer: Answer,
}

pub(super) struct Writer {
    connection: Connection,
    /// The first free offset of each partition.
    next: Vec<Offset>,
    recent: Arc<Vec<Recent>>,
    tails: Vec<watch::Sender<Offset>>,
    announcers: Vec<Announcer>,
    grown: mpsc::Sender<()>,
    wal: Arc<Wal>,
    since_checkpoint: usize,
    since_help: usize,
    /// A transaction failed, and what the file holds has not been looked up since.
    unsure: bool,
}

/// What became of a transaction.
enum Outcome {
    /// These are there, by partition.
    Committed(Vec<Vec<Entry>>),
    /// Nothing of it is there.
    Failed(rusqlite::Error),
    Unknown(rusqlite::Error),
}

impl Writer {
    pub(super) const fn new(
        connection: Connection,
        next: Vec<Offset>,
        recent: Arc<Vec<Recent>>,
        tails: Vec<watch::Sender<Offset>>,
        announcers: Vec<Announcer>,
        grown: mpsc::Sender<()>,
        wal: Arc<Wal>,
    ) -> Self {
        Self {
            connection,
            next,
            recent,
            tails,
            announcers,
            grown,
            wal,
            since_checkpoint: 0,
            since_help: 0,
            unsure: false,
        }
    }

    /// Commits what comes until nobody can send any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            #[cfg(test)]
            self.wal.limit_pages(&self.connection);
            self.help_checkpoint();
            let batch = collect(first, &mut requests);
            let outcome = self.commit(&batch);
            self.answer(batch, outcome);
        }
    }

    /// Between two transactions nothing is added to the write-ahead log: without such a moment SQLite
    /// would never begin the file anew.
    fn help_checkpoint(&mut self) {
        if self.since_help >= checkpoint::WAL_BYTES_MAX {
            // The other thread has not come round. While it is at it this does nothing, and is tried
            // again after the next transaction.
            if checkpoint::restart(&self.connection) {
                self.since_help = 0;
            }
        } else if self.wal.take_long() {
            checkpoint::checkpoint(&self.connection, "PASSIVE");
        }
    }

    fn commit(&mut self, batch: &[Request]) -> Outcome {
        if self.unsure
            && let Err(error) = self.look_up_tails()
        {
            return Outcome::Failed(error);
        }
        let placed = self.placed(batch);
        // Readers have the time of the flush to get ready what follows from them.
        for (announcer, entries) in self.announcers.iter().zip(&placed) {
            announcer.announce(entries.clone());
        }
        if let Err(error) = self.insert(&placed) {
            self.recover();
            return Outcome::Failed(error);
        }
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => Outcome::Committed(placed),
            Err(error) => {
                self.recover();
                if may_have_left_a_trace(&error) {
                    Outcome::Unknown(error)
                } else {
                    Outcome::Failed(error)
                }
            }
        }
    }

    /// What each partition gets, with its places.
    fn placed(&self, batch: &[Request]) -> Vec<Vec<Entry>> {
        let mut placed = vec![Vec::new(); self.next.len()];
        let mut next = self.next.clone();
        for request in batch {
            let partition = usize::from(request.partition.0);
            for Append { value, known, .. } in &request.records {
                let (offset, value, known) = (next[partition], value.clone(), known.clone());
                placed[partition].push(Entry { offset, value, known });
                next[partition] = offset.next();
            }
        }
        placed
    }

    fn insert(&self, placed: &[Vec<Entry>]) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert =
            self.connection.prepare_cached("INSERT INTO records (key, value) VALUES (?1, ?2)")?;
        for (number, entries) in (0..).zip(placed) {
            for entry in entries {
                let key = sqlite::key(Partition(number), entry.offset);
                insert.execute(params![key, &entry.value[..]])?;
            }
        }
        Ok(())
    }

    /// After a failed statement SQLite may have rolled back by itself; asking again does no harm.
    fn recover(&mut self) {
        self.unsure = true;
        for (announcer, next) in self.announcers.iter().zip(&self.next) {
            announcer.withdraw(*next);
        }
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the log's transaction cannot be rolled back");
        }
        if let Err(error) = self.look_up_tails() {
            tracing::error!(%error, "the log cannot be read after a failed transaction");
        }
    }

    /// Goes by what the file holds: offsets that are taken are not given out again, and records of a
    /// commit that was thought to have failed are shown to readers.
    fn look_up_tails(&mut self) -> Result<(), rusqlite::Error> {
        for (number, next) in (0..).zip(&mut self.next) {
            let tail = sqlite::tail(&self.connection, Partition(number))?;
            if tail != *next {
                *next = tail;
                self.recent[usize::from(number)].restart_at(tail);
                self.tails[usize::from(number)].send_replace(tail);
                self.announcers[usize::from(number)].withdraw(tail);
            }
        }
        self.unsure = false;
        Ok(())
    }

    fn answer(&mut self, batch: Vec<Request>, outcome: Outcome) {
        match outcome {
            Outcome::Committed(placed) => {
                let answers = self.publish(batch, placed);
                for (answer, last) in answers {
                    // Who asked may have gone away; the records are there all the same.
                    let _ = answer.send(Ok(last));
                }
            }
            Outcome::Failed(error) => {
                let full = self.is_for_want_of_room(&error);
                if full {
                    tracing::error!(%error, "DSYNC-004: the disk of the log has no room");
                } else if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) {
                    tracing::error!(%error, "DSYNC-004: the disk of the log is read-only");
                } else {
                    tracing::warn!(%error, "an append to the log failed");
                }
                for request in batch {
                    let source = boxed(&error);
                    let refusal = if full {
                        AppendError::Full(source)
                    } else {
                        AppendError::Unavailable(source)
                    };
                    let _ = request.answer.send(Err(refusal));
                }
            }
            Outcome::Unknown(error) => {
                tracing::error!(%error, "the outcome of an append to the log is unknown");
                for request in batch {
                    let _ = request.answer.send(Err(AppendError::Indeterminate(boxed(&error))));
                }
            }
        }
    }

    fn is_for_want_of_room(&self, error: &rusqlite::Error) -> bool {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => true,
            // SQLite says "full" for a full disk only, and neither for a quota nor for a limit of file size.
            Some(ErrorCode::SystemIoFailure) => {
                self.connection.path().is_some_and(|path| room::is_wanting(Path::new(path)))
            }
            Some(_) | None => false,
        }
    }

    /// Makes the records visible to readers, then wakes who waits for them.
    fn publish(&mut self, batch: Vec<Request>, placed: Vec<Vec<Entry>>) -> Vec<(Answer, Offset)> {
        let mut answers = Vec::with_capacity(batch.len());
        for Request { partition, records, answer } in batch {
            let next = &mut self.next[usize::from(partition.0)];
            // An append has at least one record.
            let last = Offset(next.0 + records.len() as u64 - 1);
            *next = last.next();
            answers.push((answer, last));
        }
        let bytes: usize = placed.iter().flatten().map(|entry| entry.value.len()).sum();
        self.since_checkpoint += bytes;
        self.since_help += bytes;
        for (recent, entries) in self.recent.iter().zip(placed) {
            recent.add(entries);
        }
        for (tail, next) in self.tails.iter().zip(&self.next) {
            tail.send_replace(*next);
        }
        self.announcers.iter().for_each(Announcer::settle);
        // The last page of a transaction is written whole, and again by the next one.
        self.since_checkpoint += sqlite::PAGE_BYTES as usize;
        if self.since_checkpoint >= CHECKPOINT_EVERY_BYTES {
            self.since_checkpoint = 0;
            // If one is waiting to be done already, that one will do.
            let _ = self.grown.try_send(());
        }
        answers
    }
}

fn collect(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let size =
        |request: &Request| -> usize { request.records.iter().map(|one| one.value.len()).sum() };
    let (mut records, mut bytes) = (first.records.len(), size(&first));
    let mut batch = vec![first];
    while records < COMMIT_RECORDS_MAX && bytes < COMMIT_BYTES_MAX {
        let Ok(next) = requests.try_recv() else { break };
        records += next.records.len();
        bytes += size(&next);
        batch.push(next);
    }
    batch
}

/// Whether a failed COMMIT may show after a crash. The record that makes a transaction count is the last
/// that is written to the write-ahead log: if writing failed, it is not there. If syncing failed, it may
/// be there until the next transaction overwrites it.
fn may_have_left_a_trace(error: &rusqlite::Error) -> bool {
    match error.sqlite_error() {
        Some(error) => {
            error.code == ErrorCode::SystemIoFailure
                && error.extended_code != ffi::SQLITE_IOERR_WRITE
        }
        None => true,
    }
}

/// The error in words: SQLite's own cannot be cloned for each waiter.
fn boxed(error: &rusqlite::Error) -> crate::contract::Source {
    error.to_string().into()
}
