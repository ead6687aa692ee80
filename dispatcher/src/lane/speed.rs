//! Whether an endpoint is slow, and how much room it has.
//!
//! Room is shared by all endpoints, in three pools. An endpoint takes at most its share of a pool, which gets
//! smaller with each endpoint that takes some, so that those who wait for their answers leave room for others. One that
//! is slow takes its room from a pool in which only slow ones wait for each other.

use std::time::Duration;

use crate::circuit::IN_FLIGHT_MAX;

/// After this a request counts as slow: many times what an app needs that is well.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The smallest share of a pool: with more endpoints than that leaves room for, they wait for each other.
const SHARE_MIN: usize = 2;

/// Whose room a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Events fresh from the feed, of a lane that is well.
    Fresh,
    /// Events that waited in a line, probes and what follows them, and replays.
    Retry,
    /// Whatever goes to an endpoint that is slow.
    Slow,
}

impl Pool {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Retry, Self::Slow];
}

/// A number for each pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerPool {
    fresh: usize,
    retry: usize,
    slow: usize,
}

impl PerPool {
    /// The shares of a lane that is alone.
    pub const ALONE: Self =
        Self { fresh: IN_FLIGHT_MAX, retry: IN_FLIGHT_MAX, slow: IN_FLIGHT_MAX };

    /// The number of each.
    #[must_use]
    pub fn of(number: impl Fn(Pool) -> usize) -> Self {
        Self { fresh: number(Pool::Fresh), retry: number(Pool::Retry), slow: number(Pool::Slow) }
    }

    /// The number of one.
    #[must_use]
    pub const fn get(self, pool: Pool) -> usize {
        match pool {
            Pool::Fresh => self.fresh,
            Pool::Retry => self.retry,
            Pool::Slow => self.slow,
        }
    }

    pub(crate) const fn get_mut(&mut self, pool: Pool) -> &mut usize {
        match pool {
            Pool::Fresh => &mut self.fresh,
            Pool::Retry => &mut self.retry,
            Pool::Slow => &mut self.slow,
        }
    }
}

/// The share of one lane in a pool of this size of which so many take some: there is always room for one more.
#[must_use]
pub fn share_of(pool: usize, takers: usize) -> usize {
    (pool / (takers + 1)).clamp(SHARE_MIN, IN_FLIGHT_MAX)
}

/// The last answers of an endpoint: a bit for each, set if it was slow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Speed(u8);

impl Speed {
    /// An answer, or that there is none yet though it would be slow by now.
    pub(crate) const fn note(&mut self, is_slow: bool) {
        self.0 = self.0 << 1 | is_slow as u8;
    }

    /// Whether half of its last answers were slow.
    pub(crate) const fn is_slow(self) -> bool {
        self.0.count_ones() >= u8::BITS / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_as_slow_as_half_of_its_last_answers() {
        let mut speed = Speed::default();
        let mut note = |is_slow| {
            speed.note(is_slow);
            speed.is_slow()
        };
        assert_eq!([true; 4].map(&mut note), [false, false, false, true]);
        assert_eq!([false; 5].map(&mut note), [true, true, true, true, false]);
        assert_eq!([true, false, false, false].map(&mut note), [false; 4]);
    }

    #[test]
    fn shares_leave_room_for_one_more() {
        for takers in 0..255 {
            assert!((takers + 1) * share_of(512, takers) <= 512, "{takers}");
        }
        assert_eq!([0, 1, 10, 100, 10_000].map(|takers| share_of(512, takers)), [64, 64, 46, 5, 2]);
    }
}
