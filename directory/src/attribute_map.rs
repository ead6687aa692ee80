//! Attribute maps: what becomes of a SCIM user's attributes on the way to apps.
//!
//! A map has three parts. `predefined` names attributes that are filled by themselves, in the forms that
//! apps know from WorkOS. `custom` gives attributes of any name a chain of paths; the first that leads to
//! a value gives it. Both end up in `custom_attributes`. `standard` gives chains to attributes that every
//! user has, so that `email` can fall back to `userName`.
//!
//! Paths are those of SCIM, read and matched by the same functions as those of PATCH and of filters.

mod chain;
mod predefined;

use std::collections::{BTreeMap, BTreeSet};

use schemas::scim::{Attributes, Value};
use schemas::{Mapped, scim};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

pub use predefined::Predefined;

use crate::normalise;
use chain::Chain;

/// How many attributes a map may give besides the standard ones: each is in every event of every user.
pub const ATTRIBUTES_MAX: usize = 64;

/// How many paths a chain may have.
pub const PATHS_MAX: usize = 8;

/// How long the name of a custom attribute may be.
pub const NAME_LENGTH_MAX: usize = 64;

/// How large one mapped value may be, in bytes. Every mapped attribute could otherwise repeat a resource of
/// the largest size. What is larger is left out.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;

/// The parts of a map.
const PARTS: [&str; 3] = ["standard", "predefined", "custom"];

/// What becomes of attributes on the way to apps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttributeMap {
    standard: BTreeMap<Standard, Chain>,
    predefined: BTreeSet<Predefined>,
    custom: BTreeMap<String, Chain>,
}

/// An attribute that every directory user has and a map can fill otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standard {
    Email,
    FirstName,
    IdpId,
    JobTitle,
    LastName,
    Name,
    Username,
}

/// What is wrong about a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MapError {
    /// Where, as a path into the map; empty for the map itself.
    pub field: String,
    /// What, for people.
    pub message: String,
}

impl AttributeMap {
    /// The names of the attributes that every directory user has and a map can fill otherwise.
    pub const STANDARD: [&'static str; 7] = {
        let mut names = [""; 7];
        let mut index = 0;
        while index < names.len() {
            names[index] = Standard::ALL[index].name();
            index += 1;
        }
        names
    };

    /// Reads a map.
    ///
    /// # Errors
    ///
    /// All that is wrong, each with the attribute and the path.
    pub fn parse(json: &serde_json::Value) -> Result<Self, Vec<MapError>> {
        let mut reading = Reading::default();
        let map = reading.map(json);
        if reading.0.is_empty() { Ok(map) } else { Err(reading.0) }
    }

    /// Whether it leaves everything as it is without one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The attributes of a user as apps are shown them; none if that is what they are shown without a map.
    #[must_use]
    pub fn apply(&self, attributes: &Attributes) -> Option<Box<Mapped>> {
        if self.is_empty() {
            return None;
        }
        let default = normalise::by_default(attributes);
        let mut mapped = default.clone();
        for (standard, chain) in &self.standard {
            standard.put(&mut mapped, chain.text(attributes, *standard == Standard::Email));
        }
        for (name, source) in self.sources() {
            let value = match source {
                Source::Predefined(predefined) => predefined.value(attributes),
                Source::Custom(chain) => chain.value(attributes),
            };
            if let Some(value) = value.filter(fits) {
                mapped.custom_attributes.insert(name, value);
            }
        }
        (mapped != default).then(|| Box::new(mapped))
    }

    /// Adds, as null, the mapped attributes that have no value: apps expect their keys.
    #[must_use]
    pub fn complete(&self, custom_attributes: &Attributes) -> Attributes {
        let sources = self.sources();
        if sources.is_empty() {
            return custom_attributes.clone();
        }
        let mut complete = Attributes::default();
        for name in sources.keys() {
            complete.insert(*name, custom_attributes.get(name).cloned().unwrap_or(Value::Null));
        }
        for (name, value) in
            custom_attributes.iter().filter(|(name, _)| !sources.contains_key(name))
        {
            complete.insert(name, value.clone());
        }
        complete
    }

    /// What fills `custom_attributes`, by name.
    fn sources(&self) -> BTreeMap<&str, Source<'_>> {
        let predefined = self.predefined.iter().map(|one| (one.name(), Source::Predefined(*one)));
        let custom = self.custom.iter().map(|(name, chain)| (name.as_str(), Source::Custom(chain)));
        predefined.chain(custom).collect()
    }
}

enum Source<'a> {
    Predefined(Predefined),
    Custom(&'a Chain),
}

impl Standard {
    const ALL: [Self; 7] = [
        Self::Email,
        Self::FirstName,
        Self::IdpId,
        Self::JobTitle,
        Self::LastName,
        Self::Name,
        Self::Username,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::FirstName => "first_name",
            Self::IdpId => "idp_id",
            Self::JobTitle => "job_title",
            Self::LastName => "last_name",
            Self::Name => "name",
            Self::Username => "username",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standard| standard.name() == name)
    }

    /// An id there must be: without a value it stays what it is without a map.
    fn put(self, mapped: &mut Mapped, text: Option<String>) {
        match self {
            Self::Email => mapped.email = text,
            Self::FirstName => mapped.first_name = text,
            Self::IdpId => {
                mapped.idp_id = text.unwrap_or_else(|| std::mem::take(&mut mapped.idp_id))
            }
            Self::JobTitle => mapped.job_title = text,
            Self::LastName => mapped.last_name = text,
            Self::Name => mapped.name = text,
            Self::Username => mapped.username = text,
        }
    }
}

/// Whether a value keeps to [`VALUE_BYTES_MAX`], quotation marks and the like not counted.
fn fits(value: &Value) -> bool {
    fn size(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => 8,
            Value::String(text) => text.len(),
            Value::List(items) => items.iter().map(size).sum(),
            Value::Complex(parts) => parts.iter().map(|(name, part)| name.len() + size(part)).sum(),
        }
    }
    size(value) <= VALUE_BYTES_MAX
}

/// Reads a map and keeps all that is wrong about it.
#[derive(Default)]
struct Reading(Vec<MapError>);

impl Reading {
    fn wrong(&mut self, field: impl Into<String>, message: String) {
        self.0.push(MapError { field: field.into(), message });
    }

    fn map(&mut self, json: &serde_json::Value) -> AttributeMap {
        let mut map = AttributeMap::default();
        let Some(parts) = json.as_object() else {
            self.wrong(
                "",
                "an attribute map is an object with standard, predefined and custom".into(),
            );
            return map;
        };
        for part in parts.keys().filter(|part| !PARTS.contains(&part.as_str())) {
            let message =
                format!("{part} is not a part of an attribute map; these are {}", PARTS.join(", "));
            self.wrong(part, message);
        }
        let [standard, predefined, custom] = PARTS.map(|part| parts.get(part));
        standard.inspect(|json| self.standard(&mut map, json));
        predefined.inspect(|json| self.predefined(&mut map, json));
        custom.inspect(|json| self.custom(&mut map, json));
        let count = map.predefined.len() + map.custom.len();
        if count > ATTRIBUTES_MAX {
            self.wrong("", format!("{count} attributes are mapped, and {ATTRIBUTES_MAX} may be"));
        }
        map
    }

    fn standard(&mut self, map: &mut AttributeMap, json: &serde_json::Value) {
        for (name, paths) in self.object("standard", json) {
            let field = format!("standard.{name}");
            let Some(standard) = Standard::named(name) else {
                let names = Standard::ALL.map(Standard::name).join(", ");
                self.wrong(field, format!("{name} is not a standard attribute; these are {names}"));
                continue;
            };
            if let Some(chain) = self.chain(&field, name, paths) {
                map.standard.insert(standard, chain);
            }
        }
    }

    fn predefined(&mut self, map: &mut AttributeMap, json: &serde_json::Value) {
        let Some(names) = json.as_array() else {
            return self.wrong("predefined", "predefined is a list of names".into());
        };
        for name in names {
            match name.as_str().and_then(Predefined::named) {
                Some(predefined) => {
                    map.predefined.insert(predefined);
                }
                None => {
                    let names = Predefined::ALL.map(Predefined::name).join(", ");
                    let message =
                        format!("{name} is not a predefined attribute; these are {names}");
                    self.wrong("predefined", message);
                }
            }
        }
    }

    fn custom(&mut self, map: &mut AttributeMap, json: &serde_json::Value) {
        let mut taken: BTreeSet<String> =
            map.predefined.iter().map(|one| one.name().to_owned()).collect();
        for (name, paths) in self.object("custom", json) {
            let field = format!("custom.{name}");
            if !is_name(name) {
                let message = format!(
                    "{name:?} cannot be the name of an attribute: 1 to {NAME_LENGTH_MAX} letters, digits and underscores that do not begin with a digit can"
                );
                self.wrong(field, message);
            } else if !taken.insert(name.to_lowercase()) {
                self.wrong(
                    field,
                    format!("{name} is mapped twice; letter case does not tell names apart"),
                );
            } else if let Some(chain) = self.chain(&field, name, paths) {
                map.custom.insert(name.clone(), chain);
            }
        }
    }

    fn object<'j>(
        &mut self,
        part: &str,
        json: &'j serde_json::Value,
    ) -> impl Iterator<Item = (&'j String, &'j serde_json::Value)> + use<'j> {
        if !json.is_object() {
            self.wrong(part, format!("{part} is an object of paths by the name of the attribute"));
        }
        json.as_object().into_iter().flatten()
    }

    /// One path, or a list of them.
    fn chain(&mut self, field: &str, name: &str, json: &serde_json::Value) -> Option<Chain> {
        let texts: Option<Vec<&str>> = match json {
            serde_json::Value::String(text) => Some(vec![text]),
            serde_json::Value::Array(items) => items.iter().map(|item| item.as_str()).collect(),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_) => None,
        };
        let Some(texts) = texts.filter(|texts| (1..=PATHS_MAX).contains(&texts.len())) else {
            let message = format!("{name} takes a path, or a list of 1 to {PATHS_MAX} of them");
            self.wrong(field, message);
            return None;
        };
        let chain = Chain::parse(&texts);
        chain.map_err(|(path, error)| self.refused(field, name, path, &error)).ok()
    }

    fn refused(&mut self, field: &str, name: &str, path: &str, error: &scim::ScimError) {
        let why = error.detail.trim_end_matches('.');
        let message = format!("{name} cannot be mapped from {path:?}: {why}");
        self.wrong(field, message);
    }
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
        && name.bytes().next().is_some_and(letter)
}

impl Serialize for AttributeMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let standard: BTreeMap<&str, &Chain> =
            self.standard.iter().map(|(standard, chain)| (standard.name(), chain)).collect();
        let predefined: Vec<&str> = self.predefined.iter().map(|one| one.name()).collect();
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("standard", &standard)?;
        map.serialize_entry("predefined", &predefined)?;
        map.serialize_entry("custom", &self.custom)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for AttributeMap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?;
        Self::parse(&json).map_err(|wrong| {
            let what = wrong.first().map_or_else(String::new, ToString::to_string);
            serde::de::Error::custom(what)
        })
    }
}

#[cfg(test)]
mod tests;
