//! Writing trees, as ECMAScript would.

use serde::Serialize;
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::{Attributes, INTEGER_MAX, Value};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Integer(number) if number.abs() <= INTEGER_MAX => {
                serializer.serialize_i64(*number)
            }
            Self::Integer(number) => decimal(*number as f64, serializer),
            Self::Decimal(number) => decimal(*number, serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Complex(attributes) => attributes.serialize(serializer),
        }
    }
}

/// Prints as ECMAScript's `Number::toString` does.
fn decimal<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !number.is_finite() {
        return serializer.serialize_unit();
    }
    let text = ryu_js::Buffer::new().format_finite(number).to_owned();
    RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
}

impl Serialize for Attributes {
    /// `JSON.parse` moves names that look like array indices to the front, in ascending order.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        let mut indexed: Vec<_> = self.iter().filter(|(name, _)| is_index(name)).collect();
        indexed.sort_by_key(|(name, _)| (name.len(), *name));
        for (name, value) in indexed {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in self.iter().filter(|(name, _)| !is_index(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An array index of ECMAScript: the shortest spelling of 0 to 2^32 - 2.
fn is_index(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
        && (name == "0" || !name.starts_with('0'))
        && name.parse::<u32>().is_ok_and(|index| index < u32::MAX)
}
