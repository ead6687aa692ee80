//! A list of waits as text, such as `5s,30s,2m,1h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The most waits in a list, so that the number of attempts stays small in every table and header.
pub const WAITS_MAX: usize = 100;

/// The longest single wait: a week. Anything longer is a slip of the pen.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// One wait or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits(Vec<Duration>);

impl Waits {
    /// The waits, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Duration] {
        &self.0
    }
}

/// A text that is not a list of waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a list of waits such as 5s,30s,2m,10m,1h")]
pub struct InvalidWaits(String);

impl FromStr for Waits {
    type Err = InvalidWaits;

    /// Reads waits separated by commas, each a whole number with `ms`, `s`, `m`, `h` or `d`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let waits: Option<Vec<Duration>> =
            text.split(',').map(|wait| parse_wait(wait.trim())).collect();
        let waits = waits.filter(|waits| waits.len() <= WAITS_MAX);
        waits.map(Self).ok_or_else(|| InvalidWaits(text.to_owned()))
    }
}

impl fmt::Display for Waits {
    /// Each in the largest unit that says it whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wait) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let whole = UNITS.iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
            let (name, unit) = whole.copied().unwrap_or(("ms", 1));
            write!(f, "{comma}{}{name}", millis / unit)?;
        }
        Ok(())
    }
}

fn parse_wait(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let wait = Duration::from_millis(number.checked_mul(*millis)?);
    (wait <= WAIT_MAX).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_list_of_waits_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "5s,",
            "5 s",
            "-5s",
            "1w",
            "8d",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(text.parse::<Waits>().is_err(), "{text}");
        }
        assert!(vec!["1s"; WAITS_MAX + 1].join(",").parse::<Waits>().is_err());
    }

    #[test]
    fn waits_are_shown_as_people_write_them() {
        for (text, shown) in
            [("5s, 30s ,2m,1h,1d", "5s,30s,2m,1h,1d"), ("120s,1500ms,0s", "2m,1500ms,0ms")]
        {
            let waits: Waits = text.parse().unwrap();
            assert_eq!(waits.to_string(), shown);
            assert_eq!(shown.parse(), Ok(waits));
        }
    }
}
