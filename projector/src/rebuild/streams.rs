//! The streams of a partition, judged record by record, and what they fold to.

use std::collections::BTreeMap;

use bytestring::ByteString;
use log::{Entry, Offset, Partition};
use schemas::chain::{Admitted, Link, Stream};
use schemas::record::DecodeError;
use schemas::{DirectoryId, Hash, Head, Record, Seq};

use super::stages::Hashed;
use super::survey::Comparison;
use super::{FeedEntry, Heads, Seen, Survey, Surveyed};
use crate::fold::{Fold, Outlined};
use crate::judge::Poison;
use crate::ports::Position;

/// What becomes of the changes of accepted records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// They are folded in memory.
    Fold,
    /// They are handed on with their chunk; the fold has the heads alone.
    HandOn,
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

/// A record with its hash, decoded as far as the later stages need it.
struct Decoded {
    offset: Offset,
    link: Link,
    entry: FeedEntry,
    outlined: Outlined,
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
    pub(super) const fn new(known: &'a Heads, changes: Changes) -> Self {
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
    pub(super) fn judge(
        &mut self,
        partition: Partition,
        hashed: Hashed,
    ) -> (Chunk, Option<Poison>) {
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
    pub(super) fn survey(&self) -> Survey {
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
