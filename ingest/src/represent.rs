//! Resources as identity providers see them: what is kept, with what is derived.

use directory::Group;
use schemas::scim::{Attributes, LIST_RESPONSE_URN, SharedAttributes, Value};
use schemas::{ScimId, Seq, Timestamp};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::ports::{Reference, UserView};
use crate::projection::Projection;
use crate::version;

/// A resource with everything that can be shown of it.
pub(crate) struct Resource {
    id: ScimId,
    is_group: bool,
    location: String,
    version: Seq,
    kept: SharedAttributes,
    /// References and `meta`.
    derived: Attributes,
}

/// What a client gets to see of a resource.
pub(crate) enum Shown {
    /// All of it, which is what nearly every client asks for: written without a copy.
    Whole(Resource),
    /// What it asked for.
    Part(Attributes),
}

/// A user with `id`, `groups` and `meta`.
pub(crate) fn user(base: &str, view: UserView) -> Resource {
    let UserView { user, groups } = view;
    let mut derived = Attributes::new();
    if !groups.is_empty() {
        let groups = groups.into_iter().map(|group| {
            let mut value = reference(base, "Groups", group);
            value.insert("type", "direct");
            Value::Complex(value)
        });
        derived.insert("groups", groups.collect::<Vec<_>>());
    }
    let (location, version) = (location(base, "User", user.id), user.version);
    derived.insert("meta", meta("User", &location, user.created_at, user.updated_at, version));
    Resource { id: user.id, is_group: false, location, version, kept: user.attributes, derived }
}

/// A group with `id` and `meta`. Its members are read while they are sent.
pub(crate) fn group(base: &str, group: Group) -> Resource {
    let (location, version) = (location(base, "Group", group.id), group.version);
    let meta = meta("Group", &location, group.created_at, group.modified_at, version);
    let derived = Attributes::from([("meta", meta)]);
    Resource { id: group.id, is_group: true, location, version, kept: group.attributes, derived }
}

/// A member of a group.
pub(crate) fn member(base: &str, user: Reference) -> Value {
    let mut value = reference(base, "Users", user);
    value.insert("type", "User");
    Value::Complex(value)
}

impl Resource {
    pub(crate) const fn version(&self) -> Seq {
        self.version
    }

    /// Whose members it has, if it is a group.
    pub(crate) fn group(&self) -> Option<ScimId> {
        self.is_group.then_some(self.id)
    }

    /// Where it is.
    pub(crate) fn location(&self) -> String {
        self.location.clone()
    }

    /// What is left of it when a client says what it wants to see.
    pub(crate) fn shown(self, projection: &Projection) -> Shown {
        if projection.is_asked_for() {
            Shown::Part(projection.apply(&self.tree()))
        } else {
            Shown::Whole(self)
        }
    }

    fn tree(&self) -> Attributes {
        let mut tree = Attributes::from([("id", self.id.to_string())]);
        for (name, value) in self.kept.iter().chain(self.derived.iter()) {
            tree.insert(name, value.clone());
        }
        tree
    }

    /// The same as serialising it, put together from the JSON of what is kept, which is there already when it has just
    /// been written; `None` if that does not begin with its schemas.
    fn spliced(&self) -> Option<Vec<u8>> {
        let kept = self.kept.json().get();
        let head = [b"{\"schemas\":", &*json(self.kept.get(SCHEMAS)?)].concat();
        let rest = kept.as_bytes().strip_prefix(&*head)?;
        let derived = json(&self.derived);
        let mut all = Vec::with_capacity(kept.len() + derived.len() + ID_BYTES);
        all.extend_from_slice(&head);
        all.extend_from_slice(b",\"id\":");
        serde_json::to_writer(&mut all, &self.id).expect("an id is always JSON");
        all.extend_from_slice(rest.strip_suffix(b"}")?);
        if self.derived.is_empty() {
            all.push(b'}');
        } else {
            all.push(b',');
            all.extend_from_slice(&derived[1..]);
        }
        Some(all)
    }
}

impl Serialize for Resource {
    /// The id comes right behind the schemas, where readers look for it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(schemas) = self.kept.get(SCHEMAS) {
            map.serialize_entry(SCHEMAS, schemas)?;
        }
        map.serialize_entry("id", &self.id)?;
        let others = self.kept.iter().filter(|(name, _)| *name != SCHEMAS);
        for (name, value) in others.chain(self.derived.iter()) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Shown {
    pub(crate) fn json(&self) -> Vec<u8> {
        match self {
            Self::Whole(resource) => resource.spliced().unwrap_or_else(|| json(resource)),
            Self::Part(attributes) => json(attributes),
        }
    }
}

const SCHEMAS: &str = "schemas";

/// An id with its name.
const ID_BYTES: usize = 48;

pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("trees and numbers are always JSON")
}

/// Where a resource is.
pub(crate) fn location(base: &str, kind: &str, id: ScimId) -> String {
    format!("{base}/{kind}s/{id}")
}

/// A list (RFC 7644 §3.4.2). Numbers are JSON integers: Okta insists.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    schemas: [&'static str; 1],
    total_results: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_index: Option<u64>,
    items_per_page: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(rename = "Resources")]
    resources: Vec<T>,
}

impl List<()> {
    /// A page with so many resources, which are sent behind it.
    pub(crate) fn new(total: u64, items: usize) -> Self {
        Self { items_per_page: items, ..Self::of(total, Vec::new()) }
    }
}

impl<T> List<T> {
    /// A page of a list with so many resources in all.
    pub(crate) fn of(total: u64, resources: Vec<T>) -> Self {
        Self {
            schemas: [LIST_RESPONSE_URN],
            total_results: total,
            start_index: None,
            items_per_page: resources.len(),
            next_cursor: None,
            resources,
        }
    }

    /// With the number of its first resource.
    pub(crate) fn at_index(self, start_index: Option<u64>) -> Self {
        Self { start_index, ..self }
    }

    /// With the cursor of the page behind it, if there is one (RFC 9865 §2).
    pub(crate) fn before(self, next_cursor: Option<String>) -> Self {
        Self { next_cursor, ..self }
    }
}

/// RFC 7643 §3.1. The version is the place of the last change in the stream.
fn meta(
    kind: &str,
    location: &str,
    created: Timestamp,
    last_modified: Timestamp,
    version: Seq,
) -> Attributes {
    Attributes::from([
        ("resourceType", kind.to_owned()),
        ("created", created.to_string()),
        ("lastModified", last_modified.to_string()),
        ("location", location.to_owned()),
        ("version", version::tag(version)),
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

#[cfg(test)]
mod tests {
    use schemas::UserId;
    use schemas::scim::parse;

    use super::*;

    fn resource(attributes: &str, groups: usize) -> Resource {
        let attributes = parse(attributes.as_bytes()).unwrap().into();
        let (id, at) = (ScimId::from_bits(7), Timestamp::from_millis(5));
        let user = directory::User {
            id,
            user_id: UserId::from_bits(8),
            name_key: String::new(),
            attributes,
            shown: schemas::Shown::default(),
            created_at: at,
            updated_at: at,
            version: Seq(3),
        };
        let group = Reference { id, display: Some("Sales".to_owned()) };
        super::user("https://d.example/scim/v2.0/x", UserView { user, groups: vec![group; groups] })
    }

    #[test]
    fn what_is_put_together_is_what_serialising_gives() {
        for attributes in [
            r#"{"schemas":["urn:a"],"userName":"Ada \"L\" ]}","emails":[{"value":"a@b"}]}"#,
            r#"{"schemas":["urn:a","urn:x]\"y"],"urn:x]\"y":{"schemas":[1]}}"#,
            r#"{"schemas":["urn:a"]}"#,
            r#"{"userName":"none"}"#,
            r#"{"schemas":["urn:a"],"10":"first on the wire"}"#,
            r#"{"userName":"behind","schemas":["urn:a"]}"#,
            "{}",
        ] {
            for groups in [0, 2] {
                let resource = resource(attributes, groups);
                let whole = json(&resource);
                let shown = resource.shown(&Projection::default()).json();
                let [whole, shown] = [whole, shown].map(|json| String::from_utf8(json).unwrap());
                assert_eq!(shown, whole);
            }
        }
    }
}
