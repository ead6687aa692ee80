//! Rows as the rules know them.

use directory::{Group, User};
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{Connection, Row, Statement};
use schemas::scim::Attributes;
use schemas::{GroupId, ScimId, Seq, Shown, Timestamp, UserId};

use super::reading::page::Spent;
use crate::error::{DbError, unreadable};
use crate::sqlite::from_sql;

/// The columns of [`user`], in its order.
pub(crate) const USER_COLUMNS: &str = "users.key, users.scim_id, users.user_id, users.name_key, users.created_at, users.updated_at, \
     users.version, users.attributes, users.shown";

/// The columns of [`group`], in its order.
pub(crate) const GROUP_COLUMNS: &str = "groups.key, groups.scim_id, groups.group_id, groups.idp_id, groups.name_key, \
     groups.created_at, groups.updated_at, groups.modified_at, groups.version, groups.attributes";

/// A row's key and the user in it.
pub(crate) fn user(row: &Row<'_>) -> Result<(i64, User), DbError> {
    let user = User {
        id: ScimId::from_bytes(row.get(1)?),
        user_id: UserId::from_bytes(row.get(2)?),
        name_key: row.get(3)?,
        created_at: row.get::<_, Time>(4)?.0,
        updated_at: row.get::<_, Time>(5)?.0,
        version: Seq(from_sql(row.get(6)?)),
        attributes: attributes(row.get_ref(7)?)?.into(),
        shown: shown(row.get_ref(8)?)?,
    };
    Ok((row.get(0)?, user))
}

/// A row's key and the group in it.
pub(crate) fn group(row: &Row<'_>) -> Result<(i64, Group), DbError> {
    let group = Group {
        id: ScimId::from_bytes(row.get(1)?),
        group_id: GroupId::from_bytes(row.get(2)?),
        idp_id: row.get(3)?,
        name_key: row.get(4)?,
        created_at: row.get::<_, Time>(5)?.0,
        updated_at: row.get::<_, Time>(6)?.0,
        modified_at: row.get::<_, Time>(7)?.0,
        version: Seq(from_sql(row.get(8)?)),
        attributes: attributes(row.get_ref(9)?)?.into(),
    };
    Ok((row.get(0)?, group))
}

/// How large the row of a user is.
pub(crate) fn user_bytes(row: &Row<'_>) -> Result<usize, DbError> {
    Ok(length(row.get_ref(7)?) + length(row.get_ref(8)?))
}

/// How large the row of a group is.
pub(crate) fn group_bytes(row: &Row<'_>) -> Result<usize, DbError> {
    Ok(length(row.get_ref(9)?))
}

fn length(value: ValueRef<'_>) -> usize {
    value.as_bytes_or_null().ok().flatten().map_or(0, <[u8]>::len)
}

pub(crate) fn attributes(value: ValueRef<'_>) -> Result<Attributes, DbError> {
    let text = value.as_str().map_err(unreadable("attributes"))?;
    serde_json::from_str(text).map_err(unreadable("attributes"))
}

/// What apps are shown of a user; of most of them, what the attributes say.
pub(crate) fn shown(value: ValueRef<'_>) -> Result<Shown, DbError> {
    match value.as_str_or_null().map_err(unreadable("what apps are shown"))? {
        None => Ok(Shown::default()),
        Some(text) => serde_json::from_str(text).map_err(unreadable("what apps are shown")),
    }
}

/// A time as it is stored: milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|millis| Self(Timestamp::from_millis(millis)))
    }
}

/// How long a query that a client has shaped may be to be kept: that of a filter with a term or two, as identity providers send
/// them again and again. One with hundreds takes a megabyte, and there may be any number of them.
const KEPT_SQL_MAX: usize = 2_048;

/// Runs a query that a client has shaped.
pub(crate) fn asked<R>(
    connection: &Connection,
    sql: &str,
    run: impl FnOnce(&mut Statement<'_>) -> Result<R, DbError>,
) -> Result<R, DbError> {
    if sql.len() <= KEPT_SQL_MAX {
        run(&mut *connection.prepare_cached(sql)?)
    } else {
        run(&mut connection.prepare(sql)?)
    }
}

/// Every row of a query.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    every(&mut *connection.prepare_cached(sql)?, parameters, read)
}

/// Every row of a statement.
pub(crate) fn every<T>(
    select: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut rows = select.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The rows of a query of which a page shows up to the one with which it has enough bytes, and the first that does not
/// fit. `bytes` says how many a row has.
pub(crate) fn enough<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    bytes: impl Fn(&Row<'_>) -> Result<usize, DbError>,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(parameters)?;
    let (mut found, mut spent) = (Vec::new(), Spent::default());
    while let Some(row) = rows.next()? {
        let fits = spent.fits(bytes(row)?);
        found.push(read(row)?);
        if !fits {
            break;
        }
    }
    Ok(found)
}

/// The first row of a query, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Option<T>, DbError> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(parameters)?;
    rows.next()?.map(read).transpose()
}
