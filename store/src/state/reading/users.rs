//! Lists of users and of groups, as apps see them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use api::ports::{GroupFilter, Page, PageRequest, UserFilter};
use directory::resource::name_key;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups, SharedGroup};
use schemas::{DirectoryId, GroupId, UserId};

use super::super::rows::{
    GROUP_COLUMNS, USER_COLUMNS, all, enough, first, group, group_bytes, user, user_bytes,
};
use super::bytes;
use super::page::{Columns, Conditions, confined, finished, map_page, page, within_bytes};
use crate::config::Known;
use crate::error::DbError;

/// A page of users.
pub(super) fn users(
    connection: &Connection,
    known: &Known,
    request: &PageRequest<UserId>,
    filter: &UserFilter,
) -> Result<Page<DirectoryUserWithGroups>, DbError> {
    let confined = confined(connection, known, request.reach, None, filter.directory)?;
    let group = match filter.group {
        Some(id) => match group_key(connection, id, confined.as_deref())? {
            Some(found) => Some(found),
            None => return Ok(finished(Vec::new(), request)),
        },
        None => None,
    };
    let confined = group.map_or(confined, |group| Some(vec![group.directory]));
    let listing = users_where(filter, group, confined);
    let bound = |id: UserId| bytes(id.to_bytes());
    let Listing { from, confined, conditions, columns } = &listing;
    let confined = confined.clone();
    let found = page(request, columns, confined, conditions, bound, |rest, parameters| {
        let sql = format!(
            "SELECT {USER_COLUMNS}, directories.id FROM {from}
             CROSS JOIN directories ON directories.key = users.directory
             WHERE directories.gone = 0 AND {rest}"
        );
        enough(connection, &sql, params_from_iter(parameters), user_bytes, |row| {
            let ((key, user), bytes) = (user(row)?, user_bytes(row)?);
            let directory = DirectoryId::from_bytes(row.get(9)?);
            Ok((user.user_id, (key, user, directory, bytes)))
        })
    })?;
    let found = within_bytes(found, request, |(.., bytes)| *bytes);
    let mut groups = GroupsShown::default();
    let shown = map_page(found, |(key, user, directory, _)| {
        let known = &known.get(directory)?.directory;
        Some(with_groups(connection, known, key, &user, &mut groups))
    })?;
    Ok(within_bytes(shown, request, groups_bytes))
}

/// A page of groups.
pub(super) fn groups(
    connection: &Connection,
    known: &Known,
    request: &PageRequest<GroupId>,
    filter: &GroupFilter,
) -> Result<Page<DirectoryGroup>, DbError> {
    let mut conditions = Conditions::default();
    let confined = confined(connection, known, request.reach, None, filter.directory)?;
    if let Some(user) = filter.user {
        let of = "groups.key IN (SELECT group_key FROM memberships WHERE user_key = \
            (SELECT key FROM users WHERE user_id = {} AND hidden = 0))";
        conditions.and(of, bytes(user.to_bytes()));
    }
    let columns = Columns {
        // The groups of a user are looked up, not found by walking their directory.
        directory: if filter.user.is_some() { "+groups.directory" } else { "groups.directory" },
        order: "groups.group_id",
    };
    let bound = |id: GroupId| bytes(id.to_bytes());
    let found = page(request, &columns, confined, &conditions, bound, |rest, parameters| {
        let sql = format!(
            "SELECT {GROUP_COLUMNS}, directories.id FROM groups
             CROSS JOIN directories ON directories.key = groups.directory
             WHERE directories.gone = 0 AND {rest}"
        );
        enough(connection, &sql, params_from_iter(parameters), group_bytes, |row| {
            let ((_, group), bytes) = (group(row)?, group_bytes(row)?);
            let directory = DirectoryId::from_bytes(row.get(10)?);
            Ok((group.group_id, (group, directory, bytes)))
        })
    })?;
    let found = within_bytes(found, request, |(.., bytes)| *bytes);
    map_page(found, |(group, directory, _)| {
        let known = &known.get(directory)?.directory;
        Some(Ok(known.apps.group(known.origin(), &group)))
    })
}

/// A group that a list is limited to.
#[derive(Clone, Copy)]
struct GroupKey {
    key: i64,
    directory: i64,
}

/// The group, if it is in one of the directories that a query is confined to.
fn group_key(
    connection: &Connection,
    id: GroupId,
    confined: Option<&[i64]>,
) -> Result<Option<GroupKey>, DbError> {
    let sql = "SELECT key, directory FROM groups WHERE group_id = ?1";
    let found = first(connection, sql, [bytes(id.to_bytes())], |row| {
        Ok(GroupKey { key: row.get(0)?, directory: row.get(1)? })
    })?;
    Ok(found.filter(|group| confined.is_none_or(|keys| keys.contains(&group.directory))))
}

/// A list of users in the making: the tables, what narrows it, and what it runs by.
struct Listing {
    from: &'static str,
    confined: Option<Vec<i64>>,
    conditions: Conditions,
    columns: Columns,
}

/// A `+` keeps the database from an index that would lead through a whole directory to the few that are asked
/// for.
fn users_where(
    filter: &UserFilter,
    group: Option<GroupKey>,
    confined: Option<Vec<i64>>,
) -> Listing {
    let mut conditions = Conditions::default();
    // As it stands, so that an index of them alone leads past who is hidden, however many these are.
    conditions.and_all("users.hidden = 0", []);
    let is_of_few = filter.idp_id.is_some() || filter.email.is_some();
    if let (Some(group), false) = (group, is_of_few) {
        // The members are kept in the order of this list.
        conditions.and("memberships.group_key = {}", group.key);
        conditions.and("memberships.user_id > {}", Vec::new());
        let order = "memberships.user_id";
        return Listing {
            from: "memberships CROSS JOIN users ON users.key = memberships.user_key",
            confined: None,
            conditions,
            columns: Columns { directory: "users.directory", order },
        };
    }
    if let Some(group) = group {
        let of = "EXISTS (SELECT 1 FROM memberships WHERE user_key = users.key AND group_key = {})";
        conditions.and(of, group.key);
    }
    if let Some(idp_id) = &filter.idp_id {
        with_idp_id(&mut conditions, idp_id, confined.as_deref());
    }
    if let Some(email) = &filter.email {
        with_email(&mut conditions, &email.to_lowercase(), confined.as_deref());
    }
    let directory = if is_of_few { "+users.directory" } else { "users.directory" };
    let order = if is_of_few { "+users.user_id" } else { "users.user_id" };
    let columns = Columns { directory, order };
    Listing { from: "users", confined, conditions, columns }
}

/// What the attribute map chose, else the `externalId`, else the name: each is looked up in an index of its
/// own; the one of names has them folded.
fn with_idp_id(conditions: &mut Conditions, idp_id: &str, confined: Option<&[i64]>) {
    let id = || Sql::Text(idp_id.to_owned());
    let unmapped = "one.mapped_idp_id IS NULL";
    let by_map = "one.mapped_idp_id = {}".to_owned();
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
    let email = || Sql::Text(email.to_owned());
    let unmapped = "one.shown ->> '$.mapped' IS NULL";
    let by_map = "one.mapped_email = {}".to_owned();
    let by_email = format!("one.email = {{}} AND one.email <> one.name_key AND {unmapped}");
    // Whose name is the address is not in the index of addresses.
    let by_name = format!("one.name_key = {{}} AND one.email = {{}} AND {unmapped}");
    let ways =
        [(by_map, vec![email()]), (by_email, vec![email()]), (by_name, vec![email(), email()])];
    looked_up(conditions, confined, ways);
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

/// How much a user's groups come to in an answer. They are shared in memory, and there they are written for each user.
pub(crate) fn groups_bytes(user: &DirectoryUserWithGroups) -> usize {
    user.groups.iter().map(SharedGroup::bytes).sum()
}

/// The groups of a page's users: many are in the same ones, which are read once and shared.
pub(super) type GroupsShown = BTreeMap<i64, SharedGroup>;

pub(super) fn with_groups(
    connection: &Connection,
    directory: &directory::Directory,
    key: i64,
    user: &directory::User,
    shown: &mut GroupsShown,
) -> Result<DirectoryUserWithGroups, DbError> {
    let (origin, rules) = (directory.origin(), &directory.apps);
    let user = rules.user(origin, user);
    if rules.emptied.groups {
        return Ok(DirectoryUserWithGroups { user, groups: Vec::new() });
    }
    let sql = "SELECT group_key FROM memberships WHERE user_key = ?1 ORDER BY group_key";
    let keys: Vec<i64> = all(connection, sql, [key], |row| Ok(row.get(0)?))?;
    let sql = format!("SELECT {GROUP_COLUMNS} FROM groups WHERE key = ?1");
    let mut groups = Vec::with_capacity(keys.len());
    for key in keys {
        if let Entry::Vacant(place) = shown.entry(key)
            && let Some((_, found)) = first(connection, &sql, [key], group)?
        {
            place.insert(rules.group(origin, &found).into());
        }
        groups.extend(shown.get(&key).cloned());
    }
    Ok(DirectoryUserWithGroups { user, groups })
}
