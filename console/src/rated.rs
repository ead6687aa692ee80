//! How deliveries to an endpoint have gone: attempts counted in equal parts of the time up to now.

use std::time::Duration;

use schemas::Timestamp;

use crate::ports::Counted;

/// How many of the latest attempts are counted: as many as are kept of an endpoint unless the settings say
/// otherwise, and little for the store, which reads them along an index.
pub(crate) const COUNTED_MAX: u32 = 10_000;

/// How far back a chart reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Hour,
    Day,
    Month,
}

impl Span {
    pub(crate) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// Its name in addresses.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// What it is called on pages.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Hour => "Hour",
            Self::Day => "Day",
            Self::Month => "30 days",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.name() == name)
    }

    /// How long each part is, and how many there are.
    const fn parts(self) -> (i64, usize) {
        const MINUTE: i64 = 60_000;
        match self {
            Self::Hour => (MINUTE, 60),
            Self::Day => (30 * MINUTE, 48),
            Self::Month => (24 * 60 * MINUTE, 30),
        }
    }

    /// Where the first part begins. Parts begin with the hour or the day, so that they stay where they are as
    /// time goes on.
    pub(crate) fn begin(self, now: Timestamp) -> Timestamp {
        let (length, count) = self.parts();
        let current = now.millis().div_euclid(length);
        let first = current.saturating_sub(i64::try_from(count).unwrap_or(0)).saturating_add(1);
        Timestamp::from_millis(first.saturating_mul(length))
    }
}

/// What happened in a part of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) from: Timestamp,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// How long half of the attempts took at most.
    pub(crate) median: Option<Duration>,
}

/// What happened in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rated {
    pub(crate) parts: Vec<Part>,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// How long half of the attempts took at most, and 95 of 100.
    pub(crate) median: Option<Duration>,
    pub(crate) most: Option<Duration>,
}

/// Counts attempts, which come newest first.
pub(crate) fn rated(attempts: &[Counted], span: Span, now: Timestamp) -> Rated {
    let (length, count) = span.parts();
    let begin = span.begin(now).millis();
    let mut durations = vec![Vec::new(); count];
    let mut counts = vec![(0, 0); count];
    for attempt in attempts {
        let place = (attempt.at.millis() - begin).div_euclid(length);
        // The clock of another replica may be ahead: what began after now belongs to the last part.
        let Ok(place) = usize::try_from(place) else { continue };
        let place = place.min(count - 1);
        let (delivered, failed): &mut (u64, u64) = &mut counts[place];
        *(if attempt.failure.is_none() { delivered } else { failed }) += 1;
        durations[place].push(attempt.duration);
    }
    let mut all: Vec<Duration> = durations.iter().flatten().copied().collect();
    let part = |(index, (delivered, failed)): (usize, (u64, u64))| Part {
        from: Timestamp::from_millis(begin + length * i64::try_from(index).unwrap_or(0)),
        delivered,
        failed,
        median: quantile(&mut durations[index], 50),
    };
    Rated {
        delivered: counts.iter().map(|(delivered, _)| delivered).sum(),
        failed: counts.iter().map(|(_, failed)| failed).sum(),
        parts: counts.into_iter().enumerate().map(part).collect(),
        median: quantile(&mut all, 50),
        most: quantile(&mut all, 95),
    }
}

/// What so many of a hundred lie below or at.
fn quantile(durations: &mut [Duration], of_hundred: usize) -> Option<Duration> {
    durations.sort_unstable();
    let place = (durations.len() * of_hundred).div_ceil(100).checked_sub(1)?;
    durations.get(place).copied()
}

/// How many of a hundred were delivered. Just what is all of them is said to be 100, and just none 0.
pub(crate) fn percent(delivered: u64, failed: u64) -> Option<String> {
    let all = delivered + failed;
    let tenths = delivered.saturating_mul(1_000).checked_div(all)?;
    let tenths = if delivered > 0 { tenths.max(1) } else { tenths };
    Some(match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}\u{202f}%"),
        (whole, tenth) => format!("{whole}.{tenth}\u{202f}%"),
    })
}

#[cfg(test)]
mod tests {
    use schemas::AttemptId;

    use super::*;

    fn attempt(at: i64, ms: u64, failure: Option<&str>) -> Counted {
        Counted {
            id: AttemptId::from_bits(1),
            at: Timestamp::from_millis(at),
            duration: Duration::from_millis(ms),
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn attempts_are_counted_in_the_part_in_which_they_began() {
        let now = Timestamp::from_millis(7_200_000 + 30_000);
        let minute = |minute: i64| minute * 60_000;
        let attempts = [
            attempt(minute(120) + 90_000, 9, None),
            attempt(minute(120), 4, None),
            attempt(minute(119) + 59_999, 2, Some("status")),
            attempt(minute(61), 1, None),
            attempt(minute(61) - 1, 100, None),
        ];
        let rated = rated(&attempts, Span::Hour, now);
        assert_eq!(rated.parts.len(), 60);
        assert_eq!(rated.parts[0].from.millis(), minute(61));
        assert_eq!((rated.delivered, rated.failed), (3, 1), "what is older does not count");
        let last = &rated.parts[59];
        assert_eq!((last.delivered, last.failed), (2, 0), "what lies ahead counts as now");
        assert_eq!(last.median, Some(Duration::from_millis(4)));
        assert_eq!(rated.parts[58].failed, 1);
        assert_eq!(rated.median, Some(Duration::from_millis(2)));
        assert_eq!(rated.most, Some(Duration::from_millis(9)));
        assert_eq!(rated.parts[1].median, None);
    }

    #[test]
    fn every_span_ends_with_the_part_that_now_is_in() {
        let now = Timestamp::from_millis(1_772_446_530_123);
        for span in Span::ALL {
            let rated = rated(&[], span, now);
            let (length, count) = span.parts();
            assert_eq!(rated.parts.len(), count);
            let last = rated.parts[count - 1].from.millis();
            assert!(last <= now.millis() && now.millis() < last + length, "{span:?}");
            assert_eq!(rated.median, None);
            assert_eq!(Span::named(span.name()), Some(span));
        }
    }

    #[test]
    fn a_failure_among_many_is_never_rounded_away() {
        let shown = |delivered, failed| {
            percent(delivered, failed).map(|text| text.replace('\u{202f}', " "))
        };
        assert_eq!(shown(0, 0), None);
        assert_eq!(shown(3, 0).as_deref(), Some("100 %"));
        assert_eq!(shown(0, 3).as_deref(), Some("0 %"));
        assert_eq!(shown(9_999, 1).as_deref(), Some("99.9 %"));
        assert_eq!(shown(1, 9_999).as_deref(), Some("0.1 %"));
        assert_eq!(shown(2, 1).as_deref(), Some("66.6 %"));
    }
}
