//! What lists of users and of groups do differently.

use std::time::Duration;

use directory::matching::telling;
use directory::resource::name_key;
use ingest::ports::{Reference, UserView};
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use schemas::scim::{
    AttrPath, Attributes, CompareOp, Filter, GROUP, Literal, ResourceSchema, USER, instant,
};
use schemas::{ScimId, Seq, Timestamp};

use super::super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, group, user};
use crate::error::DbError;
use crate::filter::{GROUPS, Table, USERS};

/// What lists of users and of groups do differently.
pub(crate) trait Kind: Copy + Send + 'static {
    type Row;
    type View: Send + 'static;

    const TABLE: Table;
    /// The table's name.
    const NAME: &'static str;
    const COLUMNS: &'static str;
    /// The column of the id that customer apps know, which rises with creation.
    const ORDER: &'static str;
    /// The keys and the places of those in the directory `?1` whose place lies behind `?2`, up to and with `?3`. Indexes
    /// lead through them by place.
    const RUN: &'static str;
    /// How many there are, in the directory's row.
    const TOTAL: &'static str;

    fn read(self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError>;

    fn key(self, row: &Self::Row) -> i64;

    /// Where the row stands in the order.
    fn order(self, row: &Self::Row) -> [u8; 16];

    /// A condition to which the comparison of this attribute comes down, if an index serves it. It may let
    /// through more than the comparison does.
    fn served(self, base: &str, path: &AttrPath, op: CompareOp, value: &str) -> Option<Condition>;

    /// A condition that an index serves and that everything fulfils which fulfils the filter.
    fn indexed(self, base: &str, filter: &Filter) -> Option<Condition> {
        match filter {
            Filter::Compare { path, op, value: Literal::String(value) } => {
                self.served(base, path, *op, value)
            }
            Filter::Compare { path, op: CompareOp::Eq, value: Literal::Bool(false) } => {
                self.served(base, path, CompareOp::Eq, "false")
            }
            Filter::And(parts) => parts.iter().find_map(|part| self.indexed(base, part)),
            // What one value fulfils, some value fulfils.
            Filter::Has { path, filter } => inside(path, filter)
                .into_iter()
                .find_map(|(path, op, value)| self.served(base, &path, op, value)),
            Filter::Compare { .. } | Filter::Or(_) | Filter::Not(_) | Filter::Present(_) => None,
        }
    }

    /// How many fulfil the filter, in the directory's row, if they are counted there.
    fn counted(self, filter: &Filter) -> Option<&'static str>;

    /// The attributes that it is sorted by: what is kept, `id` and `meta`, and `active` as it is in effect.
    fn subject(self, base: &str, row: &Self::Row) -> Attributes;

    fn view(self, connection: &Connection, row: Self::Row) -> Result<Self::View, DbError>;
}

/// Rows of the directory `?1`, narrowed by a parameter `?2`.
///
/// A `+` keeps SQLite from using an index on that column: without statistics it would rather walk the
/// whole directory in order than look up a few rows and sort them.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) sql: &'static str,
    pub(crate) value: Sql,
    /// Whether any number of rows may fulfil it, so that they are counted before they are read.
    pub(crate) is_range: bool,
}

impl Condition {
    const fn new(sql: &'static str, value: Sql) -> Self {
        Self { sql, value, is_range: false }
    }

    const fn range(sql: &'static str, value: Sql) -> Self {
        Self { sql, value, is_range: true }
    }
}

/// By how much the clocks of those who write may differ, at the very most: who was created after a moment was
/// changed no earlier than this before it.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(3_600);

/// The comparisons with texts that a filter in brackets demands of one value.
fn inside<'f>(path: &AttrPath, filter: &'f Filter) -> Vec<(AttrPath, CompareOp, &'f str)> {
    match filter {
        Filter::Compare { path: part, op, value: Literal::String(value) } if part.sub.is_none() => {
            vec![(AttrPath { sub: Some(part.attribute.clone()), ..path.clone() }, *op, value)]
        }
        Filter::And(parts) => parts.iter().flat_map(|part| inside(path, part)).collect(),
        Filter::Compare { .. }
        | Filter::Or(_)
        | Filter::Not(_)
        | Filter::Present(_)
        | Filter::Has { .. } => Vec::new(),
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Users;

impl Kind for Users {
    type Row = (i64, directory::User);
    type View = UserView;

    const TABLE: Table = USERS;
    const NAME: &'static str = "users";
    const COLUMNS: &'static str = USER_COLUMNS;
    const ORDER: &'static str = "user_id";
    const RUN: &'static str = "SELECT key, user_id AS place FROM users
            WHERE directory = ?1 AND hidden = 0 AND user_id > ?2 AND user_id <= ?3
        UNION ALL SELECT key, user_id FROM users
            WHERE directory = ?1 AND hidden = 1 AND user_id > ?2 AND user_id <= ?3";
    const TOTAL: &'static str = "active_users + inactive_users + hidden_users";

    fn read(self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError> {
        user(row)
    }

    fn key(self, (key, _): &Self::Row) -> i64 {
        *key
    }

    fn order(self, (_, user): &Self::Row) -> [u8; 16] {
        user.user_id.to_bytes()
    }

    fn served(self, base: &str, path: &AttrPath, op: CompareOp, value: &str) -> Option<Condition> {
        let found =
            Self::TABLE.schema.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        let sub = found.sub.map(|sub| sub.name);
        if found.extension.is_some() {
            return None;
        }
        match (found.attribute.name, sub, op) {
            ("userName", None, CompareOp::Eq) => Some(Condition::new(
                "users.directory = ?1 AND users.name_key = ?2",
                name_key(value).into(),
            )),
            ("externalId", None, CompareOp::Eq) => Some(Condition::new(
                "users.directory = ?1 AND users.external_id = ?2",
                value.to_owned().into(),
            )),
            ("id", None, CompareOp::Eq) => {
                Some(Condition::new("+users.directory = ?1 AND users.scim_id = ?2", id(value)))
            }
            ("meta", Some("location"), CompareOp::Eq) => {
                let value = USERS.id_in(base, value).unwrap_or_default();
                Some(Condition::new("+users.directory = ?1 AND users.scim_id = ?2", id(value)))
            }
            ("emails", None | Some("value"), CompareOp::Eq) => Some(Condition::new(
                "+users.directory = ?1 AND users.key IN (
                    SELECT key FROM users WHERE directory = ?1 AND email = ?2 AND email <> name_key
                    UNION ALL SELECT key FROM users WHERE directory = ?1 AND name_key = ?2 AND email = ?2
                    UNION ALL SELECT user_key FROM emails WHERE directory = ?1 AND value = ?2)",
                value.to_lowercase().into(),
            )),
            ("groups", None | Some("value" | "$ref"), CompareOp::Eq) => Some(Condition::new(
                "+users.directory = ?1 AND users.key IN (SELECT user_key FROM memberships
                    WHERE group_key = (SELECT key FROM groups WHERE scim_id = ?2))",
                id(referred_to(&GROUPS, base, sub, value)),
            )),
            ("active", None, CompareOp::Eq) if value.eq_ignore_ascii_case("false") => {
                Some(Condition::new(
                    "users.directory = ?1 AND users.active = 0 AND ?2 IS NULL",
                    Sql::Null,
                ))
            }
            ("meta", Some("lastModified"), CompareOp::Eq | CompareOp::Gt | CompareOp::Ge) => {
                Some(Condition::range(SINCE, Sql::Integer(millis(value)?)))
            }
            ("meta", Some("created"), CompareOp::Eq | CompareOp::Gt | CompareOp::Ge) => {
                let apart = i64::try_from(CLOCKS_APART_MAX.as_millis()).unwrap_or(i64::MAX);
                let since = millis(value)?.saturating_sub(apart);
                Some(Condition::range(SINCE, Sql::Integer(since)))
            }
            _ => None,
        }
    }

    fn counted(self, filter: &Filter) -> Option<&'static str> {
        let Filter::Compare { path, op, value } = filter else { return None };
        let found =
            Self::TABLE.schema.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        let is_active = found.extension.is_none() && found.attribute.name == "active";
        // What tells inactive users from the others is that they say so.
        let telling = telling(Some(found.attribute), *op, value).filter(|_| is_active)?;
        let of_active = !telling.value && !telling.is_there;
        of_active.then_some("active_users")
    }

    fn subject(self, base: &str, (_, user): &Self::Row) -> Attributes {
        let mut subject = Attributes::clone(&user.attributes);
        subject.insert("id", user.id.to_string());
        if !subject.contains("active") {
            subject.insert("active", true);
        }
        let times = [user.created_at, user.updated_at];
        subject.insert("meta", meta(&USER, base, user.id, times, user.version));
        subject
    }

    fn view(self, connection: &Connection, row: Self::Row) -> Result<UserView, DbError> {
        user_view(connection, row)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Groups;

impl Kind for Groups {
    type Row = (i64, directory::Group);
    type View = directory::Group;

    const TABLE: Table = GROUPS;
    const NAME: &'static str = "groups";
    const COLUMNS: &'static str = GROUP_COLUMNS;
    const ORDER: &'static str = "group_id";
    const RUN: &'static str = "SELECT key, group_id AS place FROM groups
        WHERE directory = ?1 AND group_id > ?2 AND group_id <= ?3";
    const TOTAL: &'static str = "groups";

    fn read(self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError> {
        group(row)
    }

    fn key(self, (key, _): &Self::Row) -> i64 {
        *key
    }

    fn order(self, (_, group): &Self::Row) -> [u8; 16] {
        group.group_id.to_bytes()
    }

    fn served(self, base: &str, path: &AttrPath, op: CompareOp, value: &str) -> Option<Condition> {
        let found =
            Self::TABLE.schema.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        let sub = found.sub.map(|sub| sub.name);
        match (found.attribute.name, sub, op) {
            ("displayName", None, CompareOp::Eq) => Some(Condition::new(
                "groups.directory = ?1 AND groups.name_key = ?2",
                name_key(value).into(),
            )),
            ("externalId", None, CompareOp::Eq) => Some(Condition::new(
                "groups.directory = ?1 AND groups.external_id = ?2",
                value.to_owned().into(),
            )),
            ("id", None, CompareOp::Eq) => {
                Some(Condition::new("+groups.directory = ?1 AND groups.scim_id = ?2", id(value)))
            }
            ("meta", Some("location"), CompareOp::Eq) => {
                let value = GROUPS.id_in(base, value).unwrap_or_default();
                Some(Condition::new("+groups.directory = ?1 AND groups.scim_id = ?2", id(value)))
            }
            ("members", None | Some("value" | "$ref"), CompareOp::Eq) => Some(Condition::new(
                "+groups.directory = ?1 AND groups.key IN (SELECT group_key FROM memberships
                    WHERE user_key = (SELECT key FROM users WHERE scim_id = ?2))",
                id(referred_to(&USERS, base, sub, value)),
            )),
            _ => None,
        }
    }

    fn counted(self, _: &Filter) -> Option<&'static str> {
        None
    }

    fn subject(self, base: &str, (_, group): &Self::Row) -> Attributes {
        let mut subject = Attributes::clone(&group.attributes);
        subject.insert("id", group.id.to_string());
        let times = [group.created_at, group.modified_at];
        let meta = meta(&GROUP, base, group.id, times, group.version);
        subject.insert("meta", meta);
        subject
    }

    fn view(self, _: &Connection, (_, group): Self::Row) -> Result<Self::View, DbError> {
        Ok(group)
    }
}

/// The id in the `value` or the `$ref` of a reference.
fn referred_to<'v>(to: &Table, base: &str, sub: Option<&str>, value: &'v str) -> &'v str {
    if sub == Some("$ref") { to.id_in(base, value).unwrap_or_default() } else { value }
}

/// What is no id of ours is no id of anything: an empty blob matches nothing. References are compared
/// without case, and ids have none but the small.
fn id(value: &str) -> Sql {
    let id = value.to_ascii_lowercase().parse::<ScimId>();
    Sql::Blob(id.map_or_else(|_| Vec::new(), |id| id.to_bytes().to_vec()))
}

const SINCE: &str = "users.directory = ?1 AND users.updated_at >= ?2";

/// The last millisecond that is not after a moment.
fn millis(moment: &str) -> Option<i64> {
    i64::try_from(instant(moment)?.div_euclid(1_000_000)).ok()
}

pub(crate) fn user_view(
    connection: &Connection,
    (key, user): (i64, directory::User),
) -> Result<UserView, DbError> {
    Ok(UserView { user, groups: groups_of(connection, key)? })
}

fn groups_of(connection: &Connection, user: i64) -> Result<Vec<Reference>, DbError> {
    let sql = "SELECT groups.scim_id, groups.display FROM memberships
        JOIN groups ON groups.key = memberships.group_key
        WHERE memberships.user_key = ?1 ORDER BY groups.key";
    all(connection, sql, [user], reference)
}

fn reference(row: &rusqlite::Row<'_>) -> Result<Reference, DbError> {
    Ok(Reference { id: ScimId::from_bytes(row.get(0)?), display: row.get(1)? })
}

fn meta(
    schema: &ResourceSchema,
    base: &str,
    id: ScimId,
    [created, last_modified]: [Timestamp; 2],
    version: Seq,
) -> Attributes {
    Attributes::from([
        ("resourceType", schema.name.to_owned()),
        ("created", created.to_string()),
        ("lastModified", last_modified.to_string()),
        ("location", format!("{base}{}/{id}", schema.endpoint)),
        ("version", format!("W/\"{version}\"")),
    ])
}
