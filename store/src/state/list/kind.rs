//! What lists of users and of groups do differently.

use directory::resource::name_key;
use ingest::ports::{GroupView, Members, Reference, UserView};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params};
use schemas::ScimId;
use schemas::scim::{
    AttrPath, Attributes, CompareOp, Filter, GROUP, Literal, ResourceSchema, USER, Value,
};

use super::super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use crate::error::DbError;

/// What lists of users and of groups do differently.
pub(crate) trait Kind: Copy + Send + 'static {
    type Row;
    type View: Send + 'static;

    const TABLE: &'static str;
    const COLUMNS: &'static str;
    /// The column of the id that customer apps know, which rises with creation.
    const ORDER: &'static str;
    /// How many there are, in the directory's row.
    const TOTAL: &'static str;
    const SCHEMA: &'static ResourceSchema;

    fn read(self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError>;

    /// Where the row stands in the order.
    fn place(self, row: &Self::Row) -> Vec<u8>;

    /// A condition that an equality on this attribute comes down to, if an index serves it. It may
    /// let through more than the equality does.
    fn indexed(self, path: &AttrPath, value: &str) -> Option<Condition>;

    /// The attributes that the filter is matched against: what is kept, and of what is derived what
    /// the filter speaks of.
    fn subject(
        self,
        connection: &Connection,
        row: &Self::Row,
        filter: &Asked,
    ) -> Result<Attributes, DbError>;

    fn view(self, connection: &Connection, row: Self::Row) -> Result<Self::View, DbError>;
}

/// Rows of the directory `?1`, narrowed by a parameter `?2`.
///
/// A `+` keeps SQLite from using an index on that column: without statistics it would rather walk the
/// whole directory in order than look up a few rows and sort them.
pub(crate) type Condition = (&'static str, Sql);

#[derive(Clone, Copy)]
pub(crate) struct Users;

impl Kind for Users {
    type Row = (i64, directory::User);
    type View = UserView;

    const TABLE: &'static str = "users";
    const COLUMNS: &'static str = USER_COLUMNS;
    const ORDER: &'static str = "user_id";
    const TOTAL: &'static str = "active_users + inactive_users";
    const SCHEMA: &'static ResourceSchema = &USER;

    fn read(self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError> {
        user(row)
    }

    fn place(self, (_, user): &Self::Row) -> Vec<u8> {
        user.user_id.to_bytes().to_vec()
    }

    fn indexed(self, path: &AttrPath, value: &str) -> Option<Condition> {
        let found = USER.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        match (found.extension.is_some(), found.attribute.name) {
            (false, "userName") => {
                Some(("directory = ?1 AND name_key = ?2", name_key(value).into()))
            }
            (false, "externalId") => Some(by_external_id(value)),
            (false, "id") => Some(by_id(value)),
            _ => None,
        }
    }

    fn subject(
        self,
        connection: &Connection,
        (key, user): &Self::Row,
        filter: &Asked,
    ) -> Result<Attributes, DbError> {
        let mut subject = Attributes::clone(&user.attributes);
        subject.insert("id", user.id.to_string());
        if filter.text.contains("meta") {
            subject.insert("meta", meta("User", user.created_at, user.updated_at, user.version));
        }
        if filter.text.contains("groups") {
            let groups = groups_of(connection, *key)?;
            subject.insert("groups", references(&groups));
        }
        Ok(subject)
    }

    fn view(self, connection: &Connection, row: Self::Row) -> Result<UserView, DbError> {
        user_view(connection, row)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Groups {
    pub(crate) members: Members,
}

impl Kind for Groups {
    type Row = (i64, directory::Group);
    type View = GroupView;

    const TABLE: &'static str = "groups";
    const COLUMNS: &'static str = GROUP_COLUMNS;
    const ORDER: &'static str = "group_id";
    const TOTAL: &'static str = "groups";
    const SCHEMA: &'static ResourceSchema = &GROUP;

    fn read(self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError> {
        group(row)
    }

    fn place(self, (_, group): &Self::Row) -> Vec<u8> {
        group.group_id.to_bytes().to_vec()
    }

    fn indexed(self, path: &AttrPath, value: &str) -> Option<Condition> {
        let found = GROUP.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        match found.attribute.name {
            "displayName" => Some(("directory = ?1 AND name_key = ?2", name_key(value).into())),
            "externalId" => Some(by_external_id(value)),
            "id" => Some(by_id(value)),
            "members" if found.sub.is_none_or(|sub| sub.name == "value") => {
                let of_member =
                    "+directory = ?1 AND key IN (SELECT group_key FROM memberships WHERE user_key =
                    (SELECT key FROM users WHERE scim_id = ?2))";
                Some((of_member, by_id(value).1))
            }
            _ => None,
        }
    }

    fn subject(
        self,
        connection: &Connection,
        (key, group): &Self::Row,
        filter: &Asked,
    ) -> Result<Attributes, DbError> {
        let mut subject = Attributes::clone(&group.attributes);
        subject.insert("id", group.id.to_string());
        if filter.text.contains("meta") {
            let meta = meta("Group", group.created_at, group.modified_at, group.version);
            subject.insert("meta", meta);
        }
        if filter.text.contains("members") {
            let members = match &filter.members {
                Some(ids) => members_among(connection, *key, ids)?,
                None => members_of(connection, *key)?,
            };
            subject.insert("members", references(&members));
        }
        Ok(subject)
    }

    fn view(self, connection: &Connection, row: Self::Row) -> Result<GroupView, DbError> {
        group_view(connection, row, self.members)
    }
}

/// What is no id of ours is no id of anything: an empty blob matches nothing.
fn by_id(value: &str) -> Condition {
    let id = value.parse::<ScimId>().map_or_else(|_| Vec::new(), |id| id.to_bytes().to_vec());
    ("+directory = ?1 AND scim_id = ?2", Sql::Blob(id))
}

fn by_external_id(value: &str) -> Condition {
    ("directory = ?1 AND external_id = ?2", value.to_owned().into())
}

pub(crate) fn user_view(
    connection: &Connection,
    (key, user): (i64, directory::User),
) -> Result<UserView, DbError> {
    Ok(UserView { user, groups: groups_of(connection, key)? })
}

pub(crate) fn group_view(
    connection: &Connection,
    (key, group): (i64, directory::Group),
    members: Members,
) -> Result<GroupView, DbError> {
    let members = match members {
        Members::Shown => Some(members_of(connection, key)?),
        Members::Omitted => None,
    };
    Ok(GroupView { group, members })
}

fn groups_of(connection: &Connection, user: i64) -> Result<Vec<Reference>, DbError> {
    let sql = "SELECT groups.scim_id, groups.display FROM memberships
        JOIN groups ON groups.key = memberships.group_key
        WHERE memberships.user_key = ?1 ORDER BY groups.key";
    all(connection, sql, [user], reference)
}

fn members_of(connection: &Connection, group: i64) -> Result<Vec<Reference>, DbError> {
    let sql = "SELECT users.scim_id, users.display FROM memberships
        JOIN users ON users.key = memberships.user_key
        WHERE memberships.group_key = ?1 ORDER BY users.key";
    all(connection, sql, [group], reference)
}

fn members_among(
    connection: &Connection,
    group: i64,
    ids: &[ScimId],
) -> Result<Vec<Reference>, DbError> {
    let sql = "SELECT users.scim_id, users.display FROM users
        JOIN memberships ON memberships.group_key = ?1 AND memberships.user_key = users.key
        WHERE users.scim_id = ?2";
    let members =
        ids.iter().map(|id| first(connection, sql, params![group, id.to_bytes()], reference));
    members.filter_map(Result::transpose).collect()
}

fn reference(row: &rusqlite::Row<'_>) -> Result<Reference, DbError> {
    Ok(Reference { id: ScimId::from_bytes(row.get(0)?), display: row.get(1)? })
}

fn references(to: &[Reference]) -> Vec<Value> {
    let values = to.iter().map(|one| {
        let mut value = Attributes::from([("value", one.id.to_string())]);
        if let Some(display) = &one.display {
            value.insert("display", display.as_str());
        }
        Value::Complex(value)
    });
    values.collect()
}

fn meta(
    kind: &str,
    created: schemas::Timestamp,
    last_modified: schemas::Timestamp,
    version: schemas::Seq,
) -> Attributes {
    Attributes::from([
        ("resourceType", kind.to_owned()),
        ("created", created.to_string()),
        ("lastModified", last_modified.to_string()),
        ("version", format!("W/\"{version}\"")),
    ])
}

/// What a filter speaks of, beyond what is kept with a resource.
pub(crate) struct Asked {
    /// The filter in lower case. What is not in it need not be looked up.
    pub(crate) text: String,
    /// The members that matter, if the filter only asks whether some are among them: then a large group
    /// costs no more than a small one.
    pub(crate) members: Option<Vec<ScimId>>,
}

impl Asked {
    pub(crate) fn by(filter: &Filter) -> Self {
        let mut ids = Vec::new();
        let only_some = only_asks_for_members(filter, &mut ids);
        Self { text: filter.to_string().to_ascii_lowercase(), members: only_some.then_some(ids) }
    }
}

/// Collects the members that the filter asks for by `eq`; whether it says nothing else of members.
fn only_asks_for_members(filter: &Filter, ids: &mut Vec<ScimId>) -> bool {
    let found = |path: &AttrPath| GROUP.find(path.urn.as_deref(), &path.attribute, None);
    let of_members = |path| found(path).is_some_and(|found| found.attribute.name == "members");
    match filter {
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter().all(|part| only_asks_for_members(part, ids))
        }
        Filter::Not(inner) => only_asks_for_members(inner, ids),
        Filter::Compare { path, op, value } if of_members(path) => {
            let is_value = path.sub.as_ref().is_none_or(|sub| sub.eq_ignore_ascii_case("value"));
            if let (true, CompareOp::Eq, Literal::String(value)) = (is_value, op, value) {
                // What is no id of ours is no member.
                ids.extend(value.parse::<ScimId>().ok());
                return true;
            }
            false
        }
        Filter::Present(path) | Filter::Has { path, .. } => !of_members(path),
        Filter::Compare { .. } => true,
    }
}
