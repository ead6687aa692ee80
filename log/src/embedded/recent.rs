//! The latest records of a partition in memory, so that a reader right behind the writer asks no
//! disk.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::contract::{Entry, Offset, ReadLimit};

/// How many bytes of records are kept beside those of the last commit, which are kept whatever they are. A projector is
/// milliseconds behind; this is hundreds of records' worth, which an idle process keeps.
const BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Every record of the partition from this offset on is here.
    from: Offset,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Recent {
    pub(super) const fn starting_at(tail: Offset) -> Self {
        let kept = Kept { from: tail, entries: VecDeque::new(), bytes: 0 };
        Self { kept: Mutex::new(kept) }
    }

    /// Takes what a commit has added, which is wanted next, and whole. A commit has bounds of its own.
    pub(super) fn add(&self, entries: Vec<Entry>) {
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        while kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.bytes -= oldest.value.len();
            kept.from = oldest.offset.next();
        }
        if kept.entries.is_empty() {
            kept.entries.shrink_to_fit();
        }
        for entry in entries {
            kept.bytes += entry.value.len();
            kept.entries.push_back(entry);
        }
    }

    /// Forgets everything: the file ends elsewhere than was thought.
    pub(super) fn restart_at(&self, tail: Offset) {
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        *kept = Kept { from: tail, entries: VecDeque::new(), bytes: 0 };
    }

    /// What is there from an offset on; `None` if older records have to be read first.
    pub(super) fn read(&self, from: Offset, limit: ReadLimit) -> Option<Vec<Entry>> {
        let kept = self.kept.lock().expect("nothing panics while it is held");
        if from < kept.from {
            return None;
        }
        let begin = kept.entries.partition_point(|entry| entry.offset < from);
        Some(limit.of(kept.entries.range(begin..)))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    const ALL: ReadLimit = ReadLimit { records: NonZeroUsize::MAX, bytes: NonZeroUsize::MAX };

    fn entries(offsets: std::ops::Range<u64>, bytes: usize) -> Vec<Entry> {
        offsets.map(|offset| Entry::new(Offset(offset), vec![0; bytes].into())).collect()
    }

    fn count(recent: &Recent, from: u64) -> Option<usize> {
        recent.read(Offset(from), ALL).map(|entries| entries.len())
    }

    #[test]
    fn what_a_commit_adds_is_there_whole_until_the_next_however_large_it_is() {
        let recent = Recent::starting_at(Offset(5));
        recent.add(entries(5..9, BYTES_MAX));
        assert_eq!(count(&recent, 5), Some(4));
        recent.add(entries(9..10, 1));
        assert_eq!((count(&recent, 7), count(&recent, 8)), (None, Some(2)));
    }

    #[test]
    fn whoever_asks_for_more_than_is_kept_has_to_read_it() {
        let recent = Recent::starting_at(Offset(5));
        assert_eq!((count(&recent, 4), count(&recent, 5)), (None, Some(0)));
        recent.add(entries(5..7, BYTES_MAX + 1));
        recent.add(Vec::new());
        assert_eq!((count(&recent, 6), count(&recent, 7)), (None, Some(0)));
    }
}
