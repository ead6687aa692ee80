//! Where the partitions of a topic end, as it was when reading began: on a busy topic more comes all the time, and each
//! partition says again and again that it has been read to its end.

use std::collections::BTreeMap;

/// The ends that are not reached yet, by partition.
#[derive(Clone, Debug, Default)]
pub struct Ends(BTreeMap<i32, i64>);

impl Ends {
    /// A partition is to be read from `begin` up to `end`, which is the offset behind its last record.
    pub fn expect(&mut self, partition: i32, begin: i64, end: i64) {
        if begin < end {
            self.0.insert(partition, end);
        }
    }

    /// Whether a record is one of those that are to be read. The last one of a partition reaches its end.
    pub fn reads(&mut self, partition: i32, offset: i64) -> bool {
        let Some(end) = self.0.get(&partition).copied() else { return false };
        if offset + 1 >= end {
            self.0.remove(&partition);
        }
        offset < end
    }

    /// There is nothing more in a partition: the offsets before its end that no record had are marks of transactions.
    pub fn reached(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    /// Whether everything that was to be read has been.
    #[must_use]
    pub fn are_reached(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_says_twice_that_it_ends_does_not_end_another() {
        let mut ends = Ends::default();
        ends.expect(0, 0, 2);
        ends.expect(1, 5, 8);
        ends.expect(2, 3, 3);
        assert!(ends.reads(0, 0) && ends.reads(0, 1));
        ends.reached(0);
        ends.reached(0);
        assert!(!ends.are_reached(), "partition 1 has not been read");
        assert!(ends.reads(1, 5));
        assert!(!ends.reads(0, 2), "it came after reading began");
        assert!(ends.reads(1, 7) && ends.are_reached());
        assert!(!ends.reads(1, 8));
    }

    #[test]
    fn a_partition_that_ends_with_marks_of_transactions_is_read() {
        let mut ends = Ends::default();
        ends.expect(0, 0, 3);
        assert!(ends.reads(0, 1) && !ends.are_reached());
        ends.reached(0);
        assert!(ends.are_reached());
    }
}
