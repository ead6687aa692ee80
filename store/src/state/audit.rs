//! The history as auditors read it: narrowed by whatever an event says, and still in pages.

mod looking;
mod range;
mod way;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{AuditEvent, AuditFilter, Audited, Cursor, Order, PageRequest};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use schemas::{DirectoryId, EventId, Hash, ScimId, Seq};
use serde_json::value::RawValue;

use super::reading::page::{Conditions, confined, finished, is_forwards};
use super::reading::{event_bound, nearest};
use super::rows::{Time, all, first};
use super::{State, directory_row};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};
pub(crate) use looking::{Budget, Looking, Of, Part, Place, leading_types};
use range::caused_by;
pub(crate) use range::{Range, caused_between, caused_ids};
pub(in crate::state) use range::{range, within};
use way::Way;

/// How many events a page looks at when no index leads to what is asked for: some milliseconds. Then the
/// page ends, and the list goes on from there.
pub(crate) const LOOKED_AT_MAX: u64 = 4_000;

/// The same where all that they tell is searched for a text.
pub(crate) const SEARCHED_MAX: u64 = 1_000;

/// How many bytes are searched for a text, so that large events take no longer than many.
pub(crate) const SEARCHED_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// How many events are compared at once, so that a page that is soon full looks at few more than it shows.
pub(crate) const COMPARED_AT_ONCE: usize = 512;

/// How long after a user or a group got its id the event says so that tells of it: the same decision
/// gives out both.
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// How many events are looked at to find the one that tells of a user or a group: far more than one decision
/// and those beside it have in the meantime, and some milliseconds.
pub(crate) const TELLING_MAX: i64 = 4_000;

const COLUMNS: &str = "feed.position, feed.event_id, feed.event, feed.created_at, feed.data, \
    feed.seq, feed.hash, feed.prev, feed.actor, directories.id";

impl State {
    pub(crate) async fn audit(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, DbError> {
        self.read(move |connection| audit(connection, &known, &request, &filter)).await
    }

    /// One event.
    pub(crate) async fn audit_event(&self, id: EventId) -> Result<Option<AuditEvent>, DbError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
             WHERE feed.event_id = ?1"
        );
        self.read(move |connection| first(connection, &sql, [id.to_bytes()], event)).await
    }

    /// Whether there is a stream of this directory, also of one that is gone.
    pub(crate) async fn has_stream(&self, directory: DirectoryId) -> Result<bool, DbError> {
        self.read(move |connection| Ok(directory_row(connection, directory)?.is_some())).await
    }
}

pub(super) fn audit(
    connection: &Connection,
    known: &Known,
    request: &PageRequest<EventId>,
    filter: &AuditFilter,
) -> Result<Audited, DbError> {
    let nothing = Audited { page: finished(Vec::new(), request), looked_to: None };
    let confined =
        confined(connection, known, request.reach, filter.organization, filter.directory)?;
    let mut conditions = Conditions::default();
    if !about(connection, filter, &mut conditions)? {
        return Ok(nothing);
    }
    let types = leading_types(filter, confined.as_ref().map(Vec::len));
    narrow(filter, !types.is_empty(), &mut conditions);
    let forwards = is_forwards(request);
    let rising = (request.order == Order::Ascending) == forwards;
    let range = looked_through(connection, request, filter, rising)?;
    let limit = request.limit as usize + 1;
    let (found, ends_at) = if filter.user.is_some() || filter.group.is_some() {
        // An index leads through the events of one user or group.
        if let Some(keys) = confined {
            let keys = serde_json::to_string(&keys).unwrap_or_default();
            conditions.and("+feed.directory IN (SELECT value FROM json_each({}))", keys);
        }
        (read(connection, &conditions, range, rising, limit)?, None)
    } else if confined.is_none() && filter.text.is_none() && types.is_empty() {
        let (low, high) = ends(connection)?;
        let (range, ends_at) = range.window(rising, (low, high));
        (read(connection, &conditions, range, rising, limit)?, ends_at)
    } else {
        let all = Of::each(confined.as_deref(), &types);
        let (budget, streams) = if conditions.is_empty() {
            (Budget::of(limit as u64), nearest(connection, all, range, rising, limit)?)
        } else {
            (Budget::narrowed(filter.text.is_some()), all)
        };
        let looking = Looking::at(parts(connection, streams, range)?, rising, budget);
        let (positions, more) = look(connection, looking, rising, filter.text.is_some())?;
        let ends_at = positions.last().copied().filter(|_| more);
        (fitting(connection, &conditions, &positions, limit)?, ends_at)
    };
    let is_full = found.len() == limit;
    let mut page = finished(found, request);
    let mut looked_to = None;
    if !is_full && let Some(last) = ends_at {
        // Only a part was looked at: the list goes on behind it.
        looked_to = id_near(connection, last, rising)?;
        let goes_on = looked_to.is_some();
        if forwards {
            page.has_after = goes_on
        } else {
            page.has_before = goes_on
        };
    }
    Ok(Audited { page, looked_to })
}

/// Narrows to a user and a group. False: there never was one.
fn about(
    connection: &Connection,
    filter: &AuditFilter,
    conditions: &mut Conditions,
) -> Result<bool, DbError> {
    let users = Subject { table: "users", id: "user_id", told_as: "dsync.user.created" };
    let groups = Subject { table: "groups", id: "group_id", told_as: "dsync.group.created" };
    let user = filter.user.map(|id| (users, id.to_bytes(), id.to_string()));
    let group = filter.group.map(|id| (groups, id.to_bytes(), id.to_string()));
    for (subject, bits, text) in user.into_iter().chain(group) {
        let Some(scim_id) = subject.scim_id(connection, bits, &text)? else { return Ok(false) };
        // The columns of the feed are called like those of the tables, and hold SCIM ids.
        conditions.and(&format!("feed.{} = {{}}", subject.id), scim_id.to_bytes().to_vec());
    }
    Ok(true)
}

/// Where an id of the API is found, and the event that first told of it.
#[derive(Clone, Copy)]
struct Subject {
    table: &'static str,
    id: &'static str,
    told_as: &'static str,
}

impl Subject {
    /// The SCIM id behind an id of the API. What is gone is found by the event that told of it: that has
    /// an id of its own, given out right behind this one.
    fn scim_id(
        self,
        connection: &Connection,
        bits: [u8; 16],
        text: &str,
    ) -> Result<Option<ScimId>, DbError> {
        let Self { table, id, told_as } = self;
        let scim_id = |row: &Row<'_>| Ok(ScimId::from_bytes(row.get(0)?));
        let sql = format!("SELECT scim_id FROM {table} WHERE {id} = ?1");
        if let Some(found) = first(connection, &sql, [bits], scim_id)? {
            return Ok(Some(found));
        }
        let from = EventId::from_bytes(bits);
        let sql = format!(
            "SELECT {id} FROM (SELECT {id}, event, data FROM feed WHERE event_id > ?1
                 AND event_id < ?2 ORDER BY event_id LIMIT {TELLING_MAX})
             WHERE event = ?3 AND instr(data, ?4) > 0 AND data ->> '$.id' = ?4 LIMIT 1"
        );
        let to = later(from, TOLD_WITHIN);
        first(connection, &sql, rusqlite::params![bits, to, told_as, text], scim_id)
    }
}

/// The bits of the first id that may be given out so much later. The first 48 are milliseconds.
pub(crate) fn later(id: EventId, by: Duration) -> [u8; 16] {
    EventId::from_bits(id.bits().saturating_add(by.as_millis() << 80)).to_bytes()
}

/// Everything that no index leads to.
fn narrow(filter: &AuditFilter, is_led_by_type: bool, conditions: &mut Conditions) {
    if !filter.types.is_empty() && !is_led_by_type {
        let names: Vec<&str> = filter.types.iter().map(|kind| kind.name()).collect();
        let list = serde_json::to_string(&names).unwrap_or_default();
        // The index of types would have to be sorted as a whole.
        conditions.and("+feed.event IN (SELECT value FROM json_each({}))", list);
    }
    if let Some(actor) = &filter.actor {
        let is = "{} IN (feed.actor ->> '$.token_suffix', feed.actor ->> '$.ip', \
            feed.actor ->> '$.user_agent', feed.actor ->> '$.api_key_id', \
            feed.actor ->> '$.console_role', feed.actor ->> '$.portal_link_id')";
        conditions.and(is, actor.clone());
    }
    if let Some(request) = filter.request {
        conditions.and("feed.actor ->> '$.request_id' = {}", request.to_string());
    }
    if let Some(text) = &filter.text {
        conditions.and("instr(lower(feed.data), lower({})) > 0", text.clone());
    }
    if let Some(from) = filter.from {
        conditions.and("feed.created_at >= {}", from.millis());
    }
    if let Some(to) = filter.to {
        conditions.and("feed.created_at <= {}", to.millis());
    }
}

/// All that a page and those that follow it may look at.
fn looked_through(
    connection: &Connection,
    request: &PageRequest<EventId>,
    filter: &AuditFilter,
    rising: bool,
) -> Result<Range, DbError> {
    let mut range = range(connection, (filter.from, filter.to))?;
    if let Some(request) = filter.request {
        range = range.and(caused_by(connection, request)?);
    }
    if let Some(id) = filter.in_front_of {
        let back = request.order == Order::Descending;
        range = range.behind(event_bound(connection, id, back)?, back);
    }
    if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
        range = range.behind(event_bound(connection, id, rising)?, rising);
    }
    Ok(range)
}

/// The lowest and the highest position of the feed.
fn ends(connection: &Connection) -> Result<(u64, u64), DbError> {
    // Each on its own is a look at one end; both in one would count through everything between them.
    let sql = "SELECT coalesce((SELECT min(position) FROM feed), 1),
        coalesce((SELECT max(position) FROM feed), 0)";
    let ends = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((from_sql(row.get(0)?), from_sql(row.get(1)?))))?;
    Ok(ends)
}

/// The parts of streams that lie in a range.
fn parts(
    connection: &Connection,
    streams: Vec<Of>,
    range: Range,
) -> Result<Vec<(Of, u64, u64)>, DbError> {
    let part = |of: Of| {
        let (low, high) = match of.key.filter(|_| of.has_places_of_its_own()) {
            Some(key) => within(connection, key, range)?,
            None => (range.first.saturating_sub(1), range.last),
        };
        Ok((of, low, high))
    };
    streams.into_iter().map(part).collect()
}

/// The positions that a page looks at, and whether there are more.
fn look(
    connection: &Connection,
    mut looking: Looking,
    rising: bool,
    is_searched: bool,
) -> Result<(Vec<u64>, bool), DbError> {
    let bytes = if is_searched { "octet_length(feed.data)" } else { "0" };
    while let Some(Part { of, low, high, limit }) = looking.wanted() {
        let Way { place, feed, order, conditions } = Way::through(of, (low, high), rising);
        let sql = format!(
            "SELECT {place}, feed.position, {bytes} FROM {feed}
             WHERE {} ORDER BY {order} LIMIT ?{}",
            conditions.to_sql(),
            conditions.parameters().len() + 1
        );
        let limit = Sql::from(as_sql(limit));
        let parameters = conditions.parameters().iter().chain([&limit]);
        let places = all(connection, &sql, params_from_iter(parameters), |row| {
            let number = |column| Ok::<_, DbError>(from_sql(row.get(column)?));
            Ok(Place { seq: number(0)?, position: number(1)?, bytes: number(2)? })
        })?;
        looking.take(places);
    }
    Ok(looking.looked_at())
}

/// The first events at these positions that fit.
fn fitting(
    connection: &Connection,
    conditions: &Conditions,
    positions: &[u64],
    limit: usize,
) -> Result<Vec<AuditEvent>, DbError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE feed.position = ?1"
    );
    let mut found = Vec::new();
    for some in positions.chunks(COMPARED_AT_ONCE) {
        let fits = that_fit(connection, conditions, some)?;
        for position in some.iter().filter(|position| fits.contains(position)) {
            found.extend(first(connection, &sql, [as_sql(*position)], event)?);
            if found.len() == limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn that_fit(
    connection: &Connection,
    conditions: &Conditions,
    positions: &[u64],
) -> Result<BTreeSet<u64>, DbError> {
    if conditions.is_empty() {
        return Ok(positions.iter().copied().collect());
    }
    let mut conditions = conditions.clone();
    let list = serde_json::to_string(positions).unwrap_or_default();
    conditions.and("feed.position IN (SELECT value FROM json_each({}))", list);
    let sql = format!("SELECT feed.position FROM feed WHERE {}", conditions.to_sql());
    let parameters = params_from_iter(conditions.parameters());
    let fits = all(connection, &sql, parameters, |row| Ok(from_sql(row.get(0)?)))?;
    Ok(fits.into_iter().collect())
}

/// The event at a position, or the nearest that was looked at before it.
fn id_near(
    connection: &Connection,
    position: u64,
    rising: bool,
) -> Result<Option<EventId>, DbError> {
    let sql = if rising {
        "SELECT event_id FROM feed WHERE position <= ?1 ORDER BY position DESC LIMIT 1"
    } else {
        "SELECT event_id FROM feed WHERE position >= ?1 ORDER BY position LIMIT 1"
    };
    first(connection, sql, [as_sql(position)], |row| Ok(EventId::from_bytes(row.get(0)?)))
}

fn read(
    connection: &Connection,
    conditions: &Conditions,
    range: Range,
    rising: bool,
    limit: usize,
) -> Result<Vec<AuditEvent>, DbError> {
    let mut conditions = conditions.clone();
    conditions.and("feed.position >= {}", as_sql(range.first));
    conditions.and("feed.position <= {}", as_sql(range.last));
    let direction = if rising { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE {} ORDER BY feed.position {direction} LIMIT {limit}",
        conditions.to_sql()
    );
    let parameters: Vec<Sql> = conditions.parameters().to_vec();
    all(connection, &sql, params_from_iter(parameters), event)
}

fn event(row: &Row<'_>) -> Result<AuditEvent, DbError> {
    let text = |column, what| row.get_ref(column)?.as_str().map_err(unreadable(what));
    let json = |column, what| {
        RawValue::from_string(text(column, what)?.to_owned()).map_err(unreadable(what))
    };
    Ok(AuditEvent {
        id: EventId::from_bytes(row.get(1)?),
        event: text(2, "event type")?.parse().map_err(unreadable("event type"))?,
        created_at: row.get::<_, Time>(3)?.0,
        data: json(4, "event")?,
        seq: Seq(from_sql(row.get(5)?)),
        hash: Hash(row.get(6)?),
        prev_hash: Hash(row.get(7)?),
        actor: json(8, "actor")?,
        directory_id: DirectoryId::from_bytes(row.get(9)?),
    })
}
