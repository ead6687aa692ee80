//! Places in the feed: where an event or a time stands, and how much lies between two of them.

use std::collections::{BTreeMap, BTreeSet};

use api::ports::Resource;
use schemas::{EventId, EventType, Timestamp};

use super::super::query::Moment;
use super::super::rows::{Columns, as_sql};
use super::State;
use super::feed::body;
use super::reading::types;
use crate::error::DbError;
use crate::filter::Parameter;
use crate::state::places::{About, COUNTED, Counted, DISORDER, Named};

impl State {
    /// Where an event stands.
    pub(super) async fn position_of(&self, id: EventId) -> Result<Option<u64>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = "SELECT position FROM feed WHERE event_id = $1";
        let row = moment.first(sql, &[&&id.to_bytes()[..]]).await?;
        row.map(|row| row.number(0)).transpose()
    }

    /// The first event that was decided at this time or later, if there is one.
    pub(super) async fn first_from(&self, time: Timestamp) -> Result<Option<u64>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let near = near(&moment, time).await?;
        let sql = "SELECT position FROM feed WHERE position > $1 AND created_at >= $2
            ORDER BY position LIMIT 1";
        let after = as_sql(near.saturating_sub(DISORDER));
        let row = moment.first(sql, &[&after, &time.millis()]).await?;
        row.map(|row| row.number(0)).transpose()
    }

    /// The last event that was decided at this time or before; 0 if there is none.
    pub(super) async fn last_until(&self, time: Timestamp) -> Result<u64, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        // A millisecond on, so that those of the time itself lie before it.
        let after = Timestamp::from_millis(time.millis() + 1);
        let up_to = near(&moment, after).await?.saturating_add(DISORDER);
        let sql = "SELECT position FROM feed WHERE position <= $1 AND created_at <= $2
            ORDER BY position DESC LIMIT 1";
        let row = moment.first(sql, &[&as_sql(up_to), &time.millis()]).await?;
        row.map_or(Ok(0), |row| row.number(0))
    }

    /// How many events there are.
    pub(super) async fn count(&self, counted: Counted) -> Result<u64, DbError> {
        let mut total = 0;
        let mut after = counted.after;
        while after < counted.up_to {
            let up_to = counted.up_to.min(after + COUNTED);
            let part = Counted { after, up_to, ..counted.clone() };
            let mut client = self.client().await?;
            total += count(&Moment::reading(&mut client).await?, &part).await?;
            after = up_to;
        }
        Ok(total)
    }

    /// What the feed tells of the events at these positions.
    pub(super) async fn about(&self, positions: Vec<u64>) -> Result<BTreeMap<u64, About>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let positions: Vec<i64> = positions.into_iter().map(as_sql).collect();
        let sql = "SELECT position, event_id, event, created_at, data::text FROM feed
            WHERE position = ANY($1)";
        let rows = moment.all(sql, &[&positions]).await?;
        let about = |row: &tokio_postgres::Row| {
            let about = About { event: row.value(2)?, body: body(row)? };
            Ok((row.number(0)?, about))
        };
        rows.iter().map(about).collect()
    }

    /// The events of this type and of this resource, up to so many. `None` if no index leads to them: of a resource
    /// that is gone.
    pub(super) async fn events_of(
        &self,
        kind: Option<EventType>,
        resource: Option<Resource>,
        limit: usize,
    ) -> Result<Option<Vec<EventId>>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let (kind, limit) = (kind.map(EventType::name), as_sql(limit as u64));
        let rows = if let Some(Named { table, column, bits, text }) = resource.map(Named::of) {
            let sql = format!("SELECT scim_id FROM {table} WHERE {column} = $1");
            let row = moment.first(&sql, &[&&bits[..]]).await?;
            let Some(row) = row else { return Ok(None) };
            let scim_id = row.id(0)?.to_vec();
            let sql = format!(
                "SELECT event_id FROM feed WHERE {column} = $1 AND ($2::text IS NULL OR event = $2)
                     AND strpos(data::text, $3) > 0 LIMIT $4"
            );
            moment.all(&sql, &[&scim_id, &kind, &text, &limit]).await?
        } else {
            // A range of types and positions: so nothing leads there but an index of both.
            let sql = "SELECT event_id FROM feed WHERE (event, position) >= ($1, 0::bigint)
                AND (event, position) <= ($1, $3::bigint) ORDER BY event, position LIMIT $2";
            moment.all(sql, &[&kind, &limit, &i64::MAX]).await?
        };
        let ids = rows.iter().map(|row| Ok(EventId::from_bytes(row.id(0)?)));
        ids.collect::<Result<Vec<_>, DbError>>().map(Some)
    }

    /// At which of these positions there are events of this type and of this resource. No body is read but those of
    /// events of the resource.
    pub(super) async fn fitting(
        &self,
        positions: Vec<u64>,
        kind: Option<EventType>,
        resource: Option<Resource>,
    ) -> Result<BTreeSet<u64>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let positions: Vec<i64> = positions.into_iter().map(as_sql).collect();
        let named = resource.map(Named::of);
        let mut scim_id: Option<Vec<u8>> = None;
        if let Some(Named { table, column, bits, .. }) = &named {
            let sql = format!("SELECT scim_id FROM {table} WHERE {column} = $1");
            let row = moment.first(&sql, &[&&bits[..]]).await?;
            scim_id = row.map(|row| row.id(0)).transpose()?.map(|id| id.to_vec());
        }
        // Who is gone is found by the text alone.
        let is_of = match (&named, &scim_id) {
            (Some(named), Some(_)) => format!("{} = $3", named.column),
            (Some(_) | None, _) => "$3::bytea IS NULL".to_owned(),
        };
        // These positions are few, and of a type there may be a million: an empty text keeps the planner from their
        // index.
        let sql = format!(
            "SELECT position FROM feed WHERE position = ANY($1)
                 AND ($2::text IS NULL OR (event || '') = $2) AND {is_of}
                 AND ($4::text IS NULL OR strpos(data::text, $4) > 0)"
        );
        let text = named.map(|named| named.text);
        let kind = kind.map(EventType::name);
        let rows = moment.all(&sql, &[&positions, &kind, &scim_id, &text]).await?;
        rows.iter().map(|row| row.number(0)).collect()
    }
}

/// A position near which events change from before a time to after it. Times rise with positions but for a little,
/// so a bisection comes close. The server does all of its steps.
async fn near(moment: &Moment<'_>, time: Timestamp) -> Result<u64, DbError> {
    let sql = "WITH RECURSIVE halves (before, after) AS (
            SELECT coalesce((SELECT min(first) FROM feed_months), 1) - 1, position + 1 FROM feed_end
            UNION ALL
            SELECT CASE WHEN early THEN middle ELSE before END,
                CASE WHEN early THEN after ELSE middle END
            FROM (SELECT before, after, (before + after) / 2 AS middle,
                    (SELECT created_at FROM feed WHERE position = (before + after) / 2) < $1 AS early
                FROM halves WHERE before + 1 < after) AS half)
        SELECT min(after) FROM halves";
    let row = moment.first(sql, &[&time.millis()]).await?;
    row.map_or(Ok(1), |row| row.number(0))
}

async fn count(moment: &Moment<'_>, counted: &Counted) -> Result<u64, DbError> {
    let Parameter::Text(types) = types(&counted.events) else { return Ok(0) };
    let ids = counted.directories.as_ref();
    let ids: Option<Vec<Vec<u8>>> =
        ids.map(|ids| ids.iter().map(|id| id.to_bytes().to_vec()).collect());
    let sql = "SELECT count(*) FROM feed WHERE position > $1 AND position <= $2
        AND (event || '') = ANY(string_to_array($3, ','))
        AND ($4::bytea[] IS NULL
            OR directory = ANY(ARRAY(SELECT key FROM directories WHERE id = ANY($4))))";
    let (after, up_to) = (as_sql(counted.after), as_sql(counted.up_to));
    let row = moment.first(sql, &[&after, &up_to, &types, &ids]).await?;
    row.map_or(Ok(0), |row| row.number(0))
}
