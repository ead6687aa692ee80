//! Rows of pending members. A group's version has no part in them: they are nobody that a client could see in
//! the group.

use rusqlite::{Connection, OptionalExtension, params};
use schemas::ScimId;

use crate::error::DbError;

pub(crate) const INSERT_PENDING_MEMBER: &str = "INSERT OR IGNORE INTO pending_members \
    (group_key, value, name_key, directory) VALUES (?1, ?2, ?3, ?4)";

/// Returns how many rows have come.
pub(super) fn add(
    connection: &Connection,
    directory: i64,
    group: ScimId,
    value: &str,
    name_key: &str,
) -> Result<usize, DbError> {
    let Some(group) = group_key(connection, group)? else { return Ok(0) };
    let mut insert = connection.prepare_cached(INSERT_PENDING_MEMBER)?;
    Ok(insert.execute(params![group, value, name_key, directory])?)
}

/// Returns how many rows have gone.
pub(super) fn remove(
    connection: &Connection,
    group: ScimId,
    value: &str,
) -> Result<usize, DbError> {
    let Some(group) = group_key(connection, group)? else { return Ok(0) };
    let sql = "DELETE FROM pending_members WHERE group_key = ?1 AND value = ?2";
    Ok(connection.prepare_cached(sql)?.execute(params![group, value])?)
}

/// Returns how many rows have gone.
pub(super) fn remove_all(connection: &Connection, group_key: i64) -> Result<usize, DbError> {
    let sql = "DELETE FROM pending_members WHERE group_key = ?1";
    Ok(connection.prepare_cached(sql)?.execute([group_key])?)
}

fn group_key(connection: &Connection, id: ScimId) -> Result<Option<i64>, rusqlite::Error> {
    let mut select = connection.prepare_cached("SELECT key FROM groups WHERE scim_id = ?1")?;
    select.query_row([id.to_bytes()], |row| row.get(0)).optional()
}
