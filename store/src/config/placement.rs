//! In which partition of the log the stream of a new directory lies. It stays there for ever.

use std::collections::BTreeMap;

/// The partition with the fewest live directories; of several, the first.
///
/// A hash of the id would leave some partitions empty as long as directories are few, and would never fill one that was
/// added. Directories differ in size, but how large one becomes nobody knows when it is created.
pub(crate) fn partition_for_next(live: &BTreeMap<u16, u64>, partitions: u16) -> u16 {
    let load = |partition: &u16| live.get(partition).copied().unwrap_or_default();
    // Of several that are least, this takes the first.
    (0..partitions.max(1)).min_by_key(load).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which ones so many directories come to, one after the other.
    fn chosen(mut live: BTreeMap<u16, u64>, partitions: u16, directories: usize) -> Vec<u16> {
        let mut choose = || {
            let partition = partition_for_next(&live, partitions);
            *live.entry(partition).or_default() += 1;
            partition
        };
        (0..directories).map(|_| choose()).collect()
    }

    #[test]
    fn directories_are_dealt_out_in_turn() {
        assert_eq!(chosen(BTreeMap::new(), 3, 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_partition_that_was_added_is_filled_first() {
        assert_eq!(chosen([(0, 2), (1, 2)].into(), 3, 4), [2, 2, 0, 1]);
    }

    #[test]
    fn where_directories_have_gone_others_come() {
        assert_eq!(chosen([(0, 3), (1, 1), (2, 3)].into(), 3, 3), [1, 1, 0]);
    }

    proptest! {
        #[test]
        fn the_choice_is_always_one_that_is_there_and_none_has_less(
            live in prop::collection::btree_map(0_u16..12, 0_u64..6, 0..12),
            partitions in 0_u16..10,
        ) {
            let chosen = partition_for_next(&live, partitions);
            prop_assert!(chosen < partitions.max(1));
            let load = |partition: u16| live.get(&partition).copied().unwrap_or_default();
            for other in 0..partitions {
                prop_assert!(load(chosen) <= load(other));
            }
        }
    }
}
