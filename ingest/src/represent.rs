//! Resources as identity providers see them: what is kept, with what is derived.

use schemas::scim::{Attributes, LIST_RESPONSE_URN, Value};
use schemas::{ScimId, Seq, Timestamp};

use crate::ports::{GroupView, Reference, UserView};

/// A user with `id`, `groups` and `meta`.
pub(crate) fn user(base: &str, view: UserView) -> Attributes {
    let UserView { user, groups } = view;
    let meta = meta(base, "User", user.id, user.created_at, user.updated_at, user.version);
    let mut resource = with_id(user.id, &user.attributes);
    if !groups.is_empty() {
        let groups = groups.into_iter().map(|group| {
            let mut value = reference(base, "Groups", group);
            value.insert("type", "direct");
            Value::Complex(value)
        });
        resource.insert("groups", groups.collect::<Vec<_>>());
    }
    resource.insert("meta", meta);
    resource
}

/// A group with `id`, `members` if they were looked up, and `meta`.
pub(crate) fn group(base: &str, view: GroupView) -> Attributes {
    let GroupView { group, members } = view;
    let meta = meta(base, "Group", group.id, group.created_at, group.modified_at, group.version);
    let mut resource = with_id(group.id, &group.attributes);
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        let members = members.into_iter().map(|member| {
            let mut value = reference(base, "Users", member);
            value.insert("type", "User");
            Value::Complex(value)
        });
        resource.insert("members", members.collect::<Vec<_>>());
    }
    resource.insert("meta", meta);
    resource
}

/// Where a resource is.
pub(crate) fn location(base: &str, kind: &str, id: ScimId) -> String {
    format!("{base}/{kind}s/{id}")
}

/// A list (RFC 7644 §3.4.2). Numbers are JSON integers: Okta insists.
pub(crate) fn list(total: u64, start_index: u64, resources: Vec<Attributes>) -> Attributes {
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let count = number(resources.len() as u64);
    let resources: Vec<Value> = resources.into_iter().map(Value::Complex).collect();
    Attributes::from([
        ("schemas", Value::List(vec![LIST_RESPONSE_URN.into()])),
        ("totalResults", number(total)),
        ("startIndex", number(start_index)),
        ("itemsPerPage", count),
        ("Resources", Value::List(resources)),
    ])
}

/// The id comes right behind the schemas, where readers look for it.
fn with_id(id: ScimId, attributes: &Attributes) -> Attributes {
    let mut resource = Attributes::new();
    if let Some(schemas) = attributes.get("schemas") {
        resource.insert("schemas", schemas.clone());
    }
    resource.insert("id", id.to_string());
    for (name, value) in attributes.iter().filter(|(name, _)| *name != "schemas") {
        resource.insert(name, value.clone());
    }
    resource
}

/// RFC 7643 §3.1. The version is the place of the last change in the stream.
fn meta(
    base: &str,
    kind: &str,
    id: ScimId,
    created: Timestamp,
    last_modified: Timestamp,
    version: Seq,
) -> Attributes {
    Attributes::from([
        ("resourceType", kind.to_owned()),
        ("created", created.to_string()),
        ("lastModified", last_modified.to_string()),
        ("location", location(base, kind, id)),
        ("version", format!("W/\"{version}\"")),
    ])
}

fn reference(base: &str, place: &str, to: Reference) -> Attributes {
    let mut value = Attributes::from([
        ("value", to.id.to_string()),
        ("$ref", format!("{base}/{place}/{}", to.id)),
    ]);
    if let Some(display) = to.display {
        value.insert("display", display);
    }
    value
}
