//! How deliveries to an endpoint go.

use api::ports::{Delivering, LastError};
use rusqlite::{Connection, params};
use schemas::{EndpointId, EndpointKind, EventId, Timestamp};

use super::{Config, operational};
use crate::error::DbError;
use crate::ports::not_found;
use crate::sqlite::from_sql;
use crate::state::rows::{Time, first};

/// What the success rate speaks of.
const RATED: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

impl Config {
    /// How deliveries go, but for what only the feed tells.
    pub(crate) async fn delivering(
        &self,
        id: EndpointId,
        at: Option<Timestamp>,
        feed_end: u64,
    ) -> Result<(Delivering, u64), DbError> {
        let since = at.map(rated_since);
        self.read(move |connection| delivering(connection, id, since, feed_end)).await
    }
}

/// Since when attempts count at a time.
pub(crate) fn rated_since(at: Timestamp) -> i64 {
    at.millis() - i64::try_from(RATED.as_millis()).unwrap_or(i64::MAX)
}

/// What is known here, and the position before the first event that waits.
fn delivering(
    connection: &Connection,
    id: EndpointId,
    since: Option<i64>,
    feed_end: u64,
) -> Result<(Delivering, u64), DbError> {
    let sql = "SELECT cursor, failing_since, failed_in_a_row, disabled_reason,
        (SELECT count(*) FROM blocked_lines WHERE endpoint = id),
        (SELECT min(from_position) FROM blocked_lines WHERE endpoint = id),
        CASE WHEN ?2 IS NULL THEN 0 ELSE
            (SELECT count(*) FROM attempts WHERE endpoint = id AND at >= ?2) END,
        CASE WHEN ?2 IS NULL THEN 0 ELSE
            (SELECT count(*) FROM attempts WHERE endpoint = id AND at >= ?2 AND failure IS NULL) END,
        kind FROM endpoints WHERE id = ?1";
    let found = first(connection, sql, params![id.to_bytes(), since], |row| {
        let cursor = from_sql(row.get(0)?);
        let is_operational =
            row.get_ref(8)?.as_str().ok() == Some(EndpointKind::Operational.name());
        let feed_end = if is_operational { operational::end(connection)? } else { feed_end };
        let blocked: Option<i64> = row.get(5)?;
        let first_waiting = blocked.map_or(cursor, |at| from_sql(at).saturating_sub(1).min(cursor));
        let delivering = Delivering {
            // Of a blocked line just the first event is counted: the rest has no row of its own.
            lag_events: feed_end.saturating_sub(cursor) + from_sql(row.get(4)?),
            oldest_waiting: None,
            attempts: from_sql(row.get(6)?),
            delivered: from_sql(row.get(7)?),
            failing_since: row.get::<_, Option<Time>>(1)?.map(|time| time.0),
            failed_in_a_row: from_sql(row.get(2)?),
            last_error: since.map_or(Ok(None), |_| last_error(connection, id))?,
            disabled_reason: row.get(3)?,
        };
        Ok((delivering, first_waiting))
    })?;
    found.ok_or_else(not_found)
}

fn last_error(connection: &Connection, id: EndpointId) -> Result<Option<LastError>, DbError> {
    let sql = "SELECT at, event_id, failure, status FROM attempts
        WHERE endpoint = ?1 AND failure IS NOT NULL ORDER BY at DESC, key DESC LIMIT 1";
    first(connection, sql, [id.to_bytes()], |row| {
        let failure: String = row.get(2)?;
        let name = failure.split(' ').next().unwrap_or_default().to_owned();
        Ok(LastError {
            at: row.get::<_, Time>(0)?.0,
            event_id: EventId::from_bytes(row.get(1)?),
            failure: name,
            status: row.get(3)?,
        })
    })
}
