//! What a log has left of its streams, beside what a store knew of them.

use std::collections::{BTreeMap, BTreeSet};

use schemas::chain::Link;
use schemas::{DirectoryId, Head, Seq};

/// How far a store has come with each stream.
pub type Heads = BTreeMap<DirectoryId, Head>;

/// What is wrong with what is left of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Records are missing.
    Missing,
    /// Where the store has come to, there is another record than the one that it has applied.
    Altered,
}

/// What a log has left of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// The last accepted record.
    pub head: Head,
    /// Whether a gap has stopped it.
    pub stopped: bool,
    /// The last place that any record speaks of, accepted or not.
    pub reached: Seq,
    /// Whether it has led to another record where a store has come to.
    pub altered: bool,
}

impl Surveyed {
    /// What is wrong, where a store has come to `stored`.
    #[must_use]
    pub fn loss(&self, stored: Option<Head>) -> Option<Loss> {
        let ends_early = stored.is_some_and(|stored| stored.seq > self.head.seq);
        if self.altered {
            Some(Loss::Altered)
        } else {
            (self.stopped || ends_early).then_some(Loss::Missing)
        }
    }

    /// The first place that no reader can have read, where a store has come to `stored`.
    #[must_use]
    pub fn beyond(&self, stored: Option<Head>) -> Seq {
        let read = stored.map_or(Seq(0), |stored| stored.seq);
        self.reached.max(self.head.seq).max(read).next()
    }
}

/// What a log has left of each stream of a partition.
pub type Survey = BTreeMap<DirectoryId, Surveyed>;

/// Holds what is accepted against the records that a store has come to. Each of these stands for all before it: their
/// hashes are in it.
pub(super) struct Comparison<'a> {
    known: &'a Heads,
    altered: BTreeSet<DirectoryId>,
}

impl<'a> Comparison<'a> {
    pub(super) const fn with(known: &'a Heads) -> Self {
        Self { known, altered: BTreeSet::new() }
    }

    /// Takes note of an accepted record.
    pub(super) fn see(&mut self, id: DirectoryId, link: Link) {
        if link.anew {
            // Whatever was there before it, an operator has accepted.
            self.altered.remove(&id);
        }
        let is_other = |known: &Head| known.seq == link.seq && known.hash != link.hash;
        if self.known.get(&id).is_some_and(is_other) {
            self.altered.insert(id);
        }
    }

    pub(super) fn is_altered(&self, id: DirectoryId) -> bool {
        self.altered.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use schemas::Hash;
    use schemas::chain::Place;

    use super::*;

    fn head(seq: u64) -> Head {
        Head { seq: Seq(seq), hash: Hash::of(&seq.to_be_bytes()) }
    }

    #[test]
    fn a_stream_begins_anew_behind_everything_that_anybody_may_have_read() {
        let left = Surveyed { head: head(7), stopped: true, reached: Seq(11), altered: false };
        assert_eq!(left.beyond(None), Seq(12));
        assert_eq!(left.beyond(Some(head(20))), Seq(21));
        assert_eq!(Surveyed::default().beyond(Some(head(3))), Seq(4), "nothing of it is left");
    }

    #[test]
    fn a_stream_lacks_records_if_a_gap_has_stopped_it_or_if_a_store_has_come_further() {
        let whole = Surveyed { head: head(7), reached: Seq(7), ..Surveyed::default() };
        for stored in [None, Some(head(7)), Some(head(5))] {
            assert_eq!(whole.loss(stored), None);
        }
        assert_eq!(whole.loss(Some(head(8))), Some(Loss::Missing));
        let stopped = Surveyed { stopped: true, ..whole };
        assert_eq!(stopped.loss(None), Some(Loss::Missing));
    }

    #[test]
    fn a_stream_is_altered_if_it_leads_to_another_record_than_the_store_until_it_begins_anew() {
        let id = DirectoryId::from_bits(1);
        let place = Place { index: 0, len: 1 };
        let link = |head: Head, anew| {
            let prev = Hash::default();
            Link { seq: head.seq, prev, hash: head.hash, base: Seq(0), commit: place, anew }
        };
        let other = |seq| Head { seq: Seq(seq), hash: Hash::of(b"other") };
        for (records, altered) in [
            (vec![link(head(6), false), link(head(7), false), link(other(8), false)], false),
            (vec![link(other(6), false), link(other(7), false), link(other(8), false)], true),
            (vec![link(other(7), false), link(other(8), true)], false),
            (vec![link(head(6), false), link(other(7), true)], true),
            (vec![link(other(6), false), link(other(8), true)], false),
        ] {
            let known = Heads::from([(id, head(7)), (DirectoryId::from_bits(2), other(6))]);
            let mut comparison = Comparison::with(&known);
            records.iter().for_each(|link| comparison.see(id, *link));
            assert_eq!(comparison.is_altered(id), altered, "{records:?}");
        }
    }
}
