//! Points in time, to the millisecond.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch, shown as exactly `YYYY-MM-DDTHH:MM:SS.mmmZ`.
///
/// The fixed three digits matter: Python's `datetime.fromisoformat` up to 3.10 reads 3 or 6 digits
/// and nothing else, and the SDKs of customer apps use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 9999-12-30T22:00:00Z: a day before four digits of a year run out, and as far as `jiff` goes, so that
/// a time has a date in every time zone.
const MILLIS_MAX: i64 = 253_402_207_200_000;

/// How long a time in text is.
const TEXT_LEN: usize = "1970-01-01T00:00:00.000Z".len();

impl Timestamp {
    /// This many milliseconds after 1970, clamped to the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, MILLIS_MAX))
    }

    /// Milliseconds after 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This much later.
    #[must_use]
    pub fn after(self, wait: std::time::Duration) -> Self {
        let millis = i64::try_from(wait.as_millis()).unwrap_or(MILLIS_MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// How long from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

/// A text that is not a time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time in UTC of the form 2026-03-02T10:15:30.123Z")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Reads RFC 3339 with `Z`; an offset is refused, as customers' SDKs promise.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.ends_with(['Z', 'z']) {
            return Err(InvalidTimestamp);
        }
        let moment = moment(text).ok_or(InvalidTimestamp)?;
        Ok(Self::from_millis(moment.as_millisecond()))
    }
}

/// The moment that a text names; UTC if it does not say. One past all that zones have dates for, as `9999-12-31T23:59:59Z`,
/// which many write for "never", is as good as the last of them.
pub(crate) fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok().or_else(|| {
        let zoneless = text.strip_suffix(['Z', 'z']);
        let time: jiff::civil::DateTime = zoneless.unwrap_or(text).parse().ok()?;
        match time.to_zoned(jiff::tz::TimeZone::UTC) {
            Ok(moment) => zoneless.is_none().then(|| moment.timestamp()),
            Err(_) => Some(jiff::Timestamp::MAX),
        }
    })
}

impl Timestamp {
    /// Every record has several, so the digits are set one by one: the general way, through format strings, takes
    /// several times as long.
    fn text(self) -> [u8; TEXT_LEN] {
        let time = jiff::Timestamp::from_millisecond(self.0).expect("clamped when it was made");
        let time = jiff::tz::Offset::UTC.to_datetime(time);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, value) in [
            (4, i32::from(time.year())),
            (7, i32::from(time.month())),
            (10, i32::from(time.day())),
            (13, i32::from(time.hour())),
            (16, i32::from(time.minute())),
            (19, i32::from(time.second())),
            (23, i32::from(time.millisecond())),
        ] {
            set_digits(&mut text[..end], value.unsigned_abs());
        }
        text
    }
}

/// Sets the digits at the end of a text, until it has no more of them.
fn set_digits(text: &mut [u8], number: u32) {
    let mut rest = number;
    for digit in text.iter_mut().rev().take_while(|digit| digit.is_ascii_digit()) {
        *digit = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
    }
}

fn as_str(text: &[u8; TEXT_LEN]) -> &str {
    std::str::from_utf8(text).expect("digits and marks are ASCII")
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(as_str(&self.text()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(as_str(&self.text()))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_always_shows_three_digits() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        let text = "2026-03-02T10:15:30.120Z";
        assert_eq!(text.parse::<Timestamp>().map(|time| time.to_string()), Ok(text.to_owned()));
    }

    proptest! {
        #[test]
        fn a_time_in_text_is_what_rfc_3339_makes_of_it(millis in 0..=MILLIS_MAX) {
            let time = Timestamp::from_millis(millis);
            let general = jiff::Timestamp::from_millisecond(millis).unwrap();
            prop_assert_eq!(time.to_string(), format!("{general:.3}"));
            prop_assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{general:.3}\""));
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn a_time_with_an_offset_is_refused() {
        assert!("2026-03-02T10:15:30+01:00".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn a_time_past_the_year_9999_stays_in_it() {
        let last = Timestamp::from_millis(i64::MAX);
        assert_eq!(last.to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!("9999-12-31T23:59:59.999Z".parse(), Ok(last));
        assert!("9999-12-32T00:00:00Z".parse::<Timestamp>().is_err());
    }
}
