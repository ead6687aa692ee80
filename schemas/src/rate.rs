//! How often something may happen.

use std::collections::HashMap;
use std::hash::Hash;
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

/// What each of many callers has used up.
#[derive(Debug)]
pub struct Buckets<K> {
    known: HashMap<K, Bucket>,
    max: usize,
    sweep_at: Duration,
}

/// How often the empty ones are looked for at most: a look goes through all of them.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl<K: Eq + Hash> Buckets<K> {
    /// Beyond this many the empty ones go, now and then: those of everyone who keeps to the limit. More stay only where
    /// more callers are over it at once.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { known: HashMap::new(), max, sweep_at: Duration::ZERO }
    }

    /// Takes one for a caller, or says how long to wait for it.
    ///
    /// # Errors
    /// The wait, as [`Bucket::take`] says it.
    pub fn take(&mut self, caller: K, limit: RateLimit, now: Duration) -> Result<(), Duration> {
        if self.known.len() >= self.max && now >= self.sweep_at {
            self.known.retain(|_, bucket| !bucket.is_empty(now));
            self.sweep_at = now + SWEEP_EVERY;
        }
        self.known.entry(caller).or_default().take(limit, now)
    }

    /// Whether this caller would be counted without keeping more than was said: it is known, or somebody rests whose
    /// place it can have. For callers whom nobody has let in yet, and who may be as many as they like.
    pub fn has_room_for(&mut self, caller: &K, now: Duration) -> bool {
        if self.known.len() >= self.max && !self.known.contains_key(caller) {
            self.known.retain(|_, bucket| !bucket.is_empty(now));
        }
        self.known.len() < self.max || self.known.contains_key(caller)
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

    #[test]
    fn callers_are_counted_each_for_itself_and_forgotten_when_they_rest() {
        let (limit, mut buckets) = (limit(10, 1), Buckets::new(2));
        let start = Duration::from_secs(7);
        assert_eq!(buckets.take("a", limit, start), Ok(()));
        assert_eq!(buckets.take("b", limit, start), Ok(()));
        assert!(buckets.take("a", limit, start).is_err());
        assert_eq!(buckets.take("c", limit, start + Duration::from_secs(1)), Ok(()));
        assert_eq!(buckets.known.len(), 1);
    }

    #[test]
    fn there_is_room_for_whom_is_known_and_where_somebody_rests() {
        let (limit, mut buckets) = (limit(10, 1), Buckets::new(2));
        let start = Duration::from_secs(7);
        for caller in ["a", "b"] {
            assert!(buckets.has_room_for(&caller, start));
            assert_eq!(buckets.take(caller, limit, start), Ok(()));
        }
        assert!(buckets.has_room_for(&"a", start) && !buckets.has_room_for(&"c", start));
        assert!(buckets.has_room_for(&"c", start + Duration::from_secs(1)));
    }
}
