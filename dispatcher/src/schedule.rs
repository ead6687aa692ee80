//! When to try again: a list of waits, read as data.
//!
//! Time and dice are arguments, so the whole of it is tested as a table.

use std::str::FromStr;
use std::time::Duration;

use schemas::waits::InvalidWaits;
use schemas::{Timestamp, Waits};

use crate::failure::{Failure, Patience};

/// The longest that an endpoint's `Retry-After` can put us off. More would outlive the schedule and
/// let one answer silence a line for days.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// 12 attempts over 3 days.
const DEFAULT: &str = "5s,30s,2m,10m,30m,1h,3h,6h,12h,24h,24h";

/// For answers that time alone seldom heals, as 401 or 422: 4 attempts within some 70 minutes.
const SHORT: &str = "1m,10m,1h";

/// How long to wait after each failure; one more attempt than waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    long: Vec<Duration>,
    short: Vec<Duration>,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, not before this time.
    Retry(Timestamp),
    /// The schedule is used up.
    Exhausted,
    /// The endpoint says that it is gone for good; nothing is to be sent to it any more.
    Gone,
}

impl Schedule {
    /// What follows the failure of attempt number `attempt` (1, 2, 3…). `dice` is from `0.0..1.0`
    /// and spreads each wait over its own length around its middle, so that lines that failed
    /// together do not come back together while the schedule keeps its span.
    #[must_use]
    pub fn next(
        &self,
        failure: Failure,
        attempt: u16,
        retry_after: Option<Duration>,
        now: Timestamp,
        dice: f64,
    ) -> Next {
        let waits = match failure.patience() {
            Patience::Long => &self.long,
            Patience::Short => &self.short,
            Patience::Never => return Next::Gone,
        };
        let Some(wait) = waits.get(usize::from(attempt.saturating_sub(1))) else {
            return Next::Exhausted;
        };
        let hint = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Next::Retry(now.after(spread(*wait, dice).max(hint)))
    }

    /// When to probe an endpoint whose circuit opened for the `opening`th time in a row (1, 2, 3…): at the waits of
    /// the schedule, then at its last one doubled time after time. Never later than `max` on our own account, however
    /// long it has been down.
    #[must_use]
    pub fn probe(
        &self,
        opening: u16,
        max: Duration,
        retry_after: Option<Duration>,
        now: Timestamp,
        dice: f64,
    ) -> Timestamp {
        // The dice add up to a half.
        let max = max * 2 / 3;
        let at = usize::from(opening.saturating_sub(1));
        let wait = match (self.long.get(at), self.long.last()) {
            (Some(wait), _) => *wait,
            (None, Some(last)) => {
                let doublings = u32::try_from(at + 1 - self.long.len()).unwrap_or(u32::MAX);
                last.saturating_mul(2_u32.saturating_pow(doublings))
            }
            (None, None) => max,
        };
        let hint = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        now.after(spread(wait.min(max), dice).max(hint))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        DEFAULT.parse().expect("the default is a schedule")
    }
}

impl From<&Waits> for Schedule {
    fn from(waits: &Waits) -> Self {
        let long = waits.as_slice().to_vec();
        let short: Waits = SHORT.parse().expect("the short one is a schedule");
        let mut short = short.as_slice().to_vec();
        short.truncate(long.len());
        // A schedule that was made quick, as for a demonstration, is quick for every failure.
        short.iter_mut().zip(&long).for_each(|(short, long)| {
            if long.as_secs() < 1 {
                *short = *long;
            }
        });
        Self { long, short }
    }
}

impl FromStr for Schedule {
    type Err = InvalidWaits;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Waits>().map(|waits| Self::from(&waits))
    }
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): whole seconds or an HTTP date. What it cannot read counts
/// as not there.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).after(since_epoch).since(now))
}

fn spread(wait: Duration, dice: f64) -> Duration {
    wait.mul_f64(0.5 + dice.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_772_446_530_000;
    const MIDDLE: f64 = 0.5;

    fn now() -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    fn retry(seconds: u64) -> Next {
        Next::Retry(now().after(Duration::from_secs(seconds)))
    }

    #[test]
    fn each_failure_has_its_wait() {
        let schedule = Schedule::default();
        let secs = Duration::from_secs;
        let table = [
            (Failure::Timeout, 1, None, retry(5)),
            (Failure::Connect, 2, None, retry(30)),
            (Failure::Status(500), 3, None, retry(120)),
            (Failure::Status(503), 1, Some(secs(40)), retry(40)),
            (Failure::Status(503), 4, Some(secs(40)), retry(600)),
            (Failure::Status(429), 1, Some(secs(1_000_000)), retry(3600)),
            (Failure::Status(302), 1, None, retry(5)),
            (Failure::Status(408), 11, None, retry(24 * 3600)),
            (Failure::Status(500), 12, None, Next::Exhausted),
            (Failure::Status(401), 1, None, retry(60)),
            (Failure::Status(422), 3, None, retry(3600)),
            (Failure::Status(422), 4, None, Next::Exhausted),
            (Failure::Status(425), 4, None, retry(600)),
            (Failure::Status(410), 1, None, Next::Gone),
            (Failure::Refused, 12, None, Next::Exhausted),
        ];
        for (failure, attempt, hint, expected) in table {
            let next = schedule.next(failure, attempt, hint, now(), MIDDLE);
            assert_eq!(next, expected, "{failure} at attempt {attempt}");
        }
    }

    #[test]
    fn the_default_spans_three_days_in_twelve_attempts() {
        let schedule = Schedule::default();
        assert_eq!(schedule.long.len() + 1, 12);
        let hours = schedule.long.iter().sum::<Duration>().as_secs() / 3600;
        assert!((66..=78).contains(&hours), "{hours} hours");
    }

    #[test]
    fn dice_spread_a_wait_over_its_own_length() {
        let schedule: Schedule = "10s".parse().unwrap();
        for (dice, seconds) in [(0.0, 5), (0.5, 10), (1.0, 15)] {
            assert_eq!(schedule.next(Failure::Timeout, 1, None, now(), dice), retry(seconds));
        }
    }

    #[test]
    fn a_probe_never_waits_longer_than_its_maximum() {
        let schedule = Schedule::default();
        let max = Duration::from_secs(900);
        for (opening, dice, seconds) in
            [(1, MIDDLE, 5), (2, MIDDLE, 30), (9, MIDDLE, 600), (9, 1.0, 900), (60_000, 1.0, 900)]
        {
            let due = schedule.probe(opening, max, None, now(), dice);
            assert_eq!(due, now().after(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn behind_the_end_of_a_short_schedule_probes_become_rarer_step_by_step() {
        let schedule: Schedule = "1s,1s,2s".parse().unwrap();
        let max = Duration::from_secs(900);
        for (opening, seconds) in
            [(3, 2), (4, 4), (5, 8), (6, 16), (11, 512), (12, 600), (60_000, 600)]
        {
            let due = schedule.probe(opening, max, None, now(), MIDDLE);
            assert_eq!(due, now().after(Duration::from_secs(seconds)), "opening {opening}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let secs = |n| Some(Duration::from_secs(n));
        // 1,772,446,530 is Mon, 02 Mar 2026 10:15:30 GMT.
        let table = [
            ("120", secs(120)),
            (" 0 ", secs(0)),
            ("Mon, 02 Mar 2026 10:16:30 GMT", secs(60)),
            ("Mon, 02 Mar 2026 10:00:00 GMT", secs(0)),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after(text, now()), expected, "{text}");
        }
    }
}
