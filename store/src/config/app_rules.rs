//! The rules for what apps are shown, and the jobs that follow a change of them.

use std::collections::BTreeMap;

use api::ports::{Conflict, DirectoryChange, Progress, Reach};
use directory::rules::GeneralRules;
use ingest::ports::{Refresh, RefreshProgress};
use log::Partition;
use rusqlite::{Connection, params};
use schemas::{DirectoryId, Timestamp, UserId};
use tokio::sync::watch;

use super::organizations::{after as later, is_made_from};
use super::{Config, brakes};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::{conflicted, not_found};
use crate::sqlite::as_sql;
use crate::state::rows::{Time, all, first};

impl Config {
    /// Changes a directory. If its rules are others then, its users are refreshed.
    pub(crate) async fn update_directory(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: DirectoryChange,
        at: Timestamp,
    ) -> Result<(), DbError> {
        self.check_reach(reach, id)?;
        self.change_directory(id, move |connection| update(connection, id, &change, at)).await?;
        self.refreshes_changed();
        self.brakes_changed();
        Ok(())
    }

    /// Takes over the rules of the settings. Directories that had others by them are refreshed.
    pub(crate) async fn set_general_rules(&self, rules: GeneralRules) -> Result<(), DbError> {
        self.change(move |connection| {
            let before = general_rules(connection)?;
            if before == rules {
                return Ok(());
            }
            let json = serde_json::to_string(&rules).map_err(unreadable("general rules"))?;
            connection.execute("UPDATE meta SET general_rules = ?1", [json])?;
            if before.inactive_users != rules.inactive_users {
                let sql =
                    "SELECT id FROM directories WHERE inactive_users IS NULL AND deleting = 0";
                let ids = all(connection, sql, [], |row| Ok(DirectoryId::from_bytes(row.get(0)?)))?;
                ids.into_iter().try_for_each(|id| begin_refresh(connection, id))?;
            }
            Ok(())
        })
        .await?;
        self.refreshes_changed();
        Ok(())
    }

    /// How far the jobs of directories have come; those that never had one are left out.
    pub(crate) async fn refresh_progress(
        &self,
        ids: Vec<DirectoryId>,
    ) -> Result<BTreeMap<DirectoryId, Progress>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT directory, done, total, finished FROM refreshes WHERE directory = ?1";
            let mut found = BTreeMap::new();
            for id in ids {
                found.extend(first(connection, sql, [id.to_bytes()], |row| progress(row))?);
            }
            Ok(found)
        })
        .await
    }

    /// The jobs that are not finished.
    pub(crate) async fn open_refreshes(&self) -> Result<Vec<Refresh>, DbError> {
        self.read(|connection| {
            let sql = "SELECT refreshes.directory, partition, version, cursor, done, total
                FROM refreshes JOIN directories ON directories.id = refreshes.directory
                WHERE finished = 0 ORDER BY refreshes.directory";
            all(connection, sql, [], |row| refresh(row))
        })
        .await
    }

    /// Notes how far a job has come, unless the rules have changed since.
    pub(crate) async fn refresh_moved(&self, refresh: Refresh) -> Result<(), DbError> {
        let Refresh { directory, version, progress, .. } = refresh;
        self.progress
            .run(move |connection| {
                let sql = "UPDATE refreshes SET cursor = ?3, done = ?4, total = ?5, finished = ?6
                    WHERE directory = ?1 AND version = ?2";
                let RefreshProgress { after, done, total, finished } = progress;
                connection.prepare_cached(sql)?.execute(params![
                    directory.to_bytes(),
                    as_sql(version),
                    after.map(UserId::to_bytes),
                    as_sql(done),
                    as_sql(total),
                    finished,
                ])?;
                Ok(())
            })
            .await
    }

    /// Counts up when there may be new jobs.
    pub(crate) fn refreshes(&self) -> watch::Receiver<u64> {
        self.refreshes_version.subscribe()
    }

    fn refreshes_changed(&self) {
        self.refreshes_version.send_modify(|version| *version += 1);
    }
}

/// The rules that hold where a directory has none of its own.
pub(super) fn general_rules(connection: &Connection) -> Result<GeneralRules, DbError> {
    let json: String =
        connection.query_row("SELECT general_rules FROM meta", [], |row| row.get(0))?;
    serde_json::from_str(&json).map_err(unreadable("general rules"))
}

fn update(
    connection: &Connection,
    id: DirectoryId,
    change: &DirectoryChange,
    at: Timestamp,
) -> Result<(), DbError> {
    let sql =
        "SELECT deleting, name, attribute_map, inactive_users, role_mapping, brake, updated_at
        FROM directories WHERE id = ?1";
    let found = first(connection, sql, [id.to_bytes()], |row| {
        let rules = Rules {
            attribute_map: row.get(2)?,
            inactive_users: row.get(3)?,
            role_mapping: row.get(4)?,
        };
        let named = (row.get::<_, String>(1)?, row.get::<_, Option<String>>(5)?);
        Ok((row.get::<_, bool>(0)?, named, rules, row.get::<_, Time>(6)?.0))
    })?;
    let (deleting, (name, brake), before, updated_at) = found.ok_or_else(not_found)?;
    if deleting {
        return Err(conflicted(Conflict::Deleting));
    }
    is_made_from(change.made_from, updated_at)?;
    let after = before.clone().changed(change)?;
    let new_name = change.name.as_ref().unwrap_or(&name);
    let new_brake = change.brake.map_or(Ok(brake.clone()), brakes::column)?;
    if (new_name, &new_brake, &after) == (&name, &brake, &before) {
        return Ok(());
    }
    connection.execute(
        "UPDATE directories SET name = ?2, attribute_map = ?3, inactive_users = ?4,
             role_mapping = ?5, updated_at = ?6, brake = ?7 WHERE id = ?1",
        params![
            id.to_bytes(),
            new_name,
            after.attribute_map,
            after.inactive_users,
            after.role_mapping,
            later(updated_at, at).millis(),
            new_brake,
        ],
    )?;
    if after == before { Ok(()) } else { begin_refresh(connection, id) }
}

/// The rules of a directory as they are stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) attribute_map: String,
    pub(crate) inactive_users: Option<String>,
    pub(crate) role_mapping: String,
}

impl Rules {
    pub(crate) fn changed(mut self, change: &DirectoryChange) -> Result<Self, DbError> {
        if let Some(map) = &change.attribute_map {
            self.attribute_map = serde_json::to_string(map).map_err(unreadable("attribute map"))?;
        }
        if let Some(policy) = change.inactive_users {
            self.inactive_users = policy.map(|policy| policy.name().to_owned());
        }
        if let Some(mapping) = &change.role_mapping {
            self.role_mapping =
                serde_json::to_string(mapping).map_err(unreadable("role mapping"))?;
        }
        Ok(self)
    }
}

/// Begins the job of a directory, anew if it is running.
fn begin_refresh(connection: &Connection, id: DirectoryId) -> Result<(), DbError> {
    connection.execute(
        "INSERT INTO refreshes (directory, version) VALUES (?1, 1)
         ON CONFLICT (directory) DO UPDATE
         SET version = version + 1, cursor = NULL, done = 0, total = 0, finished = 0",
        [id.to_bytes()],
    )?;
    Ok(())
}

/// How far the job of a directory has come.
pub(crate) fn progress(row: &impl Columns) -> Result<(DirectoryId, Progress), DbError> {
    let (done, total) = (row.count(1)?, row.count(2)?);
    let progress = Progress { running: !row.flag(3)?, done, total: total.max(done) };
    Ok((DirectoryId::from_bytes(row.id(0)?), progress))
}

/// A job with the partition of its directory behind the directory.
pub(crate) fn refresh(row: &impl Columns) -> Result<Refresh, DbError> {
    Ok(Refresh {
        directory: DirectoryId::from_bytes(row.id(0)?),
        partition: Partition(row.number(1)?),
        version: row.count(2)?,
        progress: RefreshProgress {
            after: row.id_if(3)?.map(UserId::from_bytes),
            done: row.count(4)?,
            total: row.count(5)?,
            finished: false,
        },
    })
}
