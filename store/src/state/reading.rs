//! What the API reads: pages of users, groups and events.

use std::sync::Arc;

use api::ports::{
    Counts, Cursor, EventFilter, GroupFilter, Order, Page, PageRequest, Reach, StoredEvent,
    UserFilter,
};
use directory::normalise::{Origin, directory_group, directory_user};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, GroupId, OrganizationId, UserId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use super::{State, feed};
use crate::config::Known;
use crate::error::DbError;
use crate::sqlite::from_sql;

/// A statement in the making: conditions and their parameters.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    parameters: Vec<Sql>,
}

impl Conditions {
    /// `{}` in the condition stands for the parameter.
    fn and(&mut self, condition: &str, parameter: impl Into<Sql>) {
        self.parameters.push(parameter.into());
        self.sql.push(condition.replace("{}", &format!("?{}", self.parameters.len())));
    }

    /// Only directories of which the caller may know, and which are there.
    fn reach(&mut self, known: &Known, reach: Reach, column: &str) {
        if let Reach::Organization(organization) = reach {
            self.organization(known, organization, column);
        }
    }

    fn organization(&mut self, known: &Known, organization: OrganizationId, column: &str) {
        let ids = known.directories_of(organization);
        let ids: Vec<String> = ids.map(|id| hex::encode(id.to_bytes())).collect();
        let list = serde_json::to_string(&ids).unwrap_or_default();
        let condition = format!(
            "{column} IN (SELECT key FROM directories WHERE lower(hex(id)) IN \
             (SELECT value FROM json_each({{}})))"
        );
        self.and(&condition, list);
    }

    fn to_sql(&self) -> String {
        if self.sql.is_empty() { "1".to_owned() } else { self.sql.join(" AND ") }
    }
}

/// A page in either direction: one more than asked for tells whether more follow.
fn page<I, T>(
    request: &PageRequest<I>,
    position: impl Fn(I) -> Result<Sql, DbError>,
    column: &str,
    mut conditions: Conditions,
    read: impl Fn(&str, &[Sql]) -> Result<Vec<T>, DbError>,
) -> Result<Page<T>, DbError>
where
    I: Copy,
{
    let forwards = match request.cursor {
        None | Some(Cursor::After(_)) => true,
        Some(Cursor::Before(_)) => false,
    };
    let rising = (request.order == Order::Ascending) == forwards;
    if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
        let condition = format!("{column} {} {{}}", if rising { ">" } else { "<" });
        conditions.and(&condition, position(id)?);
    }
    let limit = request.limit as usize;
    let sql = format!(
        "{} ORDER BY {column} {} LIMIT {}",
        conditions.to_sql(),
        if rising { "ASC" } else { "DESC" },
        limit + 1
    );
    let mut items = read(&sql, &conditions.parameters)?;
    let more = items.len() > limit;
    items.truncate(limit);
    if !forwards {
        items.reverse();
    }
    let cursor = request.cursor.is_some();
    let (has_before, has_after) = if forwards { (cursor, more) } else { (more, true) };
    Ok(Page { items, has_before, has_after })
}

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
        self.read(move |connection| {
            let mut conditions = Conditions::default();
            conditions.reach(&known, request.reach, "users.directory");
            if let Some(directory) = filter.directory {
                let of = "users.directory = (SELECT key FROM directories WHERE id = {})";
                conditions.and(of, bytes(directory.to_bytes()));
            }
            if let Some(group) = filter.group {
                let of = "users.key IN (SELECT user_key FROM memberships WHERE group_key = \
                    (SELECT key FROM groups WHERE group_id = {}))";
                conditions.and(of, bytes(group.to_bytes()));
            }
            if let Some(idp_id) = filter.idp_id {
                let is = "coalesce(users.external_id, users.attributes ->> '$.userName') = {}";
                conditions.and(is, idp_id);
            }
            if let Some(email) = filter.email {
                conditions.and("users.email = {}", email.to_lowercase());
            }
            let position = |id: UserId| Ok(bytes(id.to_bytes()));
            page(&request, position, "users.user_id", conditions, |rest, parameters| {
                let sql = format!(
                    "SELECT {USER_COLUMNS}, directories.id FROM users
                     JOIN directories ON directories.key = users.directory WHERE {rest}"
                );
                let rows = all(connection, &sql, params_from_iter(parameters), |row| {
                    Ok((user(row)?, DirectoryId::from_bytes(row.get(8)?)))
                })?;
                let users = rows.into_iter().filter_map(|((key, user), directory)| {
                    let origin = known.origin(directory)?;
                    Some(with_groups(connection, origin, key, &user))
                });
                users.collect()
            })
        })
        .await
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
                 JOIN directories ON directories.key = users.directory WHERE users.user_id = ?1"
            );
            let found = first(connection, &sql, [bytes(id.to_bytes())], |row| {
                Ok((user(row)?, DirectoryId::from_bytes(row.get(8)?)))
            })?;
            let Some(((key, user), directory)) = found else { return Ok(None) };
            match known.origin(directory).filter(|origin| reach.covers(origin.organization_id)) {
                Some(origin) => Ok(Some(with_groups(connection, origin, key, &user)?)),
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
        self.read(move |connection| {
            let mut conditions = Conditions::default();
            conditions.reach(&known, request.reach, "groups.directory");
            if let Some(directory) = filter.directory {
                let of = "groups.directory = (SELECT key FROM directories WHERE id = {})";
                conditions.and(of, bytes(directory.to_bytes()));
            }
            if let Some(user) = filter.user {
                let of = "groups.key IN (SELECT group_key FROM memberships WHERE user_key = \
                    (SELECT key FROM users WHERE user_id = {}))";
                conditions.and(of, bytes(user.to_bytes()));
            }
            let position = |id: GroupId| Ok(bytes(id.to_bytes()));
            page(&request, position, "groups.group_id", conditions, |rest, parameters| {
                let sql = format!(
                    "SELECT {GROUP_COLUMNS}, directories.id FROM groups
                     JOIN directories ON directories.key = groups.directory WHERE {rest}"
                );
                let rows = all(connection, &sql, params_from_iter(parameters), |row| {
                    Ok((group(row)?.1, DirectoryId::from_bytes(row.get(10)?)))
                })?;
                let groups = rows.into_iter().filter_map(|(group, directory)| {
                    Some(directory_group(known.origin(directory)?, &group))
                });
                Ok(groups.collect())
            })
        })
        .await
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
                 JOIN directories ON directories.key = groups.directory WHERE groups.group_id = ?1"
            );
            let found = first(connection, &sql, [bytes(id.to_bytes())], |row| {
                Ok((group(row)?.1, DirectoryId::from_bytes(row.get(10)?)))
            })?;
            let Some((group, directory)) = found else { return Ok(None) };
            let origin = known.origin(directory);
            let origin = origin.filter(|origin| reach.covers(origin.organization_id));
            Ok(origin.map(|origin| directory_group(origin, &group)))
        })
        .await
    }

    pub(crate) async fn api_events(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, DbError> {
        self.read(move |connection| {
            let mut conditions = Conditions::default();
            conditions.reach(&known, request.reach, "feed.directory");
            if let Some(organization) = filter.organization {
                conditions.organization(&known, organization, "feed.directory");
            }
            if !filter.types.is_empty() {
                let names: Vec<&str> = filter.types.iter().map(|kind| kind.name()).collect();
                let list = serde_json::to_string(&names).unwrap_or_default();
                conditions.and("feed.event IN (SELECT value FROM json_each({}))", list);
            }
            if let Some(from) = filter.from {
                conditions.and("feed.created_at >= {}", from.millis());
            }
            if let Some(to) = filter.to {
                conditions.and("feed.created_at < {}", to.millis());
            }
            let position = |id| event_position(connection, id);
            page(&request, position, "feed.position", conditions, |rest, parameters| {
                let sql = format!(
                    "SELECT feed.position, feed.event_id, feed.event, feed.created_at, feed.data
                     FROM feed WHERE {rest}"
                );
                all(connection, &sql, params_from_iter(parameters), stored_event)
            })
        })
        .await
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
                WHERE feed.event_id = ?1";
            let found = first(connection, sql, [bytes(id.to_bytes())], |row| {
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

    /// The directory of the user with this id, or of the group.
    pub(crate) async fn directory_of(
        &self,
        table: Table,
        id: [u8; 16],
    ) -> Result<Option<DirectoryId>, DbError> {
        let sql = match table {
            Table::Users => {
                "SELECT directories.id FROM users
                 JOIN directories ON directories.key = users.directory WHERE users.user_id = ?1"
            }
            Table::Groups => {
                "SELECT directories.id FROM groups
                 JOIN directories ON directories.key = groups.directory WHERE groups.group_id = ?1"
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
            let sql = "SELECT activated, gone, active_users, inactive_users, groups
                FROM directories WHERE id = ?1";
            let standing = |id: DirectoryId| {
                let found = first(connection, sql, [bytes(id.to_bytes())], |row| {
                    Ok(Standing {
                        activated: row.get(0)?,
                        gone: row.get(1)?,
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
    pub(crate) counts: Counts,
}

fn with_groups(
    connection: &Connection,
    origin: Origin,
    key: i64,
    user: &directory::User,
) -> Result<DirectoryUserWithGroups, DbError> {
    let sql = format!(
        "SELECT {GROUP_COLUMNS} FROM memberships
         JOIN groups ON groups.key = memberships.group_key
         WHERE memberships.user_key = ?1 ORDER BY groups.key"
    );
    let groups = all(connection, &sql, [key], |row| Ok(directory_group(origin, &group(row)?.1)))?;
    Ok(DirectoryUserWithGroups { user: directory_user(origin, user), groups })
}

fn stored_event(row: &Row<'_>) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent { id: EventId::from_bytes(row.get(1)?), body: feed::body(row)? })
}

/// Where a cursor stands. An event that is not there stands where its time puts it.
fn event_position(connection: &Connection, id: EventId) -> Result<Sql, DbError> {
    let sql = "SELECT coalesce(max(position), 0) FROM feed
        WHERE event_id = (SELECT max(event_id) FROM feed WHERE event_id <= ?1)";
    let position: i64 =
        connection.prepare_cached(sql)?.query_row([bytes(id.to_bytes())], |row| row.get(0))?;
    Ok(Sql::Integer(position))
}
