//! The tables that filters are asked of, and what a resource shows beyond the attributes kept with it.

use schemas::scim::{GROUP, ResourceSchema, USER};

/// A table of resources.
pub(crate) struct Table {
    pub(crate) schema: &'static ResourceSchema,
    /// The column of the attributes, as JSON text.
    pub(crate) attributes: &'static str,
    derived: &'static [(&'static str, Derived)],
}

/// An attribute that is not kept with the others.
pub(crate) enum Derived {
    /// `id`: the column of its bytes.
    Id(&'static str),
    /// `meta`: its columns.
    Meta {
        resource_type: &'static str,
        created: &'static str,
        modified: &'static str,
        version: &'static str,
    },
    /// `groups` or `members`.
    References {
        /// A query of rows `(type, value)`; `{uuid}` stands for the text of `scim_id`.
        rows: &'static str,
        /// Whether the resource whose id is the parameter `{}` is among them.
        among: &'static str,
    },
}

impl Table {
    /// The attribute of this name, in the schema's case, if it is derived.
    pub(crate) fn derived(&self, name: &str) -> Option<&'static Derived> {
        self.derived.iter().find(|(is, _)| *is == name).map(|(_, derived)| derived)
    }
}

pub(crate) const USERS: Table = Table {
    schema: &USER,
    attributes: "users.attributes",
    derived: &[
        ("id", Derived::Id("users.scim_id")),
        (
            "meta",
            Derived::Meta {
                resource_type: "User",
                created: "users.created_at",
                modified: "users.updated_at",
                version: "users.version",
            },
        ),
        (
            "groups",
            Derived::References {
                rows: "SELECT 'object' AS type, json_object('value', {uuid}, 'display', groups.display,
                    'type', 'direct') AS value
                    FROM memberships JOIN groups ON groups.key = memberships.group_key
                    WHERE memberships.user_key = users.key",
                among: "EXISTS (SELECT 1 FROM memberships WHERE memberships.user_key = users.key
                    AND memberships.group_key = (SELECT key FROM groups WHERE scim_id = {}))",
            },
        ),
    ],
};

pub(crate) const GROUPS: Table = Table {
    schema: &GROUP,
    attributes: "groups.attributes",
    derived: &[
        ("id", Derived::Id("groups.scim_id")),
        (
            "meta",
            Derived::Meta {
                resource_type: "Group",
                created: "groups.created_at",
                modified: "groups.modified_at",
                version: "groups.version",
            },
        ),
        (
            "members",
            Derived::References {
                rows:
                    "SELECT 'object' AS type, json_object('value', {uuid}, 'display', users.display,
                    'type', 'User') AS value
                    FROM memberships JOIN users ON users.key = memberships.user_key
                    WHERE memberships.group_key = groups.key",
                among: "EXISTS (SELECT 1 FROM memberships WHERE memberships.group_key = groups.key
                    AND memberships.user_key = (SELECT key FROM users WHERE scim_id = {}))",
            },
        ),
    ],
};
