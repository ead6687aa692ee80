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
mod survey;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytestring::ByteString;
use log::{Entry, Offset, Partition};
use schemas::chain::{Admitted, Stream};
use schemas::record::DecodeError;
use schemas::{DirectoryId, EventId, EventType, Hash, Head, Record, ScimId, Seq, Timestamp};

use crate::fold::{Fold, Outlined};
use crate::judge::Poison;
use crate::ports::{BoxError, Position, StoreError};
use survey::Comparison;
pub use survey::{Heads, Loss, Survey, Surveyed};

/// How many records travel from stage to stage at once.
const CHUNK_RECORDS: usize = 512;

/// How many bytes of records travel at once, beside the last of them: what [`CHUNK_RECORDS`] of usual size take.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// How many chunks may wait between two stages: at most some 32 megabytes, enough that none starves while a transaction
/// ends.
const CHUNKS_WAITING_MAX: usize = 16;

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

/// A record with its hash, decoded as far as the later stages need it.
pub(crate) struct Decoded {
    pub(crate) offset: Offset,
    pub(crate) link: schemas::chain::Link,
    pub(crate) entry: FeedEntry,
    pub(crate) outlined: Outlined,
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

/// What becomes of the changes of accepted records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// They are folded in memory.
    Fold,
    /// They are handed on with their chunk; the fold has the heads alone.
    HandOn,
}

impl Changes {
    const fn chunks_waiting_max(self) -> usize {
        match self {
            Self::Fold => CHUNKS_WAITING_MAX,
            // A walk beside a running server waits for the store, and is to be small.
            Self::HandOn => 1,
        }
    }
}

/// A number of records, judged.
pub(crate) struct Chunk {
    records: u64,
    last: Offset,
    /// What was accepted with them.
    pub(crate) feed: Vec<FeedEntry>,
    /// What each of these changes, unless it is folded.
    pub(crate) changes: Vec<Outlined>,
}

impl Seen {
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        self.records += chunk.records;
        self.events += chunk.feed.len() as u64;
        self.offset = chunk.last;
    }
}

/// Reads, hashes, decodes and judges on threads of their own and hands chunks on in order. Returns what
/// all of it folds to.
pub(crate) fn judged<'a, E: From<RebuildError>>(
    partition: Partition,
    scan: Scan<'_>,
    known: &'a Heads,
    changes: Changes,
    mut each: impl FnMut(Chunk) -> Result<(), E>,
) -> Result<Judge<'a>, E> {
    std::thread::scope(|scope| {
        let waiting_max = changes.chunks_waiting_max();
        let (read_out, read_in) = sync_channel(waiting_max);
        let (judge_out, judge_in) = sync_channel(waiting_max);
        scope.spawn(move || read(scan, &read_out));
        let judge = Judge::new(known, changes);
        let judging = scope.spawn(move || judge_all(judge, partition, &read_in, &judge_out));
        for chunk in judge_in {
            each(chunk.map_err(E::from)?)?;
        }
        Ok(judging.join().expect("nothing panics while judging"))
    })
}

type Hashed = Vec<(Entry, Hash)>;

/// Ends when the scan does, or when nobody listens any more.
fn read(scan: Scan<'_>, out: &SyncSender<Result<Hashed, RebuildError>>) {
    let mut chunk = Vec::with_capacity(CHUNK_RECORDS);
    let mut bytes = 0;
    for entry in scan {
        match entry {
            Ok(entry) => {
                let hash = Hash::of(&entry.value);
                bytes += entry.value.len();
                chunk.push((entry, hash));
            }
            Err(error) => {
                let _ = out.send(Ok(std::mem::take(&mut chunk)));
                let _ = out.send(Err(RebuildError::Log(error)));
                return;
            }
        }
        if chunk.len() == CHUNK_RECORDS || bytes >= CHUNK_BYTES {
            bytes = 0;
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_RECORDS));
            if out.send(Ok(full)).is_err() {
                return;
            }
        }
    }
    let _ = out.send(Ok(chunk));
}

/// Ends at the first record that cannot be read, or when nobody listens any more.
fn judge_all<'a>(
    mut judge: Judge<'a>,
    partition: Partition,
    chunks: &Receiver<Result<Hashed, RebuildError>>,
    out: &SyncSender<Result<Chunk, RebuildError>>,
) -> Judge<'a> {
    for chunk in chunks {
        let (judged, poison) = match chunk {
            Ok(chunk) => judge.judge(partition, chunk),
            Err(error) => {
                let _ = out.send(Err(error));
                break;
            }
        };
        if out.send(Ok(judged)).is_err() {
            break;
        }
        if let Some(poison) = poison {
            let _ = out.send(Err(poison.into()));
            break;
        }
    }
    judge
}

fn decode(entry: Entry, hash: Hash) -> Result<Box<Decoded>, DecodeError> {
    // What of it goes into the feed is a part of these bytes and no copy.
    let text = ByteString::try_from(entry.value)?;
    let record = Record::decode_text(&text)?;
    let outlined = Outlined::of(&record, &text)?;
    let (user, group) = outlined.subjects();
    let link = record.link(hash);
    Ok(Box::new(Decoded {
        offset: entry.offset,
        link,
        outlined,
        entry: FeedEntry {
            directory_id: record.directory_id,
            head: link.as_head(),
            prev: link.prev,
            id: record.id,
            event: record.event,
            created_at: record.created_at,
            data: text.slice_ref(record.data.get()),
            actor: text.slice_ref(record.actor.get()),
            user,
            group,
        },
    }))
}

/// The streams as they are read, and what they fold to.
pub(crate) struct Judge<'a> {
    comparison: Comparison<'a>,
    changes: Changes,
    streams: BTreeMap<DirectoryId, Stream<Box<Decoded>>>,
    pending: BTreeMap<DirectoryId, Offset>,
    /// The last place of each stream that any record speaks of.
    reached: BTreeMap<DirectoryId, Seq>,
    applied: Option<(Offset, Hash)>,
    read_to: Offset,
    pub(crate) fold: Fold,
}

impl<'a> Judge<'a> {
    const fn new(known: &'a Heads, changes: Changes) -> Self {
        Self {
            comparison: Comparison::with(known),
            changes,
            streams: BTreeMap::new(),
            pending: BTreeMap::new(),
            reached: BTreeMap::new(),
            applied: None,
            read_to: Offset(0),
            fold: Fold { directories: BTreeMap::new() },
        }
    }

    /// Judges up to the first record that cannot be read.
    fn judge(&mut self, partition: Partition, hashed: Hashed) -> (Chunk, Option<Poison>) {
        let mut chunk = Chunk {
            records: 0,
            last: self.read_to,
            feed: Vec::with_capacity(hashed.len()),
            changes: Vec::new(),
        };
        for (entry, hash) in hashed {
            let offset = entry.offset;
            match decode(entry, hash) {
                Ok(decoded) => self.admit(decoded, &mut chunk),
                Err(source) => return (chunk, Some(Poison { partition, offset, source })),
            }
            chunk.records += 1;
            chunk.last = offset;
        }
        (chunk, None)
    }

    /// Judges a record and adds what was accepted with it.
    fn admit(&mut self, decoded: Box<Decoded>, chunk: &mut Chunk) {
        let directory_id = decoded.entry.directory_id;
        self.read_to = Offset(decoded.offset.0 + 1);
        let link = decoded.link;
        let reached = self.reached.entry(directory_id).or_default();
        *reached = link.seq.max(link.base).max(*reached);
        let stopped = self.fold.directories.get(&directory_id).is_some_and(|one| one.stopped);
        if stopped && !link.anew {
            return;
        }
        let stream =
            self.streams.entry(directory_id).or_insert_with(|| Stream::at(Head::default()));
        let admitted = stream.admit(link, decoded);
        match stream.first_pending() {
            Some(first) => self.pending.insert(directory_id, first.offset),
            None => self.pending.remove(&directory_id),
        };
        match admitted {
            Admitted::Pending | Admitted::Stale => {}
            Admitted::Gap => {
                self.pending.remove(&directory_id);
                self.fold.stop(directory_id);
            }
            Admitted::Complete(commit) => {
                // What was stopped goes on with a record that begins it anew, and with no other.
                self.fold.go_on(directory_id);
                for (link, decoded) in commit {
                    self.comparison.see(directory_id, link);
                    self.accept(link.as_head(), *decoded, chunk);
                }
            }
        }
    }

    fn accept(&mut self, head: Head, decoded: Decoded, chunk: &mut Chunk) {
        let Decoded { offset, entry, outlined, .. } = decoded;
        self.applied = Some((offset, head.hash));
        match self.changes {
            Changes::Fold => self.fold.apply(entry.directory_id, head, outlined),
            Changes::HandOn => {
                self.fold.pass(entry.directory_id, head);
                chunk.changes.push(outlined);
            }
        }
        chunk.feed.push(entry);
    }

    /// What is left of each stream.
    fn survey(&self) -> Survey {
        let left = |(id, reached): (&DirectoryId, &Seq)| {
            let folded = self.fold.directories.get(id);
            let (head, stopped) = folded.map(|one| (one.head, one.stopped)).unwrap_or_default();
            let altered = self.comparison.is_altered(*id);
            (*id, Surveyed { head, stopped, reached: *reached, altered })
        };
        self.reached.iter().map(left).collect()
    }

    /// Where a reader that has read all of this goes on.
    pub(crate) fn position(&self) -> Position {
        let next = self.pending.values().copied().min().unwrap_or(self.read_to);
        Position { next, applied: self.applied }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_records_travel_a_few_at_a_time() {
        let scan: Scan<'_> = Box::new(
            (0..5).map(|number| Ok(Entry::new(Offset(number), vec![0; CHUNK_BYTES / 2].into()))),
        );
        let (out, chunks) = sync_channel(CHUNKS_WAITING_MAX);
        read(scan, &out);
        drop(out);
        let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.unwrap().len()).collect();
        assert_eq!(lengths, [2, 2, 1]);
    }
}
