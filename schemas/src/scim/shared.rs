//! Trees that are held in several places and written in several.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Attributes;

/// An attribute tree that is held in several places, and its JSON, which is made once: a resource stands
/// in what apps are told, in what the state keeps and in the answer to its client.
#[derive(Clone, Default)]
pub struct SharedAttributes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    tree: Attributes,
    json: OnceLock<Box<RawValue>>,
}

impl SharedAttributes {
    /// The tree as JSON.
    #[must_use]
    pub fn json(&self) -> &RawValue {
        self.0.json.get_or_init(|| {
            serde_json::value::to_raw_value(&self.0.tree).expect("a tree is always JSON")
        })
    }

    /// Whether both are the same JSON, byte for byte.
    #[must_use]
    pub fn is_written_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.json().get() == other.json().get()
    }

    /// The tree to change, which is a copy if others hold it too.
    pub fn to_mut(&mut self) -> &mut Attributes {
        if Arc::get_mut(&mut self.0).is_none() {
            *self = self.0.tree.clone().into();
        }
        let shared = Arc::get_mut(&mut self.0).expect("nobody else holds it");
        shared.json = OnceLock::new();
        &mut shared.tree
    }
}

impl Deref for SharedAttributes {
    type Target = Attributes;

    fn deref(&self) -> &Attributes {
        &self.0.tree
    }
}

impl From<Attributes> for SharedAttributes {
    fn from(tree: Attributes) -> Self {
        Self(Arc::new(Shared { tree, json: OnceLock::new() }))
    }
}

impl PartialEq for SharedAttributes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.tree == other.0.tree
    }
}

impl fmt::Debug for SharedAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.tree, f)
    }
}

impl Serialize for SharedAttributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedAttributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Attributes::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for SharedAttributes {
    fn schema_name() -> Cow<'static, str> {
        Attributes::schema_name()
    }

    fn inline_schema() -> bool {
        Attributes::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Attributes::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_made_once_and_is_that_of_the_tree() {
        let tree = Attributes::from([("userName", "ada"), ("10", "ten"), ("2", "two")]);
        let shared = SharedAttributes::from(tree.clone());
        let (first, again) = (shared.json().get(), shared.clone());
        assert_eq!(first, serde_json::to_string(&tree).unwrap());
        assert!(std::ptr::eq(first, again.json().get()));
        assert_eq!(serde_json::to_string(&again).unwrap(), first);
    }

    #[test]
    fn a_change_is_seen_in_the_json_and_by_nobody_who_holds_the_tree_as_it_was() {
        let mut shared = SharedAttributes::from(Attributes::from([("userName", "ada")]));
        let before = shared.clone();
        assert_eq!(shared.json().get(), r#"{"userName":"ada"}"#);
        shared.to_mut().insert("active", true);
        assert_eq!(shared.json().get(), r#"{"userName":"ada","active":true}"#);
        shared.to_mut().insert("active", false);
        assert_eq!(shared.json().get(), r#"{"userName":"ada","active":false}"#);
        assert_eq!(before.json().get(), r#"{"userName":"ada"}"#);
        assert_ne!(before, shared);
    }
}
