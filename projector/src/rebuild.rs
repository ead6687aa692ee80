//! The state made anew from the log.
//!
//! Three stages, each on a thread of its own: read and hash, decode and judge, and write. The feed is
//! written as it is judged; users, groups and memberships are folded in memory first, so that a user
//! with a hundred events is written once. The result is a new generation beside the old one; the
//! caller swaps it in.
//!
//! Partitions are read one after the other, so that memory holds the fold of one. How their events come into one order
//! says [`order`].

pub mod order;
mod stages;
mod streams;
mod survey;

use bytestring::ByteString;
use log::{Entry, Offset, Partition};
use schemas::{DirectoryId, EventId, EventType, Hash, Head, ScimId, Timestamp};

use crate::fold::Fold;
use crate::judge::Poison;
use crate::ports::{BoxError, Position, StoreError};
pub(crate) use stages::judged;
pub(crate) use streams::Changes;
pub use survey::{Heads, Loss, Survey, Surveyed};

/// An entry of the feed in the making.
#[derive(Clone, Debug)]
pub struct FeedEntry {
    /// The directory.
    pub directory_id: DirectoryId,
    /// Its place in the stream and its hash.
    pub head: Head,
    /// The hash of the record before it.
    pub prev: Hash,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event: EventType,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What customer apps are told.
    pub data: ByteString,
    /// Who caused it: a [`schemas::Actor`] as JSON.
    pub actor: ByteString,
    /// The user it is about, if it is about one.
    pub user: Option<ScimId>,
    /// The group it is about, if it is about one.
    pub group: Option<ScimId>,
}

/// A new generation of the state in the making. Synchronous: it has a thread of its own.
pub trait Generation {
    /// Adds events of a partition to the feed, in their order there. Where they stand says [`order::Order`].
    ///
    /// # Errors
    ///
    /// If it cannot be written. The generation is void then.
    fn feed(&mut self, partition: Partition, entries: &[FeedEntry]) -> Result<(), StoreError>;

    /// Writes the folded state of a partition and where it stands.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The generation is void then.
    fn state(
        &mut self,
        partition: Partition,
        position: Position,
        fold: &Fold,
    ) -> Result<(), StoreError>;

    /// Ends the feed, once every partition is there, and makes all of it durable.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The generation is void then.
    fn finish(&mut self) -> Result<(), StoreError>;
}

/// How far a rebuild or a verification has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Records read.
    pub records: u64,
    /// Events accepted.
    pub events: u64,
    /// The last record's offset.
    pub offset: Offset,
}

/// Why the state cannot be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[source] BoxError),
    /// A record cannot be read. Nothing is skipped.
    #[error(transparent)]
    Poison(#[from] Poison),
    /// The new generation cannot be written.
    #[error("the new state cannot be written")]
    Store(#[from] StoreError),
}

/// The entries of a partition, in order.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<Entry, BoxError>> + Send + 'a>;

/// Makes the state of one partition anew. The generation is to be finished when all of them are there.
///
/// # Errors
///
/// See [`RebuildError`]. The generation is void then and the old one untouched.
pub fn rebuild(
    partition: Partition,
    scan: Scan<'_>,
    generation: &mut dyn Generation,
    progress: &mut dyn FnMut(Seen),
) -> Result<Seen, RebuildError> {
    let begin = Offset::default();
    Ok(rebuild_from(partition, begin, scan, &Heads::new(), generation, progress)?.0)
}

/// The same of a partition whose records before `begin` are gone, with what is left of its streams beside what is known
/// of them.
///
/// # Errors
///
/// As [`rebuild`].
pub fn rebuild_from(
    partition: Partition,
    begin: Offset,
    scan: Scan<'_>,
    known: &Heads,
    generation: &mut dyn Generation,
    progress: &mut dyn FnMut(Seen),
) -> Result<(Seen, Survey), RebuildError> {
    let mut seen = Seen::default();
    let judge = judged(partition, scan, known, Changes::Fold, |chunk| {
        generation.feed(partition, &chunk.feed)?;
        seen.add(&chunk);
        progress(seen);
        Ok::<(), RebuildError>(())
    })?;
    let mut position = judge.position();
    position.next = position.next.max(begin);
    generation.state(partition, position, &judge.fold)?;
    Ok((seen, judge.survey()))
}

/// Looks at what is left of the streams of a partition beside what is known of them, and makes nothing of it.
///
/// # Errors
///
/// If the log cannot be read, or a record of it.
pub fn survey(
    partition: Partition,
    scan: Scan<'_>,
    known: &Heads,
    progress: &mut dyn FnMut(Seen),
) -> Result<Survey, RebuildError> {
    let mut seen = Seen::default();
    let judge = judged(partition, scan, known, Changes::HandOn, |chunk| {
        seen.add(&chunk);
        progress(seen);
        Ok::<(), RebuildError>(())
    })?;
    Ok(judge.survey())
}
