//! What has arrived in a directory: a few rows from the end of each index, however many there are.

use console::ports::{Arrived, Looks};
use directory::resource::text;
use rusqlite::{Connection, params};
use schemas::DirectoryId;

use super::rows::{USER_COLUMNS, attributes, enough, first, user, user_bytes};
use super::{State, present_row};
use crate::error::DbError;
use crate::sqlite::from_sql;

/// The groups that are looked at.
const LATEST_GROUPS: &str =
    "SELECT key FROM groups WHERE directory = ?1 ORDER BY group_id DESC LIMIT ?2";

impl State {
    pub(crate) async fn arrived(
        &self,
        directory: DirectoryId,
        looks: Looks,
    ) -> Result<Arrived, DbError> {
        self.read(move |connection| {
            let Some(row) = present_row(connection, directory)? else {
                return Ok(Arrived::default());
            };
            // Hidden ones are passed over afterwards: there may be any number of them in a row.
            let sql = format!(
                "SELECT {USER_COLUMNS} FROM users WHERE hidden = 0 AND key IN
                     (SELECT key FROM users WHERE directory = ?1 ORDER BY updated_at DESC LIMIT ?2)
                 ORDER BY updated_at DESC"
            );
            let parameters = params![row.key, looks.users];
            let users = enough(connection, &sql, parameters, user_bytes, |row| Ok(user(row)?.1))?;
            let groups = groups(connection, row.key, looks)?;
            Ok(Arrived { users, waiting_members: row.pending_members, ..groups })
        })
        .await
    }
}

fn groups(connection: &Connection, directory: i64, looks: Looks) -> Result<Arrived, DbError> {
    let empty = "NOT EXISTS (SELECT 1 FROM memberships WHERE group_key = key)";
    let sql = format!("SELECT count(*), total({empty}) FROM ({LATEST_GROUPS})");
    let (groups, empty_groups) =
        connection.prepare_cached(&sql)?.query_row(params![directory, looks.groups], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?))
        })?;
    let sql = format!(
        "SELECT attributes FROM groups WHERE key IN ({LATEST_GROUPS}) AND {empty}
         ORDER BY group_id DESC LIMIT 1"
    );
    let empty_group = first(connection, &sql, params![directory, looks.groups], |row| {
        Ok(text(&attributes(row.get_ref(0)?)?, "displayName").map(str::to_owned))
    })?;
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM ({LATEST_GROUPS}) AS latest
             CROSS JOIN memberships ON memberships.group_key = latest.key LIMIT ?3)"
    );
    let parameters = params![directory, looks.groups, looks.memberships];
    let memberships: i64 =
        connection.prepare_cached(&sql)?.query_row(parameters, |row| row.get(0))?;
    Ok(Arrived {
        groups: from_sql(groups),
        #[expect(clippy::cast_possible_truncation, reason = "a count, and a small one")]
        empty_groups: from_sql(empty_groups as i64),
        empty_group: empty_group.flatten(),
        memberships: from_sql(memberships),
        ..Arrived::default()
    })
}
