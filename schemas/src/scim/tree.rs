//! The attribute tree: JSON with ordered, case-insensitive names.
//!
//! What is written satisfies `JSON.stringify(JSON.parse(text)) === text`, so that a customer who
//! re-serialises a webhook body before verifying its signature gets the very same bytes.

mod read;
mod write;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::VALUES_MAX;
use super::name::Name;

pub use read::{ParseError, parse};

/// How deep objects and lists may nest; RFC 7643 needs four levels, so this only stops attacks.
pub const DEPTH_MAX: usize = 64;

/// How many names one object may have. The largest known resource has under a hundred; the bound
/// keeps the linear look-up by name linear in the size of a body.
pub const NAMES_MAX: usize = 512;

/// 2^53: up to here every integer has its own double, and JavaScript reads it unchanged.
const INTEGER_MAX: i64 = 1 << 53;

/// One value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`: the same as absent, RFC 7643 §2.5.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of at most 2^53.
    Integer(i64),
    /// Any other number; never NaN nor infinite.
    Decimal(f64),
    /// A text.
    String(String),
    /// The values of a multi-valued attribute, in their order.
    List(Vec<Value>),
    /// The sub-attributes of a complex attribute.
    Complex(Attributes),
}

/// Named values in the order they came. Names are found whatever their ASCII case (RFC 7643 §2.1).
///
/// Two of them are equal if they hold equal values under the same names, in any order.
#[derive(Clone, Default)]
pub struct Attributes(Vec<(Name, Value)>);

impl Value {
    /// The number as every reader of JSON will see it: whole numbers up to 2^53 are integers.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the bound is checked in the same line")]
    pub fn number(number: f64) -> Self {
        if number.fract() == 0.0 && number.abs() <= INTEGER_MAX as f64 {
            Self::Integer(number as i64)
        } else {
            Self::Decimal(number)
        }
    }

    /// Whether it counts as absent: null, an empty list, an empty complex value (RFC 7643 §2.5).
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Complex(attributes) => attributes.is_empty(),
            Self::Bool(_) | Self::Integer(_) | Self::Decimal(_) | Self::String(_) => false,
        }
    }

    /// Whether it keeps to [`DEPTH_MAX`], [`NAMES_MAX`] and [`VALUES_MAX`], standing inside of `depth`
    /// others.
    pub(super) fn is_bounded(&self, depth: usize) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Decimal(_) | Self::String(_) => {
                true
            }
            Self::List(items) => {
                depth < DEPTH_MAX
                    && items.len() <= VALUES_MAX
                    && items.iter().all(|item| item.is_bounded(depth + 1))
            }
            Self::Complex(attributes) => attributes.is_bounded(depth),
        }
    }

    /// How many values it is, with those in it.
    fn count(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Decimal(_) | Self::String(_) => 1,
            Self::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Self::Complex(attributes) => 1 + attributes.count(),
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The values, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The sub-attributes, if it is complex.
    #[must_use]
    pub fn as_complex(&self) -> Option<&Attributes> {
        if let Self::Complex(attributes) = self { Some(attributes) } else { None }
    }

    /// The sub-attributes to change, if it is complex.
    pub fn as_complex_mut(&mut self) -> Option<&mut Attributes> {
        if let Self::Complex(attributes) = self { Some(attributes) } else { None }
    }

    /// The values of a list, or itself as the only one; null has none.
    #[must_use]
    pub fn into_list(self) -> Vec<Self> {
        match self {
            Self::Null => Vec::new(),
            Self::List(items) => items,
            one @ (Self::Bool(_)
            | Self::Integer(_)
            | Self::Decimal(_)
            | Self::String(_)
            | Self::Complex(_)) => vec![one],
        }
    }

    /// A complex value with its sub-attributes changed; any other as it is.
    #[must_use]
    pub fn map_complex(self, change: impl FnOnce(Attributes) -> Attributes) -> Self {
        if let Self::Complex(attributes) = self { change(attributes).into() } else { self }
    }

    /// A list with each of its values changed; any other as it is.
    #[must_use]
    pub fn map_list(self, change: impl FnMut(Self) -> Self) -> Self {
        if let Self::List(items) = self {
            items.into_iter().map(change).collect::<Vec<_>>().into()
        } else {
            self
        }
    }

    /// What it is, in the words of JSON, for an error detail.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Decimal(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Complex(_) => "an object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items)
    }
}

impl From<Attributes> for Value {
    fn from(attributes: Attributes) -> Self {
        Self::Complex(attributes)
    }
}

impl Attributes {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value under this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).map(|at| &self.0[at].1)
    }

    /// The value under this name, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.position(name).map(|at| &mut self.0[at].1)
    }

    /// Whether there is a value under this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Sets the value; one that is there is replaced in its place and takes the new spelling.
    pub fn insert(&mut self, name: impl Into<Name>, value: impl Into<Value>) -> Option<Value> {
        let entry = (name.into(), value.into());
        match self.position(&entry.0) {
            Some(at) => Some(std::mem::replace(&mut self.0[at], entry).1),
            None => {
                self.0.push(entry);
                None
            }
        }
    }

    /// Takes the value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.position(name).map(|at| self.0.remove(at).1)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Names and values in order, the values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.0.iter_mut().map(|(name, value)| (&**name, value))
    }

    /// Each value changed, in its place and under its name.
    #[must_use]
    pub fn map(mut self, mut change: impl FnMut(&str, Value) -> Value) -> Self {
        for (name, value) in &mut self.0 {
            *value = change(name, std::mem::replace(value, Value::Null));
        }
        self
    }

    /// Each value changed, or left out, in its place. A name may come back in another spelling and must stay the same
    /// name: it is not looked for among the others.
    pub(super) fn try_filter_map<E>(
        self,
        mut change: impl FnMut(Name, Value) -> Result<Option<(Name, Value)>, E>,
    ) -> Result<Self, E> {
        let entries =
            self.0.into_iter().filter_map(|(name, value)| change(name, value).transpose());
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Puts a value before all others; there must be none of its name.
    pub(super) fn insert_first(&mut self, name: Name, value: Value) {
        debug_assert!(!self.contains(&name), "{name:?} is there already");
        self.0.insert(0, (name, value));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it keeps to [`DEPTH_MAX`], [`NAMES_MAX`] and [`VALUES_MAX`], standing inside of `depth`
    /// others.
    pub(super) fn is_bounded(&self, depth: usize) -> bool {
        depth < DEPTH_MAX
            && self.len() <= NAMES_MAX
            && self.0.iter().all(|(_, value)| value.is_bounded(depth + 1))
    }

    /// How many values it has at all levels. The depth must be bounded.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(_, value)| value.count()).sum()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(key, _)| key.eq_ignore_ascii_case(name))
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<Name>, V: Into<Value>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        let mut attributes = Self::new();
        for (name, value) in entries {
            attributes.insert(name, value);
        }
        attributes
    }
}

impl<N: Into<Name>, V: Into<Value>, const LEN: usize> From<[(N, V); LEN]> for Attributes {
    fn from(entries: [(N, V); LEN]) -> Self {
        entries.into_iter().collect()
    }
}

impl IntoIterator for Attributes {
    type Item = (Name, Value);
    type IntoIter = std::vec::IntoIter<(Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "ScimValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

impl JsonSchema for Attributes {
    fn schema_name() -> Cow<'static, str> {
        "ScimAttributes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": true })
    }
}

#[cfg(test)]
mod tests;
