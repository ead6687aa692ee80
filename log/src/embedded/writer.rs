//! The one thread that writes.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::recent::Recent;
use super::sqlite;
use crate::contract::{Append, AppendError, Entry, Offset, Partition};

/// How many records one transaction takes: a few milliseconds' worth, so that the first to wait does
/// not wait for thousands behind it.
const COMMIT_RECORDS_MAX: usize = 4_096;

/// How many bytes one transaction takes.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// After so many bytes the checkpoint thread is woken: SQLite's own default, about 4 MB.
const CHECKPOINT_EVERY_BYTES: usize = 4 << 20;

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
    grown: mpsc::Sender<()>,
    since_checkpoint: usize,
}

/// What became of a transaction.
enum Outcome {
    Committed,
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
        grown: mpsc::Sender<()>,
    ) -> Self {
        Self { connection, next, recent, tails, grown, since_checkpoint: 0 }
    }

    /// Commits what comes until nobody can send any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let batch = collect(first, &mut requests);
            let outcome = self.commit(&batch);
            self.answer(batch, &outcome);
        }
    }

    fn commit(&mut self, batch: &[Request]) -> Outcome {
        if let Err(error) = self.insert(batch) {
            self.roll_back();
            return Outcome::Failed(error);
        }
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => Outcome::Committed,
            Err(error) => {
                self.roll_back();
                match self.holds_first_of(batch) {
                    Ok(true) => Outcome::Committed,
                    Ok(false) => Outcome::Failed(error),
                    Err(_) => Outcome::Unknown(error),
                }
            }
        }
    }

    fn insert(&self, batch: &[Request]) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert =
            self.connection.prepare_cached("INSERT INTO records (key, value) VALUES (?1, ?2)")?;
        let mut next = self.next.clone();
        for request in batch {
            let offset = &mut next[usize::from(request.partition.0)];
            for record in &request.records {
                let key = sqlite::key(request.partition, *offset);
                insert.execute(params![key, &record.value[..]])?;
                *offset = offset.next();
            }
        }
        Ok(())
    }

    /// A transaction is there as a whole or not at all, so its first record tells.
    fn holds_first_of(&self, batch: &[Request]) -> Result<bool, rusqlite::Error> {
        let Some(first) = batch.first() else { return Ok(false) };
        let next = self.next[usize::from(first.partition.0)];
        sqlite::holds(&self.connection, sqlite::key(first.partition, next))
    }

    /// After a failed statement SQLite may have rolled back by itself; asking again does no harm.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the log's transaction cannot be rolled back");
        }
    }

    fn answer(&mut self, batch: Vec<Request>, outcome: &Outcome) {
        match outcome {
            Outcome::Committed => {
                let answers = self.publish(batch);
                for (answer, last) in answers {
                    // Who asked may have gone away; the records are there all the same.
                    let _ = answer.send(Ok(last));
                }
            }
            Outcome::Failed(error) => {
                tracing::warn!(%error, "an append to the log failed");
                for request in batch {
                    let _ = request.answer.send(Err(refusal(error)));
                }
            }
            Outcome::Unknown(error) => {
                tracing::error!(%error, "the outcome of an append to the log is unknown");
                for request in batch {
                    let _ = request.answer.send(Err(AppendError::Indeterminate(boxed(error))));
                }
                // Offsets that may be taken are not given out again.
                for (number, next) in (0..).zip(&mut self.next) {
                    *next = sqlite::tail(&self.connection, Partition(number)).unwrap_or(*next);
                }
            }
        }
    }

    /// Makes the records visible to readers, then wakes who waits for them.
    fn publish(&mut self, batch: Vec<Request>) -> Vec<(Answer, Offset)> {
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch {
            let partition = usize::from(request.partition.0);
            let next = &mut self.next[partition];
            let mut entries = Vec::with_capacity(request.records.len());
            for record in request.records {
                self.since_checkpoint += record.value.len();
                entries.push(Entry { offset: *next, value: record.value });
                *next = next.next();
            }
            let last = entries.last().map_or(*next, |entry| entry.offset);
            self.recent[partition].push(entries);
            answers.push((request.answer, last));
        }
        for (tail, next) in self.tails.iter().zip(&self.next) {
            tail.send_replace(*next);
        }
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

fn refusal(error: &rusqlite::Error) -> AppendError {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        AppendError::Full(boxed(error))
    } else {
        AppendError::Unavailable(boxed(error))
    }
}

/// The error in words: SQLite's own cannot be cloned for each waiter.
fn boxed(error: &rusqlite::Error) -> crate::contract::Source {
    error.to_string().into()
}
