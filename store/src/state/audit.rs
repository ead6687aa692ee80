//! The history as auditors read it: narrowed by whatever an event says, and still in pages.

use std::sync::Arc;

use api::ports::{AuditEvent, AuditFilter, Audited, Cursor, Order, PageRequest};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use schemas::{DirectoryId, EventId, Hash, ScimId, Seq, Timestamp};
use serde_json::value::RawValue;

use super::reading::event_bound;
use super::reading::page::{Conditions, confined, finished, is_forwards};
use super::rows::{Time, all, first};
use super::{State, directory_row};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};

/// How many events a page looks at when no index leads to what is asked for: some milliseconds. Then the
/// page ends, and the list goes on from there.
pub(crate) const LOOKED_AT_MAX: u64 = 4_000;

/// The same where all that they tell is searched for a text.
pub(crate) const SEARCHED_MAX: u64 = 1_000;

/// How far the clocks of replicas may be apart. Ids of events begin with a time, and lead to where a
/// range of times begins; what lies before it by less than this is looked at.
pub(crate) const CLOCKS_APART_MAX: std::time::Duration = std::time::Duration::from_secs(600);

/// How long after a user or a group got its id the event says so that tells of it: the same decision
/// gives out both.
pub(crate) const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// How many events are looked at to find the one that tells of a user or a group: far more than one decision
/// and those beside it have in the meantime, and some milliseconds.
pub(crate) const TELLING_MAX: i64 = 10_000;

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
    if let Some(keys) = confined {
        // The list runs by position; an index of the directory would have to be sorted as a whole.
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        conditions.and("+feed.directory IN (SELECT value FROM json_each({}))", keys);
    }
    if !about(connection, filter, &mut conditions)? {
        return Ok(nothing);
    }
    narrow(filter, &mut conditions);
    let forwards = is_forwards(request);
    let rising = (request.order == Order::Ascending) == forwards;
    let begin = begin(connection, request, filter, rising)?;
    let window = window(connection, filter, begin, rising)?;
    let (from, to) = window.bounds(begin, rising);
    conditions.and("feed.position >= {}", as_sql(from));
    conditions.and("feed.position <= {}", as_sql(to));
    let found = read(connection, &conditions, rising, request.limit as usize + 1)?;
    let is_full = found.len() > request.limit as usize;
    let mut page = finished(found, request);
    let mut looked_to = None;
    if !is_full && let Some(last) = window.ends_at {
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
             WHERE event = ?3 AND data ->> '$.id' = ?4 LIMIT 1"
        );
        let to = later(from, TOLD_WITHIN);
        first(connection, &sql, rusqlite::params![bits, to, told_as, text], scim_id)
    }
}

/// The bits of the first id that may be given out so much later. The first 48 are milliseconds.
pub(crate) fn later(id: EventId, by: std::time::Duration) -> [u8; 16] {
    EventId::from_bits(id.bits().saturating_add(by.as_millis() << 80)).to_bytes()
}

/// Everything that no index leads to.
fn narrow(filter: &AuditFilter, conditions: &mut Conditions) {
    if !filter.types.is_empty() {
        let names: Vec<&str> = filter.types.iter().map(|kind| kind.name()).collect();
        let list = serde_json::to_string(&names).unwrap_or_default();
        // The index of types would have to be sorted as a whole.
        conditions.and("+feed.event IN (SELECT value FROM json_each({}))", list);
    }
    if let Some(actor) = &filter.actor {
        let is = "{} IN (feed.actor ->> '$.token_suffix', feed.actor ->> '$.ip', \
            feed.actor ->> '$.user_agent')";
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

/// The first position to look at, from where on the list runs.
fn begin(
    connection: &Connection,
    request: &PageRequest<EventId>,
    filter: &AuditFilter,
    rising: bool,
) -> Result<u64, DbError> {
    let behind_cursor = match request.cursor {
        Some(Cursor::After(id) | Cursor::Before(id)) => {
            let bound = event_bound(connection, id, rising, None)?;
            Some(if rising { bound + 1 } else { bound.saturating_sub(1) })
        }
        None => None,
    };
    let by_time = match (rising, filter.from, filter.to) {
        (true, Some(from), _) => Some(not_before(connection, from)?),
        (false, _, Some(to)) => Some(not_after(connection, to)?),
        (true, None, _) | (false, _, None) => None,
    };
    Ok(begin_of(rising, behind_cursor, by_time))
}

/// The first position that lies behind a cursor and within a range of times, where there are any.
pub(crate) fn begin_of(rising: bool, behind_cursor: Option<u64>, by_time: Option<u64>) -> u64 {
    match (rising, behind_cursor, by_time) {
        (_, None, None) if rising => 1,
        (_, None, None) => u64::MAX,
        (_, Some(one), None) | (_, None, Some(one)) => one,
        (true, Some(one), Some(other)) => one.max(other),
        (false, Some(one), Some(other)) => one.min(other),
    }
}

/// Where to begin to look for events of this time or later.
pub(super) fn not_before(connection: &Connection, from: Timestamp) -> Result<u64, DbError> {
    let from = from.millis().saturating_sub(millis(CLOCKS_APART_MAX));
    edge_of(connection, Timestamp::from_millis(from), true)
}

/// Up to where to look for events of this time or earlier.
pub(super) fn not_after(connection: &Connection, to: Timestamp) -> Result<u64, DbError> {
    edge_of(connection, to.after(CLOCKS_APART_MAX), false)
}

/// The position of the first event whose id is of this time or later, or of the last that is of it or
/// earlier.
fn edge_of(connection: &Connection, at: Timestamp, rising: bool) -> Result<u64, DbError> {
    let bits = u128::from(at.millis().unsigned_abs()) << 80;
    let (sql, otherwise) = if rising {
        ("SELECT position FROM feed WHERE event_id >= ?1 ORDER BY event_id LIMIT 1", u64::MAX)
    } else {
        ("SELECT position FROM feed WHERE event_id <= ?1 ORDER BY event_id DESC LIMIT 1", 0)
    };
    let found = first(connection, sql, [bits.to_be_bytes()], |row| Ok(from_sql(row.get(0)?)))?;
    Ok(found.unwrap_or(otherwise))
}

/// How much of the feed a page looks at.
#[derive(Clone, Copy, Default)]
pub(crate) struct Window {
    /// The last position that is looked at, if the feed goes on behind it.
    pub(crate) ends_at: Option<u64>,
}

impl Window {
    /// From the lowest to the highest position.
    pub(crate) fn bounds(self, begin: u64, rising: bool) -> (u64, u64) {
        let end = self.ends_at.unwrap_or(if rising { u64::MAX } else { 0 });
        if rising { (begin, end) } else { (end, begin) }
    }
}

fn window(
    connection: &Connection,
    filter: &AuditFilter,
    begin: u64,
    rising: bool,
) -> Result<Window, DbError> {
    if filter.user.is_some() || filter.group.is_some() {
        // An index leads through the events of one user or group.
        return Ok(Window::default());
    }
    // Each on its own is a look at one end; both in one would count through everything between them.
    let sql = "SELECT coalesce((SELECT min(position) FROM feed), 1),
        coalesce((SELECT max(position) FROM feed), 0)";
    let (low, high) = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((from_sql(row.get(0)?), from_sql(row.get(1)?))))?;
    let most = if filter.text.is_some() { SEARCHED_MAX } else { LOOKED_AT_MAX };
    let ends_at = if rising {
        Some(begin.saturating_add(most - 1)).filter(|end| *end < high)
    } else {
        Some(begin.min(high).saturating_sub(most - 1)).filter(|end| *end > low)
    };
    Ok(Window { ends_at })
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
    rising: bool,
    limit: usize,
) -> Result<Vec<AuditEvent>, DbError> {
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

pub(crate) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
