//! What the projector needs of a store.

use async_trait::async_trait;
use log::{Durable, Offset, Partition};
use schemas::{DirectoryId, EventId, EventType, Hash, Head, StoredChange, Timestamp};

/// Where a reader of a partition stands: everything it needs to go on after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The next record to read. It lies before the first record of any commit that is not complete.
    pub next: Offset,
    /// The last record that was applied, to notice a log that is behind its store.
    pub applied: Option<(Offset, Hash)>,
}

/// An accepted event, with what it changes.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Where its record lies in the log.
    pub offset: Offset,
    /// The directory it belongs to.
    pub directory_id: DirectoryId,
    /// Its place in the stream and its hash: the head, were it the last.
    pub head: Head,
    /// The hash of the record before it.
    pub prev: Hash,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event: EventType,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What customer apps are told: the record's `data`, byte for byte.
    pub data: String,
    /// Who caused it: a [`schemas::Actor`] as JSON.
    pub actor: String,
    /// What it does to the state.
    pub change: StoredChange,
}

/// What one step adds, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Every record before this one has been judged: what `wait_applied` of ingest compares with.
    /// It may lie behind [`Position::next`], which half commits hold back; it is not stored, and
    /// starts as the stored `next` when the store is opened.
    pub passed: Offset,
    /// In the order of acceptance, which becomes the order of the feed.
    pub accepted: Vec<Accepted>,
    /// Directories whose stream has a gap. They are marked and not followed any further, until their stream begins
    /// anew: whatever is accepted of a directory takes the mark away, before those of this batch are set.
    pub stopped: Vec<DirectoryId>,
}

/// A stream as the store remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// Whose stream.
    pub directory_id: DirectoryId,
    /// Its last accepted record.
    pub head: Head,
    /// Whether it was stopped by a gap.
    pub stopped: bool,
}

/// The projector's side of the store.
#[async_trait]
pub trait ProjectionStore: Send + Sync {
    /// Where to go on reading.
    async fn position(&self, partition: Partition) -> Result<Position, StoreError>;

    /// The heads of all streams of the partition.
    async fn heads(&self, partition: Partition) -> Result<Vec<StoredHead>, StoreError>;

    /// Writes rows, feed, heads and position in one transaction, and wakes who waits for them.
    ///
    /// Heads follow from the accepted events. The transaction is refused as
    /// [`StoreError::Replaced`] when the stored position is not `from`: another projector has moved on.
    ///
    /// Nobody sees any of it before the records are durable. Should they not become so, nothing is written, whatever else
    /// may be wrong with them: [`StoreError::Withdrawn`].
    async fn apply(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError>;

    /// The place up to which every record has been judged. It may lie behind [`Position::next`], which half commits
    /// hold back.
    async fn passed(&self, partition: Partition) -> Result<Offset, StoreError>;

    /// Notes that a partition is not followed any further, and why, or that it is again. While it is not, nobody shall
    /// append to it what could not be judged. Applying a batch takes the note away.
    async fn stop(&self, partition: Partition, why: Option<String>) -> Result<(), StoreError>;

    /// Ends when it is noted that the partition is not followed any further, whoever noted it.
    async fn wait_stopped(&self, partition: Partition) -> Result<(), StoreError>;

    /// The directories that are stopped by a gap, of all partitions, as far as they still exist.
    async fn stopped_directories(&self) -> Result<Vec<DirectoryId>, StoreError>;

    /// Removes some of the rows that directories of the partition have left behind which are gone: so many that
    /// nobody waits for it. Nobody sees these rows any more. Whether there may be others.
    async fn sweep(&self, partition: Partition) -> Result<bool, StoreError>;
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; it may work later.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// No room on the disk; nothing was written; it works again when there is room.
    #[error("the disk is full")]
    Full(#[source] BoxError),
    /// The store holds no such row: what a record says is at odds with what it keeps. Trying again would end the
    /// same.
    #[error("the store does not take what the records say")]
    Unwritable(#[source] BoxError),
    /// The log has not kept these records. Nothing was written; what it holds has to be judged anew.
    #[error("the log has not kept the records that were being written")]
    Withdrawn,
    /// Another projector follows this partition. This one must stop.
    #[error("another projector has moved the position of this partition")]
    Replaced,
}

/// Any error, kept as the cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
