//! The latest records of a partition in memory, so that a reader right behind the writer asks no
//! disk.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::contract::{Entry, Offset, ReadLimit};

/// How many bytes of records are kept. A projector is milliseconds behind; this is seconds' worth.
const BYTES_MAX: usize = 2 << 20;

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

    pub(super) fn push(&self, entries: Vec<Entry>) {
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        for entry in entries {
            kept.bytes += entry.value.len();
            kept.entries.push_back(entry);
        }
        while kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.bytes -= oldest.value.len();
            kept.from = oldest.offset.next();
        }
        if kept.entries.is_empty() {
            kept.entries.shrink_to_fit();
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
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in kept.entries.range(begin..).take(limit.records.get()) {
            bytes += entry.value.len();
            if bytes > limit.bytes.get() && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Some(entries)
    }
}
