//! Names of attributes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, Visitor};

use super::schema::AttributeDef;
use super::{COMMON, GROUP, ResourceSchema, USER};

/// The name of an attribute as it is spelt. Most are of a schema: those are borrowed from it, so that
/// a tree is read, copied and dropped without touching the heap for them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Cow<'static, str>);

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Name {
    /// The name that a schema gives.
    pub(super) const fn of_schema(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(known(text).map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(known(&text).map_or(Cow::Owned(text), Cow::Borrowed))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.into_owned()
    }
}

/// Reads the name of a member of a JSON object.
pub(super) struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<Name, E> {
        Ok(Name::from(text))
    }
}

/// The name in this spelling, as a schema has it.
fn known(text: &str) -> Option<&'static str> {
    static KNOWN: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(by_length);
    KNOWN.get(text.len())?.iter().copied().find(|name| *name == text)
}

/// A handful of names have the same length, and texts of the same length are compared at once.
fn by_length() -> Vec<Vec<&'static str>> {
    let mut names: Vec<&'static str> = vec!["schemas", "groups", "members"];
    let tables = [USER.core.attributes, GROUP.core.attributes, COMMON];
    let extensions = [&USER, &GROUP].map(|resource: &ResourceSchema| resource.extensions);
    for schema in extensions.into_iter().flatten() {
        names.push(schema.id);
        collect(schema.attributes, &mut names);
    }
    tables.into_iter().for_each(|table| collect(table, &mut names));
    names.sort_unstable();
    names.dedup();
    let longest = names.iter().map(|name| name.len()).max().unwrap_or_default();
    let mut by_length = vec![Vec::new(); longest + 1];
    for name in names {
        by_length[name.len()].push(name);
    }
    by_length
}

fn collect(defs: &'static [AttributeDef], names: &mut Vec<&'static str>) {
    for def in defs {
        names.push(def.name);
        collect(def.sub_attributes, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_schemas_are_borrowed_and_others_are_kept_as_they_are_spelt() {
        for known in ["userName", "givenName", "schemas", "employeeNumber", "$ref"] {
            assert!(matches!(Name::from(known).0, Cow::Borrowed(_)), "{known}");
        }
        for other in ["username", "", "x", "urn:example:2.0:Thing"] {
            let name = Name::from(other);
            assert!(matches!(name.0, Cow::Owned(_)) && *name == *other, "{other}");
        }
    }
}
