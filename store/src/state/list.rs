//! SCIM lists: pages of users and groups, with a filter or without.
//!
//! An equality on an indexed attribute, alone or with others in an `and`, leaves a handful of
//! candidates; anything else reads the directory's rows in order of creation, a bounded number at a
//! time. What remains of the filter is matched in memory, by the same function as everywhere.

use directory::matching::matches;
use directory::resource::name_key;
use ingest::ports::{GroupView, ListQuery, Listed, Members, Reference, UserView};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use schemas::scim::{
    AttrPath, Attributes, CompareOp, Filter, GROUP, Literal, ResourceSchema, ScimError, USER, Value,
};
use schemas::{DirectoryId, ScimId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use super::{State, directory_row};
use crate::error::DbError;
use crate::sqlite::{as_sql, from_sql};

/// How many rows are read at once while a filter is matched in memory.
const SCAN_ROWS: u32 = 500;

/// A list, or why the filter cannot be evaluated.
pub(crate) type Filtered<T> = Result<Listed<T>, ScimError>;

impl State {
    pub(crate) async fn user(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<UserView>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else { return Ok(None) };
            let sql =
                format!("SELECT {USER_COLUMNS} FROM users WHERE scim_id = ?1 AND directory = ?2");
            let found = first(connection, &sql, params![id.to_bytes(), row.key], user)?;
            found.map(|found| user_view(connection, found)).transpose()
        })
        .await
    }

    pub(crate) async fn group(
        &self,
        directory: DirectoryId,
        id: ScimId,
        members: Members,
    ) -> Result<Option<GroupView>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else { return Ok(None) };
            let sql =
                format!("SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = ?1 AND directory = ?2");
            let found = first(connection, &sql, params![id.to_bytes(), row.key], group)?;
            found.map(|found| group_view(connection, found, members)).transpose()
        })
        .await
    }

    pub(crate) async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<UserView>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else {
                return Ok(Ok(Listed { total: 0, items: Vec::new() }));
            };
            let kind = Users { connection };
            list(connection, row.key, &query, &kind)
        })
        .await
    }

    pub(crate) async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
        members: Members,
    ) -> Result<Filtered<GroupView>, DbError> {
        self.read(move |connection| {
            let Some(row) = directory_row(connection, directory)? else {
                return Ok(Ok(Listed { total: 0, items: Vec::new() }));
            };
            let kind = Groups { connection, members };
            list(connection, row.key, &query, &kind)
        })
        .await
    }
}

/// What lists of users and of groups do differently.
trait Kind {
    type Row;
    type View;

    const TABLE: &'static str;
    const COLUMNS: &'static str;
    const ORDER: &'static str;
    const SCHEMA: &'static ResourceSchema;

    fn read(&self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError>;

    /// A condition that an equality on this attribute comes down to, if an index serves it. It may
    /// let through more than the equality does.
    fn indexed(&self, path: &AttrPath, value: &str) -> Option<(&'static str, Sql)>;

    /// The attributes that the filter is matched against: what is kept, and of what is derived what
    /// the filter speaks of.
    fn subject(&self, row: &Self::Row, filter: &str) -> Result<Attributes, DbError>;

    fn view(&self, row: Self::Row) -> Result<Self::View, DbError>;
}

fn list<K: Kind>(
    connection: &Connection,
    directory: i64,
    query: &ListQuery,
    kind: &K,
) -> Result<Filtered<K::View>, DbError> {
    match &query.filter {
        None => unfiltered(connection, directory, query, kind).map(Ok),
        Some(filter) => filtered(connection, directory, query, filter, kind),
    }
}

fn unfiltered<K: Kind>(
    connection: &Connection,
    directory: i64,
    query: &ListQuery,
    kind: &K,
) -> Result<Listed<K::View>, DbError> {
    let counted = match K::TABLE {
        "users" => "SELECT active_users + inactive_users FROM directories WHERE key = ?1",
        _ => "SELECT groups FROM directories WHERE key = ?1",
    };
    let total: i64 =
        connection.prepare_cached(counted)?.query_row([directory], |row| row.get(0))?;
    let sql = format!(
        "SELECT {} FROM {} WHERE directory = ?1 ORDER BY {} LIMIT ?2 OFFSET ?3",
        K::COLUMNS,
        K::TABLE,
        K::ORDER
    );
    let parameters = params![directory, query.count, as_sql(query.skip)];
    let rows = all(connection, &sql, parameters, |row| kind.read(row))?;
    let items = rows.into_iter().map(|row| kind.view(row)).collect::<Result<_, _>>()?;
    Ok(Listed { total: from_sql(total), items })
}

fn filtered<K: Kind>(
    connection: &Connection,
    directory: i64,
    query: &ListQuery,
    filter: &Filter,
    kind: &K,
) -> Result<Filtered<K::View>, DbError> {
    if let Err(error) = matches(filter, &Attributes::new(), K::SCHEMA) {
        return Ok(Err(error));
    }
    let text = filter.to_string().to_ascii_lowercase();
    let condition = candidates(filter, kind);
    let (mut total, mut items) = (0, Vec::new());
    let mut offset = 0_u64;
    loop {
        let rows = page(connection, directory, condition.as_ref(), offset, kind)?;
        let read = rows.len();
        offset += read as u64;
        for row in rows {
            match matches(filter, &kind.subject(&row, &text)?, K::SCHEMA) {
                Ok(false) => {}
                Ok(true) => {
                    let wanted = total >= query.skip && items.len() < query.count as usize;
                    total += 1;
                    if wanted {
                        items.push(kind.view(row)?);
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        if read < SCAN_ROWS as usize {
            return Ok(Ok(Listed { total, items }));
        }
    }
}

fn page<K: Kind>(
    connection: &Connection,
    directory: i64,
    condition: Option<&(&'static str, Sql)>,
    offset: u64,
    kind: &K,
) -> Result<Vec<K::Row>, DbError> {
    let (condition, value) =
        condition.map_or(("?2 IS NULL", Sql::Null), |(sql, value)| (*sql, value.clone()));
    let sql = format!(
        "SELECT {} FROM {} WHERE directory = ?1 AND {condition} ORDER BY {} LIMIT ?3 OFFSET ?4",
        K::COLUMNS,
        K::TABLE,
        K::ORDER
    );
    let parameters =
        [Sql::from(directory), value, Sql::from(i64::from(SCAN_ROWS)), Sql::from(as_sql(offset))];
    all(connection, &sql, params_from_iter(parameters), |row| kind.read(row))
}

/// The condition of the first equality that an index serves: the filter itself, or a part of an
/// `and`.
fn candidates<K: Kind>(filter: &Filter, kind: &K) -> Option<(&'static str, Sql)> {
    match filter {
        Filter::Compare { path, op: CompareOp::Eq, value: Literal::String(value) } => {
            kind.indexed(path, value)
        }
        Filter::And(parts) => parts.iter().find_map(|part| candidates(part, kind)),
        Filter::Compare { .. }
        | Filter::Or(_)
        | Filter::Not(_)
        | Filter::Present(_)
        | Filter::Has { .. } => None,
    }
}

struct Users<'a> {
    connection: &'a Connection,
}

impl Kind for Users<'_> {
    type Row = (i64, directory::User);
    type View = UserView;

    const TABLE: &'static str = "users";
    const COLUMNS: &'static str = USER_COLUMNS;
    const ORDER: &'static str = "user_id";
    const SCHEMA: &'static ResourceSchema = &USER;

    fn read(&self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError> {
        user(row)
    }

    fn indexed(&self, path: &AttrPath, value: &str) -> Option<(&'static str, Sql)> {
        let found = USER.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        match (found.extension.is_some(), found.attribute.name) {
            (false, "userName") => Some(("name_key = ?2", name_key(value).into())),
            (false, "externalId") => Some(("external_id = ?2", value.to_owned().into())),
            (false, "id") => Some(by_id(value)),
            _ => None,
        }
    }

    fn subject(&self, (key, user): &Self::Row, filter: &str) -> Result<Attributes, DbError> {
        let mut subject = Attributes::clone(&user.attributes);
        subject.insert("id", user.id.to_string());
        if filter.contains("meta") {
            subject.insert("meta", meta("User", user.created_at, user.updated_at, user.version));
        }
        if filter.contains("groups") {
            let groups = groups_of(self.connection, *key)?;
            subject.insert("groups", references(&groups));
        }
        Ok(subject)
    }

    fn view(&self, row: Self::Row) -> Result<UserView, DbError> {
        user_view(self.connection, row)
    }
}

struct Groups<'a> {
    connection: &'a Connection,
    members: Members,
}

impl Kind for Groups<'_> {
    type Row = (i64, directory::Group);
    type View = GroupView;

    const TABLE: &'static str = "groups";
    const COLUMNS: &'static str = GROUP_COLUMNS;
    const ORDER: &'static str = "group_id";
    const SCHEMA: &'static ResourceSchema = &GROUP;

    fn read(&self, row: &rusqlite::Row<'_>) -> Result<Self::Row, DbError> {
        group(row)
    }

    fn indexed(&self, path: &AttrPath, value: &str) -> Option<(&'static str, Sql)> {
        let found = GROUP.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref())?;
        match found.attribute.name {
            "displayName" => Some(("name_key = ?2", name_key(value).into())),
            "externalId" => Some(("external_id = ?2", value.to_owned().into())),
            "id" => Some(by_id(value)),
            "members" if found.sub.is_none_or(|sub| sub.name == "value") => {
                let of_member = "key IN (SELECT group_key FROM memberships WHERE user_key =
                    (SELECT key FROM users WHERE scim_id = ?2))";
                Some((of_member, by_id(value).1))
            }
            _ => None,
        }
    }

    fn subject(&self, (key, group): &Self::Row, filter: &str) -> Result<Attributes, DbError> {
        let mut subject = Attributes::clone(&group.attributes);
        subject.insert("id", group.id.to_string());
        if filter.contains("meta") {
            let meta = meta("Group", group.created_at, group.modified_at, group.version);
            subject.insert("meta", meta);
        }
        if filter.contains("members") {
            let members = members_of(self.connection, *key)?;
            subject.insert("members", references(&members));
        }
        Ok(subject)
    }

    fn view(&self, row: Self::Row) -> Result<GroupView, DbError> {
        group_view(self.connection, row, self.members)
    }
}

/// What is no id of ours is no id of anything: an empty blob matches nothing.
fn by_id(value: &str) -> (&'static str, Sql) {
    let id = value.parse::<ScimId>().map_or_else(|_| Vec::new(), |id| id.to_bytes().to_vec());
    ("scim_id = ?2", Sql::Blob(id))
}

fn user_view(
    connection: &Connection,
    (key, user): (i64, directory::User),
) -> Result<UserView, DbError> {
    Ok(UserView { user, groups: groups_of(connection, key)? })
}

fn group_view(
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
