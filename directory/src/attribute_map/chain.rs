//! A chain of paths: the first that leads to a value gives it.

use schemas::scim::{
    AttrPath, AttributeDef, Attributes, Filter, Path, Returned, ScimError, ScimType, USER, Value,
};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::matching::{Place, Scope, check_element, element_matches, flatten};
use crate::normalise;

/// One path or several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain(Vec<Path>);

impl Chain {
    /// Reads paths; fails with the first that is wrong.
    pub(super) fn parse<'t>(texts: &[&'t str]) -> Result<Self, (&'t str, ScimError)> {
        let path = |text: &&'t str| {
            let path = text.parse().and_then(|path| check(&path).map(|()| path));
            path.map_err(|error| (*text, error))
        };
        texts.iter().map(path).collect::<Result<_, _>>().map(Self)
    }

    /// The value of the first path that leads to one.
    pub(super) fn value(&self, tree: &Attributes) -> Option<Value> {
        self.0.iter().find_map(|path| value(path, tree))
    }

    /// The text of the first path that leads to one, for an address only to one that can be.
    pub(super) fn text(&self, tree: &Attributes, is_address: bool) -> Option<String> {
        let mut texts = self.0.iter().filter_map(|path| text(path, tree));
        texts.find(|text| !is_address || normalise::is_address(text))
    }
}

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut paths = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|path| paths.serialize_element(&path.to_string()))?;
        paths.end()
    }
}

/// Refuses what never leads to a value, and what must not be told.
fn check(path: &Path) -> Result<(), ScimError> {
    let refuse =
        |detail: &str| Err(ScimError::new(ScimType::InvalidPath, format!("{path} {detail}.")));
    let (attribute, filter, sub) = match path {
        Path::Extension(_) => return refuse("is a schema; name an attribute of it"),
        Path::Attribute(attribute) => (attribute, None, attribute.sub.as_deref()),
        Path::Element { attribute, filter, sub } => (attribute, Some(filter), sub.as_deref()),
    };
    let place = Scope::Resource(&USER).place(attribute);
    let def = of_attribute(attribute).def;
    if def.is_some_and(|def| def.returned == Returned::Never)
        || attribute.attribute.eq_ignore_ascii_case("password")
    {
        return refuse("is never told");
    }
    if place.extension.is_none()
        && ["id", "meta", "groups", "schemas"]
            .iter()
            .any(|own| attribute.attribute.eq_ignore_ascii_case(own))
    {
        return refuse("is not an attribute that the identity provider sends");
    }
    if sub.is_some() && def.is_some_and(|def| def.sub_attributes.is_empty()) {
        return refuse("names a part, and the attribute has no parts");
    }
    if let Some(filter) = filter {
        if def.is_some_and(|def| !def.multi_valued) {
            return refuse("has a filter, and the attribute has one value only");
        }
        check_element(filter, def)?;
    }
    Ok(())
}

/// Where the attribute of a path is, whatever part of it the path names.
fn of_attribute(path: &AttrPath) -> Place<'_> {
    let place = Scope::Resource(&USER).place(path);
    // An unknown part of a known attribute leads nowhere in the schema; the attribute does.
    match USER.find(path.urn.as_deref(), &path.attribute, None) {
        Some(found) => Place {
            extension: found.extension.map(|extension| extension.id),
            attribute: found.attribute.name,
            sub: path.sub.as_deref(),
            def: Some(found.attribute),
        },
        None => place,
    }
}

/// What a path leads to: all of an attribute if it names one, else the preferred one of what it selects.
fn value(path: &Path, tree: &Attributes) -> Option<Value> {
    let found = match path {
        Path::Attribute(attribute) if attribute.sub.is_none() => {
            of_attribute(attribute).whole(tree)
        }
        Path::Attribute(_) | Path::Element { .. } => one(path, tree),
        Path::Extension(_) => None,
    };
    found.filter(|value| is_there(value)).cloned()
}

/// The same as a text. Of several values it is the preferred one, of a complex one its `value`, and the
/// whole name is composed of its parts where it is not given as one.
fn text(path: &Path, tree: &Attributes) -> Option<String> {
    let found = one(path, tree)?;
    match found {
        Value::Complex(parts) => match parts.get("value") {
            Some(value) => plain(value),
            None if is_name_of_person(path) => normalise::composed_name(parts),
            None => None,
        },
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Decimal(_)
        | Value::String(_)
        | Value::List(_) => plain(found),
    }
}

fn is_name_of_person(path: &Path) -> bool {
    match path {
        Path::Attribute(path) => path.sub.is_none() && path.attribute.eq_ignore_ascii_case("name"),
        Path::Element { .. } | Path::Extension(_) => false,
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => serde_json::to_string(value).ok(),
        Value::Null | Value::List(_) | Value::Complex(_) => None,
    }
}

/// The one value that a path leads to.
fn one<'t>(path: &Path, tree: &'t Attributes) -> Option<&'t Value> {
    let (attribute, filter, sub) = match path {
        Path::Attribute(attribute) => (attribute, None, attribute.sub.as_deref()),
        Path::Element { attribute, filter, sub } => (attribute, Some(filter), sub.as_deref()),
        Path::Extension(_) => return None,
    };
    let place = of_attribute(attribute);
    let mut elements = flatten(place.whole(tree));
    elements.retain(|element| filter.is_none_or(|filter| fulfils(filter, element, place.def)));
    let part = |element: &'t Value| match sub {
        None => Some(element).filter(|value| is_there(value)),
        Some(sub) => {
            let part = element.as_complex()?.get(sub)?;
            flatten(Some(part)).into_iter().find(|value| is_there(value))
        }
    };
    elements.retain(|element| part(element).is_some());
    part(preferred(&elements)?)
}

fn fulfils(filter: &Filter, element: &Value, def: Option<&'static AttributeDef>) -> bool {
    element_matches(filter, element, def)
}

fn is_there(value: &Value) -> bool {
    !value.is_absent() && value.as_str() != Some("")
}

/// As the address of a user is chosen: the primary one, else the first one for work, else the first for
/// home, else the first.
fn preferred<'t>(elements: &[&'t Value]) -> Option<&'t Value> {
    let part = |element: &&&'t Value, name: &str| element.as_complex().and_then(|of| of.get(name));
    let of_type = |kind: &'static str| {
        let is =
            move |value: &Value| value.as_str().is_some_and(|is| is.eq_ignore_ascii_case(kind));
        move |element: &&&'t Value| part(element, "type").is_some_and(is)
    };
    let primary =
        |element: &&&'t Value| part(element, "primary").and_then(Value::as_bool) == Some(true);
    let chosen = (elements.iter().find(primary))
        .or_else(|| elements.iter().find(of_type("work")))
        .or_else(|| elements.iter().find(of_type("home")))
        .or_else(|| elements.first());
    chosen.copied()
}
