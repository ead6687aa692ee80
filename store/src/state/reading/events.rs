//! Lists of events.

use std::collections::BTreeSet;

use api::ports::{EventFilter, Page, PageRequest, StoredEvent};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use schemas::{EventId, EventType};

use super::super::audit::{Range, range, within};
use super::super::rows::{all, first};
use super::page::{Columns, Conditions, confined, map_page, page_within};
use super::{event_bound, stored_event};
use crate::config::Known;
use crate::error::DbError;
use crate::sqlite::as_sql;

/// A page of events.
pub(super) fn events(
    connection: &Connection,
    known: &Known,
    request: &PageRequest<EventId>,
    filter: &EventFilter,
) -> Result<Page<StoredEvent>, DbError> {
    let confined = confined(connection, known, request.reach, filter.organization, None)?;
    // No index has the times; what is kept of them leads to where the range lies.
    let range = range(connection, (filter.from, filter.to))?;
    let (conditions, columns) = events_where(connection, filter)?;
    let is_by_place = columns.order_within != columns.order;
    let bound = |id, rising, directory: Option<i64>| {
        let directory = directory.filter(|_| is_by_place);
        Ok(as_sql(event_bound(connection, id, rising, directory)?).into())
    };
    let within = |directory: Option<i64>| match directory.filter(|_| is_by_place) {
        _ if range == Range::ALL => Ok(Vec::new()),
        Some(key) => Ok(between("feed.seq", within(connection, key, range)?)),
        None => Ok(between("feed.position", (range.first.saturating_sub(1), range.last))),
    };
    let read = |rest: &str, parameters: &[Sql]| {
        let sql = format!("SELECT feed.position FROM feed WHERE {rest}");
        all(connection, &sql, params_from_iter(parameters), |row| {
            let position: i64 = row.get(0)?;
            Ok((position, position))
        })
    };
    let found = page_within(request, &columns, confined, &conditions, within, bound, read)?;
    // Now that the places are known, no more is read than is shown.
    let sql = "SELECT feed.position, feed.event_id, feed.event, feed.created_at, feed.data
        FROM feed WHERE feed.position = ?1";
    map_page(found, |position| first(connection, sql, [position], stored_event).transpose())
}

/// Behind the first of these, up to and with the second.
fn between(column: &str, (low, high): (u64, u64)) -> Vec<(String, Sql)> {
    vec![
        (format!("{column} > {{}}"), as_sql(low).into()),
        (format!("{column} <= {{}}"), as_sql(high).into()),
    ]
}

/// What narrows a list of events, for each type that is asked for, and what such a list runs by.
fn events_where(
    connection: &Connection,
    filter: &EventFilter,
) -> Result<(Vec<Conditions>, Columns), DbError> {
    let mut conditions = Conditions::default();
    if let Some(from) = filter.from {
        conditions.and("feed.created_at >= {}", from.millis());
    }
    if let Some(to) = filter.to {
        conditions.and("feed.created_at <= {}", to.millis());
    }
    let (directory, order) = ("feed.directory", "feed.position");
    if filter.types.is_empty() && !is_anything_untold(connection)? {
        // One may have come in since.
        conditions.and("feed.event <> {}", EventType::InactiveUserChanged.name().to_owned());
        return Ok((vec![conditions], Columns { directory, order, order_within: "feed.seq" }));
    }
    // An index leads through one type, and none through some of them.
    let types: BTreeSet<&str> = asked(filter).map(EventType::name).collect();
    let each = types.into_iter().map(|kind| {
        let mut conditions = conditions.clone();
        conditions.and("feed.event = {}", kind.to_owned());
        conditions
    });
    Ok((each.collect(), Columns { directory, order, order_within: order }))
}

/// The types that are asked for: without a word, all that apps are told of.
fn asked(filter: &EventFilter) -> impl Iterator<Item = EventType> {
    let types = if filter.types.is_empty() { EventType::ALL } else { &filter.types };
    let is_told = |kind: &EventType| !filter.types.is_empty() || kind.is_told();
    types.iter().copied().filter(is_told)
}

/// Whether the feed holds anything that apps never see. Most never do, and are read without an eye to types;
/// where it does, there may be a million in a row, which no list may walk through.
fn is_anything_untold(connection: &Connection) -> Result<bool, DbError> {
    for kind in EventType::ALL.iter().filter(|kind| !kind.is_told()) {
        let sql = "SELECT 1 FROM feed WHERE event = ?1 LIMIT 1";
        if first(connection, sql, [kind.name()], |_| Ok(()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
