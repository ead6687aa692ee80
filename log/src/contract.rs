//! The contract. Its promises are numbered; `conformance` checks them for every implementation.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;

use crate::ahead::{Ahead, Coming};

/// The largest value of one record. Kafka's default limit for a message is 1 MB (`max.message.bytes`,
/// 1,048,588); the rest is left for its key, its headers and the framing of a batch.
pub const RECORD_BYTES_MAX: usize = 900 * 1024;

/// One of the logs that make up the log. A stream stays in one partition for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

/// A place in a partition. Offsets start at 0 and rise; they need not be consecutive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The place right after this one, which is where to read on after the entry here.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

/// One record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Names the stream: the directory id as text. A log that has no use for keys ignores it.
    pub key: Bytes,
    /// The record itself, kept and given back byte for byte.
    pub value: Bytes,
    /// What is known of it here.
    pub known: Known,
}

impl Append {
    /// A record of which nothing is known but its bytes.
    #[must_use]
    pub fn new(key: Bytes, value: Bytes) -> Self {
        Self { key, value, known: Known::default() }
    }
}

/// One record of a partition, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub offset: Offset,
    /// The bytes that were appended.
    pub value: Bytes,
    /// What whoever appended it knows of it, if that was in this process.
    pub known: Known,
}

impl Entry {
    /// A record of which nothing is known but its bytes.
    #[must_use]
    pub fn new(offset: Offset, value: Bytes) -> Self {
        Self { offset, value, known: Known::default() }
    }
}

/// What somebody knows of a record, for readers in the same process and for as long as they hold it themselves. No log
/// stores it, and many have none: readers have to do without.
///
/// It says nothing about what a record *is*: two of them are always equal.
#[derive(Clone)]
pub struct Known(Weak<dyn Any + Send + Sync>);

impl Known {
    /// As long as this is held.
    #[must_use]
    pub fn by<T: Any + Send + Sync>(holder: &Arc<T>) -> Self {
        let held: Weak<T> = Arc::downgrade(holder);
        Self(held)
    }

    /// It, if it is of this type and still held.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.upgrade()?.downcast().ok()
    }
}

impl Default for Known {
    /// Nothing.
    fn default() -> Self {
        Self(Weak::<()>::new())
    }
}

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Known {}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.strong_count() > 0;
        f.write_str(if held { "Known(something)" } else { "Known(nothing)" })
    }
}

/// How much one [`EventLog::read`] may return. A read ends at whichever bound comes first, but a record that
/// alone is larger than `bytes` is still returned, alone: otherwise a reader could never get past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most this many entries.
    pub records: NonZeroUsize,
    /// At most this many bytes of values.
    pub bytes: NonZeroUsize,
}

impl ReadLimit {
    /// As many of these as it lets through.
    pub(crate) fn of<'e>(self, entries: impl Iterator<Item = &'e Entry>) -> Vec<Entry> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in entries.take(self.records.get()) {
            bytes += entry.value.len();
            if bytes > self.bytes.get() && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        found
    }
}

/// An ordered, durable log in partitions, which only grows.
///
/// ```text
///   offset   0    1    2    3    4
///            A    B    C    ·    ·
///            ^              ^
///            start          tail: nothing is written here or beyond
/// ```
///
/// Implementations promise, and `conformance` checks:
///
/// 1. **Durability.** When `append` returns `Ok`, the records survive a crash and the loss of power.
/// 2. **Order.** Every reader of a partition sees the same entries in the same order; the records of one append
///    stand in the order given, though records of others may lie between them.
/// 3. **Prefix.** An entry that was read once is read again, at the same offset, by every later read; and nothing
///    ever appears before an entry that has been read.
/// 4. **Bytes.** A value comes back exactly as it was appended.
/// 5. **No waiting.** `read` returns what there is, and nothing at the tail. Only `wait_past` waits.
/// 6. **No missed wake-up.** `wait_past` returns once the tail is past the offset, however an append races with it.
/// 7. **Ahead.** `read_ahead` may return what is not durable yet. Once it is said to be, it is what `read` returns.
///
/// They do not promise that a failed append left no trace: see [`AppendError::Indeterminate`]. Nor do they check what
/// a record says, or refuse one that comes twice: readers decide that, by the hash chain in the records.
///
/// Every method may be cancelled by dropping its future. A cancelled `append` is indeterminate.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// How many partitions there are: `Partition(0)` up to this, exclusive. Some may be added while the log is open;
    /// none is ever taken away.
    fn partitions(&self) -> u16;

    /// Appends all records in the order given, and returns when they are durable. The answer is the offset of the
    /// last one. `records` must not be empty.
    async fn append(
        &self,
        partition: Partition,
        records: Vec<Append>,
    ) -> Result<Offset, AppendError>;

    /// Reads entries from `from` on (inclusive): at least one when there is one, at most `limit`. Empty at the tail.
    async fn read(
        &self,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError>;

    /// Waits until the tail is past `offset`, that is, until something is written at or beyond it. Fails when that
    /// can no longer happen because the log is closing.
    ///
    /// A reader whose next offset is `next` reads until it gets nothing, then calls `wait_past(partition, next)`.
    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), ReadError>;

    /// What is on its way into a partition, if the log tells of that.
    fn coming(&self, _partition: Partition) -> Option<&Coming> {
        None
    }

    /// As `read`, and at the tail what is on its way.
    async fn read_ahead(
        &self,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Ahead, ReadError> {
        let durable = self.read(partition, from, limit).await?;
        match self.coming(partition) {
            Some(coming) if durable.is_empty() => Ok(coming.read(from, limit)),
            Some(_) | None => Ok(Ahead::durable(durable)),
        }
    }

    /// As `wait_past`, for `read_ahead`.
    async fn wait_ahead(&self, partition: Partition, offset: Offset) -> Result<(), ReadError> {
        match self.coming(partition) {
            Some(coming) => coming.wait_past(offset).await,
            None => self.wait_past(partition, offset).await,
        }
    }

    /// The tail: the first offset after everything that is written, `Offset(0)` for an empty partition.
    async fn tail(&self, partition: Partition) -> Result<Offset, ReadError>;
}

/// What lies below an error of the log.
pub type Source = Box<dyn Error + Send + Sync>;

/// Why an append failed, by what its caller can do.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written. Safe to try again later.
    #[error("the log is unavailable")]
    Unavailable(#[source] Source),
    /// There is no room. Nothing was written, and nothing will be until somebody makes room.
    #[error("the log has no room left")]
    Full(#[source] Source),
    /// The records may be in the log, all, some of them or none, or may still arrive. Only reading tells. Trying
    /// again is safe only because the second copy of a record is stale for every reader.
    #[error("the outcome of the append is unknown")]
    Indeterminate(#[source] Source),
    /// A record is larger than any implementation takes. Nothing was written.
    #[error("a record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// The size of the first value that is too large.
        bytes: usize,
        /// [`RECORD_BYTES_MAX`].
        limit: usize,
    },
}

/// Why a read failed, by what its caller can do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log cannot be read for the time being. Safe to try again later.
    #[error("the log is unavailable")]
    Unavailable(#[source] Source),
    /// The log is damaged. Trying again will not help, and skipping would lose records.
    #[error("partition {} is corrupt at offset {}", partition.0, offset.0)]
    Corrupt {
        /// The partition that was read.
        partition: Partition,
        /// The offset from which the read started: the damage lies there or beyond.
        offset: Offset,
    },
    /// Records that were in the log are not there any more: somebody deleted them, or put another log in its place.
    /// Trying again will not help, and skipping would lose what they said.
    #[error(
        "DSYNC-003: the log has lost records: offset {} of partition {} was asked for, and it holds {} up to {}",
        offset.0, partition.0, begin.0, tail.0
    )]
    Lost {
        /// The partition that was read.
        partition: Partition,
        /// What was asked for.
        offset: Offset,
        /// The first record that is left.
        begin: Offset,
        /// The tail of what is left.
        tail: Offset,
    },
}

/// The check that every implementation makes before it looks at its medium.
pub(crate) fn check_sizes(records: &[Append]) -> Result<(), AppendError> {
    assert!(!records.is_empty(), "an append carries at least one record");
    match records.iter().map(|record| record.value.len()).find(|bytes| *bytes > RECORD_BYTES_MAX) {
        Some(bytes) => Err(AppendError::TooLarge { bytes, limit: RECORD_BYTES_MAX }),
        None => Ok(()),
    }
}
