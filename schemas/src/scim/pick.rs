//! Reading a few attributes out of a resource that is JSON text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Attributes, Value};

impl Attributes {
    /// The attributes of these names, in any case, of a resource that is stored as text. The others are
    /// passed over, which costs a fraction of reading them.
    ///
    /// # Errors
    ///
    /// If the text is not one JSON object.
    pub fn pick(json: &str, names: &[&'static str]) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let picked = deserializer.deserialize_map(Pick(names))?;
        deserializer.end()?;
        Ok(picked)
    }
}

struct Pick<'a>(&'a [&'static str]);

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut picked = Attributes::new();
        while let Some(name) = map.next_key_seed(Wanted(self.0))? {
            match name {
                Some(name) => {
                    picked.insert(name, map.next_value::<Value>()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }
}

/// Reads a name: which of the wanted ones it is, if any.
struct Wanted<'a>(&'a [&'static str]);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Wanted<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|name| name.eq_ignore_ascii_case(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_picked_is_what_reading_all_of_it_gives() {
        let json =
            r#"{"userName":"a","x":{"active":false},"ACTIVE":true,"emails":[{"value":"a@b"}]}"#;
        let whole: Attributes = serde_json::from_str(json).unwrap();
        let picked = Attributes::pick(json, &["active", "emails", "displayName"]).unwrap();
        assert_eq!(picked.len(), 2);
        assert_eq!(picked.get("active"), whole.get("active"));
        assert_eq!(picked.get("emails"), whole.get("emails"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for broken in ["[]", "{\"active\":tru}", "{} {}", ""] {
            assert!(Attributes::pick(broken, &["active"]).is_err(), "{broken}");
        }
    }
}
