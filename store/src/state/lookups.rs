//! What people look for by how it begins: each way of finding is a range of an index.

use std::sync::Arc;

use directory::resource::name_key;
use rusqlite::{Connection, params};
use schemas::DirectoryId;
use schemas::wire::{DirectoryGroup, DirectoryUser};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, group, user};
use super::{State, present_row};
use crate::config::Known;
use crate::error::DbError;

/// What comes after every text that begins like another: the greatest character behind that.
const END: char = char::MAX;

impl State {
    pub(crate) async fn users_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryUser>, DbError> {
        let Some(configured) = known.get(directory).map(|known| known.directory.clone()) else {
            return Ok(Vec::new());
        };
        self.read(move |connection| {
            let Some(key) = key_of(connection, directory)? else { return Ok(Vec::new()) };
            let (name, email) = (name_key(&beginning), beginning.to_lowercase());
            let sql = format!(
                "SELECT {USER_COLUMNS} FROM users WHERE hidden = 0 AND key IN (
                     SELECT key FROM (SELECT key FROM users WHERE directory = ?1
                         AND name_key >= ?2 AND name_key < ?3 ORDER BY name_key LIMIT ?7)
                     UNION SELECT key FROM (SELECT key FROM users WHERE directory = ?1
                         AND email <> name_key AND email >= ?4 AND email < ?5 ORDER BY email LIMIT ?7)
                     UNION SELECT key FROM (SELECT key FROM users WHERE directory = ?1
                         AND mapped_email IS NOT NULL AND mapped_email >= ?4 AND mapped_email < ?5
                         ORDER BY mapped_email LIMIT ?7)
                     UNION SELECT key FROM (SELECT key FROM users WHERE directory = ?1
                         AND external_id IS NOT NULL AND external_id = ?6 LIMIT ?7))
                 ORDER BY name_key LIMIT ?7"
            );
            let (name_end, email_end) = (format!("{name}{END}"), format!("{email}{END}"));
            let parameters = params![key, name, name_end, email, email_end, beginning, limit];
            let (origin, rules) = (configured.origin(), &configured.apps);
            all(connection, &sql, parameters, |row| Ok(rules.user(origin, &user(row)?.1)))
        })
        .await
    }

    pub(crate) async fn groups_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryGroup>, DbError> {
        let Some(configured) = known.get(directory).map(|known| known.directory.clone()) else {
            return Ok(Vec::new());
        };
        self.read(move |connection| {
            let Some(key) = key_of(connection, directory)? else { return Ok(Vec::new()) };
            let name = name_key(&beginning);
            let sql = format!(
                "SELECT {GROUP_COLUMNS} FROM groups WHERE directory = ?1
                     AND name_key >= ?2 AND name_key < ?3 ORDER BY name_key LIMIT ?4"
            );
            let parameters = params![key, name, format!("{name}{END}"), limit];
            let (origin, rules) = (configured.origin(), &configured.apps);
            all(connection, &sql, parameters, |row| Ok(rules.group(origin, &group(row)?.1)))
        })
        .await
    }
}

fn key_of(connection: &Connection, directory: DirectoryId) -> Result<Option<i64>, DbError> {
    Ok(present_row(connection, directory)?.map(|row| row.key))
}
