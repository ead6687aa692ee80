//! From times to positions of the feed: of every so many positions it is kept what their times are at least, and what
//! they were at most so far.

use schemas::{RequestId, Timestamp};

use super::super::query::Moment;
use super::super::rows::{Columns as _, as_sql};
use super::feed::FROM;
use crate::error::DbError;
use crate::state::audit::{Range, caused_between, caused_ids};
use crate::state::times::{BLOCK, LEFT_AT_ONCE};

/// Adds what is complete since the feed ended at `before`, and a little of what replicas of an earlier version left.
pub(super) async fn grown(moment: &Moment<'_>, before: u64, end: u64) -> Result<(), DbError> {
    let own = end / BLOCK - before / BLOCK;
    if own == 0 {
        return Ok(());
    }
    let from = known(moment).await? * BLOCK;
    let to = (end / BLOCK * BLOCK).min(from + (own + LEFT_AT_ONCE) * BLOCK);
    let sql = format!(
        "INSERT INTO feed_times (block, earliest, latest)
         SELECT block, earliest, greatest(max(latest) OVER (ORDER BY block),
             (SELECT latest FROM feed_times ORDER BY block DESC LIMIT 1))
         FROM (SELECT (position - 1) / {BLOCK} AS block, min(created_at) AS earliest,
                   max(created_at) AS latest
               FROM feed WHERE {FROM} AND position > $1 AND position <= $2 GROUP BY 1) AS blocks"
    );
    moment.execute(&sql, &[&as_sql(from), &as_sql(to)]).await?;
    Ok(())
}

/// How many blocks are known.
async fn known(moment: &Moment<'_>) -> Result<u64, DbError> {
    let sql = "SELECT coalesce(max(block) + 1, 0) FROM feed_times";
    moment.first(sql, &[]).await?.map_or(Ok(0), |row| row.number(0))
}

/// Where a range of times is in the feed.
pub(super) async fn range(
    moment: &Moment<'_>,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) -> Result<Range, DbError> {
    let mut range = Range::ALL;
    if let Some(from) = from {
        range.first = not_before(moment, from).await?;
    }
    if let Some(to) = to {
        range.last = not_after(moment, to).await?;
    }
    Ok(range)
}

/// Where in the feed is what a request caused.
pub(super) async fn caused_by(moment: &Moment<'_>, request: RequestId) -> Result<Range, DbError> {
    let (low, high) = caused_ids(request);
    let sql = "SELECT position FROM feed WHERE event_id >= $1 ORDER BY event_id LIMIT 1";
    let first = moment.first(sql, &[&&low[..]]).await?;
    let first = first.map_or(Ok(u64::MAX), |row| row.number(0))?;
    let sql = "SELECT position FROM feed WHERE event_id <= $1 ORDER BY event_id DESC LIMIT 1";
    let last = moment.first(sql, &[&&high[..]]).await?.map_or(Ok(0), |row| row.number(0))?;
    Ok(range(moment, caused_between(request)).await?.or(Range { first, last }))
}

/// The first position with an event of this time or later.
async fn not_before(moment: &Moment<'_>, from: Timestamp) -> Result<u64, DbError> {
    let sql = "SELECT block FROM feed_times WHERE latest >= $1 ORDER BY block LIMIT 1";
    let block = match moment.first(sql, &[&from.millis()]).await? {
        Some(row) => row.number(0)?,
        None => known(moment).await?,
    };
    let sql = format!(
        "SELECT position FROM feed WHERE {FROM} AND position > $1 AND created_at >= $2
         ORDER BY position LIMIT 1"
    );
    let found = moment.first(&sql, &[&as_sql(block * BLOCK), &from.millis()]).await?;
    found.map_or(Ok(u64::MAX), |row| row.number(0))
}

/// The last position with an event of this time or earlier; 0 if there is none.
async fn not_after(moment: &Moment<'_>, to: Timestamp) -> Result<u64, DbError> {
    if let Some(found) = last_within(moment, (known(moment).await? * BLOCK, u64::MAX), to).await? {
        return Ok(found);
    }
    let sql = "SELECT block FROM feed_times WHERE earliest <= $1 ORDER BY block DESC LIMIT 1";
    let Some(row) = moment.first(sql, &[&to.millis()]).await? else { return Ok(0) };
    let block = row.number(0)?;
    let found = last_within(moment, (block * BLOCK, (block + 1) * BLOCK), to).await?;
    Ok(found.unwrap_or(0))
}

async fn last_within(
    moment: &Moment<'_>,
    (low, high): (u64, u64),
    to: Timestamp,
) -> Result<Option<u64>, DbError> {
    let sql = format!(
        "SELECT position FROM feed WHERE {FROM} AND position > $1 AND position <= $2
             AND created_at <= $3 ORDER BY position DESC LIMIT 1"
    );
    let found = moment.first(&sql, &[&as_sql(low), &as_sql(high), &to.millis()]).await?;
    found.map(|row| row.number(0)).transpose()
}
