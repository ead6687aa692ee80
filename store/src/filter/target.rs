//! The tables that filters are asked of, and what a resource shows beyond the attributes kept with it.

use schemas::scim::{GROUP, ResourceSchema, USER};

/// A table of resources.
#[derive(Debug)]
pub struct Table {
    pub(crate) schema: &'static ResourceSchema,
    /// The column of the attributes, as JSON.
    pub(super) attributes: &'static str,
    derived: &'static [(&'static str, Derived)],
}

/// An attribute that is not kept with the others, or that a column answers for. Its SQL is the same in every
/// dialect.
#[derive(Debug)]
pub(super) enum Derived {
    /// `active`: a column that is true where nothing else was said.
    Truth(&'static str),
    /// `displayName`: kept with the others, and in this column unless it is empty.
    Text(&'static str),
    /// `id`: the column of its bytes.
    Id(&'static str),
    /// `meta`: its columns, and that of the id, which its address ends in.
    Meta {
        resource_type: &'static str,
        id: &'static str,
        created: &'static str,
        modified: &'static str,
        version: &'static str,
    },
    /// `groups` or `members`.
    References {
        /// Where they are.
        place: &'static str,
        /// What follows FROM in a query of the resources that are referred to.
        rows: &'static str,
        /// The column with the bytes of their ids.
        id: &'static str,
        /// The column of their names.
        display: &'static str,
        /// Their `type`.
        kind: &'static str,
        /// Whether the resource whose id is the parameter `{}` is among them.
        among: &'static str,
    },
}

impl Table {
    /// The id in an address of this table's resources.
    pub(crate) fn id_in<'a>(&self, base: &str, address: &'a str) -> Option<&'a str> {
        id_in(base, self.schema.endpoint, address)
    }

    /// The attribute of this name, in the schema's case, if it is derived.
    pub(super) fn derived(&self, name: &str) -> Option<&'static Derived> {
        self.derived.iter().find(|(is, _)| *is == name).map(|(_, derived)| derived)
    }
}

/// The id in the address of a resource at this place.
pub(super) fn id_in<'a>(base: &str, place: &str, address: &'a str) -> Option<&'a str> {
    address.strip_prefix(base)?.strip_prefix(place)?.strip_prefix('/')
}

/// The table `users`.
pub const USERS: Table = Table {
    schema: &USER,
    attributes: "users.attributes",
    derived: &[
        ("id", Derived::Id("users.scim_id")),
        ("active", Derived::Truth("users.active")),
        ("displayName", Derived::Text("users.display")),
        (
            "meta",
            Derived::Meta {
                resource_type: "User",
                id: "users.scim_id",
                created: "users.created_at",
                modified: "users.updated_at",
                version: "users.version",
            },
        ),
        (
            "groups",
            Derived::References {
                place: GROUP.endpoint,
                rows: "memberships JOIN groups ON groups.key = memberships.group_key
                    WHERE memberships.user_key = users.key",
                id: "groups.scim_id",
                display: "groups.display",
                kind: "direct",
                among: "EXISTS (SELECT 1 FROM memberships WHERE memberships.user_key = users.key
                    AND memberships.group_key = (SELECT key FROM groups WHERE scim_id = {}))",
            },
        ),
    ],
};

/// The table `groups`.
pub const GROUPS: Table = Table {
    schema: &GROUP,
    attributes: "groups.attributes",
    derived: &[
        ("id", Derived::Id("groups.scim_id")),
        ("displayName", Derived::Text("groups.display")),
        (
            "meta",
            Derived::Meta {
                resource_type: "Group",
                id: "groups.scim_id",
                created: "groups.created_at",
                modified: "groups.modified_at",
                version: "groups.version",
            },
        ),
        (
            "members",
            Derived::References {
                place: USER.endpoint,
                rows: "memberships JOIN users ON users.key = memberships.user_key
                    WHERE memberships.group_key = groups.key",
                id: "users.scim_id",
                display: "users.display",
                kind: "User",
                among: "EXISTS (SELECT 1 FROM memberships WHERE memberships.group_key = groups.key
                    AND memberships.user_key = (SELECT key FROM users WHERE scim_id = {}))",
            },
        ),
    ],
};
