//! The feed, as the dispatcher reads it.

use bytes::Bytes;
use dispatcher::ports::{FeedEvent, FeedPosition, Line};
use rusqlite::{Row, params};
use schemas::record::{Context, PublicEvent};
use schemas::wire::EventTag;
use schemas::{DirectoryId, EventId, ScimId, Seq};
use serde_json::value::RawValue;

use super::State;
use super::rows::{Time, all, first};
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};

const COLUMNS: &str = "feed.position, feed.event_id, feed.event, feed.created_at, feed.data, \
    directories.id, feed.seq, feed.user_id, feed.group_id";

impl State {
    pub(crate) async fn feed(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
                 WHERE feed.position > ?1 ORDER BY feed.position LIMIT ?2"
            );
            all(connection, &sql, params![as_sql(after.0), as_sql(limit as u64)], event)
        })
        .await
    }

    pub(crate) async fn line(
        &self,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let (condition, id) = match line {
            Line::User(id) => ("feed.user_id = ?1", id.to_bytes()),
            Line::Group(id) => ("feed.group_id = ?1", id.to_bytes()),
            Line::Directory(id) => (
                "feed.directory = (SELECT key FROM directories WHERE id = ?1)
                 AND feed.user_id IS NULL AND feed.group_id IS NULL",
                id.to_bytes(),
            ),
            Line::Stream(id) => {
                ("feed.directory = (SELECT key FROM directories WHERE id = ?1)", id.to_bytes())
            }
            Line::Event(id) => ("feed.event_id = ?1", id.to_bytes()),
        };
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
                 WHERE {condition} AND feed.position > ?2 AND feed.position <= ?3
                 ORDER BY feed.position LIMIT ?4"
            );
            let parameters = params![id, as_sql(after.0), as_sql(up_to.0), as_sql(limit as u64)];
            all(connection, &sql, parameters, event)
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

fn event(row: &Row<'_>) -> Result<FeedEvent, DbError> {
    let id = |column| -> Result<Option<ScimId>, DbError> {
        Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(ScimId::from_bytes))
    };
    let name = row.get_ref(2)?.as_str().map_err(unreadable("event type"))?;
    Ok(FeedEvent {
        position: FeedPosition(from_sql(row.get(0)?)),
        id: EventId::from_bytes(row.get(1)?),
        event: name.parse().map_err(unreadable("event type"))?,
        directory_id: DirectoryId::from_bytes(row.get(5)?),
        seq: Seq(from_sql(row.get(6)?)),
        user: id(7)?,
        group: id(8)?,
        body: body(row)?,
    })
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
