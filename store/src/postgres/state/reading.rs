//! What the API reads: pages of groups, one event, and what directories hold. Users and pages of events are read by
//! modules of their own.

mod events;
pub(super) mod page;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ports::{Counts, FeedEnd, GroupFilter, Page, PageRequest, Reach, StoredEvent};
use schemas::wire::DirectoryGroup;
use schemas::{DirectoryId, EventId, EventType, GroupId};
use tokio_postgres::Row;

use super::super::query::Moment;
use super::super::rows::Columns as _;
use super::State;
use super::feed::{body, seq_up_to};
use super::rows::{GROUP_COLUMNS, group, group_bytes};
use crate::config::Known;
use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::audit::Range;
use crate::state::reading::page::{map_page, within_bytes};
use crate::state::reading::{Standing, Table};
use page::{Columns, Conditions, Query, Rest, confined, merged, queries, with_front};

fn bytes(id: [u8; 16]) -> Parameter {
    Parameter::Bytes(id.to_vec())
}

pub(super) use events::nearest;

/// The places of a stream that lie in a range: those behind the first of these, up to and with the second.
pub(super) async fn within(
    moment: &Moment<'_>,
    key: i64,
    range: Range,
) -> Result<(u64, u64), DbError> {
    let low = if range.first > 1 { seq_up_to(moment, key, range.first - 1).await?.0 } else { 0 };
    let high =
        if range.last < u64::MAX { seq_up_to(moment, key, range.last).await?.0 } else { u64::MAX };
    Ok((low, high))
}

/// What users and groups a directory has left behind that is gone is nobody's to see.
const NOT_LEFT_BEHIND: [&str; 2] = [
    "users.directory NOT IN (SELECT key FROM directories WHERE gone)",
    "groups.directory NOT IN (SELECT key FROM directories WHERE gone)",
];

impl State {
    pub(super) async fn api_groups(
        &self,
        known: Arc<Known>,
        request: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let mut conditions = Conditions::default();
        let confined = confined(&moment, &known, request.reach, None, filter.directory).await?;
        conditions.and(NOT_LEFT_BEHIND[1], []);
        if let Some(user) = filter.user {
            // The groups of a user are looked up, not found by walking their directory.
            let of = "groups.key = ANY(ARRAY(SELECT group_key FROM memberships WHERE user_key = \
                (SELECT key FROM users WHERE user_id = {} AND NOT hidden)))";
            conditions.and(of, [bytes(user.to_bytes())]);
        }
        let columns = Columns {
            directory: "groups.directory",
            is_looked_up: filter.user.is_some(),
            order: "groups.group_id",
        };
        let mut found = Vec::new();
        if !columns.is_looked_up {
            moment.walking().await?;
        }
        let queries = queries(&request, columns, confined, &conditions, GroupId::to_bytes);
        for Query { behind: Rest { sql, parameters }, .. } in &queries {
            let sql = format!(
                "SELECT {GROUP_COLUMNS}, directories.id FROM (SELECT * FROM groups WHERE {sql}) AS groups
                 JOIN directories ON directories.key = groups.directory"
            );
            for row in moment.enough_once(&sql, parameters, group_bytes).await? {
                let ((_, group), bytes) = (group(&row)?, group_bytes(&row)?);
                let directory = DirectoryId::from_bytes(row.id(10)?);
                found.push((group.group_id, (group, directory, bytes)));
            }
        }
        let page = within_bytes(merged(found, &request), &request, |(.., bytes)| *bytes);
        let page = with_front(&moment, &request, "groups", &queries, page).await?;
        map_page(page, |(group, directory, _)| {
            let known = &known.get(directory)?.directory;
            Some(Ok(known.apps.group(known.origin(), &group)))
        })
    }

    pub(super) async fn api_group(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryGroup>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {GROUP_COLUMNS}, directories.id FROM groups
             JOIN directories ON directories.key = groups.directory
                 WHERE groups.group_id = $1 AND NOT directories.gone"
        );
        let Some(row) = moment.first(&sql, &[&&id.to_bytes()[..]]).await? else {
            return Ok(None);
        };
        let ((_, group), directory) = (group(&row)?, DirectoryId::from_bytes(row.id(10)?));
        let known = known.get(directory).map(|known| &known.directory);
        let known = known.filter(|known| reach.covers(known.organization_id));
        Ok(known.map(|known| known.apps.group(known.origin(), &group)))
    }

    pub(super) async fn api_event(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: EventId,
    ) -> Result<Option<StoredEvent>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {EVENT_COLUMNS}, directories.id FROM feed
             JOIN directories ON directories.key = feed.directory
             WHERE feed.event_id = $1 AND feed.event <> $2"
        );
        let told = EventType::InactiveUserChanged.name();
        let Some(row) = moment.first(&sql, &[&&id.to_bytes()[..], &told]).await? else {
            return Ok(None);
        };
        let origin = known.origin(DirectoryId::from_bytes(row.id(5)?));
        let is_seen = match origin {
            Some(origin) => reach.covers(origin.organization_id),
            None => reach == Reach::Everything,
        };
        is_seen.then(|| stored_event(&row)).transpose()
    }

    pub(super) async fn feed_end(&self) -> Result<FeedEnd, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = "SELECT position, event_id FROM feed
            WHERE month >= (SELECT month FROM feed_end) ORDER BY position DESC LIMIT 1";
        let Some(row) = moment.first(sql, &[]).await? else { return Ok(FeedEnd::default()) };
        let event = Some(EventId::from_bytes(row.id(1)?));
        Ok(FeedEnd { position: row.number(0)?, event })
    }

    /// The directory of the user with this id, or of the group.
    pub(super) async fn directory_of(
        &self,
        table: Table,
        id: [u8; 16],
    ) -> Result<Option<DirectoryId>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = match table {
            Table::Users => {
                "SELECT directories.id FROM users
                 JOIN directories ON directories.key = users.directory
                 WHERE users.user_id = $1 AND NOT users.hidden AND NOT directories.gone"
            }
            Table::Groups => {
                "SELECT directories.id FROM groups
                 JOIN directories ON directories.key = groups.directory
                 WHERE groups.group_id = $1 AND NOT directories.gone"
            }
        };
        let row = moment.first(sql, &[&&id[..]]).await?;
        row.map(|row| Ok(DirectoryId::from_bytes(row.id(0)?))).transpose()
    }

    /// What the API says of directories: whether they are connected or gone, and how much they hold.
    pub(super) async fn standings(&self, ids: Vec<DirectoryId>) -> Result<Vec<Standing>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = "SELECT id, activated, gone, active_users, inactive_users, groups, stopped
            FROM directories WHERE id = ANY($1)";
        let wanted: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
        let mut found = BTreeMap::new();
        for row in moment.all(sql, &[&wanted]).await? {
            let counts = Counts {
                active_users: row.number(3)?,
                inactive_users: row.number(4)?,
                groups: row.number(5)?,
            };
            let (activated, gone, stopped) = (row.value(1)?, row.value(2)?, row.value(6)?);
            let standing = Standing { activated, gone, stopped, counts };
            found.insert(DirectoryId::from_bytes(row.id(0)?), standing);
        }
        Ok(ids.iter().map(|id| found.get(id).cloned().unwrap_or_default()).collect())
    }
}

/// The condition that goes with [`types`].
///
/// An empty text at the end keeps the planner from the index of types, which would have to be sorted as a whole.
pub(super) const IS_OF_TYPE: &str = "(feed.event || '') = ANY(string_to_array({}, ','))";

/// Types of events in one text. No name of a type has a comma.
pub(super) fn types(types: &[EventType]) -> Parameter {
    let names: Vec<&str> = types.iter().map(|kind| kind.name()).collect();
    Parameter::Text(names.join(","))
}

const EVENT_COLUMNS: &str =
    "feed.position, feed.event_id, feed.event, feed.created_at, feed.data::text";

fn stored_event(row: &Row) -> Result<StoredEvent, DbError> {
    Ok(StoredEvent { id: EventId::from_bytes(row.id(1)?), body: body(row)? })
}

/// What events are compared with that lie behind a cursor. An event that is not there stands where its id puts it:
/// between two others.
pub(super) async fn event_bound(
    moment: &Moment<'_>,
    id: EventId,
    rising: bool,
) -> Result<u64, DbError> {
    let sql = "SELECT position, event_id = $1 FROM feed
        WHERE event_id <= $1 ORDER BY event_id DESC LIMIT 1";
    let (position, there) = match moment.first(sql, &[&&id.to_bytes()[..]]).await? {
        Some(row) => (row.number(0)?, row.value(1)?),
        None => (0, false),
    };
    // The last position that is not behind a rising cursor, or that still is behind a falling one.
    let last = if rising || !there { position } else { position.saturating_sub(1) };
    Ok(if rising { last } else { last.saturating_add(1) })
}
