//! The projector at work: read, judge, write, again.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use log::{Ahead, Durable, EventLog, Offset, Partition, ReadError, ReadLimit};
use schemas::{Change, Hash};
use tokio_util::sync::CancellationToken;

use crate::judge::{Judged, Poison, Reader};
use crate::ports::{Accepted, BoxError, Position, ProjectionStore, StoreError};

/// How many records one step takes: a transaction of a few milliseconds, so that whoever waits for
/// one record does not wait for thousands.
const STEP_RECORDS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// How many bytes one step takes, for large records.
const STEP_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(4 << 20).expect("not zero");

/// How many records a restart may judge once more without anybody being told: a matter of seconds.
const JUDGED_AGAIN_MAX: u64 = 100_000;

/// How long to wait before the store or the log is asked again after it failed.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Follows one partition.
pub struct Projector {
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    partition: Partition,
    reader: Reader,
    /// What is being written while the next records are judged.
    writing: Option<Writing>,
    /// Whether there may be rows that a directory has left behind.
    sweeps: bool,
    /// The half commit that somebody was told of.
    told: Option<Offset>,
}

type Writing = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Why a projector cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record cannot be read. The partition stays where it is.
    #[error(transparent)]
    Poison(#[from] Poison),
    /// The log does not hold what the store was made from.
    #[error(
        "DSYNC-003: the log of partition {} is behind its store: record {} is not the one that was applied",
        .partition.0, .offset.0
    )]
    Behind {
        /// The partition.
        partition: Partition,
        /// The record that was applied last.
        offset: Offset,
    },
    /// The log cannot be read; it may work later.
    #[error("the log cannot be read")]
    Log(#[from] ReadError),
    /// The store does not hold what these records say. The partition stays where it is.
    #[error(
        "DSYNC-012: records {} to {} of partition {} cannot be written to the store",
        .first.0, .passed.0.saturating_sub(1), .partition.0
    )]
    Unwritable {
        /// The partition.
        partition: Partition,
        /// The first record that is not written.
        first: Offset,
        /// The first record behind those.
        passed: Offset,
        /// What the store says.
        #[source]
        source: BoxError,
    },
    /// It has come upon something that should not be. The partition stays where it is.
    #[error("the projector has panicked; its log says where")]
    Panicked,
    /// The store refused; see its own words.
    #[error("the projection cannot be written")]
    Store(#[from] StoreError),
}

/// Whether a step found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It judged records; there may be more.
    Moved,
    /// It stands at the tail.
    AtTail,
}

impl Projector {
    /// Begins where the store stands, after making sure that the log is the one it was made from.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`] if it is not; otherwise if log or store cannot be read.
    pub async fn open(
        log: Arc<dyn EventLog>,
        store: Arc<dyn ProjectionStore>,
        partition: Partition,
    ) -> Result<Self, Error> {
        let position = store.position(partition).await?;
        check_applied(&*log, partition, position).await?;
        let heads = store.heads(partition).await?;
        for stopped in heads.iter().filter(|stored| stored.stopped) {
            tracing::error!(directory.id = %stopped.directory_id, "DSYNC-003: this directory is stopped by a gap in its stream");
        }
        let reader = Reader::resume(partition, position, &heads);
        Ok(Self { log, store, partition, reader, writing: None, sweeps: true, told: None })
    }

    /// Judges what is there or on its way, up to a limit, and begins to write it when what was judged before is
    /// written. At the tail, everything is.
    ///
    /// # Errors
    ///
    /// After an error the projector must be opened again: what it holds in memory may be ahead of
    /// the store.
    pub async fn step(&mut self) -> Result<Progress, Error> {
        let Ahead { entries, durable } = self.read().await?;
        if entries.is_empty() {
            return self.written_or_more().await;
        }
        let from = self.reader.position();
        let judged = self.reader.judge(&entries);
        // Should that come to nothing, what was judged on it says nothing either.
        self.written().await?;
        let judged = match judged {
            Ok(judged) => judged,
            Err(poison) if durable.wait().await => return Err(poison.into()),
            Err(_) => return Err(StoreError::Withdrawn.into()),
        };
        let is_gone = |accepted: &Accepted| matches!(accepted.change, Change::DirectoryGone);
        self.sweeps |= judged.batch.accepted.iter().any(is_gone);
        self.tell_of_half_commit();
        self.write(from, judged, durable).await;
        Ok(Progress::Moved)
    }

    /// A commit that was left half does no harm, but every restart begins before it: with a directory that nobody writes to
    /// any more, that takes longer from day to day.
    fn tell_of_half_commit(&mut self) {
        let half = self.reader.half_commit();
        let again = half.map_or(0, |half| half.judged_since);
        gauge_judged_again(self.partition, again);
        let first = half.map(|half| half.first);
        match half.filter(|_| again > JUDGED_AGAIN_MAX && self.told != first) {
            Some(half) => {
                tracing::warn!(
                    partition = self.partition.0,
                    directory.id = %half.directory_id,
                    "the commit of this directory that begins at record {} was left half, and a restart judges {again} \
                     records again; it is void with the next change of the directory, such as a new token",
                    half.first.0
                );
                self.told = first;
            }
            None if first.is_none() => self.told = None,
            None => {}
        }
    }

    /// Reads on, and meanwhile writes on.
    async fn read(&mut self) -> Result<Ahead, Error> {
        let limit = ReadLimit { records: STEP_RECORDS_MAX, bytes: STEP_BYTES_MAX };
        let mut read = self.log.read_ahead(self.partition, self.reader.read_to(), limit);
        let Some(writing) = &mut self.writing else { return Ok(read.await?) };
        tokio::select! {
            biased;
            ahead = &mut read => return Ok(ahead?),
            done = &mut *writing => *writing = Box::pin(std::future::ready(done)),
        }
        Ok(read.await?)
    }

    /// Removes some of what directories have left behind that are gone, if there is any. A directory may be of any
    /// size, and those who wait for other records must not wait for its end: so this is done at the tail, a little
    /// at a time.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn sweep(&mut self) -> Result<Progress, Error> {
        self.sweeps = self.sweeps && self.store.sweep(self.partition).await?;
        Ok(if self.sweeps { Progress::Moved } else { Progress::AtTail })
    }

    /// Begins to write. Polled once, it is in the store's hands.
    async fn write(&mut self, from: Position, judged: Judged, durable: Durable) {
        let mut writing: Writing =
            Box::pin(write(Arc::clone(&self.store), self.partition, from, judged, durable));
        if let Poll::Ready(done) = futures_util::poll!(&mut writing) {
            writing = Box::pin(std::future::ready(done));
        }
        self.writing = Some(writing);
    }

    /// At the tail: waits until what was begun is written, or until there is more to judge.
    async fn written_or_more(&mut self) -> Result<Progress, Error> {
        let Some(writing) = &mut self.writing else { return Ok(Progress::AtTail) };
        tokio::select! {
            biased;
            done = writing => {
                self.writing = None;
                done?;
                Ok(Progress::AtTail)
            }
            more = self.log.wait_ahead(self.partition, self.reader.read_to()) => {
                more?;
                Ok(Progress::Moved)
            }
        }
    }

    /// Waits until what was begun is written.
    async fn written(&mut self) -> Result<(), Error> {
        if let Some(writing) = &mut self.writing {
            let done = writing.await;
            self.writing = None;
            done?;
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Error> {
        Ok(self.log.wait_ahead(self.partition, self.reader.read_to()).await?)
    }
}

/// Writes what was judged, and tells of what came of it.
async fn write(
    store: Arc<dyn ProjectionStore>,
    partition: Partition,
    from: Position,
    judged: Judged,
    durable: Durable,
) -> Result<(), Error> {
    let Judged { batch, to, stale, known } = judged;
    let (first, passed) = (from.next, batch.passed);
    let (accepted, stopped) = (batch.accepted.len() as u64, batch.stopped.clone());
    let applied = store.apply(partition, from, to, batch, durable).await;
    applied.map_err(|error| match error {
        StoreError::Unwritable(source) => Error::Unwritable { partition, first, passed, source },
        StoreError::Unavailable(_)
        | StoreError::Full(_)
        | StoreError::Withdrawn
        | StoreError::Replaced => Error::Store(error),
    })?;
    for stopped in stopped {
        tracing::error!(directory.id = %stopped, "DSYNC-003: the log has lost or changed a record; this directory is stopped");
    }
    metrics::counter!("projector_stale_total").increment(stale);
    metrics::counter!("projector_known_total").increment(known);
    metrics::counter!("projector_events_total").increment(accepted);
    Ok(())
}

impl Drop for Projector {
    /// Whoever follows the partition from here on says it anew.
    fn drop(&mut self) {
        gauge_judged_again(self.partition, 0);
    }
}

fn gauge_judged_again(partition: Partition, records: u64) {
    let records = f64::from(u32::try_from(records).unwrap_or(u32::MAX));
    metrics::gauge!("projector_judged_again_records", "partition" => partition.0.to_string())
        .set(records);
}

/// A log that lost its end, or another log altogether, must not be followed.
async fn check_applied(
    log: &dyn EventLog,
    partition: Partition,
    position: Position,
) -> Result<(), Error> {
    let Some((offset, hash)) = position.applied else { return Ok(()) };
    let limit = ReadLimit { records: NonZeroUsize::MIN, bytes: NonZeroUsize::MIN };
    let found = log.read(partition, offset, limit).await?;
    let same =
        found.first().is_some_and(|entry| entry.offset == offset && Hash::of(&entry.value) == hash);
    if same { Ok(()) } else { Err(Error::Behind { partition, offset }) }
}

/// Follows a partition until shutdown.
///
/// A store or log that fails for a while is tried again; nothing is skipped.
///
/// # Errors
///
/// When going on would be wrong: a record that cannot be read, a log behind its store, another
/// projector in charge.
pub async fn run(
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    partition: Partition,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    run_and_tell(log, store, partition, shutdown, &|| {}).await
}

/// The same, which tells whenever the partition is followed after it was not.
pub(crate) async fn run_and_tell(
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    partition: Partition,
    shutdown: CancellationToken,
    followed: &(dyn Fn() + Sync),
) -> Result<(), Error> {
    while !shutdown.is_cancelled() {
        // Nothing that it has held is used again: the next run begins with what the store has.
        let ran = AssertUnwindSafe(follow(&log, &store, partition, &shutdown, followed));
        match ran.catch_unwind().await.unwrap_or(Err(Error::Panicked)) {
            Ok(()) => return Ok(()),
            Err(error) if is_lasting(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(partition = partition.0, error = %chain(&error), "the projection is held up");
                metrics::counter!("projector_retries_total").increment(1);
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }
    Ok(())
}

async fn follow(
    log: &Arc<dyn EventLog>,
    store: &Arc<dyn ProjectionStore>,
    partition: Partition,
    shutdown: &CancellationToken,
    followed: &(dyn Fn() + Sync),
) -> Result<(), Error> {
    let mut projector = Projector::open(Arc::clone(log), Arc::clone(store), partition).await?;
    let ended = follow_on(&mut projector, store, partition, shutdown, followed).await;
    // What was begun is in the store's hands, also after an error: who opens it next has to find where that ends.
    let written = projector.written().await;
    ended.and(written)
}

async fn follow_on(
    projector: &mut Projector,
    store: &Arc<dyn ProjectionStore>,
    partition: Partition,
    shutdown: &CancellationToken,
    followed: &(dyn Fn() + Sync),
) -> Result<(), Error> {
    let mut progress = projector.step().await?;
    projector.written().await?;
    // What had stopped it is mended: whoever refuses to append to it may do so again.
    store.stop(partition, None).await?;
    followed();
    while !shutdown.is_cancelled() {
        if progress == Progress::AtTail && projector.sweep().await? == Progress::AtTail {
            tokio::select! {
                waited = projector.wait() => waited?,
                noted = store.wait_stopped(partition) => {
                    // By one that this has taken the place of, and that does not know it yet.
                    noted?;
                    store.stop(partition, None).await?;
                }
                () = shutdown.cancelled() => break,
            }
        }
        progress = projector.step().await?;
    }
    Ok(())
}

/// Whether trying again would be wrong rather than early.
const fn is_lasting(error: &Error) -> bool {
    match error {
        Error::Poison(_) | Error::Behind { .. } | Error::Unwritable { .. } => true,
        Error::Panicked => true,
        Error::Store(StoreError::Replaced | StoreError::Unwritable(_)) => true,
        Error::Log(ReadError::Corrupt { .. } | ReadError::Lost { .. }) => true,
        Error::Log(ReadError::Unavailable(_)) => false,
        Error::Store(StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Withdrawn) => {
            false
        }
    }
}

/// The error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        line = format!("{line}: {next}");
        cause = next.source();
    }
    line
}
