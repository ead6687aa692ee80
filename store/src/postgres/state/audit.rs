//! The history as auditors read it: narrowed by whatever an event says, and still in pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ports::{AuditEvent, AuditFilter, Audited, Cursor, Order, PageRequest};
use schemas::{DirectoryId, EventId, ScimId, Seq};
use serde_json::value::RawValue;
use tokio_postgres::Row;

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::reading::page::{Conditions, array, confined, is_rising};
use super::reading::{IS_OF_TYPE, event_bound, nearest, types, within};
use super::times::{caused_by, range};
use super::{State, directory_row, feed_end};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::filter::Parameter;
use crate::state::audit::{
    Budget, COMPARED_AT_ONCE, Looking, Of, Part, Place, Range, TELLING_MAX, TOLD_WITHIN, later,
    leading_types,
};
use crate::state::reading::page::{finished, is_forwards};

const COLUMNS: &str = "feed.position, feed.event_id, feed.event, feed.created_at, feed.data::text, \
    feed.seq, feed.hash, feed.prev, feed.actor::text, directories.id";

impl State {
    pub(super) async fn audit(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, DbError> {
        let mut client = self.client().await?;
        audit(&Moment::reading(&mut client).await?, &known, &request, &filter).await
    }

    /// Whether there is a stream of this directory, also of one that is gone.
    pub(super) async fn has_stream(&self, directory: DirectoryId) -> Result<bool, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        Ok(directory_row(&moment, directory).await?.is_some())
    }
}

async fn audit(
    moment: &Moment<'_>,
    known: &Known,
    request: &PageRequest<EventId>,
    filter: &AuditFilter,
) -> Result<Audited, DbError> {
    let nothing = Audited { page: finished(Vec::new(), request), looked_to: None };
    let confined =
        confined(moment, known, request.reach, filter.organization, filter.directory).await?;
    let mut conditions = Conditions::default();
    if !about(moment, filter, &mut conditions).await? {
        return Ok(nothing);
    }
    let types = leading_types(filter, confined.as_ref().map(Vec::len));
    narrow(filter, !types.is_empty(), &mut conditions);
    let (forwards, rising) = (is_forwards(request), is_rising(request));
    let range = looked_through(moment, request, filter, rising).await?;
    let limit = request.limit as usize + 1;
    let (found, ends_at) = if filter.user.is_some() || filter.group.is_some() {
        // An index leads through the events of one user or group.
        if let Some(keys) = confined {
            conditions.and(&format!("feed.directory = ANY({})", array(&keys)), []);
        }
        (read(moment, &conditions, range, rising, limit).await?, None)
    } else if confined.is_none() && filter.text.is_none() && types.is_empty() {
        let (range, ends_at) = range.window(rising, ends(moment).await?);
        (read(moment, &conditions, range, rising, limit).await?, ends_at)
    } else {
        if !types.is_empty() {
            moment.walking().await?;
        }
        let all = Of::each(confined.as_deref(), &types);
        let (budget, streams) = if conditions.is_empty() {
            (Budget::of(limit as u64), nearest(moment, all, range, rising, limit).await?)
        } else {
            (Budget::narrowed(filter.text.is_some()), all)
        };
        let looking = Looking::at(parts(moment, streams, range).await?, rising, budget);
        let (positions, more) = look(moment, looking, rising, filter.text.is_some()).await?;
        let ends_at = positions.last().copied().filter(|_| more);
        (fitting(moment, &conditions, &positions, limit).await?, ends_at)
    };
    let is_full = found.len() == limit;
    let mut page = finished(found, request);
    let mut looked_to = None;
    if !is_full && let Some(last) = ends_at {
        // Only a part was looked at: the list goes on behind it.
        looked_to = id_near(moment, last, rising).await?;
        let goes_on = looked_to.is_some();
        if forwards {
            page.has_after = goes_on;
        } else {
            page.has_before = goes_on;
        }
    }
    Ok(Audited { page, looked_to })
}

/// Narrows to a user and a group. False: there never was one.
async fn about(
    moment: &Moment<'_>,
    filter: &AuditFilter,
    conditions: &mut Conditions,
) -> Result<bool, DbError> {
    let users = Subject { table: "users", id: "user_id", told_as: "dsync.user.created" };
    let groups = Subject { table: "groups", id: "group_id", told_as: "dsync.group.created" };
    let user = filter.user.map(|id| (users, id.to_bytes(), id.to_string()));
    let group = filter.group.map(|id| (groups, id.to_bytes(), id.to_string()));
    for (subject, bits, text) in user.into_iter().chain(group) {
        let Some(scim_id) = subject.scim_id(moment, bits, &text).await? else { return Ok(false) };
        // The columns of the feed are called like those of the tables, and hold SCIM ids.
        let scim_id = Parameter::Bytes(scim_id.to_bytes().to_vec());
        conditions.and(&format!("feed.{} = {{}}", subject.id), [scim_id]);
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
    /// The SCIM id behind an id of the API. What is gone is found by the event that told of it: that has an id of
    /// its own, given out right behind this one.
    async fn scim_id(
        self,
        moment: &Moment<'_>,
        bits: [u8; 16],
        text: &str,
    ) -> Result<Option<ScimId>, DbError> {
        let Self { table, id, told_as } = self;
        let sql = format!("SELECT scim_id FROM {table} WHERE {id} = $1");
        let mut found = moment.first(&sql, &[&&bits[..]]).await?;
        if found.is_none() {
            let sql = format!(
                "SELECT {id} FROM (SELECT {id}, event, data FROM feed WHERE event_id > $1
                     AND event_id < $2 ORDER BY event_id LIMIT {TELLING_MAX}) AS told
                 WHERE event = $3 AND strpos(data::text, $4) > 0 AND data ->> 'id' = $4 LIMIT 1"
            );
            let to = later(EventId::from_bytes(bits), TOLD_WITHIN);
            found = moment.first(&sql, &[&&bits[..], &&to[..], &told_as, &text]).await?;
        }
        found.map(|row| Ok(ScimId::from_bytes(row.id(0)?))).transpose()
    }
}

/// Everything that no index leads to.
fn narrow(filter: &AuditFilter, is_led_by_type: bool, conditions: &mut Conditions) {
    let text = |text: &str| [Parameter::Text(text.to_owned())];
    if !filter.types.is_empty() && !is_led_by_type {
        conditions.and(IS_OF_TYPE, [types(&filter.types)]);
    }
    if let Some(actor) = &filter.actor {
        let is = "{} IN (feed.actor ->> 'token_suffix', feed.actor ->> 'ip', \
            feed.actor ->> 'user_agent', feed.actor ->> 'api_key_id', \
            feed.actor ->> 'console_role', feed.actor ->> 'portal_link_id')";
        conditions.and(is, text(actor));
    }
    if let Some(request) = filter.request {
        conditions.and("feed.actor ->> 'request_id' = {}", text(&request.to_string()));
    }
    if let Some(part) = &filter.text {
        // In this order of texts nothing but ASCII has a case.
        let has = "strpos(lower(feed.data::text COLLATE \"C\"), lower({}::text COLLATE \"C\")) > 0";
        conditions.and(has, text(part));
    }
    if let Some(from) = filter.from {
        conditions.and("feed.created_at >= {}", [Parameter::Integer(from.millis())]);
    }
    if let Some(to) = filter.to {
        conditions.and("feed.created_at <= {}", [Parameter::Integer(to.millis())]);
    }
}

/// All that a page and those that follow it may look at.
async fn looked_through(
    moment: &Moment<'_>,
    request: &PageRequest<EventId>,
    filter: &AuditFilter,
    rising: bool,
) -> Result<Range, DbError> {
    let mut range = range(moment, (filter.from, filter.to)).await?;
    if let Some(request) = filter.request {
        range = range.and(caused_by(moment, request).await?);
    }
    if let Some(id) = filter.in_front_of {
        let back = request.order == Order::Descending;
        range = range.behind(event_bound(moment, id, back).await?, back);
    }
    if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
        range = range.behind(event_bound(moment, id, rising).await?, rising);
    }
    Ok(range)
}

/// The lowest and the highest position of the feed.
async fn ends(moment: &Moment<'_>) -> Result<(u64, u64), DbError> {
    let low = moment.first("SELECT min(first) FROM feed_months", &[]).await?;
    let low: Option<i64> = low.map_or(Ok(None), |row| row.value(0))?;
    Ok((low.map_or(1, i64::unsigned_abs), feed_end(moment).await?))
}

/// The parts of streams that lie in a range.
async fn parts(
    moment: &Moment<'_>,
    streams: Vec<Of>,
    range: Range,
) -> Result<Vec<(Of, u64, u64)>, DbError> {
    let mut parts = Vec::with_capacity(streams.len());
    for of in streams {
        let (low, high) = match of.key.filter(|_| of.has_places_of_its_own()) {
            Some(key) => within(moment, key, range).await?,
            None => (range.first.saturating_sub(1), range.last),
        };
        parts.push((of, low, high));
    }
    Ok(parts)
}

/// The positions that a page looks at, and whether there are more.
async fn look(
    moment: &Moment<'_>,
    mut looking: Looking,
    rising: bool,
    is_searched: bool,
) -> Result<(Vec<u64>, bool), DbError> {
    let bytes = if is_searched { "octet_length(data::text)" } else { "0" };
    while let Some(Part { of, low, high, limit }) = looking.wanted() {
        let column = if of.has_places_of_its_own() { "seq" } else { "position" };
        let rest = behind(of, column, rising);
        let sql = format!("SELECT {column}, position, {bytes}::bigint FROM feed WHERE {rest}");
        let numbers = [low, high, limit].map(|number| Some(Parameter::Integer(as_sql(number))));
        let rows = moment.once(&sql, &numbers).await?;
        let place = |row: &Row| {
            Ok(Place { seq: row.number(0)?, position: row.number(1)?, bytes: row.number(2)? })
        };
        looking.take(rows.iter().map(place).collect::<Result<_, DbError>>()?);
    }
    Ok(looking.looked_at())
}

/// What follows `WHERE` for the places of a stream: behind the first parameter, up to and with the second, so many as
/// the third says.
fn behind(of: Of, column: &str, rising: bool) -> String {
    let direction = if rising { "ASC" } else { "DESC" };
    let order = format!("{column} {direction} LIMIT $3");
    // A range of types and positions: so nothing leads there but the index of these.
    let (row, values, order) = match (of.key, of.kind) {
        (Some(key), Some(kind)) => (
            format!("directory, event, {column}"),
            format!("{key}, '{}', ", kind.name()),
            format!("directory {direction}, event {direction}, {order}"),
        ),
        (None, Some(kind)) => (
            format!("event, {column}"),
            format!("'{}', ", kind.name()),
            format!("event {direction}, {order}"),
        ),
        (Some(key), None) => {
            return format!(
                "directory = {key} AND {column} > $1 AND {column} <= $2 ORDER BY {order}"
            );
        }
        (None, None) => return format!("{column} > $1 AND {column} <= $2 ORDER BY {order}"),
    };
    format!("({row}) > ({values}$1) AND ({row}) <= ({values}$2) ORDER BY {order}")
}

/// The first events at these positions that fit.
async fn fitting(
    moment: &Moment<'_>,
    conditions: &Conditions,
    positions: &[u64],
    limit: usize,
) -> Result<Vec<AuditEvent>, DbError> {
    let mut fits = Vec::new();
    for some in positions.chunks(COMPARED_AT_ONCE) {
        let that_fit = that_fit(moment, conditions, some).await?;
        fits.extend(some.iter().filter(|position| that_fit.contains(position)).copied());
        if fits.len() >= limit {
            fits.truncate(limit);
            break;
        }
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE feed.position = ANY($1)"
    );
    let wanted: Vec<i64> = fits.iter().map(|position| as_sql(*position)).collect();
    let mut found = BTreeMap::new();
    for row in moment.all(&sql, &[&wanted]).await? {
        found.insert(row.number(0)?, event(&row)?);
    }
    Ok(fits.iter().filter_map(|position| found.remove(position)).collect())
}

async fn that_fit(
    moment: &Moment<'_>,
    conditions: &Conditions,
    positions: &[u64],
) -> Result<BTreeSet<u64>, DbError> {
    if conditions.is_empty() {
        return Ok(positions.iter().copied().collect());
    }
    let keys: Vec<i64> = positions.iter().map(|position| as_sql(*position)).collect();
    // Each is looked up: for as many at once the planner would walk through a month.
    let sql = format!(
        "SELECT place.position FROM unnest({}) AS place (position), LATERAL
             (SELECT 1 FROM feed WHERE feed.position = place.position AND {} LIMIT 1) AS fits",
        array(&keys),
        conditions.to_sql()
    );
    let rows = moment.once(&sql, conditions.parameters()).await?;
    rows.iter().map(|row| row.number(0)).collect()
}

/// The event at a position, or the nearest that was looked at before it.
async fn id_near(
    moment: &Moment<'_>,
    position: u64,
    rising: bool,
) -> Result<Option<EventId>, DbError> {
    let sql = if rising {
        "SELECT event_id FROM feed WHERE position <= $1 ORDER BY position DESC LIMIT 1"
    } else {
        "SELECT event_id FROM feed WHERE position >= $1 ORDER BY position LIMIT 1"
    };
    let found = moment.first(sql, &[&as_sql(position)]).await?;
    found.map(|row| Ok(EventId::from_bytes(row.id(0)?))).transpose()
}

async fn read(
    moment: &Moment<'_>,
    conditions: &Conditions,
    range: Range,
    rising: bool,
    limit: usize,
) -> Result<Vec<AuditEvent>, DbError> {
    let mut conditions = conditions.clone();
    conditions.and("feed.position >= {}", [Parameter::Integer(as_sql(range.first))]);
    conditions.and("feed.position <= {}", [Parameter::Integer(as_sql(range.last))]);
    let direction = if rising { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE {} ORDER BY feed.position {direction} LIMIT {limit}",
        conditions.to_sql()
    );
    moment.once(&sql, conditions.parameters()).await?.iter().map(event).collect()
}

/// The event with this id.
pub(super) async fn one(moment: &Moment<'_>, id: EventId) -> Result<Option<AuditEvent>, DbError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE feed.event_id = $1"
    );
    let found = moment.first(&sql, &[&&id.to_bytes()[..]]).await?;
    found.map(|row| event(&row)).transpose()
}

fn event(row: &Row) -> Result<AuditEvent, DbError> {
    let json = |column, what| {
        RawValue::from_string(row.value::<String>(column)?).map_err(unreadable(what))
    };
    Ok(AuditEvent {
        id: EventId::from_bytes(row.id(1)?),
        event: row.value::<&str>(2)?.parse().map_err(unreadable("event type"))?,
        created_at: row.time(3)?,
        data: json(4, "event")?,
        seq: Seq(row.number(5)?),
        hash: row.hash(6)?,
        prev_hash: row.hash(7)?,
        actor: json(8, "actor")?,
        directory_id: DirectoryId::from_bytes(row.id(9)?),
    })
}
