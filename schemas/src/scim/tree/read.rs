//! Reading trees: what a client sent with bounds, what is ours as it is.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::echo;
use super::super::name::NameSeed;
use super::{Attributes, DEPTH_MAX, NAMES_MAX, Value};

/// What is ours may wrap a client's tree in further levels and names, as an event does with a
/// resource, and must still be readable: a record that is not would stop its reader.
const SLACK: usize = 32;

/// A request body that is not a usable JSON object: says what and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Reads a request body, which must be one JSON object.
///
/// # Errors
/// What is not JSON, not an object, nested over [`DEPTH_MAX`], wider than [`NAMES_MAX`], has the same
/// name twice in one object, or U+0000 in a name or a text: databases keep no text with it, or lose
/// what follows it.
pub fn parse(bytes: &[u8]) -> Result<Attributes, ParseError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let object = Object { levels: DEPTH_MAX, names: NAMES_MAX, nul: false };
    let body = deserializer.deserialize_map(object);
    let body = body.and_then(|body| deserializer.end().map(|()| body));
    body.map_err(|error| ParseError(error.to_string()))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree(Object::OURS).deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object::OURS)
    }
}

/// Reads any value, an object in it as this one.
#[derive(Clone, Copy)]
struct Tree(Object);

/// Reads an object with so many levels, its own the first, so many names in each object, and U+0000 in
/// names and texts or not.
#[derive(Clone, Copy)]
struct Object {
    levels: usize,
    names: usize,
    nul: bool,
}

impl Object {
    const OURS: Self = Self { levels: DEPTH_MAX + SLACK, names: NAMES_MAX + SLACK, nul: true };

    fn inside<E: de::Error>(self) -> Result<Tree, E> {
        if self.levels == 0 {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Tree(Self { levels: self.levels - 1, ..self }))
    }

    fn check<E: de::Error>(self, text: &str) -> Result<(), E> {
        if self.nul || !text.contains('\0') {
            return Ok(());
        }
        Err(E::custom("a text cannot hold the character U+0000"))
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.0.check(text)?;
        Ok(Value::from(text))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        self.0.check(&text)?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let seed = self.0.inside()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        self.0.visit_map(map).map(Value::Complex)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let seed = self.inside()?;
        let mut attributes = Attributes::new();
        while let Some(name) = map.next_key_seed(NameSeed)? {
            self.check(&name)?;
            if attributes.contains(&name) {
                let name = echo(&name);
                let what = format_args!("the name {name:?} is there twice (names ignore case)");
                return Err(de::Error::custom(what));
            }
            if attributes.len() == self.names {
                let what = format_args!("more than {NAMES_MAX} names in one object");
                return Err(de::Error::custom(what));
            }
            let value = map.next_value_seed(seed)?;
            attributes.0.push((name, value));
        }
        Ok(attributes)
    }
}
