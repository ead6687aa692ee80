//! How much of a directory may be removed before somebody looks.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest window: a week. Who removes a fifth within a month wants to.
pub const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The shortest window: a shorter one would not see the requests of one run of an identity provider.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);

/// In parts of a million, so that shares compare without rounding.
const WHOLE: u32 = 1_000_000;

/// A part of a whole: more than nothing, and at most all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(NonZeroU32);

impl Share {
    /// The share that is nearest to this fraction; `None` if that is not within 0.001 and 1.
    #[must_use]
    pub fn of(fraction: f64) -> Option<Self> {
        if !(0.001..=1.0).contains(&fraction) {
            return None;
        }
        let millionths = (fraction * f64::from(WHOLE)).round();
        // It is between a thousand and a million.
        NonZeroU32::new(format!("{millionths:.0}").parse().ok()?).map(Self)
    }

    /// As a fraction of 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0.get()) / f64::from(WHOLE)
    }

    /// Whether `part` is more than this share of `all`.
    #[must_use]
    pub fn is_exceeded(self, part: u64, all: u64) -> bool {
        u128::from(part) * u128::from(WHOLE) > u128::from(all) * u128::from(self.0.get())
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.fraction())
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fraction = f64::deserialize(deserializer)?;
        Self::of(fraction).ok_or_else(|| serde::de::Error::custom("no share"))
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0.001, "maximum": 1 })
    }
}

/// When a directory is held: when more than `share` of its users, or of its memberships, are removed
/// within the window, and more than `floor` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brake {
    /// How large a part.
    pub share: Share,
    /// How long the window is.
    pub window_seconds: u32,
    /// So many never hold anything, however small the directory is.
    pub floor: u32,
}

impl Brake {
    /// The floor that holds where none is given.
    pub const FLOOR: u32 = 10;

    /// The window that holds where none is given.
    pub const WINDOW_SECONDS: u32 = 3_600;
}

/// What a directory says of its brake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrakeChoice {
    /// Nothing: it has the general one.
    #[default]
    General,
    /// It has none.
    Off,
    /// It has one of its own.
    Of(Brake),
}

impl BrakeChoice {
    /// The brake that it has.
    #[must_use]
    pub fn effective(self, general: Option<Brake>) -> Option<Brake> {
        match self {
            Self::General => general,
            Self::Off => None,
            Self::Of(brake) => Some(brake),
        }
    }
}

/// A text that is no brake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a share, a window and a floor such as 20%,1h,10")]
pub struct InvalidBrake(String);

impl FromStr for Brake {
    type Err = InvalidBrake;

    /// Reads `20%,1h,10`; the floor, or window and floor, may be left out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split(',').map(str::trim);
            let percent = parts.next()?.strip_suffix('%')?.parse::<f64>().ok()?;
            let window_seconds = match parts.next() {
                None => Self::WINDOW_SECONDS,
                Some(window) => seconds(window)?,
            };
            let floor = parts.next().map_or(Some(Self::FLOOR), |floor| floor.parse().ok())?;
            let share = Share::of(percent / 100.0)?;
            parts.next().is_none().then_some(Self { share, window_seconds, floor })
        };
        read().ok_or_else(|| InvalidBrake(text.to_owned()))
    }
}

/// One wait of whole seconds, within the limits.
fn seconds(text: &str) -> Option<u32> {
    let waits: crate::Waits = text.parse().ok()?;
    let [window] = waits.as_slice() else { return None };
    let is_whole = window.subsec_nanos() == 0;
    let fits = is_whole && (WINDOW_MIN..=WINDOW_MAX).contains(window);
    fits.then(|| u32::try_from(window.as_secs()).ok()).flatten()
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.share.fraction() * 100.0;
        write!(f, "{percent}%,{}s,{}", self.window_seconds, self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brake_is_read_from_a_share_a_window_and_a_floor() {
        let brake: Brake = "20%,1h,10".parse().unwrap();
        assert_eq!((brake.window_seconds, brake.floor), (3_600, 10));
        assert_eq!("20%".parse(), Ok(brake));
        assert_eq!(brake.to_string().parse(), Ok(brake));
        for text in ["", "20", "0%", "101%", "20%,1x", "20%,8d", "20%,1h,-1", "20%,1h,1,2"] {
            assert!(text.parse::<Brake>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_exceeded_by_more_than_it_and_not_by_as_much() {
        let share = Share::of(0.2).unwrap();
        assert!(!share.is_exceeded(20, 100));
        assert!(share.is_exceeded(21, 100));
        assert!(share.is_exceeded(1, 0));
        assert!(!share.is_exceeded(0, 0));
        assert!(Share::of(f64::NAN).is_none() && Share::of(0.0).is_none());
    }
}
