//! Bringing what a client sent to the one shape that is kept.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::schema::{AttributeDef, Kind, Mutability, ResourceSchema};
use super::{Attributes, DEPTH_MAX, NAMES_MAX, Name, ScimError, Value, echo, identity};
use crate::time::moment;

/// How many members one request may name. Entra ID and Okta send a few hundred at once; a larger
/// group is filled by several requests.
pub const MEMBERS_MAX: usize = 20_000;

/// How many values a list in a resource may have, whether a schema knows the attribute or not; people
/// have a handful. Members of groups are counted by [`MEMBERS_MAX`].
pub const VALUES_MAX: usize = 1_000;

/// How many values a resource may have in all: texts, numbers, lists and objects at every level. Each takes some fifty
/// bytes of memory beside what it says, so that without this a resource of 440 KiB, small ones in long lists, would take
/// twenty times as much wherever it is read. A thousand e-mail addresses with all that can be said of them are 6,000.
pub const RESOURCE_VALUES_MAX: usize = 10_000;

const MEMBERS: &str = "members";

const SCHEMAS: &str = "schemas";

const PASSWORD: &str = "password";

/// Brings a resource to the shape in which it is kept: names in the schema's case; no readOnly
/// attribute, no password wherever it stands, no members; nothing that counts as absent (RFC 7643 §2.5); every
/// known value of its type; `schemas` naming what is present. Unknown attributes stay as they are.
///
/// # Errors
/// `invalidValue` for a value of the wrong type, two primaries, a required attribute missing, or more than fits the
/// bounds, of which [`RESOURCE_VALUES_MAX`] is one.
pub fn canonicalise(schema: &ResourceSchema, body: Attributes) -> Result<Attributes, ScimError> {
    let mut kept = body.try_filter_map(|name, value| entry(schema, name, value))?;
    let extensions = kept.iter().filter(|(name, value)| is_extension(name, value));
    let urns = std::iter::once(schema.core.id).chain(extensions.map(|(name, _)| name));
    let schemas = urns.map(Value::from).collect();
    kept.insert_first(Name::of_schema(SCHEMAS), Value::List(schemas));
    check_bounds(&kept)?;
    match schema.core.attributes.iter().find(|def| def.required && !present(&kept, def.name)) {
        Some(def) => Err(missing(def)),
        None => Ok(kept),
    }
}

/// Checks that a resource of which one attribute has changed still keeps to [`DEPTH_MAX`],
/// [`NAMES_MAX`] and [`VALUES_MAX`], at the cost of that attribute.
///
/// # Errors
/// `invalidValue` if it does not.
pub fn check_change(resource: &Attributes, changed: &str) -> Result<(), ScimError> {
    if resource.len() > NAMES_MAX {
        return Err(unbounded());
    }
    match resource.get(changed) {
        Some(value) if !value.is_bounded(1) => Err(unbounded()),
        Some(_) | None => Ok(()),
    }
}

/// What is kept must be readable again, and not take far more room then than it has letters.
fn check_bounds(resource: &Attributes) -> Result<(), ScimError> {
    if !resource.is_bounded(0) {
        return Err(unbounded());
    }
    let count = resource.count();
    if count > RESOURCE_VALUES_MAX {
        let detail = format!(
            "A resource may have at most {RESOURCE_VALUES_MAX} values in all of its attributes together, but this one has {count}; map fewer attributes in the identity provider."
        );
        return Err(ScimError::invalid_value(detail));
    }
    Ok(())
}

fn unbounded() -> ScimError {
    ScimError::invalid_value(format!(
        "A resource may have at most {NAMES_MAX} attributes, nested at most {DEPTH_MAX} levels deep, and {VALUES_MAX} values in one list."
    ))
}

/// Checks a value against the definition of its attribute, which `name` is called in errors, and
/// brings it to its kept form; `None` if it counts as absent.
///
/// # Errors
/// `invalidValue`, saying which attribute and what would be right.
pub fn coerce(
    def: &AttributeDef,
    name: &dyn fmt::Display,
    value: Value,
) -> Result<Option<Value>, ScimError> {
    if !def.multi_valued {
        return coerce_one(def, name, value);
    }
    if value == Value::Null {
        return Ok(None);
    }
    let Value::List(items) = value else {
        return Err(wrong(name, "a list", &value));
    };
    if items.len() > VALUES_MAX {
        let detail = format!("The attribute \"{name}\" may have at most {VALUES_MAX} values.");
        return Err(ScimError::invalid_value(detail));
    }
    let count = items.len();
    let items = items.into_iter().enumerate().filter_map(|(at, item)| {
        coerce_one(def, name, item).map_err(|error| in_list(error, at, count)).transpose()
    });
    let kept = distinct(def, items.collect::<Result<_, _>>()?);
    if kept.iter().filter(|item| is_primary(item)).count() > 1 {
        let detail = format!(
            "The attribute \"{name}\" has more than one value with \"primary\": true; at most one may be primary."
        );
        return Err(ScimError::invalid_value(detail));
    }
    Ok((!kept.is_empty()).then_some(Value::List(kept)))
}

/// RFC 7643 §2.4: the same value and type at most once. The first stays, and takes on what only a later
/// one says, and to be primary if any of them is.
fn distinct(def: &AttributeDef, items: Vec<Value>) -> Vec<Value> {
    if items.len() < 2 {
        return items;
    }
    let mut seen = HashMap::with_capacity(items.len());
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let at = *seen.entry(identity(Some(def), &item)).or_insert(kept.len());
        match (kept.get_mut(at), item) {
            (None, item) => kept.push(item),
            (Some(Value::Complex(first)), Value::Complex(later)) => {
                for (name, part) in later {
                    let is_primary =
                        name.eq_ignore_ascii_case("primary") && part == Value::Bool(true);
                    if is_primary || !first.contains(&name) {
                        first.insert(name, part);
                    }
                }
            }
            (Some(_), _) => {}
        }
    }
    kept
}

/// Takes `members` out of the body of a group: `None` if absent, an empty list if empty.
///
/// # Errors
/// `invalidValue` for a member without an identifier, 413 for more than [`MEMBERS_MAX`].
pub fn take_members(body: &mut Attributes) -> Result<Option<Vec<String>>, ScimError> {
    body.remove(MEMBERS).filter(|value| *value != Value::Null).map(member_ids).transpose()
}

/// The identifiers in a value of `members`: `{"value": id}` or a bare id, one or a list; each once.
///
/// # Errors
/// `invalidValue` for a member without an identifier, 413 for more than [`MEMBERS_MAX`].
pub fn member_ids(value: Value) -> Result<Vec<String>, ScimError> {
    let items = value.into_list();
    if items.len() > MEMBERS_MAX {
        let detail = format!(
            "One request may name at most {MEMBERS_MAX} members; add the others in further requests."
        );
        return Err(ScimError::with_status(413, detail));
    }
    let mut seen = HashSet::with_capacity(items.len());
    let mut ids = Vec::with_capacity(items.len());
    let count = items.len();
    for (at, item) in items.into_iter().enumerate() {
        let id = member_id(item).map_err(|error| in_list(error, at, count))?;
        if seen.insert(id.clone()) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The moment that a dateTime names (RFC 7643 §2.3.5), in nanoseconds after 1970; UTC if it does
/// not say.
#[must_use]
pub fn instant(text: &str) -> Option<i128> {
    moment(text).map(jiff::Timestamp::as_nanosecond)
}

fn entry(
    schema: &ResourceSchema,
    name: Name,
    value: Value,
) -> Result<Option<(Name, Value)>, ScimError> {
    // Never kept for any kind of resource, known to its schema or not: the log is for ever.
    if name.eq_ignore_ascii_case(SCHEMAS) || is_password(&name) {
        return Ok(None);
    }
    if let Some(extension) = schema.extension(&name) {
        let value = known_parts(extension.attributes, &extension.id, None, value)?;
        return Ok(value.map(|value| (Name::of_schema(extension.id), value)));
    }
    let Some(found) = schema.find(None, &name, None).filter(|found| found.extension.is_none())
    else {
        let value = unknown(&name, value);
        return Ok((!value.is_absent()).then_some((name, value)));
    };
    let def = found.attribute;
    if def.mutability == Mutability::ReadOnly || def.name == MEMBERS {
        return Ok(None);
    }
    Ok(coerce(def, &def.name, value)?.map(|value| (Name::of_schema(def.name), value)))
}

/// What no schema knows, as it is but for passwords; an extension without what counts as absent in it.
fn unknown(name: &str, value: Value) -> Value {
    let value = without_passwords(value);
    if !name.contains(':') {
        return value;
    }
    value.map_complex(|parts| parts.into_iter().filter(|(_, value)| !value.is_absent()).collect())
}

/// A value without what is called a password, however deep. Depth is bounded where bodies are read.
#[must_use]
pub fn without_passwords(value: Value) -> Value {
    let value = value.map_list(without_passwords);
    value.map_complex(|parts| {
        let kept = parts.into_iter().filter(|(name, _)| !is_password(name));
        kept.map(|(name, value)| (name, without_passwords(value))).collect()
    })
}

/// Whether it is what a password is called, with or without a schema in front.
fn is_password(name: &str) -> bool {
    let Some(at) = name.len().checked_sub(PASSWORD.len()) else { return false };
    let stands_alone = at == 0 || name.as_bytes()[at - 1] == b':';
    stands_alone && name.as_bytes()[at..].eq_ignore_ascii_case(PASSWORD.as_bytes())
}

/// The same for one value, of a single-valued attribute or of a list.
///
/// # Errors
/// See [`coerce`].
pub fn coerce_one(
    def: &AttributeDef,
    name: &dyn fmt::Display,
    value: Value,
) -> Result<Option<Value>, ScimError> {
    if value == Value::Null {
        return Ok(None);
    }
    let fits = match (def.kind, &value) {
        (Kind::Complex, _) => return complex(def, name, value),
        (Kind::String | Kind::Reference, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Integer | Kind::Decimal, Value::Integer(_))
        | (Kind::Decimal, Value::Decimal(_)) => true,
        (Kind::DateTime, Value::String(text)) => instant(text).is_some(),
        (Kind::Binary, Value::String(text)) => {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&byte))
        }
        (
            Kind::String
            | Kind::Reference
            | Kind::Boolean
            | Kind::Integer
            | Kind::Decimal
            | Kind::DateTime
            | Kind::Binary,
            _,
        ) => false,
    };
    if fits { Ok(Some(value)) } else { Err(wrong(name, right_kind(def.kind), &value)) }
}

fn complex(
    def: &AttributeDef,
    name: &dyn fmt::Display,
    value: Value,
) -> Result<Option<Value>, ScimError> {
    if def.has_value() {
        // What is said of no value, or of a reference without its target, says nothing (RFC 7643 §2.4).
        let said_of = value.as_complex().and_then(|parts| parts.get("value"));
        if said_of.is_some_and(|of| *of == Value::Null || of.as_str() == Some("")) {
            return Ok(None);
        }
    }
    if def.has_value() && value.as_complex().is_none() {
        return Err(wrong(name, "an object such as {\"value\": \"…\"}", &value));
    }
    known_parts(def.sub_attributes, name, Some(name), value)
}

/// What a part is called in an error: an extension's by its name alone, others with what they are
/// part of. Only written out when there is an error.
struct Part<'a> {
    of: Option<&'a dyn fmt::Display>,
    name: &'static str,
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(of) = self.of {
            write!(f, "{of}.")?;
        }
        f.write_str(self.name)
    }
}

/// The object under `name`, its known parts checked. In errors about a part, `of` stands before it.
fn known_parts(
    defs: &'static [AttributeDef],
    name: &dyn fmt::Display,
    of: Option<&dyn fmt::Display>,
    value: Value,
) -> Result<Option<Value>, ScimError> {
    if value == Value::Null {
        return Ok(None);
    }
    let Value::Complex(parts) = value else {
        return Err(wrong(name, "an object", &value));
    };
    let kept = parts.try_filter_map(|part, value| -> Result<_, ScimError> {
        if is_password(&part) {
            return Ok(None);
        }
        let Some(def) = defs.iter().find(|def| def.name.eq_ignore_ascii_case(&part)) else {
            let value = without_passwords(value);
            return Ok((!value.is_absent()).then_some((part, value)));
        };
        if def.mutability == Mutability::ReadOnly {
            return Ok(None);
        }
        let kept = coerce(def, &Part { of, name: def.name }, value)?;
        Ok(kept.map(|value| (Name::of_schema(def.name), value)))
    })?;
    Ok((!kept.is_empty()).then_some(Value::Complex(kept)))
}

fn present(attributes: &Attributes, name: &str) -> bool {
    attributes.get(name).is_some_and(|value| value.as_str().is_none_or(|text| !text.is_empty()))
}

fn is_primary(value: &Value) -> bool {
    value.as_complex().and_then(|parts| parts.get("primary")) == Some(&Value::Bool(true))
}

fn is_extension(name: &str, value: &Value) -> bool {
    name.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"))
        && value.as_complex().is_some()
}

fn member_id(item: Value) -> Result<String, ScimError> {
    let id = if let Value::Complex(mut parts) = item { parts.remove("value") } else { Some(item) };
    match id {
        Some(Value::String(id)) if !id.is_empty() => Ok(id),
        Some(_) | None => Err(ScimError::invalid_value(
            "Every one of \"members\" must be an object with the identifier of a user in \"value\", such as {\"value\": \"2819c223-7f76-453a-919d-413861904646\"}.",
        )),
    }
}

fn right_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Boolean => "true or false",
        Kind::Decimal => "a number",
        Kind::Integer => "a whole number",
        Kind::DateTime => "a date and time such as \"2026-03-02T10:15:30Z\"",
        Kind::Binary => "a string in base64",
        Kind::Reference => "a string that is an address or an identifier",
        Kind::Complex => "an object",
    }
}

/// Says in which value of a list an error is, counted from 1.
fn in_list(error: ScimError, at: usize, count: usize) -> ScimError {
    let detail = error.detail.trim_end_matches('.');
    let detail = format!("{detail} (value {} of {count}).", at + 1);
    ScimError { detail, ..error }
}

fn wrong(name: &dyn fmt::Display, right: &str, found: &Value) -> ScimError {
    let found = match found.as_str() {
        Some(text) => format!("{:?}", echo(text)),
        None => found.kind().to_owned(),
    };
    let detail = format!("The attribute \"{name}\" must be {right}, but the request has {found}.");
    ScimError::invalid_value(detail)
}

fn missing(def: &AttributeDef) -> ScimError {
    let detail = format!(
        "The attribute \"{0}\" is required and must not be empty; map a value to \"{0}\" in the identity provider.",
        def.name
    );
    ScimError::invalid_value(detail)
}

#[cfg(test)]
mod tests;
