//! Whether it is worth while to append to a partition, by what became of the appends before.
//!
//! ```text
//!            outcome unknown               after a while, one is let through to try
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
use std::time::Duration;

use tokio::time::Instant;

use crate::contract::Partition;

/// How long a partition rests before one append tries. Who is refused meanwhile is told so at once; whoever tries may have to
/// wait as long as appends may take. Longer than it takes to find out what became of the one before, so that who comes
/// right after it is not the one that tries.
const REST: Duration = Duration::from_secs(10);

/// Partitions whose last append has an unknown outcome.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<BTreeMap<Partition, State>>);

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is appended until then.
    RestsUntil(Instant),
    /// One is on its way to try.
    Trying,
}

/// Leave to append. To be told what came of it; if it is dropped, nothing did.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    partition: Partition,
    tries: bool,
}

impl Breaker {
    /// Leave to append to a partition; none while it rests, or another tries whether that works again.
    pub(super) fn leave(&self, partition: Partition, now: Instant) -> Option<Leave<'_>> {
        let mut open = self.0.lock().expect("nothing panics while it is held");
        let tries = match open.get_mut(&partition) {
            None => false,
            Some(State::Trying) => return None,
            Some(State::RestsUntil(until)) if now < *until => return None,
            Some(state @ State::RestsUntil(_)) => {
                *state = State::Trying;
                true
            }
        };
        Some(Leave { breaker: self, partition, tries })
    }
}

impl Leave<'_> {
    /// It has arrived.
    pub(super) fn arrived(mut self) {
        self.tries = false;
        let mut open = self.breaker.0.lock().expect("nothing panics while it is held");
        open.remove(&self.partition);
    }

    /// Nobody knows whether it has.
    pub(super) fn unknown(mut self, now: Instant) {
        self.tries = false;
        let mut open = self.breaker.0.lock().expect("nothing panics while it is held");
        open.insert(self.partition, State::RestsUntil(now + REST));
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.tries {
            // It was given up. The next one may try.
            let mut open = self.breaker.0.lock().expect("nothing panics while it is held");
            open.remove(&self.partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(0);

    #[test]
    fn after_an_unknown_outcome_a_partition_rests_and_then_one_append_tries() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let (first, beside) = (breaker.leave(P, now).unwrap(), breaker.leave(P, now).unwrap());
        first.unknown(now);
        drop(beside);
        assert!(breaker.leave(P, now).is_none(), "it rests");
        assert!(breaker.leave(Partition(1), now).is_some(), "another is none of its business");

        let later = now + REST;
        let tries = breaker.leave(P, later).unwrap();
        assert!(breaker.leave(P, later).is_none(), "one tries");
        tries.unknown(later);
        assert!(breaker.leave(P, later).is_none(), "it rests again");
        breaker.leave(P, later + REST).unwrap().arrived();
        assert!(breaker.leave(P, later).is_some() && breaker.leave(P, later).is_some());
    }

    #[test]
    fn a_try_that_is_given_up_lets_the_next_one_try() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        breaker.leave(P, now).unwrap().unknown(now);
        drop(breaker.leave(P, now + REST).unwrap());
        assert!(breaker.leave(P, now + REST).is_some());
    }
}
