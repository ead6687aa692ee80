//! The end of the feed.

use projector::Batch;
use schemas::{ScimId, Timestamp};

use super::super::super::query::Moment;
use super::super::super::rows::{Columns, as_sql};
use super::super::feed_end;
use super::super::times::grown;
use super::Directories;
use super::fold::key_of;
use super::write::STATEMENT_BYTES;
use crate::error::DbError;
use crate::state::apply::subjects;

/// A month, counted from the year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::postgres) struct Month(pub(in crate::postgres) i32);

impl Month {
    /// The month of a moment, in UTC: the calendar's 400 years are always the same 146,097 days, and begin in March,
    /// so that the odd day comes last.
    pub(in crate::postgres) fn of(time: Timestamp) -> Self {
        let days = time.millis().div_euclid(86_400_000) + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // March is 0.
        let month = (5 * day + 2) / 153;
        let month = (era * 400 + year) * 12 + month + 2;
        Self(i32::try_from(month).unwrap_or(i32::MAX - 1))
    }

    /// The partition of the feed.
    fn table(self) -> String {
        format!("feed_{:04}_{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// The latest month that an event is given: the next one by the clock of the server. One clock that is years ahead
/// would end the months otherwise, since they only rise.
pub(in crate::postgres) const LATEST_MONTH: &str = "(extract(year FROM now() AT TIME ZONE 'UTC') * 12 \
    + extract(month FROM now() AT TIME ZONE 'UTC'))::integer";

/// Adds to the feed, and returns where it ends. From here to the commit nobody else does.
pub(super) async fn append(
    moment: &Moment<'_>,
    directories: &Directories,
    batch: &Batch,
) -> Result<u64, DbError> {
    if batch.accepted.is_empty() {
        return feed_end(moment).await;
    }
    let more = as_sql(batch.accepted.len() as u64);
    let lock = format!(
        "UPDATE feed_end SET position = position + $1 RETURNING position, month, {LATEST_MONTH}"
    );
    let Some(row) = moment.first(&lock, &[&more]).await? else { return Ok(0) };
    let (end, last): (i64, i32) = (row.value(0)?, row.value(1)?);
    let latest = Month(row.value(2)?);
    let mut month = Month(last);
    let mut rows = Rows::default();
    for (accepted, position) in batch.accepted.iter().zip(end - more + 1..) {
        let of = Month::of(accepted.created_at).min(latest);
        if of > month {
            month = of;
            begin(moment, month, position).await?;
        }
        let directory = key_of(directories, accepted.directory_id);
        rows.push(accepted, (month, position), directory);
        if rows.bytes >= STATEMENT_BYTES {
            std::mem::take(&mut rows).insert(moment).await?;
        }
    }
    rows.insert(moment).await?;
    grown(moment, (end - more).unsigned_abs(), end.unsigned_abs()).await?;
    Ok(end.unsigned_abs())
}

/// Makes the partition of a month. It is made beside the feed and then attached, which lets others read meanwhile.
pub(in crate::postgres) async fn begin(
    moment: &Moment<'_>,
    month: Month,
    first: i64,
) -> Result<(), DbError> {
    let (table, next) = (month.table(), month.0 + 1);
    let make = format!(
        "CREATE TABLE {table} (LIKE feed INCLUDING ALL);
         ALTER TABLE feed ATTACH PARTITION {table} FOR VALUES FROM ({}) TO ({next})",
        month.0
    );
    moment.batch(&make).await?;
    let insert = "INSERT INTO feed_months (month, first) VALUES ($1, $2)";
    moment.execute(insert, &[&month.0, &first]).await?;
    moment.execute("UPDATE feed_end SET month = $1", &[&month.0]).await?;
    Ok(())
}

/// Rows of the feed, by columns.
#[derive(Default)]
struct Rows<'b> {
    month: Vec<i32>,
    position: Vec<i64>,
    event_id: Vec<Vec<u8>>,
    directory: Vec<i64>,
    event: Vec<&'b str>,
    seq: Vec<i64>,
    hash: Vec<&'b [u8]>,
    prev: Vec<&'b [u8]>,
    created_at: Vec<i64>,
    user_id: Vec<Option<Vec<u8>>>,
    group_id: Vec<Option<Vec<u8>>>,
    actor: Vec<&'b str>,
    data: Vec<&'b str>,
    /// How much of it is long.
    bytes: usize,
}

impl<'b> Rows<'b> {
    fn push(
        &mut self,
        accepted: &'b projector::Accepted,
        (month, position): (Month, i64),
        directory: i64,
    ) {
        let (user, group) = subjects(&accepted.change);
        let bytes = |id: Option<ScimId>| id.map(|id| id.to_bytes().to_vec());
        self.month.push(month.0);
        self.position.push(position);
        self.event_id.push(accepted.id.to_bytes().to_vec());
        self.directory.push(directory);
        self.event.push(accepted.event.name());
        self.seq.push(as_sql(accepted.head.seq.0));
        self.hash.push(&accepted.head.hash.0);
        self.prev.push(&accepted.prev.0);
        self.created_at.push(accepted.created_at.millis());
        self.user_id.push(bytes(user));
        self.group_id.push(bytes(group));
        self.actor.push(&accepted.actor);
        self.data.push(&accepted.data);
        self.bytes += accepted.actor.len() + accepted.data.len();
    }

    async fn insert(&self, moment: &Moment<'_>) -> Result<(), DbError> {
        if self.month.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO feed (month, position, event_id, directory, event, seq, hash, prev,
                created_at, user_id, group_id, actor, data)
            SELECT month, position, event_id, directory, event, seq, hash, prev, created_at, user_id,
                group_id, actor::json, data::json
            FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::bigint[], $5::text[],
                $6::bigint[], $7::bytea[], $8::bytea[], $9::bigint[], $10::bytea[], $11::bytea[],
                $12::text[], $13::text[])
            AS new (month, position, event_id, directory, event, seq, hash, prev, created_at,
                user_id, group_id, actor, data)";
        let Self { month, position, event_id, directory, event, seq, hash, prev, .. } = self;
        let Self { created_at, user_id, group_id, actor, data, .. } = self;
        moment
            .execute(
                sql,
                &[
                    month, position, event_id, directory, event, seq, hash, prev, created_at,
                    user_id, group_id, actor, data,
                ],
            )
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_that_of_the_calendar() {
        for (time, table) in [
            ("1970-01-01T00:00:00.000Z", "feed_1970_01"),
            ("2000-02-29T12:00:00.000Z", "feed_2000_02"),
            ("2024-02-29T23:59:59.999Z", "feed_2024_02"),
            ("2024-03-01T00:00:00.000Z", "feed_2024_03"),
            ("2026-12-31T23:59:59.999Z", "feed_2026_12"),
            ("2027-01-01T00:00:00.000Z", "feed_2027_01"),
        ] {
            assert_eq!(Month::of(time.parse().unwrap()).table(), table, "{time}");
        }
    }
}
