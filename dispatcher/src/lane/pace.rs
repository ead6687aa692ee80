//! So many requests a second, and no more.

use std::num::NonZeroU32;
use std::time::Duration;

use schemas::Timestamp;

/// How much of a pace may be used at once: clocks tick in milliseconds and timers come late, and
/// neither is to slow the whole down.
const BURST: Duration = Duration::from_millis(100);

/// A leaky bucket that remembers when it will be empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// In time since the epoch, finer than a [`Timestamp`].
    empty_at: Duration,
}

impl Pace {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.get(), empty_at: Duration::ZERO }
    }

    /// When there is room again; `None` if there is now.
    pub(crate) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let wait = self.empty_at.saturating_sub(BURST).checked_sub(since_epoch(now))?;
        let millis = wait.as_micros().div_ceil(1_000);
        let wait = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        (!wait.is_zero()).then(|| now.after(wait))
    }

    /// One more.
    pub(crate) fn take(&mut self, now: Timestamp) {
        self.empty_at = self.empty_at.max(since_epoch(now)) + self.interval;
    }
}

fn since_epoch(now: Timestamp) -> Duration {
    now.since(Timestamp::from_millis(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_minute_there_are_as_many_as_the_pace_says() {
        for per_second in [1, 7, 100, 2_500] {
            let mut pace = Pace::new(NonZeroU32::new(per_second).unwrap());
            let (mut now, mut taken) = (Timestamp::from_millis(1_000_000), 0);
            let end = now.after(Duration::from_secs(60));
            while now < end {
                match pace.closed_until(now) {
                    Some(later) => {
                        assert!(later > now);
                        now = later;
                    }
                    None => {
                        pace.take(now);
                        taken += 1;
                    }
                }
            }
            let expected = per_second * 60;
            let burst = per_second / 10 + 1;
            assert!((expected..=expected + burst).contains(&taken), "{per_second}: {taken}");
        }
    }
}
