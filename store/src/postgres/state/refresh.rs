//! The users of a directory, one after the other: for a job that brings them up to date, and for a look at what other
//! rules would make of them.

use directory::User;
use ingest::ports::ToRefresh;
use schemas::{DirectoryId, ScimId, UserId};

use super::super::query::Moment;
use super::super::rows::Columns;
use super::rows::{USER_COLUMNS, user, user_bytes};
use super::{State, present_row};
use crate::error::DbError;

impl State {
    /// Hidden ones too.
    pub(super) async fn count_users(&self, directory: DirectoryId) -> Result<u64, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql =
            "SELECT active_users + inactive_users + hidden_users FROM directories WHERE id = $1";
        let row = moment.first(sql, &[&&directory.to_bytes()[..]]).await?;
        row.map_or(Ok(0), |row| row.number(0))
    }

    pub(super) async fn users_to_refresh(
        &self,
        directory: DirectoryId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ToRefresh>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let Some(row) = present_row(&moment, directory).await? else { return Ok(Vec::new()) };
        let after = after.map(UserId::to_bytes).unwrap_or_default();
        // Only who is hidden can return, and then joins its groups.
        let sql = "SELECT scim_id, user_id, CASE WHEN hidden THEN 1 +
                (SELECT count(*) FROM memberships WHERE user_key = users.key) ELSE 1 END
            FROM users WHERE directory = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
        let rows = moment.all(sql, &[&row.key, &&after[..], &i64::from(limit)]).await?;
        let to_refresh = |row: &tokio_postgres::Row| {
            Ok(ToRefresh {
                id: ScimId::from_bytes(row.id(0)?),
                at: UserId::from_bytes(row.id(1)?),
                events: row.number(2)?,
            })
        };
        rows.iter().map(to_refresh).collect()
    }

    /// Users that apps are shown: these, or the latest, fewer where they are large.
    pub(super) async fn sample(
        &self,
        directory: DirectoryId,
        ids: Option<Vec<UserId>>,
        limit: u32,
    ) -> Result<Vec<User>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let Some(row) = present_row(&moment, directory).await? else { return Ok(Vec::new()) };
        let rows = if let Some(ids) = ids {
            let sql = format!(
                "SELECT {USER_COLUMNS} FROM unnest($1::bytea[]) WITH ORDINALITY AS wanted (id, place)
                 JOIN users ON users.user_id = wanted.id
                 WHERE users.directory = $2 AND NOT users.hidden ORDER BY wanted.place"
            );
            let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
            moment.all(&sql, &[&ids, &row.key]).await?
        } else {
            let sql = format!(
                "SELECT {USER_COLUMNS} FROM users WHERE directory = $1 AND NOT hidden
                 ORDER BY user_id DESC LIMIT $2"
            );
            moment.enough(&sql, &[&row.key, &i64::from(limit)], user_bytes).await?
        };
        rows.iter().map(|row| Ok(user(row)?.1)).collect()
    }
}
