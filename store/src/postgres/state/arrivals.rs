//! What has arrived in a directory: a few rows from the end of each index, however many there are.

use console::ports::{Arrived, Looks};
use directory::resource::text;
use schemas::DirectoryId;

use super::super::query::Moment;
use super::super::rows::Columns as _;
use super::rows::{USER_COLUMNS, attributes, user, user_bytes};
use super::{State, present_row};
use crate::error::DbError;

/// The groups that are looked at.
const LATEST_GROUPS: &str =
    "SELECT key FROM groups WHERE directory = $1 ORDER BY group_id DESC LIMIT $2";

impl State {
    pub(super) async fn arrived(
        &self,
        directory: DirectoryId,
        looks: Looks,
    ) -> Result<Arrived, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let Some(row) = present_row(&moment, directory).await? else {
            return Ok(Arrived::default());
        };
        // Hidden ones are passed over afterwards: there may be any number of them in a row.
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users WHERE NOT hidden AND key = ANY (ARRAY
                 (SELECT key FROM users WHERE directory = $1 ORDER BY updated_at DESC LIMIT $2))
             ORDER BY updated_at DESC"
        );
        let users = moment.enough(&sql, &[&row.key, &i64::from(looks.users)], user_bytes).await?;
        let users = users.iter().map(|row| Ok(user(row)?.1)).collect::<Result<_, DbError>>()?;
        let groups = groups(&moment, row.key, looks).await?;
        Ok(Arrived { users, waiting_members: row.pending_members, ..groups })
    }
}

async fn groups(moment: &Moment<'_>, directory: i64, looks: Looks) -> Result<Arrived, DbError> {
    let limit = i64::from(looks.groups);
    // Asked of each group, which the planner cannot turn into a walk through all memberships.
    let empty = "(SELECT group_key FROM memberships WHERE group_key = latest.key LIMIT 1) IS NULL";
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE {empty}) FROM ({LATEST_GROUPS}) AS latest"
    );
    let counts = moment.all(&sql, &[&directory, &limit]).await?;
    let sql = format!(
        "SELECT (SELECT attributes::text FROM groups WHERE groups.key = latest.key)
         FROM ({LATEST_GROUPS}) AS latest WHERE {empty} LIMIT 1"
    );
    let named = moment.first(&sql, &[&directory, &limit]).await?;
    let named = named.map(|row| attributes(row.value(0)?)).transpose()?;
    // With a limit of its own, what is joined is looked up for each group and never walked through.
    let sql = format!(
        "SELECT count(*) FROM (SELECT FROM ({LATEST_GROUPS}) AS latest CROSS JOIN LATERAL
             (SELECT FROM memberships WHERE group_key = latest.key LIMIT $3) AS members LIMIT $3)
         AS counted"
    );
    let members = moment.all(&sql, &[&directory, &limit, &i64::from(looks.memberships)]).await?;
    let number =
        |rows: &[tokio_postgres::Row], column| rows.first().map_or(Ok(0), |row| row.number(column));
    Ok(Arrived {
        groups: number(&counts, 0)?,
        empty_groups: number(&counts, 1)?,
        empty_group: named.as_ref().and_then(|named| text(named, "displayName")).map(str::to_owned),
        memberships: number(&members, 0)?,
        ..Arrived::default()
    })
}
