//! What people look for by how it begins, and one event with its proof.

use std::sync::Arc;

use api::ports::AuditEvent;
use directory::resource::name_key;
use schemas::wire::{DirectoryGroup, DirectoryUser};
use schemas::{DirectoryId, EventId};

use super::super::lookup::key;
use super::super::query::Moment;
use super::audit;
use super::rows::{GROUP_COLUMNS, USER_COLUMNS, group, user};
use super::{State, present_row};
use crate::config::Known;
use crate::error::DbError;

/// What comes after every text that begins like another: the greatest character behind that.
const END: char = char::MAX;

impl State {
    /// Each way of finding is a range of an index.
    pub(super) async fn users_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryUser>, DbError> {
        let Some(configured) = known.get(directory).map(|known| &known.directory) else {
            return Ok(Vec::new());
        };
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let Some(row) = present_row(&moment, directory).await? else { return Ok(Vec::new()) };
        let (name, email) = (name_key(&beginning), beginning.to_lowercase());
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users WHERE NOT hidden AND key IN (
                 (SELECT key FROM users WHERE directory = $1
                     AND name_key >= $2 AND name_key < $3 ORDER BY name_key LIMIT $7)
                 UNION (SELECT key FROM users WHERE directory = $1
                     AND email IS NOT NULL AND email >= $4 AND email < $5 ORDER BY email LIMIT $7)
                 UNION (SELECT key FROM users WHERE directory = $1
                     AND mapped_email IS NOT NULL AND mapped_email >= $4 AND mapped_email < $5
                     ORDER BY mapped_email LIMIT $7)
                 UNION (SELECT key FROM users WHERE directory = $1
                     AND external_id IS NOT NULL AND external_id = $6 LIMIT $7))
             ORDER BY name_key LIMIT $7"
        );
        let (name_end, email_end) = (format!("{name}{END}"), format!("{email}{END}"));
        let limit = i64::from(limit);
        let found = moment
            .all(&sql, &[&row.key, &name, &name_end, &email, &email_end, &key(&beginning), &limit])
            .await?;
        let (origin, rules) = (configured.origin(), &configured.apps);
        found.iter().map(|row| Ok(rules.user(origin, &user(row)?.1))).collect()
    }

    pub(super) async fn groups_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryGroup>, DbError> {
        let Some(configured) = known.get(directory).map(|known| &known.directory) else {
            return Ok(Vec::new());
        };
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let Some(row) = present_row(&moment, directory).await? else { return Ok(Vec::new()) };
        let name = name_key(&beginning);
        let sql = format!(
            "SELECT {GROUP_COLUMNS} FROM groups WHERE directory = $1
                 AND name_key >= $2 AND name_key < $3 ORDER BY name_key LIMIT $4"
        );
        let end = format!("{name}{END}");
        let found = moment.all(&sql, &[&row.key, &name, &end, &i64::from(limit)]).await?;
        let (origin, rules) = (configured.origin(), &configured.apps);
        found.iter().map(|row| Ok(rules.group(origin, &group(row)?.1))).collect()
    }

    pub(super) async fn audit_event(&self, id: EventId) -> Result<Option<AuditEvent>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        audit::one(&moment, id).await
    }
}
