//! The rules for what apps are shown, and the jobs that follow a change of them.
//!
//! A job is worked on by one replica at a time: whoever asks for jobs holds what it gets for [`HELD`], and longer with
//! every step. Should two work on one all the same, the writer of the directory tells nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use api::ports::{Conflict, DirectoryChange, Progress, Reach};
use deadpool_postgres::Transaction;
use directory::rules::GeneralRules;
use ingest::ports::{Refresh, RefreshProgress};
use schemas::{DirectoryId, Timestamp, UserId};

use super::query::{Parameters, all, execute, first, id, int};
use super::{About, Config};
use crate::columns::Columns as _;
use crate::config::app_rules::{Rules, progress, refresh};
use crate::config::brakes;
use crate::config::organizations::{after as later, is_made_from};
use crate::error::{DbError, unreadable};
use crate::ports::{conflicted, not_found};

/// For how long a job is one replica's that does not say anything of it. Many times what a step takes.
const HELD: Duration = Duration::from_secs(30);

const BEGIN: &str = "INSERT INTO refreshes (directory, version) SELECT unnest($1::bytea[]), 1
    ON CONFLICT (directory) DO UPDATE SET version = refreshes.version + 1, cursor = NULL, done = 0,
        total = 0, finished = false, holder = NULL, held_until = NULL";

impl Config {
    pub(super) async fn update_directory(
        &self,
        reach: Reach,
        directory: DirectoryId,
        wanted: DirectoryChange,
        at: Timestamp,
    ) -> Result<(), DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Rules).await?;
        update(&change.tx, directory, &wanted, at).await?;
        self.commit(change).await
    }

    pub(super) async fn set_general_rules(&self, rules: GeneralRules) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Rules).await?;
        let row = first(&change.tx, "SELECT general_rules FROM configuration", &[]).await?;
        let json = row.ok_or_else(|| unreadable("general rules")("there are none"))?.text(0)?;
        let before: GeneralRules =
            serde_json::from_str(&json).map_err(unreadable("general rules"))?;
        if before == rules {
            return Ok(());
        }
        let json = serde_json::to_string(&rules).map_err(unreadable("general rules"))?;
        execute(&change.tx, "UPDATE configuration SET general_rules = $1", &[&json]).await?;
        if before.inactive_users != rules.inactive_users {
            let sql = "SELECT id FROM configured_directories
                WHERE inactive_users IS NULL AND NOT deleting";
            let rows = all(&change.tx, sql, &[]).await?;
            let ids: Vec<Vec<u8>> =
                rows.iter().map(|row| row.bytes(0)).collect::<Result<_, _>>()?;
            execute(&change.tx, BEGIN, &[&ids]).await?;
        }
        self.commit(change).await
    }

    pub(super) async fn refresh_progress(
        &self,
        ids: Vec<DirectoryId>,
    ) -> Result<BTreeMap<DirectoryId, Progress>, DbError> {
        let client = self.db.client().await?;
        let ids: Vec<Vec<u8>> = ids.into_iter().map(|one| id(one.to_bytes())).collect();
        let sql =
            "SELECT directory, done, total, finished FROM refreshes WHERE directory = ANY($1)";
        all(&client, sql, &[&ids]).await?.iter().map(progress).collect()
    }

    pub(super) async fn open_refreshes(&self) -> Result<Vec<Refresh>, DbError> {
        let client = self.db.client().await?;
        let sql = "UPDATE refreshes SET holder = $1, held_until = now() + $2 * interval '1 ms'
            FROM configured_directories
            WHERE configured_directories.id = refreshes.directory AND NOT finished
                AND (holder IS NULL OR holder = $1 OR held_until < now())
            RETURNING refreshes.directory, partition, refreshes.version, cursor, done, total";
        let rows = all(&client, sql, &[&id(self.replica), &millis(HELD)]).await?;
        let mut open = rows.iter().map(refresh).collect::<Result<Vec<_>, _>>()?;
        open.sort_by_key(|refresh| refresh.directory);
        Ok(open)
    }

    pub(super) async fn refresh_moved(&self, refresh: Refresh) -> Result<(), DbError> {
        let Refresh { directory, version, progress, .. } = refresh;
        let RefreshProgress { after, done, total, finished } = progress;
        let client = self.db.client().await?;
        let sql = "UPDATE refreshes SET cursor = $3, done = $4, total = $5, finished = $6,
                held_until = now() + $8 * interval '1 ms'
            WHERE directory = $1 AND version = $2 AND holder = $7";
        let parameters: Parameters<'_> = &[
            &id(directory.to_bytes()),
            &int(version),
            &after.map(UserId::to_bytes).map(id),
            &int(done),
            &int(total),
            &finished,
            &id(self.replica),
            &millis(HELD),
        ];
        execute(&client, sql, parameters).await?;
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

async fn update(
    tx: &Transaction<'_>,
    directory: DirectoryId,
    wanted: &DirectoryChange,
    at: Timestamp,
) -> Result<(), DbError> {
    let key = id(directory.to_bytes());
    let sql =
        "SELECT deleting, name, attribute_map, inactive_users, role_mapping, brake, updated_at
        FROM configured_directories WHERE id = $1";
    let row = first(tx, sql, &[&key]).await?.ok_or_else(not_found)?;
    if row.flag(0)? {
        return Err(conflicted(Conflict::Deleting));
    }
    let updated_at = row.time(6)?;
    is_made_from(wanted.made_from, updated_at)?;
    let name = row.text(1)?;
    let before = Rules {
        attribute_map: row.text(2)?,
        inactive_users: row.text_if(3)?,
        role_mapping: row.text(4)?,
    };
    let after = before.clone().changed(wanted)?;
    let new_name = wanted.name.as_ref().unwrap_or(&name);
    let brake = row.text_if(5)?;
    let new_brake = wanted.brake.map_or(Ok(brake.clone()), brakes::column)?;
    if (new_name, &new_brake, &after) == (&name, &brake, &before) {
        return Ok(());
    }
    let sql =
        "UPDATE configured_directories SET name = $2, attribute_map = $3, inactive_users = $4,
            role_mapping = $5, updated_at = $6, brake = $7 WHERE id = $1";
    let parameters: Parameters<'_> = &[
        &key,
        new_name,
        &after.attribute_map,
        &after.inactive_users,
        &after.role_mapping,
        &later(updated_at, at).millis(),
        &new_brake,
    ];
    execute(tx, sql, parameters).await?;
    if after != before {
        execute(tx, BEGIN, &[&vec![key]]).await?;
    }
    Ok(())
}
