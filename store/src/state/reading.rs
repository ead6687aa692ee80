//! What the API reads: pages of users, groups and events.

pub(crate) mod page;

use std::sync::Arc;

use api::ports::{
    Counts, EventFilter, FeedEnd, GroupFilter, Page, PageRequest, Reach, StoredEvent, UserFilter,
};
use directory::resource::name_key;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, EventType, GroupId, UserId};

use super::audit::{not_after, not_before};
use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use super::{State, feed};
use crate::config::Known;
use crate::error::DbError;
use crate::sqlite::{as_sql, from_sql};
use page::{Columns, Conditions, confined, map_page, page};

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
            let confined = confined(connection, &known, request.reach, None, filter.directory)?;
            let (conditions, columns) = users_where(&filter, confined.as_deref());
            let bound = |id: UserId, _, _| Ok(bytes(id.to_bytes()));
            let found =
                page(&request, &columns, confined, &conditions, bound, |rest, parameters| {
                    let sql = format!(
                        "SELECT {USER_COLUMNS}, directories.id FROM users
                     JOIN directories ON directories.key = users.directory WHERE {rest}"
                    );
                    all(connection, &sql, params_from_iter(parameters), |row| {
                        let (key, user) = user(row)?;
                        let directory = DirectoryId::from_bytes(row.get(9)?);
                        Ok((user.user_id, (key, user, directory)))
                    })
                })?;
            map_page(found, |(key, user, directory)| {
                let known = &known.get(directory)?.directory;
                Some(with_groups(connection, known, key, &user))
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
                 JOIN directories ON directories.key = users.directory
                 WHERE users.user_id = ?1 AND users.hidden = 0"
            );
            let found = first(connection, &sql, [bytes(id.to_bytes())], |row| {
                Ok((user(row)?, DirectoryId::from_bytes(row.get(9)?)))
            })?;
            let Some(((key, user), directory)) = found else { return Ok(None) };
            let known = known.get(directory).map(|known| &known.directory);
            match known.filter(|known| reach.covers(known.organization_id)) {
                Some(known) => Ok(Some(with_groups(connection, known, key, &user)?)),
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
            let confined = confined(connection, &known, request.reach, None, filter.directory)?;
            if let Some(user) = filter.user {
                let of = "groups.key IN (SELECT group_key FROM memberships WHERE user_key = \
                    (SELECT key FROM users WHERE user_id = {} AND hidden = 0))";
                conditions.and(of, bytes(user.to_bytes()));
            }
            let columns = Columns {
                // The groups of a user are looked up, not found by walking their directory.
                directory: if filter.user.is_some() {
                    "+groups.directory"
                } else {
                    "groups.directory"
                },
                order: "groups.group_id",
                order_within: "groups.group_id",
            };
            let bound = |id: GroupId, _, _| Ok(bytes(id.to_bytes()));
            let found =
                page(&request, &columns, confined, &conditions, bound, |rest, parameters| {
                    let sql = format!(
                        "SELECT {GROUP_COLUMNS}, directories.id FROM groups
                     JOIN directories ON directories.key = groups.directory WHERE {rest}"
                    );
                    all(connection, &sql, params_from_iter(parameters), |row| {
                        let (_, group) = group(row)?;
                        let directory = DirectoryId::from_bytes(row.get(10)?);
                        Ok((group.group_id, (group, directory)))
                    })
                })?;
            map_page(found, |(group, directory)| {
                let known = &known.get(directory)?.directory;
                Some(Ok(known.apps.group(known.origin(), &group)))
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
        self.read(move |connection| {
            let mut conditions = Conditions::default();
            let confined = confined(connection, &known, request.reach, filter.organization, None)?;
            if filter.types.is_empty() {
                conditions
                    .and("feed.event <> {}", EventType::InactiveUserChanged.name().to_owned());
            } else {
                let names: Vec<&str> = filter.types.iter().map(|kind| kind.name()).collect();
                let list = serde_json::to_string(&names).unwrap_or_default();
                conditions.and("feed.event IN (SELECT value FROM json_each({}))", list);
            }
            // No index has the times; ids begin with them, and lead to where the range lies.
            if let Some(from) = filter.from {
                conditions.and("feed.created_at >= {}", from.millis());
                conditions.and("feed.position >= {}", as_sql(not_before(connection, from)?));
            }
            if let Some(to) = filter.to {
                conditions.and("feed.created_at <= {}", to.millis());
                conditions.and("feed.position <= {}", as_sql(not_after(connection, to)?));
            }
            let columns = Columns {
                directory: "feed.directory",
                order: "feed.position",
                order_within: "feed.seq",
            };
            let bound = |id, rising, directory| {
                Ok(as_sql(event_bound(connection, id, rising, directory)?).into())
            };
            page(&request, &columns, confined, &conditions, bound, |rest, parameters| {
                let sql = format!(
                    "SELECT feed.position, feed.event_id, feed.event, feed.created_at, feed.data
                     FROM feed WHERE {rest}"
                );
                all(connection, &sql, params_from_iter(parameters), |row| {
                    Ok((row.get::<_, i64>(0)?, stored_event(row)?))
                })
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
                 WHERE users.user_id = ?1 AND users.hidden = 0"
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

/// What narrows a list of users, and what such a list runs by. A `+` keeps the database from an index that
/// would lead through a whole directory to the few that are asked for.
fn users_where(filter: &UserFilter, confined: Option<&[i64]>) -> (Conditions, Columns) {
    let mut conditions = Conditions::default();
    conditions.and("users.hidden = {}", 0);
    let is_of_few = filter.idp_id.is_some() || filter.email.is_some();
    if let Some(group) = filter.group.map(|group| bytes(group.to_bytes())) {
        let of = if is_of_few {
            // Whether a few are members is looked up for each, in the directory of the group.
            "users.directory = (SELECT directory FROM groups WHERE group_id = {})
             AND EXISTS (SELECT 1 FROM memberships WHERE user_key = users.key
                 AND group_key = (SELECT key FROM groups WHERE group_id = {}))"
        } else {
            "users.key IN (SELECT user_key FROM memberships WHERE group_key = \
                (SELECT key FROM groups WHERE group_id = {}))"
        };
        conditions.and_all(of, vec![group; of.matches("{}").count()]);
    }
    if let Some(idp_id) = &filter.idp_id {
        with_idp_id(&mut conditions, idp_id, confined);
    }
    if let Some(email) = &filter.email {
        with_email(&mut conditions, &email.to_lowercase(), confined);
    }
    let is_looked_up = is_of_few || filter.group.is_some();
    let directory = if is_looked_up { "+users.directory" } else { "users.directory" };
    let order = if is_of_few { "+users.user_id" } else { "users.user_id" };
    (conditions, Columns { directory, order, order_within: order })
}

/// What the attribute map chose, else the `externalId`, else the name: each is looked up in an index of its
/// own; the one of names has them folded.
fn with_idp_id(conditions: &mut Conditions, idp_id: &str, confined: Option<&[i64]>) {
    let id = || Sql::Text(idp_id.to_owned());
    let unmapped = "one.shown ->> '$.mapped.idp_id' IS NULL";
    let by_map = "one.shown IS NOT NULL AND one.shown ->> '$.mapped.idp_id' = {}".to_owned();
    let by_id = format!("one.external_id = {{}} AND {unmapped}");
    let by_name = format!(
        "one.name_key = {{}} AND one.external_id IS NULL AND one.attributes ->> '$.userName' = {{}}
         AND {unmapped}"
    );
    let name = Sql::Text(name_key(idp_id));
    let ways = [(by_map, vec![id()]), (by_id, vec![id()]), (by_name, vec![name, id()])];
    looked_up(conditions, confined, ways);
}

/// The address that the attribute map chose, else the one that is chosen without.
fn with_email(conditions: &mut Conditions, email: &str, confined: Option<&[i64]>) {
    let email = || vec![Sql::Text(email.to_owned())];
    let unmapped = "one.email = {} AND one.shown ->> '$.mapped' IS NULL".to_owned();
    looked_up(
        conditions,
        confined,
        [("one.mapped_email = {}".to_owned(), email()), (unmapped, email())],
    );
}

/// Who is found in one of these ways. For an `OR` the database would walk through the directory.
fn looked_up(
    conditions: &mut Conditions,
    confined: Option<&[i64]>,
    ways: impl IntoIterator<Item = (String, Vec<Sql>)>,
) {
    let keys = confined.map(|keys| serde_json::to_string(keys).unwrap_or_default());
    let within =
        if keys.is_some() { "json_each({})" } else { "(SELECT key AS value FROM directories)" };
    let (mut selects, mut parameters) = (Vec::new(), Vec::new());
    for (way, values) in ways {
        selects.push(format!(
            "SELECT one.key FROM {within} AS within
             CROSS JOIN users AS one ON one.directory = within.value AND {way}"
        ));
        parameters.extend(keys.clone().map(Sql::Text).into_iter().chain(values));
    }
    let is = format!("users.key IN ({})", selects.join(" UNION ALL "));
    conditions.and_all(&is, parameters);
}

fn with_groups(
    connection: &Connection,
    directory: &directory::Directory,
    key: i64,
    user: &directory::User,
) -> Result<DirectoryUserWithGroups, DbError> {
    let (origin, rules) = (directory.origin(), &directory.apps);
    let user = rules.user(origin, user);
    if rules.emptied.groups {
        return Ok(DirectoryUserWithGroups { user, groups: Vec::new() });
    }
    let sql = format!(
        "SELECT {GROUP_COLUMNS} FROM memberships
         JOIN groups ON groups.key = memberships.group_key
         WHERE memberships.user_key = ?1 ORDER BY groups.key"
    );
    let groups = all(connection, &sql, [key], |row| Ok(rules.group(origin, &group(row)?.1)))?;
    Ok(DirectoryUserWithGroups { user, groups })
}

fn stored_event(row: &Row<'_>) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent { id: EventId::from_bytes(row.get(1)?), body: feed::body(row)? })
}

/// What events are compared with that lie behind a cursor, in the whole feed or in one directory. An
/// event that is not there stands where its id puts it: between two others.
pub(super) fn event_bound(
    connection: &Connection,
    id: EventId,
    rising: bool,
    directory: Option<i64>,
) -> Result<u64, DbError> {
    let sql = "SELECT position, event_id = ?1 FROM feed
        WHERE event_id <= ?1 ORDER BY event_id DESC LIMIT 1";
    let found = first(connection, sql, [bytes(id.to_bytes())], |row| {
        Ok((from_sql(row.get(0)?), row.get::<_, bool>(1)?))
    })?;
    let (position, there) = found.unwrap_or((0, false));
    // The last position that is not behind a rising cursor, or that still is behind a falling one.
    let last = if rising || !there { position } else { position.saturating_sub(1) };
    let last = match directory {
        None => last,
        Some(key) => feed::seq_up_to(connection, key, last)?.0,
    };
    Ok(if rising { last } else { last.saturating_add(1) })
}
