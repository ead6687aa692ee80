//! The history as auditors read it: narrowed by whatever an event says, and still in pages.

use std::sync::Arc;

use api::ports::{AuditEvent, AuditFilter, Audited, Cursor, PageRequest};
use schemas::{DirectoryId, EventId, ScimId, Seq, Timestamp};
use serde_json::value::RawValue;
use tokio_postgres::Row;

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::reading::page::{Conditions, array, confined, is_rising};
use super::reading::{IS_OF_TYPE, event_bound, types};
use super::{State, directory_row, feed_end};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::filter::Parameter;
use crate::state::audit::{
    CLOCKS_APART_MAX, LOOKED_AT_MAX, TELLING_MAX, TOLD_WITHIN, Window, begin_of, later, millis,
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
    if let Some(keys) = confined {
        conditions.and(&format!("feed.directory = ANY({})", array(&keys)), []);
    }
    if !about(moment, filter, &mut conditions).await? {
        return Ok(nothing);
    }
    narrow(filter, &mut conditions);
    let (forwards, rising) = (is_forwards(request), is_rising(request));
    let begin = begin(moment, request, filter, rising).await?;
    let window = window(moment, filter, begin, rising).await?;
    let (from, to) = window.bounds(begin, rising);
    conditions.and("feed.position >= {}", [Parameter::Integer(as_sql(from))]);
    conditions.and("feed.position <= {}", [Parameter::Integer(as_sql(to))]);
    let found = read(moment, &conditions, rising, request.limit as usize + 1).await?;
    let is_full = found.len() > request.limit as usize;
    let mut page = finished(found, request);
    let mut looked_to = None;
    if !is_full && let Some(last) = window.ends_at {
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
                 WHERE event = $3 AND data ->> 'id' = $4 LIMIT 1"
            );
            let to = later(EventId::from_bytes(bits), TOLD_WITHIN);
            found = moment.first(&sql, &[&&bits[..], &&to[..], &told_as, &text]).await?;
        }
        found.map(|row| Ok(ScimId::from_bytes(row.id(0)?))).transpose()
    }
}

/// Everything that no index leads to.
fn narrow(filter: &AuditFilter, conditions: &mut Conditions) {
    let text = |text: &str| [Parameter::Text(text.to_owned())];
    if !filter.types.is_empty() {
        conditions.and(IS_OF_TYPE, [types(&filter.types)]);
    }
    if let Some(actor) = &filter.actor {
        let is = "{} IN (feed.actor ->> 'token_suffix', feed.actor ->> 'ip', \
            feed.actor ->> 'user_agent')";
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

/// The first position to look at, from where on the list runs.
async fn begin(
    moment: &Moment<'_>,
    request: &PageRequest<EventId>,
    filter: &AuditFilter,
    rising: bool,
) -> Result<u64, DbError> {
    let behind_cursor = match request.cursor {
        Some(Cursor::After(id) | Cursor::Before(id)) => {
            let bound = event_bound(moment, id, rising, None).await?;
            Some(if rising { bound + 1 } else { bound.saturating_sub(1) })
        }
        None => None,
    };
    let by_time = match (rising, filter.from, filter.to) {
        (true, Some(from), _) => Some(not_before(moment, from).await?),
        (false, _, Some(to)) => Some(not_after(moment, to).await?),
        (true, None, _) | (false, _, None) => None,
    };
    Ok(begin_of(rising, behind_cursor, by_time))
}

/// Where to begin to look for events of this time or later.
pub(super) async fn not_before(moment: &Moment<'_>, from: Timestamp) -> Result<u64, DbError> {
    let from = from.millis().saturating_sub(millis(CLOCKS_APART_MAX));
    edge_of(moment, Timestamp::from_millis(from), true).await
}

/// Up to where to look for events of this time or earlier.
pub(super) async fn not_after(moment: &Moment<'_>, to: Timestamp) -> Result<u64, DbError> {
    edge_of(moment, to.after(CLOCKS_APART_MAX), false).await
}

/// The position of the first event whose id is of this time or later, or of the last that is of it or earlier.
async fn edge_of(moment: &Moment<'_>, at: Timestamp, rising: bool) -> Result<u64, DbError> {
    let bits = u128::from(at.millis().unsigned_abs()) << 80;
    let (sql, otherwise) = if rising {
        ("SELECT position FROM feed WHERE event_id >= $1 ORDER BY event_id LIMIT 1", u64::MAX)
    } else {
        ("SELECT position FROM feed WHERE event_id <= $1 ORDER BY event_id DESC LIMIT 1", 0)
    };
    let found = moment.first(sql, &[&&bits.to_be_bytes()[..]]).await?;
    found.map_or(Ok(otherwise), |row| row.number(0))
}

async fn window(
    moment: &Moment<'_>,
    filter: &AuditFilter,
    begin: u64,
    rising: bool,
) -> Result<Window, DbError> {
    if filter.user.is_some() || filter.group.is_some() {
        // An index leads through the events of one user or group.
        return Ok(Window::default());
    }
    let low = moment.first("SELECT min(first) FROM feed_months", &[]).await?;
    let low: Option<i64> = low.map_or(Ok(None), |row| row.value(0))?;
    let (low, high) = (low.map_or(1, i64::unsigned_abs), feed_end(moment).await?);
    let ends_at = if rising {
        Some(begin.saturating_add(LOOKED_AT_MAX - 1)).filter(|end| *end < high)
    } else {
        Some(begin.min(high).saturating_sub(LOOKED_AT_MAX - 1)).filter(|end| *end > low)
    };
    Ok(Window { ends_at })
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
    rising: bool,
    limit: usize,
) -> Result<Vec<AuditEvent>, DbError> {
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
