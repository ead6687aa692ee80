//! The feed, as the dispatcher reads it.

use std::sync::Arc;

use bytes::Bytes;
use dispatcher::ports::{FeedEvent, FeedPosition, Line, Topic};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params, params_from_iter};
use schemas::record::{Context, PublicEvent};
use schemas::wire::EventTag;
use schemas::{DirectoryId, EventId, RequestId, ScimId, Seq};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::audit::Range;
use super::blocks::{self, Within};
use super::reading::page::Conditions;
use super::rows::{Time, all, first};
use super::{State, directory_row};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};

const COLUMNS: &str = "feed.position, feed.event_id, feed.event, feed.created_at, feed.data, \
    directories.id, feed.seq, feed.user_id, feed.group_id, feed.actor";

impl State {
    pub(crate) async fn feed(
        &self,
        known: Arc<Known>,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
                 WHERE feed.position > ?1 ORDER BY feed.position LIMIT ?2"
            );
            all(connection, &sql, params![as_sql(after.0), as_sql(limit as u64)], |row| {
                event(&known, row)
            })
        })
        .await
    }

    pub(crate) async fn line(
        &self,
        known: Arc<Known>,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        self.read(move |connection| {
            let directory =
                |id| Ok::<_, DbError>(directory_row(connection, id)?.map(|row| row.key));
            let column = match line {
                Line::User(_) => "feed.user_id",
                Line::Group(_) => "feed.group_id",
                Line::Event(_) => "feed.event_id",
                Line::Directory(_) => {
                    "feed.user_id IS NULL AND feed.group_id IS NULL AND feed.directory"
                }
                Line::Stream(id) | Line::Held(id) | Line::HeldStream(id) => {
                    let Some(key) = directory(id)? else { return Ok(Vec::new()) };
                    return stream(connection, &known, key, (after.0, up_to.0), limit);
                }
            };
            let value: Sql = match line {
                Line::User(id) | Line::Group(id) => id.to_bytes().to_vec().into(),
                Line::Event(id) => id.to_bytes().to_vec().into(),
                Line::Directory(id) | Line::Stream(id) | Line::Held(id) | Line::HeldStream(id) => {
                    directory(id)?.into()
                }
            };
            let sql = format!(
                "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
                 WHERE {column} = ?1 AND feed.position > ?2 AND feed.position <= ?3
                 ORDER BY feed.position LIMIT ?4"
            );
            let parameters = params![value, as_sql(after.0), as_sql(up_to.0), as_sql(limit as u64)];
            all(connection, &sql, parameters, |row| event(&known, row))
        })
        .await
    }

    /// The events at these positions, in the order of these.
    pub(crate) async fn at(
        &self,
        known: Arc<Known>,
        positions: Vec<u64>,
    ) -> Result<Vec<FeedEvent>, DbError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
                 WHERE feed.position = ?1"
            );
            let at =
                |position| first(connection, &sql, [as_sql(position)], |row| event(&known, row));
            let found = positions.into_iter().map(at).collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().flatten().collect())
        })
        .await
    }

    /// The event at a position, and when it was decided.
    pub(crate) async fn first_after(
        &self,
        after: FeedPosition,
    ) -> Result<Option<schemas::Timestamp>, DbError> {
        self.read(move |connection| {
            let sql = "SELECT created_at FROM feed WHERE position > ?1 ORDER BY position LIMIT 1";
            first(connection, sql, [as_sql(after.0)], |row| Ok(row.get::<_, Time>(0)?.0))
        })
        .await
    }
}

/// Events of one stream. They are found by their place in it, which rises with the position: there is an index for that,
/// and of positions it is only kept in which blocks a stream has some.
fn stream(
    connection: &Connection,
    known: &Known,
    directory: i64,
    (after, up_to): (u64, u64),
    limit: usize,
) -> Result<Vec<FeedEvent>, DbError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE feed.directory = ?1 AND feed.seq > ?2 AND feed.seq <= ?3
         ORDER BY feed.seq LIMIT ?4"
    );
    let after = as_sql(seq_up_to(connection, directory, after)?.0);
    let up_to = as_sql(seq_up_to(connection, directory, up_to)?.0);
    all(connection, &sql, params![directory, after, up_to, as_sql(limit as u64)], |row| {
        event(known, row)
    })
}

/// The last place in a stream whose event stands at this position or before it; 0 if none does.
pub(crate) fn seq_up_to(
    connection: &Connection,
    directory: i64,
    position: u64,
) -> Result<Seq, DbError> {
    let (within, mut conditions) = (Within::Directory(directory), Conditions::default());
    blocks::narrow(&mut conditions, within, None, Range { last: position, ..Range::ALL });
    let (feed, of, order) = (blocks::FEED, conditions.to_sql(), blocks::order(false));
    let sql = format!("SELECT feed.seq FROM {feed} WHERE {of} ORDER BY {order} LIMIT 1");
    let found = first(connection, &sql, params_from_iter(conditions.parameters()), |row| {
        Ok(Seq(from_sql(row.get(0)?)))
    })?;
    Ok(found.unwrap_or(Seq(0)))
}

fn event(known: &Known, row: &Row<'_>) -> Result<FeedEvent, DbError> {
    let id = |column| -> Result<Option<ScimId>, DbError> {
        Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(ScimId::from_bytes))
    };
    let name = row.get_ref(2)?.as_str().map_err(unreadable("event type"))?;
    let directory_id = DirectoryId::from_bytes(row.get(5)?);
    Ok(FeedEvent {
        position: FeedPosition(from_sql(row.get(0)?)),
        id: EventId::from_bytes(row.get(1)?),
        topic: Topic::Directory(name.parse().map_err(unreadable("event type"))?),
        organization_id: known.origin(directory_id).map(|origin| origin.organization_id),
        directory_id,
        seq: Seq(from_sql(row.get(6)?)),
        user: id(7)?,
        group: id(8)?,
        held: None,
        request: request(row.get_ref(9)?.as_str().map_err(unreadable("actor"))?)?,
        body: body(row)?,
    })
}

/// Of an [`schemas::Actor`], the request alone.
#[derive(Deserialize)]
struct Caused {
    request_id: Option<String>,
}

/// The request that an actor names.
pub(crate) fn request(actor: &str) -> Result<Option<RequestId>, DbError> {
    let Caused { request_id } = serde_json::from_str(actor).map_err(unreadable("actor"))?;
    Ok(request_id.and_then(|id| id.parse().ok()))
}

/// The bytes that leave the house, from the first columns of a row: id at 1, type, time, data.
pub(crate) fn body(row: &Row<'_>) -> Result<Bytes, DbError> {
    let name = row.get_ref(2)?.as_str().map_err(unreadable("event type"))?;
    let data = row.get_ref(4)?.as_str().map_err(unreadable("event"))?;
    let data: &RawValue = serde_json::from_str(data).map_err(unreadable("event"))?;
    let public = PublicEvent {
        object: EventTag::Tag,
        id: EventId::from_bytes(row.get(1)?),
        event: name.parse().map_err(unreadable("event type"))?,
        data,
        created_at: row.get::<_, Time>(3)?.0,
        context: Context {},
    };
    Ok(public.to_bytes().into())
}
