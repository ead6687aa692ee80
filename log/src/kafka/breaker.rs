//! Whether it is worth while to append to a partition, by what became of the appends before.
//!
//! ```text
//!            outcome unknown                    one is let through to try
//!   closed ──────────────────▶ open ──────────────────────────────────────▶ trying
//!     ▲                          ▲            outcome unknown again             │
//!     │                          └──────────────────────────────────────────────┤
//!     └───────────────────────────────────── it has arrived ────────────────────┘
//! ```
//!
//! An append to a partition without a leader, or with too few replicas, takes as long as appends may take, and nobody knows
//! what became of it. Whoever came behind it would wait as long, and longer than identity providers do.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::contract::Partition;

/// Partitions whose last append has an unknown outcome, and whether one is on its way to try.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<BTreeMap<Partition, bool>>);

/// Leave to append. To be told what came of it; if it is dropped, nothing did.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    partition: Partition,
    tries: bool,
}

impl Breaker {
    /// Leave to append to a partition; none while another tries whether that works again.
    pub(super) fn leave(&self, partition: Partition) -> Option<Leave<'_>> {
        let mut open = self.0.lock().expect("nothing panics while it is held");
        let tries = match open.get_mut(&partition) {
            None => false,
            Some(true) => return None,
            Some(trying) => {
                *trying = true;
                true
            }
        };
        Some(Leave { breaker: self, partition, tries })
    }
}

impl Leave<'_> {
    /// It has arrived.
    pub(super) fn arrived(self) {
        let mut open = self.breaker.0.lock().expect("nothing panics while it is held");
        open.remove(&self.partition);
    }

    /// Nobody knows whether it has.
    pub(super) fn is_unknown(self) {
        let mut open = self.breaker.0.lock().expect("nothing panics while it is held");
        open.entry(self.partition).or_insert(false);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.tries {
            let mut open = self.breaker.0.lock().expect("nothing panics while it is held");
            open.entry(self.partition).and_modify(|trying| *trying = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(0);

    #[test]
    fn after_an_unknown_outcome_one_append_tries_and_the_others_are_refused_until_one_arrives() {
        let breaker = Breaker::default();
        let (first, beside) = (breaker.leave(P).unwrap(), breaker.leave(P).unwrap());
        first.is_unknown();
        drop(beside);
        let tries = breaker.leave(P).unwrap();
        assert!(breaker.leave(P).is_none());
        assert!(breaker.leave(Partition(1)).is_some(), "another partition is none of its business");
        tries.is_unknown();
        let tries = breaker.leave(P).unwrap();
        assert!(breaker.leave(P).is_none());
        tries.arrived();
        assert!(breaker.leave(P).is_some() && breaker.leave(P).is_some());
    }

    #[test]
    fn a_try_that_is_given_up_lets_the_next_one_try() {
        let breaker = Breaker::default();
        breaker.leave(P).unwrap().is_unknown();
        drop(breaker.leave(P).unwrap());
        assert!(breaker.leave(P).is_some());
    }
}
