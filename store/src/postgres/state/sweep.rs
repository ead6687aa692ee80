//! What a directory leaves behind that is gone: rows that nobody sees, removed a slice at a time. The transaction
//! that marks the directory would take as long as it has users, and its partition with it.

use log::Partition;

use super::super::query::Moment;
use super::super::rows::Columns;
use super::State;
use crate::error::DbError;
use crate::state::sweep::{ROWS_MAX, USERS_MAX};

/// A directory that is gone and has left something. A limit keeps each look a look-up: for an `EXISTS` beside others
/// the database might read a whole table.
const LEFT: &str = "SELECT key FROM directories WHERE partition = $1 AND gone AND coalesce(
        (SELECT 1 FROM users WHERE users.directory = directories.key LIMIT 1),
        (SELECT 1 FROM pending_members AS waits WHERE waits.directory = directories.key LIMIT 1),
        (SELECT 1 FROM groups WHERE groups.directory = directories.key LIMIT 1)) IS NOT NULL
    LIMIT 1";

/// What users have left, before the users themselves.
const OF_USERS: [&str; 2] = [
    "DELETE FROM memberships WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM memberships WHERE user_key = ANY($1) LIMIT $2))",
    "DELETE FROM emails WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM emails WHERE user_key = ANY($1) LIMIT $2))",
];

/// What is left when no user is. Every membership was of one of them.
const OF_GROUPS: [&str; 2] = [
    "DELETE FROM pending_members WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM pending_members WHERE directory = $1 LIMIT $2))",
    "DELETE FROM groups WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM groups WHERE directory = $1 LIMIT $2))",
];

impl State {
    pub(super) async fn sweep(&self, partition: Partition) -> Result<bool, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::writing(&mut client).await?;
        let left = moment.first(LEFT, &[&i32::from(partition.0)]).await?;
        let Some(left) = left else { return Ok(false) };
        slice(&moment, left.value(0)?).await?;
        moment.commit().await?;
        Ok(true)
    }
}

async fn slice(moment: &Moment<'_>, directory: i64) -> Result<(), DbError> {
    let (users_max, rows_max) = (i64::from(USERS_MAX), i64::from(ROWS_MAX));
    let sql = "SELECT key FROM users WHERE directory = $1 ORDER BY user_id LIMIT $2";
    let users = moment.all(sql, &[&directory, &users_max]).await?;
    let users = users.iter().map(|row| row.value(0)).collect::<Result<Vec<i64>, _>>()?;
    if users.is_empty() {
        for sql in OF_GROUPS {
            if moment.execute(sql, &[&directory, &rows_max]).await? == u64::from(ROWS_MAX) {
                break;
            }
        }
        return Ok(());
    }
    for sql in OF_USERS {
        if moment.execute(sql, &[&users, &rows_max]).await? == u64::from(ROWS_MAX) {
            return Ok(());
        }
    }
    moment.execute("DELETE FROM users WHERE key = ANY($1)", &[&users]).await?;
    Ok(())
}
