//! The feed and the directories as the brake looks at them.

use std::collections::BTreeSet;
use std::sync::Arc;

use dispatcher::brake::{Counts, Seen};
use dispatcher::ports::{FeedPosition, SeenPage};
use rusqlite::{Connection, Row, params};
use schemas::wire::UserState;
use schemas::{DirectoryId, EventType, ScimId};
use serde::Deserialize;

use super::rows::{Time, all, first};
use super::{State, present_row};
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};

/// What of an event about a user says whether it is active.
#[derive(Deserialize)]
pub(crate) struct Stated {
    pub(crate) state: UserState,
    #[serde(default)]
    pub(crate) previous_attributes: Previous,
}

#[derive(Default, Deserialize)]
pub(crate) struct Previous {
    #[serde(default)]
    pub(crate) state: Option<UserState>,
}

impl State {
    /// What a directory has, and the last position of the feed that this includes.
    pub(crate) async fn census(&self, id: DirectoryId) -> Result<(FeedPosition, Counts), DbError> {
        self.read(move |connection| {
            let end: Option<i64> =
                connection.query_row("SELECT max(position) FROM feed", [], |row| row.get(0))?;
            let end = FeedPosition(end.map_or(0, from_sql));
            let Some(row) = present_row(connection, id)? else {
                return Ok((end, Counts::default()));
            };
            let sql = "SELECT active_users FROM directories WHERE key = ?1";
            let users: i64 = connection.query_row(sql, [row.key], |row| row.get(0))?;
            let sql = "SELECT count(*) FROM groups JOIN memberships
                ON memberships.group_key = groups.key WHERE groups.directory = ?1";
            let memberships: i64 = connection.query_row(sql, [row.key], |row| row.get(0))?;
            let (users, memberships) = (from_sql(users), from_sql(memberships));
            Ok((end, Counts { users, memberships }))
        })
        .await
    }

    /// Looks through up to `limit` events.
    pub(crate) async fn seen(
        &self,
        after: FeedPosition,
        limit: usize,
        watched: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, DbError> {
        self.read(move |connection| {
            let sql = "SELECT feed.position, directories.id, feed.event, feed.created_at,
                    feed.user_id, feed.group_id, feed.data
                FROM feed JOIN directories ON directories.key = feed.directory
                WHERE feed.position > ?1 ORDER BY feed.position LIMIT ?2";
            let page = params![as_sql(after.0), as_sql(limit as u64)];
            let rows = all(connection, sql, page, |row| {
                let position = FeedPosition(from_sql(row.get(0)?));
                let id = DirectoryId::from_bytes(row.get(1)?);
                if !watched.contains(&id) {
                    return Ok((position, None));
                }
                Ok((position, Some((id, seen(connection, position, row)?))))
            })?;
            let read_to = rows.last().map_or(after, |(position, _)| *position);
            Ok(SeenPage {
                events: rows.into_iter().filter_map(|(_, seen)| seen).collect(),
                read_to,
            })
        })
        .await
    }
}

fn seen(connection: &Connection, position: FeedPosition, row: &Row<'_>) -> Result<Seen, DbError> {
    let name = row.get_ref(2)?.as_str().map_err(unreadable("event type"))?;
    let kind: EventType = name.parse().map_err(unreadable("event type"))?;
    let id = |column| -> Result<Option<ScimId>, DbError> {
        Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(ScimId::from_bytes))
    };
    let (user, group) = (id(4)?, id(5)?);
    let data = row.get_ref(6)?.as_str().map_err(unreadable("event"))?;
    let mut seen = Seen {
        position,
        at: row.get::<_, Time>(3)?.0,
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
            seen.was_active = was_active(connection, user, position)?;
            seen.ended = ended(connection, "user_id", user, position)?;
        }
        EventType::GroupDeleted => {
            let Some(group) = group else { return Ok(seen) };
            seen.ended = ended(connection, "group_id", group, position)?;
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

pub(crate) fn stated(data: &str) -> Result<Stated, DbError> {
    serde_json::from_str(data).map_err(unreadable("user of an event"))
}

/// What apps were last told of a user before it was deleted. The deletion itself says inactive also of one
/// who is deleted for apps because it has just turned inactive.
fn was_active(
    connection: &Connection,
    user: ScimId,
    before: FeedPosition,
) -> Result<bool, DbError> {
    let sql = "SELECT data FROM feed WHERE user_id = ?1 AND position < ?2
        AND event IN ('dsync.user.created', 'dsync.user.updated') ORDER BY position DESC LIMIT 1";
    let state = first(connection, sql, params![user.to_bytes(), as_sql(before.0)], |row| {
        stated(row.get_ref(0)?.as_str().map_err(unreadable("event"))?)
    })?;
    Ok(state.is_some_and(|stated| stated.state == UserState::Active))
}

/// How many memberships a user or a group had before it was deleted, as its events say. Those that have
/// ended with the other side were told by that.
fn ended(
    connection: &Connection,
    column: &'static str,
    id: ScimId,
    before: FeedPosition,
) -> Result<u64, DbError> {
    let other = if column == "user_id" { "group_id" } else { "user_id" };
    let sql = format!(
        "SELECT coalesce(sum(CASE event WHEN 'dsync.group.user_added' THEN 1 ELSE -1 END), 0)
         FROM feed WHERE {column} = ?1 AND position < ?2
             AND event IN ('dsync.group.user_added', 'dsync.group.user_removed')
             AND NOT EXISTS (SELECT 1 FROM feed AS gone WHERE gone.{other} = feed.{other}
                 AND gone.position < ?2
                 AND gone.event IN ('dsync.user.deleted', 'dsync.group.deleted'))"
    );
    let parameters = params![id.to_bytes(), as_sql(before.0)];
    let sum: i64 = connection.prepare_cached(&sql)?.query_row(parameters, |row| row.get(0))?;
    Ok(from_sql(sum.max(0)))
}
