//! What the API reads: pages of users, groups and events.

mod events;
#[cfg(test)]
mod laws;
pub(crate) mod page;
#[cfg(test)]
mod plans;
pub(crate) mod users;

use std::sync::Arc;

use api::ports::{
    Counts, EventFilter, FeedEnd, GroupFilter, Page, PageRequest, Reach, StoredEvent, UserFilter,
};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, EventType, GroupId, UserId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, first, group, user};
use super::{State, feed};
use crate::config::Known;
use crate::error::DbError;
use crate::sqlite::from_sql;
use events::events;
pub(super) use events::nearest;
use users::{GroupsShown, groups, users, with_groups};

fn bytes(id: [u8; 16]) -> Sql {
    Sql::Blob(id.to_vec())
}

impl State {
    pub(crate) async fn api_users(
        &self,
        known: Arc<Known>,
        request: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, DbError> {
        self.read(move |connection| users(connection, &known, &request, &filter)).await
    }

    pub(crate) async fn api_user(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryUserWithGroups>, DbError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {USER_COLUMNS}, directories.id FROM users
                 JOIN directories ON directories.key = users.directory
                 WHERE users.user_id = ?1 AND users.hidden = 0 AND directories.gone = 0"
            );
            let found = first(connection, &sql, [bytes(id.to_bytes())], |row| {
                Ok((user(row)?, DirectoryId::from_bytes(row.get(9)?)))
            })?;
            let Some(((key, user), directory)) = found else { return Ok(None) };
            let known = known.get(directory).map(|known| &known.directory);
            match known.filter(|known| reach.covers(known.organization_id)) {
                Some(known) => {
                    let mut groups = GroupsShown::default();
                    Ok(Some(with_groups(connection, known, key, &user, &mut groups)?))
                }
                None => Ok(None),
            }
        })
        .await
    }

    pub(crate) async fn api_groups(
        &self,
        known: Arc<Known>,
        request: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, DbError> {
        self.read(move |connection| groups(connection, &known, &request, &filter)).await
    }

    pub(crate) async fn api_group(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryGroup>, DbError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {GROUP_COLUMNS}, directories.id FROM groups
                 JOIN directories ON directories.key = groups.directory
                 WHERE groups.group_id = ?1 AND directories.gone = 0"
            );
            let found = first(connection, &sql, [bytes(id.to_bytes())], |row| {
                Ok((group(row)?.1, DirectoryId::from_bytes(row.get(10)?)))
            })?;
            let Some((group, directory)) = found else { return Ok(None) };
            let known = known.get(directory).map(|known| &known.directory);
            let known = known.filter(|known| reach.covers(known.organization_id));
            Ok(known.map(|known| known.apps.group(known.origin(), &group)))
        })
        .await
    }

    pub(crate) async fn api_events(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, DbError> {
        self.read(move |connection| events(connection, &known, &request, &filter)).await
    }

    pub(crate) async fn api_event(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: EventId,
    ) -> Result<Option<StoredEvent>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT feed.position, feed.event_id, feed.event, feed.created_at, feed.data,
                directories.id FROM feed JOIN directories ON directories.key = feed.directory
                WHERE feed.event_id = ?1 AND feed.event <> ?2";
            let told = EventType::InactiveUserChanged.name().to_owned();
            let parameters = params_from_iter([bytes(id.to_bytes()), told.into()]);
            let found = first(connection, sql, parameters, |row| {
                Ok((stored_event(row)?, DirectoryId::from_bytes(row.get(5)?)))
            })?;
            let seen = found.filter(|(_, directory)| {
                let origin = known.origin(*directory);
                origin.map_or(reach == Reach::Everything, |origin| {
                    reach.covers(origin.organization_id)
                })
            });
            Ok(seen.map(|(event, _)| event))
        })
        .await
    }

    pub(crate) async fn feed_end(&self) -> Result<FeedEnd, DbError> {
        self.read(move |connection| {
            let sql = "SELECT position, event_id FROM feed ORDER BY position DESC LIMIT 1";
            let last = first(connection, sql, [], |row| {
                let event = Some(EventId::from_bytes(row.get(1)?));
                Ok(FeedEnd { position: from_sql(row.get(0)?), event })
            })?;
            Ok(last.unwrap_or_default())
        })
        .await
    }

    /// The directory of the user with this id, or of the group.
    pub(crate) async fn directory_of(
        &self,
        table: Table,
        id: [u8; 16],
    ) -> Result<Option<DirectoryId>, DbError> {
        let sql = match table {
            Table::Users => {
                "SELECT directories.id FROM users
                 JOIN directories ON directories.key = users.directory
                 WHERE users.user_id = ?1 AND users.hidden = 0 AND directories.gone = 0"
            }
            Table::Groups => {
                "SELECT directories.id FROM groups
                 JOIN directories ON directories.key = groups.directory
                 WHERE groups.group_id = ?1 AND directories.gone = 0"
            }
        };
        self.read(move |connection| {
            first(connection, sql, [bytes(id)], |row| Ok(DirectoryId::from_bytes(row.get(0)?)))
        })
        .await
    }

    /// What the API says of directories: whether they are connected or gone, and how much they hold.
    pub(crate) async fn standings(&self, ids: Vec<DirectoryId>) -> Result<Vec<Standing>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT activated, gone, active_users, inactive_users, groups, stopped
                FROM directories WHERE id = ?1";
            let standing = |id: DirectoryId| {
                let found = first(connection, sql, [bytes(id.to_bytes())], |row| {
                    Ok(Standing {
                        activated: row.get(0)?,
                        gone: row.get(1)?,
                        stopped: row.get(5)?,
                        counts: Counts {
                            active_users: from_sql(row.get(2)?),
                            inactive_users: from_sql(row.get(3)?),
                            groups: from_sql(row.get(4)?),
                        },
                    })
                })?;
                Ok(found.unwrap_or_default())
            };
            ids.into_iter().map(standing).collect()
        })
        .await
    }
}

/// Which kind of resource an id is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    Users,
    Groups,
}

/// A directory as its stream left it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) activated: bool,
    pub(crate) gone: bool,
    pub(crate) stopped: bool,
    pub(crate) counts: Counts,
}

fn stored_event(row: &Row<'_>) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent { id: EventId::from_bytes(row.get(1)?), body: feed::body(row)? })
}

/// What events are compared with that lie behind a cursor. An event that is not there stands where its id puts it:
/// between two others.
pub(super) fn event_bound(
    connection: &Connection,
    id: EventId,
    rising: bool,
) -> Result<u64, DbError> {
    let sql = "SELECT position, event_id = ?1 FROM feed
        WHERE event_id <= ?1 ORDER BY event_id DESC LIMIT 1";
    let found = first(connection, sql, [bytes(id.to_bytes())], |row| {
        Ok((from_sql(row.get(0)?), row.get::<_, bool>(1)?))
    })?;
    let (position, there) = found.unwrap_or((0, false));
    // The last position that is not behind a rising cursor, or that still is behind a falling one.
    let last = if rising || !there { position } else { position.saturating_sub(1) };
    Ok(if rising { last } else { last.saturating_add(1) })
}
