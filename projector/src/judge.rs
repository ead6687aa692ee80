//! The pure core: records in, what to write out.

use std::collections::{BTreeMap, BTreeSet};

use log::{Entry, Offset, Partition};
use schemas::chain::{Admitted, Link, Stream, Verdict};
use schemas::record::{DecodeError, Said};
use schemas::{DirectoryId, Hash, Head, Record};

use crate::ports::{Accepted, Batch, Position, StoredHead};

/// A reader of one partition: every stream it has met, and where it stands.
#[derive(Debug)]
pub struct Reader {
    partition: Partition,
    streams: BTreeMap<DirectoryId, Stream<Accepted>>,
    /// The first pending record of each stream that has one.
    pending: BTreeMap<DirectoryId, Offset>,
    stopped: BTreeSet<DirectoryId>,
    read_to: Offset,
    position: Position,
}

/// What became of a number of entries.
#[derive(Debug, Default)]
pub struct Judged {
    /// What to write.
    pub batch: Batch,
    /// Where the reader stands afterwards.
    pub to: Position,
    /// How many records were stale.
    pub stale: u64,
    /// How many were known from whoever sealed them in this process, and not read.
    pub known: u64,
}

/// A commit of which the rest has not come: what holds the position of the partition back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfCommit {
    /// Whose it is.
    pub directory_id: DirectoryId,
    /// Its first record.
    pub first: Offset,
    /// How many records have been judged since, which a restart judges again.
    pub judged_since: u64,
}

/// A record that cannot be read. The partition stops there; nothing is skipped.
#[derive(Debug, thiserror::Error)]
#[error("DSYNC-005: record {} of partition {} cannot be read", .offset.0, .partition.0)]
pub struct Poison {
    /// The partition.
    pub partition: Partition,
    /// The record.
    pub offset: Offset,
    /// What is wrong with it.
    #[source]
    pub source: DecodeError,
}

impl Reader {
    /// A reader that goes on where the store stands.
    #[must_use]
    pub fn resume(partition: Partition, position: Position, heads: &[StoredHead]) -> Self {
        let streams = heads.iter().map(|stored| (stored.directory_id, Stream::at(stored.head)));
        let stopped = heads.iter().filter(|stored| stored.stopped);
        Self {
            partition,
            streams: streams.collect(),
            pending: BTreeMap::new(),
            stopped: stopped.map(|stored| stored.directory_id).collect(),
            read_to: position.next,
            position,
        }
    }

    /// The next record to read.
    #[must_use]
    pub const fn read_to(&self) -> Offset {
        self.read_to
    }

    /// Where a restart would begin.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The oldest commit of which the rest has not come. Any other record of its directory makes it void; nothing else does,
    /// since every reader has to say the same of what may still come.
    #[must_use]
    pub fn half_commit(&self) -> Option<HalfCommit> {
        let (directory_id, first) = self.pending.iter().min_by_key(|(_, first)| **first)?;
        let judged_since = self.read_to.0.saturating_sub(first.0);
        Some(HalfCommit { directory_id: *directory_id, first: *first, judged_since })
    }

    /// Judges entries in order.
    ///
    /// # Errors
    ///
    /// At the first record that cannot be read. The reader must not be used any more then.
    pub fn judge(&mut self, entries: &[Entry]) -> Result<Judged, Poison> {
        let mut judged = Judged::default();
        for entry in entries {
            self.entry(entry, &mut judged).map_err(|source| Poison {
                partition: self.partition,
                offset: entry.offset,
                source,
            })?;
            self.read_to = Offset(entry.offset.0 + 1);
        }
        if let Some(last) = judged.batch.accepted.last() {
            self.position.applied = Some((last.offset, last.head.hash));
        }
        self.position.next = self.pending.values().copied().min().unwrap_or(self.read_to);
        judged.batch.passed = self.read_to;
        judged.to = self.position;
        Ok(judged)
    }

    fn entry(&mut self, entry: &Entry, judged: &mut Judged) -> Result<(), DecodeError> {
        let said = entry.known.get::<Said>().filter(|said| said.is_of(&entry.value));
        let read = match &said {
            Some(said) => Read::Known(said),
            None => Read::Decoded(Record::decode(&entry.value)?),
        };
        judged.known += u64::from(said.is_some());
        let (directory_id, anew) = (read.directory_id(), read.is_anew());
        if self.stopped.contains(&directory_id) && !anew {
            return Ok(());
        }
        let link = read.link(&entry.value);
        let stream =
            self.streams.entry(directory_id).or_insert_with(|| Stream::at(Head::default()));
        // Only what may be accepted is read in full.
        let admitted = match stream.verdict(&link) {
            Verdict::Stale => Admitted::Stale,
            Verdict::Gap => Admitted::Gap,
            Verdict::Joins | Verdict::Restarts | Verdict::Anew => {
                stream.admit(link, read.accepted(entry.offset, link)?)
            }
        };
        let first_pending = stream.first_pending().map(|first| first.offset);
        match admitted {
            Admitted::Pending => {}
            Admitted::Complete(commit) => {
                // A stream that was stopped goes on with a record that begins it anew, and with no other.
                self.stopped.remove(&directory_id);
                judged.batch.stopped.retain(|stopped| *stopped != directory_id);
                judged.batch.accepted.extend(commit.into_iter().map(|(_, accepted)| accepted));
            }
            Admitted::Stale => judged.stale += 1,
            Admitted::Gap => {
                self.stopped.insert(directory_id);
                judged.batch.stopped.push(directory_id);
            }
        }
        match first_pending.filter(|_| !self.stopped.contains(&directory_id)) {
            Some(offset) => self.pending.insert(directory_id, offset),
            None => self.pending.remove(&directory_id),
        };
        Ok(())
    }
}

/// A record, read here or known from whoever sealed it in this process.
enum Read<'e> {
    Decoded(Record<'e>),
    Known(&'e Said),
}

impl Read<'_> {
    const fn directory_id(&self) -> DirectoryId {
        match self {
            Self::Decoded(record) => record.directory_id,
            Self::Known(said) => said.directory_id(),
        }
    }

    const fn is_anew(&self) -> bool {
        match self {
            Self::Decoded(record) => record.anew,
            Self::Known(said) => said.link().anew,
        }
    }

    fn link(&self, value: &[u8]) -> Link {
        match self {
            Self::Decoded(record) => record.link(Hash::of(value)),
            Self::Known(said) => said.link(),
        }
    }

    fn accepted(&self, offset: Offset, link: Link) -> Result<Accepted, DecodeError> {
        let (head, prev) = (link.as_head(), link.prev);
        Ok(match self {
            Self::Decoded(record) => Accepted {
                offset,
                directory_id: record.directory_id,
                head,
                prev,
                id: record.id,
                event: record.event,
                created_at: record.created_at,
                data: record.data.get().to_owned(),
                actor: record.actor.get().to_owned(),
                change: record.change()?,
            },
            Self::Known(said) => Accepted {
                offset,
                directory_id: said.directory_id(),
                head,
                prev,
                id: said.id(),
                event: said.event(),
                created_at: said.created_at(),
                data: said.data().to_owned(),
                actor: said.actor().to_owned(),
                change: said.change().clone(),
            },
        })
    }
}
