//! The feed, as the dispatcher reads it.

use std::sync::Arc;

use bytes::Bytes;
use dispatcher::ports::{FeedEvent, FeedPosition, Line, Topic};
use schemas::record::{Context, PublicEvent};
use schemas::wire::EventTag;
use schemas::{DirectoryId, EventId, ScimId, Seq, Timestamp};
use serde_json::value::RawValue;
use tokio_postgres::Row;

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::{State, directory_row};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::state::feed::request;

const COLUMNS: &str = "feed.position, feed.event_id, feed.event, feed.created_at, feed.data::text, \
    directories.id, feed.seq, feed.user_id, feed.group_id, feed.actor::text";

/// The months that lie behind a position: the one that it is in and those that follow.
pub(super) const FROM: &str =
    "feed.month >= (SELECT coalesce(max(month), 0) FROM feed_months WHERE first <= $1::bigint + 1)";

impl State {
    pub(super) async fn feed(
        &self,
        known: Arc<Known>,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
             WHERE {FROM} AND feed.position > $1 ORDER BY feed.position LIMIT $2"
        );
        let parameters = (as_sql(after.0), as_sql(limit as u64));
        let rows = moment.all(&sql, &[&parameters.0, &parameters.1]).await?;
        rows.iter().map(|row| event(&known, row)).collect()
    }

    pub(super) async fn line(
        &self,
        known: Arc<Known>,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let (after, up_to, limit) = (as_sql(after.0), as_sql(up_to.0), as_sql(limit as u64));
        // An event has one place: a sum keeps the planner from looking for it in all places between two.
        let position = match line {
            Line::Event(_) => "(feed.position + 0)",
            Line::User(_)
            | Line::Group(_)
            | Line::Directory(_)
            | Line::Stream(_)
            | Line::Held(_)
            | Line::HeldStream(_) => "feed.position",
        };
        let sql = |condition: &str| {
            format!(
                "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
                 WHERE {condition} = $2 AND {FROM} AND {position} > $1 AND {position} <= $3
                 ORDER BY {position} LIMIT $4"
            )
        };
        let of = async |condition: &str, id: [u8; 16]| {
            moment.all(&sql(condition), &[&after, &&id[..], &up_to, &limit]).await
        };
        let rows = match line {
            Line::User(id) => of("feed.user_id", id.to_bytes()).await?,
            Line::Group(id) => of("feed.group_id", id.to_bytes()).await?,
            Line::Event(id) => of("feed.event_id", id.to_bytes()).await?,
            Line::Stream(id) | Line::Held(id) | Line::HeldStream(id) => {
                let Some(row) = directory_row(&moment, id).await? else { return Ok(Vec::new()) };
                stream(&moment, row.key, (after, up_to), limit).await?
            }
            Line::Directory(id) => {
                let Some(row) = directory_row(&moment, id).await? else { return Ok(Vec::new()) };
                let itself = "feed.user_id IS NULL AND feed.group_id IS NULL AND feed.directory";
                moment.all(&sql(itself), &[&after, &row.key, &up_to, &limit]).await?
            }
        };
        rows.iter().map(|row| event(&known, row)).collect()
    }

    /// The events at these positions, in order.
    pub(super) async fn at(
        &self,
        known: Arc<Known>,
        positions: Vec<u64>,
    ) -> Result<Vec<FeedEvent>, DbError> {
        let Some(first) = positions.iter().min() else { return Ok(Vec::new()) };
        let before = as_sql(first.saturating_sub(1));
        let positions: Vec<i64> = positions.iter().map(|position| as_sql(*position)).collect();
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
             WHERE {FROM} AND feed.position = ANY($2) ORDER BY feed.position"
        );
        let rows = moment.all(&sql, &[&before, &positions]).await?;
        rows.iter().map(|row| event(&known, row)).collect()
    }

    /// When the first event behind a position was decided.
    pub(super) async fn first_after(
        &self,
        after: FeedPosition,
    ) -> Result<Option<Timestamp>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = format!(
            "SELECT created_at FROM feed WHERE {FROM} AND position > $1 ORDER BY position LIMIT 1"
        );
        let row = moment.first(&sql, &[&as_sql(after.0)]).await?;
        row.map(|row| row.time(0)).transpose()
    }
}

/// Events of one stream. They are found by their place in it, which rises with the position: there is an index for
/// that and none for the positions of a stream.
async fn stream(
    moment: &Moment<'_>,
    directory: i64,
    (after, up_to): (i64, i64),
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    let after = as_sql(seq_up_to(moment, directory, after.unsigned_abs()).await?.0);
    let up_to = as_sql(seq_up_to(moment, directory, up_to.unsigned_abs()).await?.0);
    let sql = format!(
        "SELECT {COLUMNS} FROM feed JOIN directories ON directories.key = feed.directory
         WHERE feed.directory = $1 AND feed.seq > $2 AND feed.seq <= $3
         ORDER BY feed.seq LIMIT $4"
    );
    moment.all(&sql, &[&directory, &after, &up_to, &limit]).await
}

/// The last place in a stream whose event stands at this position or before it; 0 if none does.
///
/// Places are 1, 2, 3… without holes and accepted in order, so a bisection finds it in a few look-ups. The server
/// does all of them.
pub(super) async fn seq_up_to(
    moment: &Moment<'_>,
    directory: i64,
    position: u64,
) -> Result<Seq, DbError> {
    let sql = "WITH RECURSIVE halves (fits, beyond) AS (
            SELECT 0::bigint,
                coalesce((SELECT max(seq) FROM feed WHERE directory = $1), 0)::bigint + 1
            UNION ALL
            SELECT CASE WHEN low THEN middle ELSE fits END, CASE WHEN low THEN beyond ELSE middle END
            FROM (SELECT fits, beyond, (fits + beyond) / 2 AS middle,
                    (SELECT position FROM feed WHERE directory = $1
                         AND seq = (fits + beyond) / 2) <= $2 AS low
                FROM halves WHERE fits + 1 < beyond) AS half)
        SELECT max(fits) FROM halves";
    let row = moment.first(sql, &[&directory, &as_sql(position)]).await?;
    row.map_or(Ok(Seq(0)), |row| row.number(0).map(Seq))
}

fn event(known: &Known, row: &Row) -> Result<FeedEvent, DbError> {
    let id = |column| Ok::<_, DbError>(row.id_if_any(column)?.map(ScimId::from_bytes));
    let directory_id = DirectoryId::from_bytes(row.id(5)?);
    Ok(FeedEvent {
        position: FeedPosition(row.number(0)?),
        id: EventId::from_bytes(row.id(1)?),
        topic: Topic::Directory(row.value::<&str>(2)?.parse().map_err(unreadable("event type"))?),
        organization_id: known.origin(directory_id).map(|origin| origin.organization_id),
        directory_id,
        seq: Seq(row.number(6)?),
        user: id(7)?,
        group: id(8)?,
        held: None,
        request: request(row.value(9)?)?,
        body: body(row)?,
    })
}

/// The bytes that leave the house, from the first columns of a row: id at 1, type, time, data.
pub(super) fn body(row: &Row) -> Result<Bytes, DbError> {
    let data: &RawValue = serde_json::from_str(row.value(4)?).map_err(unreadable("event"))?;
    let public = PublicEvent {
        object: EventTag::Tag,
        id: EventId::from_bytes(row.id(1)?),
        event: row.value::<&str>(2)?.parse().map_err(unreadable("event type"))?,
        data,
        created_at: row.time(3)?,
        context: Context {},
    };
    Ok(public.to_bytes().into())
}
