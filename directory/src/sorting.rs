//! The order of a list, RFC 7644 §3.4.2.3.

use std::cmp::Ordering;

use schemas::scim::{
    AttrPath, AttributeDef, Attributes, Kind, ResourceSchema, Returned, ScimError, ScimType, Value,
    echo, instant,
};
use serde::{Deserialize, Serialize};

use crate::matching::{Place, Scope, is_case_exact, leaf};

/// How many characters of a text a list is sorted by. The key of the last resource of a page is a part of the cursor that leads to
/// the next one (RFC 9865), and that has to fit into a URL whatever the text; people tell names apart by far fewer.
pub const KEY_LENGTH_MAX: usize = 256;

/// What a resource is sorted by: of a multi-valued attribute the primary value, else the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SortKey {
    /// A truth value: false comes first.
    Truth(bool),
    /// A number.
    Number(f64),
    /// A moment, in nanoseconds after 1970.
    Moment(i128),
    /// A text, its case removed where case does not matter, up to [`KEY_LENGTH_MAX`].
    Text(String),
}

/// What is kept of memberships is not kept with either side.
const OF_OTHERS: [&str; 2] = ["groups", "members"];

/// Checks that a list can be sorted by this attribute.
///
/// # Errors
/// `invalidPath` for what is never shown, for memberships, and for a complex attribute that stands for no single value.
pub fn check(by: &AttrPath, schema: &ResourceSchema) -> Result<(), ScimError> {
    let refuse = |what: &str| {
        let by = by.to_string();
        let detail = format!("The attribute \"{}\" in sortBy {what}.", echo(&by));
        Err(ScimError::new(ScimType::InvalidPath, detail))
    };
    let place = Scope::Resource(schema).place(by);
    let def = place.def;
    if def.is_some() && place.extension.is_none() && OF_OTHERS.contains(&place.attribute) {
        return refuse(
            "names other resources, any number of them; sort by an attribute of its own",
        );
    }
    if def.is_some_and(|def| def.returned == Returned::Never)
        || by.attribute.eq_ignore_ascii_case("password")
    {
        return refuse("cannot be sorted by");
    }
    match def {
        Some(def) if def.kind == Kind::Complex && !def.has_value() => {
            refuse("has parts; sort by one of them")
        }
        Some(_) | None => Ok(()),
    }
}

/// What this resource is sorted by; none if it has no such value.
#[must_use]
pub fn sort_key(resource: &Attributes, by: &AttrPath, schema: &ResourceSchema) -> Option<SortKey> {
    let place = Scope::Resource(schema).place(by);
    let holder = match place.extension {
        None => resource,
        Some(urn) => resource.get(urn)?.as_complex()?,
    };
    key_of(preferred(holder.get(place.attribute)?)?, &place)
}

/// The order of two resources: who has no value comes last, in a descending list first.
#[must_use]
pub fn compare(one: Option<&SortKey>, other: Option<&SortKey>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.order(other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

impl SortKey {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Truth(one), Self::Truth(other)) => one.cmp(other),
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Moment(one), Self::Moment(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Truth(_) | Self::Number(_) | Self::Moment(_) | Self::Text(_), _) => {
                self.rank().cmp(&other.rank())
            }
        }
    }

    /// Values of different types, which only an attribute unknown to the schema has.
    const fn rank(&self) -> u8 {
        match self {
            Self::Truth(_) => 0,
            Self::Number(_) => 1,
            Self::Moment(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

fn key_of(value: &Value, place: &Place<'_>) -> Option<SortKey> {
    let value = match (place.sub, value.as_complex()) {
        (Some(sub), parts) => preferred(parts?.get(sub)?)?,
        (None, Some(parts)) => parts.get("value")?,
        (None, None) => value,
    };
    let def = leaf(place.def);
    match value {
        Value::Bool(truth) => Some(SortKey::Truth(*truth)),
        Value::Integer(number) => Some(SortKey::Number(*number as f64)),
        Value::Decimal(number) => Some(SortKey::Number(*number)),
        Value::String(text) => Some(key_of_text(text, def)),
        Value::Null | Value::List(_) | Value::Complex(_) => None,
    }
}

fn key_of_text(text: &str, def: Option<&AttributeDef>) -> SortKey {
    let moment = def.filter(|def| def.kind == Kind::DateTime).and_then(|_| instant(text));
    match moment {
        Some(moment) => SortKey::Moment(moment),
        None if is_case_exact(def) => SortKey::Text(beginning(text)),
        None => SortKey::Text(beginning(&beginning(text).to_lowercase())),
    }
}

/// As much of a text as it is sorted by. Who agrees in that stands in the order of creation, as who agrees in all.
fn beginning(text: &str) -> String {
    text.chars().take(KEY_LENGTH_MAX).collect()
}

/// The primary value of a list, else its first.
fn preferred(value: &Value) -> Option<&Value> {
    let Some(values) = value.as_list() else { return Some(value) };
    let is_primary = |value: &&Value| {
        let primary = value.as_complex().and_then(|parts| parts.get("primary"));
        primary.and_then(Value::as_bool) == Some(true)
    };
    values.iter().find(is_primary).or_else(|| values.first())
}

#[cfg(test)]
mod tests {
    use schemas::scim::{GROUP, USER, parse};

    use super::*;

    fn key(resource: &str, by: &str) -> Option<SortKey> {
        let resource = parse(resource.as_bytes()).unwrap();
        sort_key(&resource, &by.parse().unwrap(), &USER)
    }

    #[test]
    fn texts_are_sorted_without_case_unless_case_matters() {
        assert_eq!(key(r#"{"userName":"ADA"}"#, "USERNAME"), Some(SortKey::Text("ada".into())));
        assert_eq!(key(r#"{"externalId":"ADA"}"#, "externalId"), Some(SortKey::Text("ADA".into())));
    }

    #[test]
    fn a_list_is_sorted_by_its_primary_value_and_else_by_its_first() {
        let two = r#"{"emails":[{"value":"b"},{"value":"a","primary":true}]}"#;
        assert_eq!(key(two, "emails"), Some(SortKey::Text("a".into())));
        assert_eq!(key(two, "emails.value"), Some(SortKey::Text("a".into())));
        let first = r#"{"emails":[{"value":"b"},{"value":"a"}]}"#;
        assert_eq!(key(first, "emails.value"), Some(SortKey::Text("b".into())));
    }

    #[test]
    fn of_a_long_text_only_the_beginning_is_sorted_by() {
        let long = "Ä".repeat(13_000);
        let of = |title: &str| key(&format!(r#"{{"title":"{title}"}}"#), "title");
        assert_eq!(of(&long), Some(SortKey::Text("ä".repeat(KEY_LENGTH_MAX))));
        assert_eq!(of(&long), of(&format!("{long}x")));
        assert_eq!(
            compare(of(&"a".repeat(255)).as_ref(), of(&"a".repeat(257)).as_ref()),
            Ordering::Less
        );
        let exact = key(&format!(r#"{{"externalId":"{long}"}}"#), "externalId");
        assert_eq!(exact, Some(SortKey::Text("Ä".repeat(KEY_LENGTH_MAX))));
    }

    #[test]
    fn moments_are_sorted_by_when_they_are_whatever_their_offset() {
        let at = |text: &str| key(&format!(r#"{{"meta":{{"created":"{text}"}}}}"#), "meta.created");
        let (early, late) = (at("2026-03-02T10:00:00+02:00"), at("2026-03-02T09:00:00Z"));
        assert_eq!(compare(early.as_ref(), late.as_ref()), Ordering::Less);
    }

    #[test]
    fn who_has_no_value_comes_last() {
        let some = key(r#"{"title":"x"}"#, "title");
        assert_eq!(compare(some.as_ref(), None), Ordering::Less);
        assert_eq!(key("{}", "title"), None);
    }

    #[test]
    fn what_is_never_shown_or_is_of_others_cannot_be_sorted_by() {
        for refused in ["password", "name", "groups", "groups.display"] {
            assert!(check(&refused.parse().unwrap(), &USER).is_err(), "{refused}");
        }
        for refused in ["members", "urn:ietf:params:scim:schemas:core:2.0:Group:members.value"] {
            assert!(check(&refused.parse().unwrap(), &GROUP).is_err(), "{refused}");
        }
        assert!(check(&"emails".parse().unwrap(), &USER).is_ok());
    }
}
