//! The users of a directory, one after the other: for a job that brings them up to date, and for a look at
//! what other rules would make of them.

use directory::User;
use ingest::ports::ToRefresh;
use rusqlite::{Row, params};
use schemas::{DirectoryId, ScimId, UserId};

use super::rows::{USER_COLUMNS, all, enough, first, user, user_bytes};
use super::{State, present_row};
use crate::error::DbError;
use crate::sqlite::from_sql;

impl State {
    /// Hidden ones too.
    pub(crate) async fn count_users(&self, directory: DirectoryId) -> Result<u64, DbError> {
        self.read(move |connection| {
            let sql = "SELECT active_users + inactive_users + hidden_users
                FROM directories WHERE id = ?1";
            let count = first(connection, sql, [directory.to_bytes()], |row| {
                Ok(from_sql(row.get::<_, i64>(0)?))
            })?;
            Ok(count.unwrap_or_default())
        })
        .await
    }

    pub(crate) async fn users_to_refresh(
        &self,
        directory: DirectoryId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ToRefresh>, DbError> {
        self.read(move |connection| {
            let Some(row) = present_row(connection, directory)? else { return Ok(Vec::new()) };
            let after = after.map(UserId::to_bytes).unwrap_or_default();
            // Only who is hidden can return, and then joins its groups.
            let sql = "SELECT scim_id, user_id, 1 FROM users
                    WHERE directory = ?1 AND hidden = 0 AND user_id > ?2
                UNION ALL SELECT scim_id, user_id,
                    1 + (SELECT count(*) FROM memberships WHERE user_key = users.key) FROM users
                    WHERE directory = ?1 AND hidden = 1 AND user_id > ?2
                ORDER BY user_id LIMIT ?3";
            all(connection, sql, params![row.key, after, limit], to_refresh)
        })
        .await
    }

    /// Users that apps are shown: these, or the latest, fewer where they are large.
    pub(crate) async fn sample(
        &self,
        directory: DirectoryId,
        ids: Option<Vec<UserId>>,
        limit: u32,
    ) -> Result<Vec<User>, DbError> {
        self.read(move |connection| {
            let Some(row) = present_row(connection, directory)? else { return Ok(Vec::new()) };
            let Some(ids) = ids else {
                let sql = format!(
                    "SELECT {USER_COLUMNS} FROM users WHERE directory = ?1 AND hidden = 0
                     ORDER BY user_id DESC LIMIT ?2"
                );
                let parameters = params![row.key, limit];
                return enough(connection, &sql, parameters, user_bytes, |row| Ok(user(row)?.1));
            };
            let sql = format!(
                "SELECT {USER_COLUMNS} FROM users
                 WHERE user_id = ?1 AND directory = ?2 AND hidden = 0"
            );
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(first(connection, &sql, params![id.to_bytes(), row.key], |row| {
                    Ok(user(row)?.1)
                })?);
            }
            Ok(found)
        })
        .await
    }
}

fn to_refresh(row: &Row<'_>) -> Result<ToRefresh, DbError> {
    Ok(ToRefresh {
        id: ScimId::from_bytes(row.get(0)?),
        at: UserId::from_bytes(row.get(1)?),
        events: from_sql(row.get(2)?),
    })
}
