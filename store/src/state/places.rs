//! Places in the feed: where an event or a time stands, and how much lies between two of them.

use std::collections::{BTreeMap, BTreeSet};

use api::ports::Resource;
use rusqlite::{Connection, params, params_from_iter};
use schemas::{DirectoryId, EventId, EventType, Timestamp};

use super::State;
use super::audit::Range;
use super::blocks::{self, Within};
use super::feed::body;
use super::reading::page::Conditions;
use super::rows::{all, first};
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};

/// How far events may stand from the order of their times: directories are decided on at the same time
/// and accepted one after the other.
pub(crate) const DISORDER: u64 = 1_000;

/// How many positions are counted in one go, so that others get their turn in between.
pub(crate) const COUNTED: u64 = 20_000;

/// What an attempt does not say of its event.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) event: String,
    pub(crate) body: bytes::Bytes,
}

/// Which events are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) after: u64,
    pub(crate) up_to: u64,
    /// `None` for all.
    pub(crate) directories: Option<Vec<DirectoryId>>,
    pub(crate) events: Vec<EventType>,
}

impl State {
    /// Where an event stands.
    pub(crate) async fn position(&self, id: EventId) -> Result<Option<u64>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT position FROM feed WHERE event_id = ?1";
            first(connection, sql, [id.to_bytes()], |row| Ok(from_sql(row.get(0)?)))
        })
        .await
    }

    /// The first event that was decided at this time or later, if there is one.
    pub(crate) async fn first_from(&self, time: Timestamp) -> Result<Option<u64>, DbError> {
        self.read(move |connection| {
            let near = near(connection, time)?;
            let sql = "SELECT min(position) FROM feed WHERE position > ?1 AND created_at >= ?2";
            let after = as_sql(near.saturating_sub(DISORDER));
            let found: Option<i64> =
                connection.query_row(sql, params![after, time.millis()], |row| row.get(0))?;
            Ok(found.map(from_sql))
        })
        .await
    }

    /// The last event that was decided at this time or before; 0 if there is none.
    pub(crate) async fn last_until(&self, time: Timestamp) -> Result<u64, DbError> {
        self.read(move |connection| {
            // A millisecond on, so that those of the time itself lie before it.
            let after = Timestamp::from_millis(time.millis() + 1);
            let up_to = near(connection, after)?.saturating_add(DISORDER);
            let sql = "SELECT max(position) FROM feed WHERE position <= ?1 AND created_at <= ?2";
            let parameters = params![as_sql(up_to), time.millis()];
            let found: Option<i64> = connection.query_row(sql, parameters, |row| row.get(0))?;
            Ok(found.map_or(0, from_sql))
        })
        .await
    }

    /// How many events there are.
    pub(crate) async fn count(&self, counted: Counted) -> Result<u64, DbError> {
        let mut total = 0;
        let mut after = counted.after;
        while after < counted.up_to {
            let up_to = counted.up_to.min(after + COUNTED);
            let part = Counted { after, up_to, ..counted.clone() };
            total += self.read(move |connection| count(connection, &part)).await?;
            after = up_to;
        }
        Ok(total)
    }

    /// What the feed tells of the events at these positions.
    pub(crate) async fn about(&self, positions: Vec<u64>) -> Result<BTreeMap<u64, About>, DbError> {
        self.read(move |connection| {
            let list = serde_json::to_string(&positions).map_err(unreadable("positions"))?;
            let sql = "SELECT position, event_id, event, created_at, data FROM feed
                WHERE position IN (SELECT value FROM json_each(?1))";
            let found = all(connection, sql, [list], |row| {
                let about = About { event: row.get(2)?, body: body(row)? };
                Ok((from_sql(row.get(0)?), about))
            })?;
            Ok(found.into_iter().collect())
        })
        .await
    }
}

impl State {
    /// The events of this type and of this resource, up to so many. `None` if no index leads to them: of a resource
    /// that is gone.
    pub(crate) async fn events_of(
        &self,
        kind: Option<EventType>,
        resource: Option<Resource>,
        limit: usize,
    ) -> Result<Option<Vec<EventId>>, DbError> {
        self.read(move |connection| {
            let id = |row: &rusqlite::Row<'_>| Ok(EventId::from_bytes(row.get(0)?));
            let limit = as_sql(limit as u64);
            let Some(Named { table, column, bits, text }) = resource.map(Named::of) else {
                let mut conditions = Conditions::default();
                blocks::narrow(&mut conditions, Within::Feed, kind, Range::ALL);
                let (feed, of) = (blocks::FEED, conditions.to_sql());
                let sql = format!("SELECT feed.event_id FROM {feed} WHERE {of} LIMIT {limit}");
                let parameters = params_from_iter(conditions.parameters());
                return all(connection, &sql, parameters, id).map(Some);
            };
            let sql = format!("SELECT scim_id FROM {table} WHERE {column} = ?1");
            let found = first(connection, &sql, [bits], |row| Ok(row.get::<_, [u8; 16]>(0)?))?;
            let Some(scim_id) = found else { return Ok(None) };
            let sql = format!(
                "SELECT event_id FROM feed WHERE {column} = ?1 AND (?2 IS NULL OR event = ?2)
                     AND instr(data, ?3) > 0 LIMIT ?4"
            );
            let kind = kind.map(EventType::name);
            all(connection, &sql, params![scim_id, kind, text, limit], id).map(Some)
        })
        .await
    }

    /// At which of these positions there are events of this type and of this resource. No body is read but those
    /// of events of the resource.
    pub(crate) async fn fitting(
        &self,
        positions: Vec<u64>,
        kind: Option<EventType>,
        resource: Option<Resource>,
    ) -> Result<BTreeSet<u64>, DbError> {
        self.read(move |connection| {
            let list = serde_json::to_string(&positions).map_err(unreadable("positions"))?;
            let named = resource.map(Named::of);
            let scim_id = match &named {
                Some(Named { table, column, bits, .. }) => {
                    let sql = format!("SELECT scim_id FROM {table} WHERE {column} = ?1");
                    first(connection, &sql, [bits], |row| Ok(row.get::<_, [u8; 16]>(0)?))?
                }
                None => None,
            };
            // Who is gone is found by the text alone.
            let is_of = match (&named, scim_id) {
                (Some(named), Some(_)) => format!("{} = ?3", named.column),
                (Some(_) | None, _) => "?3 IS NULL".to_owned(),
            };
            let sql = format!(
                "SELECT position FROM feed WHERE position IN (SELECT value FROM json_each(?1))
                     AND (?2 IS NULL OR event = ?2) AND {is_of}
                     AND (?4 IS NULL OR instr(data, ?4) > 0)"
            );
            let text = named.map(|named| named.text);
            let parameters = params![list, kind.map(EventType::name), scim_id, text];
            let found = all(connection, &sql, parameters, |row| Ok(from_sql(row.get(0)?)))?;
            Ok(found.into_iter().collect())
        })
        .await
    }
}

/// How what apps know by an id is found: in its table, and in what apps were told.
pub(crate) struct Named {
    pub(crate) table: &'static str,
    /// The column of the table. That of the feed is called alike, and holds the SCIM id.
    pub(crate) column: &'static str,
    pub(crate) bits: [u8; 16],
    pub(crate) text: String,
}

impl Named {
    pub(crate) fn of(resource: Resource) -> Self {
        match resource {
            Resource::User(id) => Self {
                table: "users",
                column: "user_id",
                bits: id.to_bytes(),
                text: id.to_string(),
            },
            Resource::Group(id) => Self {
                table: "groups",
                column: "group_id",
                bits: id.to_bytes(),
                text: id.to_string(),
            },
        }
    }
}

/// A position near which events change from before a time to after it. Times rise with positions but
/// for a little, so a bisection comes close.
fn near(connection: &Connection, time: Timestamp) -> Result<u64, DbError> {
    let last: Option<i64> =
        connection.query_row("SELECT max(position) FROM feed", [], |row| row.get(0))?;
    let mut at = connection.prepare_cached(
        "SELECT created_at FROM feed WHERE position >= ?1 ORDER BY position LIMIT 1",
    )?;
    let (mut before, mut after) = (0, last.map_or(0, from_sql) + 1);
    while before + 1 < after {
        let middle = before + (after - before) / 2;
        let millis: i64 = at.query_row([as_sql(middle)], |row| row.get(0))?;
        if millis < time.millis() { before = middle } else { after = middle }
    }
    Ok(after)
}

fn count(connection: &Connection, counted: &Counted) -> Result<u64, DbError> {
    let names: Vec<&str> = counted.events.iter().map(|event| event.name()).collect();
    let names = serde_json::to_string(&names).map_err(unreadable("event types"))?;
    let ids = counted.directories.as_ref().map(|ids| {
        let hex: Vec<String> = ids.iter().map(|id| hex::encode_upper(id.to_bytes())).collect();
        serde_json::to_string(&hex)
    });
    let ids = ids.transpose().map_err(unreadable("directories"))?;
    let sql = "SELECT count(*) FROM feed WHERE position > ?1 AND position <= ?2
        AND event IN (SELECT value FROM json_each(?3))
        AND (?4 IS NULL OR directory IN (SELECT key FROM directories
            WHERE hex(id) IN (SELECT value FROM json_each(?4))))";
    let parameters = params![as_sql(counted.after), as_sql(counted.up_to), names, ids];
    let found = first(connection, sql, parameters, |row| Ok(from_sql(row.get(0)?)))?;
    Ok(found.unwrap_or(0))
}
