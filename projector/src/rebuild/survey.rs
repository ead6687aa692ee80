//! What a log has left of its streams, beside what a store knew of them.

use std::collections::BTreeMap;

use schemas::{DirectoryId, Head, Seq};

/// What a log has left of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// The last accepted record.
    pub head: Head,
    /// Whether a gap has stopped it.
    pub stopped: bool,
    /// The last place that any record speaks of, accepted or not.
    pub reached: Seq,
}

impl Surveyed {
    /// Whether records are missing, where a store has come to `stored`.
    #[must_use]
    pub fn lacks(&self, stored: Option<Head>) -> bool {
        self.stopped || stored.is_some_and(|stored| stored.seq > self.head.seq)
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

#[cfg(test)]
mod tests {
    use schemas::Hash;

    use super::*;

    fn head(seq: u64) -> Head {
        Head { seq: Seq(seq), hash: Hash::of(&seq.to_be_bytes()) }
    }

    #[test]
    fn a_stream_begins_anew_behind_everything_that_anybody_may_have_read() {
        let left = Surveyed { head: head(7), stopped: true, reached: Seq(11) };
        assert_eq!(left.beyond(None), Seq(12));
        assert_eq!(left.beyond(Some(head(20))), Seq(21));
        assert_eq!(Surveyed::default().beyond(Some(head(3))), Seq(4), "nothing of it is left");
    }

    #[test]
    fn a_stream_lacks_records_if_a_gap_has_stopped_it_or_if_a_store_has_come_further() {
        let whole = Surveyed { head: head(7), stopped: false, reached: Seq(7) };
        assert!(!whole.lacks(None) && !whole.lacks(Some(head(7))) && !whole.lacks(Some(head(5))));
        assert!(whole.lacks(Some(head(8))));
        assert!(Surveyed { stopped: true, ..whole }.lacks(None));
    }
}
