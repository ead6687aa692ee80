//! Walks the hash chain of the log and compares what it folds to with the store.
//!
//! Nothing is changed. The first difference ends the walk and is named: the directory, the place in
//! its stream, and what differs. What has to be remembered on the way is kept on disk, so that the length
//! of the history and the size of the directories take no memory.

mod alone;
mod snapshot;
mod standing;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use log::{Partition, ReadError};
use schemas::record::Record;
use schemas::{DirectoryId, Seq};

use crate::fold::FoldedDirectory;
use crate::ports::{BoxError, StoredHead};
use crate::rebuild::{Changes, FeedEntry, Heads, RebuildError, Scan, Seen, judged};
use alone::alone;
pub use snapshot::{
    Columns, Snapshot, StoredDirectory, StoredEvent, StoredPendingMember, StoredResource,
};
use standing::Standing;

/// How many feed entries are compared at once.
const PAGE: usize = 1_024;

/// A key and its value.
pub type ScratchEntry = (Vec<u8>, Vec<u8>);

/// Room on disk for what a walk has to remember: values by keys, in the order of the keys' bytes.
pub trait Scratch {
    /// Puts a value in place of the one before.
    ///
    /// # Errors
    ///
    /// If the disk does not take it.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError>;

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, BoxError>;

    /// The first entry whose key begins like this.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn first(&mut self, prefix: &[u8]) -> Result<Option<ScratchEntry>, BoxError>;

    /// How many keys begin like this.
    ///
    /// # Errors
    ///
    /// If they cannot be counted.
    fn count(&mut self, prefix: &[u8]) -> Result<u64, BoxError>;

    /// Removes every entry whose key begins like this, or is this.
    ///
    /// # Errors
    ///
    /// If the disk does not take it.
    fn remove(&mut self, prefix: &[u8]) -> Result<(), BoxError>;
}

/// Why a verification does not end well.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Log and store do not say the same, or the chain is broken.
    #[error("{0}")]
    Difference(Difference),
    /// The log cannot be walked.
    #[error(transparent)]
    Walk(#[from] RebuildError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] BoxError),
    /// What the walk has to remember cannot be written or read.
    #[error("there is no room beside the store for what the walk has to remember")]
    Scratch(#[source] BoxError),
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The directory, where one can be named.
    pub directory_id: Option<DirectoryId>,
    /// The place in its stream, where one can be named.
    pub seq: Option<Seq>,
    /// What differs.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(directory_id) = self.directory_id {
            write!(f, "{directory_id}: ")?;
        }
        if let Some(seq) = self.seq {
            write!(f, "seq {seq}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Refuses a log that lacks partitions of which something was read: nothing that is walked would tell.
///
/// # Errors
///
/// [`VerifyError::Difference`] names the first that it lacks.
pub fn check_partitions(
    partitions: &[Partition],
    snapshot: &mut dyn Snapshot,
) -> Result<(), VerifyError> {
    let read = snapshot.partitions().map_err(VerifyError::Store)?;
    let Some(lost) = read.into_iter().find(|read| !partitions.contains(read)) else {
        return Ok(());
    };
    let what = format!(
        "DSYNC-011: the log has no partition {}, of which the store has read; it has {}",
        lost.0,
        partitions.len()
    );
    Err(VerifyError::Difference(Difference { directory_id: None, seq: None, what }))
}

/// Refuses a store with events that no walk comes upon, since they are of no directory, or that does not find what it has.
/// `walked` is the number of events of all partitions, each of which was found whole.
///
/// # Errors
///
/// [`VerifyError::Difference`] says what it is.
pub fn check_store(walked: u64, snapshot: &mut dyn Snapshot) -> Result<(), VerifyError> {
    let stored = snapshot.count_events().map_err(VerifyError::Store)?;
    let what = if stored == walked {
        snapshot.disorder().map_err(VerifyError::Store)?
    } else {
        // Each partition was held against the events of its own directories, so these are of none.
        Some(format!("the feed holds {stored} events, the log {walked}: some are of no directory"))
    };
    what.map_or(Ok(()), |what| {
        Err(VerifyError::Difference(Difference { directory_id: None, seq: None, what }))
    })
}

/// Compares one partition of the log, up to where the store stands, with the store; with `only`, of
/// one directory. Records behind that are not compared with anything, but have to be readable.
///
/// # Errors
///
/// [`VerifyError::Difference`] names the first difference.
pub fn verify(
    partition: Partition,
    scan: Scan<'_>,
    snapshot: &mut dyn Snapshot,
    scratch: &mut dyn Scratch,
    only: Option<DirectoryId>,
    progress: &mut dyn FnMut(Seen),
) -> Result<Seen, VerifyError> {
    let position = snapshot.position(partition).map_err(VerifyError::Store)?;
    let mut heads = snapshot.heads(partition).map_err(VerifyError::Store)?;
    // Whoever asks for one directory is told of that one, whatever became of others.
    heads.retain(|stored| only.is_none_or(|only| only == stored.directory_id));
    let unreadable = OnceLock::new();
    let scan = match only {
        Some(only) => alone(scan, only),
        None => scan,
    };
    let scan = Box::new(scan.filter(|entry| match (entry, position.applied) {
        (Ok(entry), Some((applied, _))) if entry.offset <= applied => true,
        (Ok(entry), _) => {
            // Not applied yet, or never to be: where it cannot be read, the projection stands.
            if Record::decode(&entry.value).and_then(|record| record.change()).is_err() {
                unreadable.get_or_init(|| entry.offset);
            }
            false
        }
        (Err(_), _) => true,
    }));

    // The feed holds the events of every partition, in the order of their arrival.
    let of_partition = heads.iter().map(|stored| stored.directory_id).collect();
    let mut feed = Feed { snapshot, of_partition, page: Vec::new().into_iter(), after: 0 };
    let mut standing = Standing::new(scratch);
    let mut seen = Seen::default();
    // The feed is compared hash by hash, its end among them.
    let known = Heads::new();
    let judge = judged(partition, scan, &known, Changes::HandOn, |chunk| {
        for (entry, change) in chunk.feed.iter().zip(&chunk.changes) {
            let stored = feed.next()?;
            compare_event(entry, stored)?;
            standing.take(feed.snapshot, entry, change)?;
        }
        seen.add(&chunk);
        progress(seen);
        Ok::<(), VerifyError>(())
    });
    let judge = judge.map_err(|error| feed.expected_instead(error))?;
    feed.ends()?;

    let folded = &judge.fold.directories;
    for stored in &heads {
        compare_head(stored, folded.get(&stored.directory_id))?;
        standing.ends(snapshot, stored.directory_id)?;
    }
    match unreadable.get() {
        Some(offset) if only.is_none() => Err(VerifyError::Difference(Difference {
            directory_id: None,
            seq: None,
            what: format!(
                "DSYNC-005: record {} of partition {}, behind what the store has read, cannot be read",
                offset.0, partition.0
            ),
        })),
        Some(_) | None => Ok(seen),
    }
}

fn compare_event(entry: &FeedEntry, stored: Option<StoredEvent>) -> Result<(), VerifyError> {
    let seq = entry.head.seq;
    let differs = |what: &str| difference(entry.directory_id, Some(seq), what);
    let Some(stored) = stored else {
        return Err(differs("the log holds an event that the feed does not"));
    };
    if (stored.directory_id, stored.head.seq) != (entry.directory_id, seq) {
        let what = format!(
            "the feed has seq {} of {} in its place: a record is missing or was changed",
            stored.head.seq, stored.directory_id
        );
        // What the feed expects here is what the log no longer yields.
        return Err(difference(stored.directory_id, Some(stored.head.seq), &what));
    }
    if stored.head.hash != entry.head.hash {
        return Err(differs("the record is not the one that was applied: its hash differs"));
    }
    match otherwise(entry, &stored) {
        None if stored.is_listed => Ok(()),
        None => Err(differs("the event is in the feed, and lists do not come upon it")),
        Some(what) => Err(differs(&format!(
            "the event in the feed is not the one in the log: {what} differs"
        ))),
    }
}

/// The first thing that an event of the feed has otherwise than the log.
fn otherwise(entry: &FeedEntry, stored: &StoredEvent) -> Option<&'static str> {
    let same = [
        ("data", *stored.data == *entry.data),
        ("the id", stored.id == entry.id),
        ("the type", stored.event == entry.event.name()),
        ("created_at", stored.created_at == entry.created_at),
        ("the actor", *stored.actor == *entry.actor),
        ("prev_hash", stored.prev == entry.prev),
        ("the user that it is listed with", stored.user == entry.user),
        ("the group that it is listed with", stored.group == entry.group),
    ];
    same.into_iter().find_map(|(what, is_same)| (!is_same).then_some(what))
}

fn compare_head(stored: &StoredHead, folded: Option<&FoldedDirectory>) -> Result<(), VerifyError> {
    let id = stored.directory_id;
    let nothing = FoldedDirectory::default();
    let folded = folded.unwrap_or(&nothing);
    if folded.stopped || stored.stopped {
        return Err(difference(id, Some(folded.head.seq.next()), "the stream is stopped by a gap"));
    }
    if folded.head != stored.head {
        let what = format!(
            "the log ends here, the store knows of seq {}: the end is missing or was changed",
            stored.head.seq
        );
        return Err(difference(id, Some(folded.head.seq), &what));
    }
    Ok(())
}

fn difference(directory_id: DirectoryId, seq: Option<Seq>, what: &str) -> VerifyError {
    let what = what.to_owned();
    VerifyError::Difference(Difference { directory_id: Some(directory_id), seq, what })
}

/// The stored feed of one partition, page by page.
struct Feed<'a> {
    snapshot: &'a mut dyn Snapshot,
    of_partition: BTreeSet<DirectoryId>,
    page: std::vec::IntoIter<StoredEvent>,
    /// The last position that was read.
    after: u64,
}

impl Feed<'_> {
    fn next(&mut self) -> Result<Option<StoredEvent>, VerifyError> {
        let of_partition = &self.of_partition;
        while !of_partition.is_empty() {
            if let Some(event) = self.page.find(|event| of_partition.contains(&event.directory_id))
            {
                return Ok(Some(event));
            }
            let page = self.snapshot.feed(self.after, PAGE).map_err(VerifyError::Store)?;
            let Some(last) = page.last() else { return Ok(None) };
            self.after = last.position;
            self.page = page.into_iter();
        }
        Ok(None)
    }

    /// Where the log can be read no further although it should be: the event that the feed has there is
    /// the first difference. Any other error stays what it is.
    fn expected_instead(&mut self, error: VerifyError) -> VerifyError {
        let VerifyError::Walk(walk) = &error else { return error };
        let what = match walk {
            RebuildError::Log(cause) => match cause.downcast_ref() {
                Some(ReadError::Corrupt { partition, offset }) => {
                    format!("the log of partition {} has no record {}", partition.0, offset.0)
                }
                Some(lost @ ReadError::Lost { .. }) => lost.to_string(),
                Some(ReadError::Unavailable(_)) | None => return error,
            },
            RebuildError::Poison(poison) => poison.to_string(),
            RebuildError::Store(_) => return error,
        };
        match self.next() {
            Ok(Some(expected)) => difference(expected.directory_id, Some(expected.head.seq), &what),
            Ok(None) => error,
            Err(unread) => unread,
        }
    }

    fn ends(&mut self) -> Result<(), VerifyError> {
        match self.next()? {
            Some(extra) => Err(difference(
                extra.directory_id,
                Some(extra.head.seq),
                "the feed holds an event that the log does not",
            )),
            None => Ok(()),
        }
    }
}
