//! Users: pages of them, and one, each with its groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ports::{Page, PageRequest, Reach, UserFilter};
use directory::resource::name_key;
use schemas::wire::{DirectoryUserWithGroups, SharedGroup};
use schemas::{DirectoryId, GroupId, UserId};

use super::super::State;
use super::super::rows::{GROUP_COLUMNS, USER_COLUMNS, group, user, user_bytes};
use super::page::{Columns, Conditions, Query, Rest, array, confined, merged, queries, with_front};
use super::{NOT_LEFT_BEHIND, bytes};
use crate::config::Known;
use crate::error::DbError;
use crate::filter::Parameter;
use crate::postgres::lookup::{BEGINNING_CHARS, beginning, key};
use crate::postgres::query::Moment;
use crate::postgres::rows::Columns as _;
use crate::state::reading::page::{finished, map_page, within_bytes};
use crate::state::reading::users::groups_bytes;

impl State {
    pub(in crate::postgres::state) async fn api_users(
        &self,
        known: Arc<Known>,
        request: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let confined = confined(&moment, &known, request.reach, None, filter.directory).await?;
        let listing = match filter.group {
            Some(group) if filter.idp_id.is_none() && filter.email.is_none() => {
                match of_group(&moment, group, confined.as_deref()).await? {
                    Some(listing) => listing,
                    None => return Ok(finished(Vec::new(), &request)),
                }
            }
            Some(_) | None => users_listing(&filter, confined),
        };
        if !listing.columns.is_looked_up {
            moment.walking().await?;
        }
        let Listing { rows, columns, confined, conditions } = listing;
        let queries = queries(&request, columns, confined, &conditions, UserId::to_bytes);
        let mut found = Vec::new();
        for Query { behind: Rest { sql, parameters }, .. } in &queries {
            let sql = format!(
                "SELECT {USER_COLUMNS}, directories.id FROM {}
                 JOIN directories ON directories.key = users.directory",
                rows.of(sql)
            );
            for row in moment.enough_once(&sql, parameters, user_bytes).await? {
                let ((key, user), bytes) = (user(&row)?, user_bytes(&row)?);
                let directory = DirectoryId::from_bytes(row.id(9)?);
                found.push((user.user_id, (key, user, directory, bytes)));
            }
        }
        let page = within_bytes(merged(found, &request), &request, |(.., bytes)| *bytes);
        let page = with_front(&moment, &request, rows.table(), &queries, page).await?;
        let keys: Vec<i64> = page.items.iter().map(|(key, ..)| *key).collect();
        let mut memberships = Memberships::of(&moment, &keys).await?;
        let shown = map_page(page, |(key, user, directory, _)| {
            let known = &known.get(directory)?.directory;
            Some(Ok(memberships.with_user(known, key, &user)))
        })?;
        Ok(within_bytes(shown, &request, groups_bytes))
    }

    pub(in crate::postgres::state) async fn api_user(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryUserWithGroups>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {USER_COLUMNS}, directories.id FROM users
             JOIN directories ON directories.key = users.directory
             WHERE users.user_id = $1 AND NOT users.hidden AND NOT directories.gone"
        );
        let Some(row) = moment.first(&sql, &[&&id.to_bytes()[..]]).await? else {
            return Ok(None);
        };
        let ((key, user), directory) = (user(&row)?, DirectoryId::from_bytes(row.id(9)?));
        let known = known.get(directory).map(|known| &known.directory);
        let Some(known) = known.filter(|known| reach.covers(known.organization_id)) else {
            return Ok(None);
        };
        let mut memberships = Memberships::of(&moment, &[key]).await?;
        Ok(Some(memberships.with_user(known, key, &user)))
    }
}

/// A list of users in the making.
struct Listing {
    rows: Rows,
    columns: Columns,
    confined: Option<Vec<i64>>,
    conditions: Conditions,
}

/// Which table has the rows of a list of users in its order.
#[derive(Clone, Copy)]
enum Rows {
    Users,
    /// The members of a group are kept in the order of the list, those whom apps see.
    Members,
}

impl Rows {
    const fn table(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Members => "memberships",
        }
    }

    /// What a page of them is taken from, as `users`.
    fn of(self, page: &str) -> String {
        match self {
            Self::Users => format!("(SELECT * FROM users WHERE {page}) AS users"),
            Self::Members => format!(
                "(SELECT user_key FROM memberships WHERE {page}) AS page
                 JOIN users ON users.key = page.user_key"
            ),
        }
    }
}

/// The members of a group; `None` where there is no such group.
async fn of_group(
    moment: &Moment<'_>,
    group: GroupId,
    confined: Option<&[i64]>,
) -> Result<Option<Listing>, DbError> {
    let sql = "SELECT groups.key, groups.directory FROM groups
        JOIN directories ON directories.key = groups.directory
        WHERE groups.group_id = $1 AND NOT directories.gone";
    let Some(row) = moment.first(sql, &[&&group.to_bytes()[..]]).await? else { return Ok(None) };
    let (key, directory): (i64, i64) = (row.value(0)?, row.value(1)?);
    if confined.is_some_and(|keys| !keys.contains(&directory)) {
        return Ok(None);
    }
    let mut conditions = Conditions::default();
    conditions.and("memberships.user_id IS NOT NULL", []);
    // The group takes the place of the directory: within one, its members are a range.
    let columns = Columns {
        directory: "memberships.group_key",
        is_looked_up: false,
        order: "memberships.user_id",
    };
    Ok(Some(Listing { rows: Rows::Members, columns, confined: Some(vec![key]), conditions }))
}

fn users_listing(filter: &UserFilter, confined: Option<Vec<i64>>) -> Listing {
    let conditions = users_where(filter, confined.as_deref());
    let is_looked_up = filter.idp_id.is_some() || filter.email.is_some();
    let columns = Columns { directory: "users.directory", is_looked_up, order: "users.user_id" };
    Listing { rows: Rows::Users, columns, confined, conditions }
}

/// What narrows a list of users. Who is found by a look-up is found before the list is put in order: arrays, and a
/// sum in place of the directory's key, keep the planner from walking through a directory to find a few there.
fn users_where(filter: &UserFilter, confined: Option<&[i64]>) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.and("NOT users.hidden", []);
    conditions.and(NOT_LEFT_BEHIND[0], []);
    if let Some(group) = filter.group {
        // A few are found by something else, and whether they are members is looked up for each.
        let of = "EXISTS (SELECT 1 FROM memberships WHERE user_key = users.key
             AND group_key = (SELECT key FROM groups WHERE group_id = {}))";
        conditions.and(of, [bytes(group.to_bytes())]);
    }
    if let Some(idp_id) = &filter.idp_id {
        with_idp_id(&mut conditions, idp_id, confined);
    }
    if let Some(email) = &filter.email {
        with_email(&mut conditions, &email.to_lowercase(), confined);
    }
    conditions
}

/// What the attribute map chose, else the `externalId`, else the name: each is looked up in an index of its own; the
/// one of names has them folded.
fn with_idp_id(conditions: &mut Conditions, idp_id: &str, confined: Option<&[i64]>) {
    let id = || Parameter::Text(idp_id.to_owned());
    let unmapped = "one.shown #>> '{mapped,idp_id}' IS NULL";
    let by_map = format!(
        "one.shown IS NOT NULL AND left(one.shown #>> '{{mapped,idp_id}}', {BEGINNING_CHARS}) = {{}}
         AND one.shown #>> '{{mapped,idp_id}}' = {{}}"
    );
    let begins = Parameter::Text(beginning(idp_id).to_owned());
    let looked_up_by = |value: &str| Parameter::Text(key(value).into_owned());
    let by_id = format!("one.external_id = {{}} AND {unmapped}");
    let by_name = format!(
        "one.name_key = {{}} AND one.external_id IS NULL AND one.attributes ->> 'userName' = {{}}
         AND {unmapped}"
    );
    let name = looked_up_by(&name_key(idp_id));
    let ways = [
        (by_map, vec![begins, id()]),
        (by_id, vec![looked_up_by(idp_id)]),
        (by_name, vec![name, id()]),
    ];
    looked_up(conditions, confined, ways);
}

/// The address that the attribute map chose, else the one that is chosen without.
fn with_email(conditions: &mut Conditions, email: &str, confined: Option<&[i64]>) {
    let email = || vec![Parameter::Text(key(email).into_owned())];
    let unmapped = "one.email = {} AND one.shown ->> 'mapped' IS NULL".to_owned();
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
    ways: impl IntoIterator<Item = (String, Vec<Parameter>)>,
) {
    let within = match confined {
        Some(keys) => format!("unnest({})", array(keys)),
        None => "(SELECT key FROM directories)".to_owned(),
    };
    let (mut selects, mut parameters) = (Vec::new(), Vec::new());
    for (way, values) in ways {
        selects.push(format!(
            "SELECT one.key FROM {within} AS within (key)
             JOIN users AS one ON one.directory = within.key AND {way}"
        ));
        parameters.extend(values);
    }
    let is = format!("users.key = ANY(ARRAY({}))", selects.join(" UNION ALL "));
    conditions.and(&is, parameters);
}

/// The groups of a page's users: many are in the same ones, which are read once and shared.
#[derive(Default)]
struct Memberships {
    of_users: BTreeMap<i64, Vec<i64>>,
    groups: BTreeMap<i64, directory::Group>,
    shown: BTreeMap<i64, SharedGroup>,
}

impl Memberships {
    /// `OFFSET 0` keeps both a look-up for each, however many rows the planner expects.
    async fn of(moment: &Moment<'_>, users: &[i64]) -> Result<Self, DbError> {
        let mut found = Self::default();
        if users.is_empty() {
            return Ok(found);
        }
        let sql = "SELECT of.user_key, of.group_key FROM unnest($1::bigint[]) AS page (of_user)
            CROSS JOIN LATERAL (SELECT user_key, group_key FROM memberships
                WHERE user_key = page.of_user OFFSET 0) AS of
            ORDER BY of.group_key";
        for row in moment.all(sql, &[&users]).await? {
            found.of_users.entry(row.value(0)?).or_default().push(row.value(1)?);
        }
        let keys: BTreeSet<i64> = found.of_users.values().flatten().copied().collect();
        let keys: Vec<i64> = keys.into_iter().collect();
        let sql = format!(
            "SELECT of.* FROM unnest($1::bigint[]) AS wanted (of_group)
             CROSS JOIN LATERAL (SELECT {GROUP_COLUMNS} FROM groups
                 WHERE groups.key = wanted.of_group OFFSET 0) AS of"
        );
        for row in moment.all(&sql, &[&keys]).await? {
            let (key, group) = group(&row)?;
            found.groups.insert(key, group);
        }
        Ok(found)
    }

    fn with_user(
        &mut self,
        directory: &directory::Directory,
        key: i64,
        user: &directory::User,
    ) -> DirectoryUserWithGroups {
        let (origin, rules) = (directory.origin(), &directory.apps);
        let user = rules.user(origin, user);
        let mut shown = Vec::new();
        if !rules.emptied.groups {
            for key in self.of_users.get(&key).into_iter().flatten() {
                let Some(group) = self.groups.get(key) else { continue };
                let group =
                    self.shown.entry(*key).or_insert_with(|| rules.group(origin, group).into());
                shown.push(group.clone());
            }
        }
        DirectoryUserWithGroups { user, groups: shown }
    }
}
