//! The feed and the directories as the brake looks at them.

use std::collections::BTreeSet;
use std::sync::Arc;

use dispatcher::brake::{Counts, Seen};
use dispatcher::ports::{FeedPosition, SeenPage};
use schemas::wire::UserState;
use schemas::{DirectoryId, EventType, ScimId};
use tokio_postgres::Row;

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::feed::FROM;
use super::{State, feed_end, present_row};
use crate::error::{DbError, unreadable};
use crate::state::braking::{Stated, stated};

impl State {
    /// What a directory has, and the last position of the feed that this includes.
    pub(super) async fn census(&self, id: DirectoryId) -> Result<(FeedPosition, Counts), DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let end = FeedPosition(feed_end(&moment).await?);
        let Some(row) = present_row(&moment, id).await? else {
            return Ok((end, Counts::default()));
        };
        let sql = "SELECT active_users, (SELECT count(*) FROM groups JOIN memberships
                ON memberships.group_key = groups.key WHERE groups.directory = $1)
            FROM directories WHERE key = $1";
        let row = moment.first(sql, &[&row.key]).await?;
        let counts = row.map(|row| {
            Ok::<_, DbError>(Counts { users: row.number(0)?, memberships: row.number(1)? })
        });
        Ok((end, counts.transpose()?.unwrap_or_default()))
    }

    /// Looks through up to `limit` events. Of those that nobody watches nothing is read but where they stand.
    pub(super) async fn seen(
        &self,
        after: FeedPosition,
        limit: usize,
        watched: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT feed.position, directories.id, feed.event, feed.created_at, feed.user_id,
                feed.group_id, CASE WHEN directories.id = ANY($3) THEN feed.data::text END
             FROM feed JOIN directories ON directories.key = feed.directory
             WHERE {FROM} AND feed.position > $1 ORDER BY feed.position LIMIT $2"
        );
        let ids: Vec<Vec<u8>> = watched.iter().map(|id| id.to_bytes().to_vec()).collect();
        let page = (as_sql(after.0), as_sql(limit as u64));
        let rows = moment.all(&sql, &[&page.0, &page.1, &ids]).await?;
        let (mut events, mut read_to) = (Vec::new(), after);
        for row in &rows {
            read_to = FeedPosition(row.number(0)?);
            if let Some(data) = row.value(6)? {
                let id = DirectoryId::from_bytes(row.id(1)?);
                events.push((id, seen(&moment, read_to, row, data).await?));
            }
        }
        Ok(SeenPage { events, read_to })
    }
}

async fn seen(
    moment: &Moment<'_>,
    position: FeedPosition,
    row: &Row,
    data: &str,
) -> Result<Seen, DbError> {
    let kind: EventType = row.value::<&str>(2)?.parse().map_err(unreadable("event type"))?;
    let id = |column| Ok::<_, DbError>(row.id_if_any(column)?.map(ScimId::from_bytes));
    let (user, group) = (id(4)?, id(5)?);
    let mut seen = Seen {
        position,
        at: row.time(3)?,
        kind,
        user,
        group,
        was_active: false,
        is_active: false,
        ended: 0,
    };
    match kind {
        EventType::UserCreated => seen.is_active = stated(data)?.state == UserState::Active,
        EventType::UserUpdated => {
            let Stated { state, previous_attributes } = stated(data)?;
            seen.is_active = state == UserState::Active;
            seen.was_active = previous_attributes.state.unwrap_or(state) == UserState::Active;
        }
        EventType::UserDeleted => {
            let Some(user) = user else { return Ok(seen) };
            seen.was_active = was_active(moment, user, position).await?;
            seen.ended = ended_with(moment, ("user_id", "group_id"), user, position).await?;
        }
        EventType::GroupDeleted => {
            let Some(group) = group else { return Ok(seen) };
            seen.ended = ended_with(moment, ("group_id", "user_id"), group, position).await?;
        }
        EventType::Activated
        | EventType::Deleted
        | EventType::GroupCreated
        | EventType::GroupUpdated
        | EventType::GroupUserAdded
        | EventType::GroupUserRemoved
        | EventType::GroupPendingMemberAdded
        | EventType::GroupPendingMemberRemoved
        | EventType::InactiveUserChanged
        | EventType::TokenCreated
        | EventType::TokenRevoked => {}
    }
    Ok(seen)
}

/// What apps were last told of a user before it was deleted. The deletion itself says inactive also of one
/// who is deleted for apps because it has just turned inactive.
async fn was_active(
    moment: &Moment<'_>,
    user: ScimId,
    before: FeedPosition,
) -> Result<bool, DbError> {
    let sql = "SELECT data::text FROM feed WHERE user_id = $1 AND position < $2
        AND event IN ('dsync.user.created', 'dsync.user.updated') ORDER BY position DESC LIMIT 1";
    let row = moment.first(sql, &[&&user.to_bytes()[..], &as_sql(before.0)]).await?;
    row.map_or(Ok(false), |row| Ok(stated(row.value(0)?)?.state == UserState::Active))
}

/// How many memberships a user or a group had before it was deleted, as its events say. Those that have
/// ended with the other side were told by that.
async fn ended_with(
    moment: &Moment<'_>,
    (own, other): (&str, &str),
    id: ScimId,
    before: FeedPosition,
) -> Result<u64, DbError> {
    let sql = format!(
        "SELECT coalesce(sum(CASE event WHEN 'dsync.group.user_added' THEN 1 ELSE -1 END), 0)
         FROM feed WHERE {own} = $1 AND position < $2
             AND event IN ('dsync.group.user_added', 'dsync.group.user_removed')
             AND NOT EXISTS (SELECT FROM feed AS gone WHERE gone.{other} = feed.{other}
                 AND gone.position < $2
                 AND gone.event IN ('dsync.user.deleted', 'dsync.group.deleted'))"
    );
    let row = moment.first(&sql, &[&&id.to_bytes()[..], &as_sql(before.0)]).await?;
    row.map_or(Ok(0), |row| Ok(row.value::<i64>(0)?.max(0).unsigned_abs()))
}
