//! How often something may happen.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

/// What one caller has used up of a [`RateLimit`]: a leaky bucket, kept as the moment at which it will be
/// empty. Moments are durations since a start that the caller chooses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    empty_at: Duration,
}

impl Bucket {
    /// Takes one, or says how long to wait for it.
    ///
    /// # Errors
    /// The wait, if the limit is used up. Nothing is taken then.
    pub fn take(&mut self, limit: RateLimit, now: Duration) -> Result<(), Duration> {
        let each = Duration::from_secs(1) / limit.per_second.get();
        let room = each * limit.burst.get();
        let full = self.empty_at.max(now) + each;
        match full.checked_sub(now + room) {
            Some(wait) if !wait.is_zero() => Err(wait),
            Some(_) | None => {
                self.empty_at = full;
                Ok(())
            }
        }
    }

    /// Whether it says no more than a new one.
    #[must_use]
    pub fn is_empty(&self, now: Duration) -> bool {
        self.empty_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        let number = |number| NonZeroU32::new(number).unwrap();
        RateLimit { per_second: number(per_second), burst: number(burst) }
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let (limit, mut bucket) = (limit(10, 5), Bucket::default());
        let start = Duration::from_secs(7);
        for _ in 0..5 {
            assert_eq!(bucket.take(limit, start), Ok(()));
        }
        assert_eq!(bucket.take(limit, start), Err(Duration::from_millis(100)));
        assert_eq!(
            bucket.take(limit, start + Duration::from_millis(99)),
            Err(Duration::from_millis(1))
        );
        assert_eq!(bucket.take(limit, start + Duration::from_millis(100)), Ok(()));
        assert_eq!(
            bucket.take(limit, start + Duration::from_millis(100)),
            Err(Duration::from_millis(100))
        );
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_refused() {
        let (limit, mut bucket) = (limit(25, 1), Bucket::default());
        for number in 0..1_000 {
            assert_eq!(bucket.take(limit, Duration::from_millis(40 * number)), Ok(()));
        }
    }

    #[test]
    fn a_pause_refills_the_burst_and_no_more() {
        let (limit, mut bucket) = (limit(10, 3), Bucket::default());
        let later = Duration::from_secs(3_600);
        assert!(bucket.is_empty(later));
        let passed = (0..10).filter(|_| bucket.take(limit, later).is_ok()).count();
        assert_eq!(passed, 3);
        assert!(!bucket.is_empty(later));
    }
}
