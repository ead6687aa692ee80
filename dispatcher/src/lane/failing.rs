//! Whether an endpoint fails as far as its operator is concerned, and when it has failed for too long.
//!
//! It goes by attempts in a row without a success, whatever they failed of: an endpoint whose route was removed is
//! as much lost to its owner as one that is down. The circuit is another matter: it says what is sent meanwhile.

use std::time::Duration;

use schemas::{FAILS_AFTER, Timestamp};

use crate::Failure;
use crate::ports::Notice;

/// An endpoint that has failed for so long without a success is disabled.
pub const FAILING_MAX: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// So long before that the operator is told at the latest.
pub const TOLD_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// [`FAILS_AFTER`] attempts in a row tell of the endpoint when they took so long, or when its circuit is open: a few bad events that come
/// together are neither.
const FAILS_FOR: Duration = Duration::from_secs(10 * 60);

/// After so long without an attempt a failure has nothing to do with those before it. Whatever waits is tried
/// more often.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// For how long a lane itself has to see an endpoint fail before it disables it: time in which nobody called
/// says nothing, and one that was just changed may be well.
const SEEN_FOR: Duration = Duration::from_secs(60 * 60);

/// Attempts in a row that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Since when. Told at most [`FAILING_MAX`] less [`TOLD_BEFORE`] later: it is moved up if need be.
    pub(crate) since: Option<Timestamp>,
    /// Whether the operator knows.
    pub(crate) is_told: bool,
    /// Whether something waited that had failed when the lane began.
    goes_on: bool,
    /// Of those that this lane has seen: how many, the first and the last.
    count: u32,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Failing {
    /// As it was stored, and whether something that had failed waits.
    pub(crate) fn new(since: Option<Timestamp>, is_told: bool, goes_on: bool) -> Self {
        Self { since, is_told, goes_on, ..Self::default() }
    }

    /// An attempt has succeeded. Returns what the operator is to be told.
    pub(crate) fn succeeded(&mut self) -> Option<Notice> {
        let before = std::mem::take(self);
        let since = before.since.filter(|_| before.is_told)?;
        Some(Notice::Recovered { since })
    }

    /// An attempt has failed, after which the circuit is open or not. Returns what the operator is to be told.
    pub(crate) fn failed(
        &mut self,
        failure: Failure,
        is_open: bool,
        now: Timestamp,
    ) -> Option<Notice> {
        let goes_on = self.last.map_or(self.goes_on, |last| now.since(last) < FORGOTTEN_AFTER);
        if !goes_on {
            *self = Self { is_told: self.is_told, ..Self::default() };
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        self.first.get_or_insert(now);
        let since = *self.since.get_or_insert(now);
        let shows = self.count >= FAILS_AFTER && (is_open || now.since(since) >= FAILS_FOR);
        if self.is_told || !shows {
            return None;
        }
        let late = now.since(since).saturating_sub(FAILING_MAX - TOLD_BEFORE);
        let since = since.after(late);
        (self.since, self.is_told) = (Some(since), true);
        Some(Notice::Failing { since, failure, disables_at: since.after(FAILING_MAX) })
    }

    /// Whether it has failed for too long.
    pub(crate) fn is_too_long(&self, now: Timestamp) -> bool {
        let is_past = |since: Option<Timestamp>, max| since.is_some_and(|at| now.since(at) >= max);
        self.is_told && is_past(self.since, FAILING_MAX) && is_past(self.first, SEEN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60 * 1_000;
    const DAY: i64 = 24 * HOUR;
    const DOWN: Failure = Failure::Status(503);
    const REFUSES: Failure = Failure::Status(404);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn told(since: i64, failure: Failure) -> Option<Notice> {
        let (since, disables_at) = (at(since), at(since).after(FAILING_MAX));
        Some(Notice::Failing { since, failure, disables_at })
    }

    #[test]
    fn five_failures_tell_at_once_when_the_circuit_is_open() {
        let mut failing = Failing::default();
        for second in 0..4 {
            assert_eq!(failing.failed(DOWN, true, at(second * 1_000)), None);
        }
        assert_eq!(failing.failed(DOWN, true, at(4_000)), told(0, DOWN));
        assert_eq!(failing.failed(DOWN, true, at(5_000)), None, "once");
        assert_eq!(failing.succeeded(), Some(Notice::Recovered { since: at(0) }));
        assert_eq!(failing, Failing::default());
    }

    #[test]
    fn failures_that_come_together_say_nothing_of_an_endpoint_that_answers() {
        let mut failing = Failing::default();
        for second in 0..100 {
            assert_eq!(failing.failed(REFUSES, false, at(second)), None);
        }
        assert_eq!(failing.succeeded(), None);
    }

    #[test]
    fn an_endpoint_that_refuses_everything_is_told_of_and_disabled_after_five_days() {
        let mut failing = Failing::default();
        let mut notices = Vec::new();
        let disabled = (0..).find(|hour| {
            notices.extend(failing.failed(REFUSES, false, at(hour * HOUR)));
            failing.is_too_long(at(hour * HOUR))
        });
        assert_eq!(disabled, Some(5 * 24));
        assert_eq!(notices, [told(0, REFUSES).unwrap()]);
    }

    #[test]
    fn nothing_is_disabled_that_was_not_told_of_a_day_before() {
        let mut failing = Failing::default();
        // One event a day and a half, each refused and given up.
        let mut told_at = None;
        let mut disabled = None;
        for half_day in 0..40 {
            let now = half_day * 3 * DAY / 2;
            if failing.failed(REFUSES, false, at(now)).is_some() {
                told_at.get_or_insert(now);
            }
            if failing.is_too_long(at(now)) {
                disabled.get_or_insert(now);
            }
        }
        let (told_at, disabled) = (told_at.unwrap(), disabled.unwrap());
        assert!(disabled >= told_at + DAY, "told at {told_at}, disabled at {disabled}");
    }

    #[test]
    fn a_failure_of_last_week_does_not_count() {
        let mut failing = Failing::default();
        failing.failed(REFUSES, false, at(0));
        for second in 0..20 {
            let notice = failing.failed(DOWN, true, at(8 * DAY + second));
            assert_eq!(notice, if second == 4 { told(8 * DAY, DOWN) } else { None });
            assert!(!failing.is_too_long(at(8 * DAY + second)));
        }
        // Neither does one from before a start, unless what failed still waits.
        for goes_on in [false, true] {
            let mut failing = Failing::new(Some(at(0)), false, goes_on);
            failing.failed(DOWN, true, at(DAY));
            assert_eq!(failing.since, Some(at(if goes_on { 0 } else { DAY })));
        }
    }

    #[test]
    fn time_in_which_nobody_called_disables_nothing() {
        let mut failing = Failing::new(Some(at(0)), true, true);
        let week = 7 * DAY;
        failing.failed(DOWN, true, at(week));
        assert!(!failing.is_too_long(at(week)));
        failing.failed(DOWN, true, at(week + HOUR));
        assert!(failing.is_too_long(at(week + HOUR)));
    }
}
