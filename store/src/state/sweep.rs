//! What a directory leaves behind that is gone: rows that nobody sees, removed a slice at a time. The transaction
//! that marks the directory would take as long as it has users, and its partition with it.

use log::Partition;
use rusqlite::{Connection, TransactionBehavior, params};

use super::State;
use super::rows::first;
use crate::error::DbError;
use crate::sqlite::as_sql;

/// How many users go at once: some ten milliseconds, for which other records may wait.
pub(crate) const USERS_MAX: u32 = 1_000;

/// How many rows of another kind go at once.
pub(crate) const ROWS_MAX: u32 = 5_000;

/// A directory that is gone and has left something.
const LEFT: &str = "SELECT key FROM directories WHERE partition = ?1 AND gone = 1 AND (
        EXISTS (SELECT 1 FROM users WHERE users.directory = directories.key)
        OR EXISTS (SELECT 1 FROM pending_members AS waits WHERE waits.directory = directories.key)
        OR EXISTS (SELECT 1 FROM groups WHERE groups.directory = directories.key))
    LIMIT 1";

const USERS: &str = "SELECT key FROM users WHERE directory = ?1 ORDER BY updated_at LIMIT ?2";

/// What users have left, before the users themselves: their keys are given out again.
const OF_USERS: [&str; 2] = [
    "DELETE FROM memberships WHERE (group_key, user_key) IN (
        SELECT group_key, user_key FROM memberships WHERE user_key = ?1 LIMIT ?2)",
    "DELETE FROM emails WHERE (directory, value, user_key) IN (
        SELECT directory, value, user_key FROM emails WHERE user_key = ?1 LIMIT ?2)",
];

/// What is left when no user is. Every membership was of one of them.
const OF_GROUPS: [&str; 2] = [
    "DELETE FROM pending_members WHERE (group_key, value) IN (
        SELECT group_key, value FROM pending_members WHERE directory = ?1 LIMIT ?2)",
    "DELETE FROM groups WHERE key IN (SELECT key FROM groups WHERE directory = ?1 LIMIT ?2)",
];

impl State {
    pub(super) async fn sweep(&self, partition: Partition) -> Result<bool, DbError> {
        self.writer.run(move |connection| sweep(connection, partition)).await
    }
}

fn sweep(connection: &mut Connection, partition: Partition) -> Result<bool, DbError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let left = first(&transaction, LEFT, [partition.0], |row| Ok(row.get::<_, i64>(0)?))?;
    let Some(directory) = left else { return Ok(false) };
    slice(&transaction, directory)?;
    transaction.commit()?;
    Ok(true)
}

fn slice(transaction: &Connection, directory: i64) -> Result<(), DbError> {
    let mut users = transaction.prepare_cached(USERS)?;
    let users = users.query_map(params![directory, USERS_MAX], |row| row.get(0))?;
    let users = users.collect::<Result<Vec<i64>, _>>()?;
    if users.is_empty() {
        for sql in OF_GROUPS {
            let removed = transaction.prepare_cached(sql)?.execute(params![directory, ROWS_MAX])?;
            if removed == ROWS_MAX as usize {
                break;
            }
        }
        return Ok(());
    }
    let mut rows_left = ROWS_MAX as usize;
    for user in users {
        for sql in OF_USERS {
            let parameters = params![user, as_sql(rows_left as u64)];
            rows_left -= transaction.prepare_cached(sql)?.execute(parameters)?;
            if rows_left == 0 {
                return Ok(());
            }
        }
        transaction.prepare_cached("DELETE FROM users WHERE key = ?1")?.execute([user])?;
    }
    Ok(())
}
