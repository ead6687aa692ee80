//! What lists of users and of groups read.

use std::collections::BTreeMap;

use ingest::ports::{Reference, UserView};
use rusqlite::types::Value as Sql;
use schemas::ScimId;
use tokio_postgres::Row;

use super::super::super::lookup::key;
use super::super::super::query::Moment;
use super::super::super::rows::Columns;
use super::super::rows::{GROUP_COLUMNS, USER_COLUMNS, group, user};
use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::list::kind::{Groups, Kind, Users};

/// A kind of list, as it is read here.
pub(super) trait Read: Kind<Row: Send, View: Send> + Sync {
    /// The columns of a row.
    const ROW: &'static str;

    fn of(row: &Row) -> Result<Self::Row, DbError>;

    fn views(
        moment: &Moment<'_>,
        rows: Vec<Self::Row>,
    ) -> impl Future<Output = Result<Vec<Self::View>, DbError>> + Send;
}

impl Read for Users {
    const ROW: &'static str = USER_COLUMNS;

    fn of(row: &Row) -> Result<Self::Row, DbError> {
        user(row)
    }

    async fn views(moment: &Moment<'_>, rows: Vec<Self::Row>) -> Result<Vec<UserView>, DbError> {
        views_of_users(moment, rows).await
    }
}

impl Read for Groups {
    const ROW: &'static str = GROUP_COLUMNS;

    fn of(row: &Row) -> Result<Self::Row, DbError> {
        group(row)
    }

    async fn views(_: &Moment<'_>, rows: Vec<Self::Row>) -> Result<Vec<directory::Group>, DbError> {
        Ok(rows.into_iter().map(|(_, group)| group).collect())
    }
}

/// Users with their groups, in one look-up for all of them.
pub(super) async fn views_of_users(
    moment: &Moment<'_>,
    users: Vec<(i64, directory::User)>,
) -> Result<Vec<UserView>, DbError> {
    let keys: Vec<i64> = users.iter().map(|(key, _)| *key).collect();
    let mut groups: BTreeMap<i64, Vec<Reference>> = BTreeMap::new();
    if !keys.is_empty() {
        // `OFFSET 0` keeps this a look-up for each user, however many the planner takes the memberships for.
        let sql = "SELECT page.key, of.scim_id, of.display FROM unnest($1::bigint[]) AS page (key)
            CROSS JOIN LATERAL (SELECT groups.key, groups.scim_id, groups.display FROM memberships
                JOIN groups ON groups.key = memberships.group_key
                WHERE memberships.user_key = page.key OFFSET 0) AS of
            ORDER BY of.key";
        for row in moment.all(sql, &[&keys]).await? {
            let group = Reference { id: ScimId::from_bytes(row.id(1)?), display: row.value(2)? };
            groups.entry(row.value(0)?).or_default().push(group);
        }
    }
    let view = |(key, user)| UserView { user, groups: groups.remove(&key).unwrap_or_default() };
    Ok(users.into_iter().map(view).collect())
}

/// A condition that an index serves, which is written for SQLite, as it is written here: a sum keeps the planner from
/// the index of a column as a `+` does there. Keys that a query finds are taken for an array, or the planner might
/// walk through the directory and look whether it meets them.
pub(super) fn served(condition: &str) -> String {
    let condition = condition.replace('?', "$").replace("users.active = 0", "NOT users.active");
    let condition = condition.replace("+users.directory", "users.directory + 0");
    let condition = condition.replace("+groups.directory", "groups.directory + 0");
    match condition.split_once(".key IN (") {
        Some((before, keys)) => format!("{before}.key = ANY(ARRAY({keys})"),
        None => condition,
    }
}

/// What the condition is bound to.
pub(super) fn parameter(value: &Sql) -> Option<Parameter> {
    match value {
        Sql::Null => None,
        Sql::Integer(number) => Some(Parameter::Integer(*number)),
        Sql::Real(number) => Some(Parameter::Real(*number)),
        // Whatever is looked up by a text stands in its column like this; the filter itself compares all of it.
        Sql::Text(text) => Some(Parameter::Text(key(text).into_owned())),
        Sql::Blob(bytes) => Some(Parameter::Bytes(bytes.clone())),
    }
}
