//! How deliveries to an endpoint go.

use api::ports::{Delivering, LastError};
use rusqlite::{Connection, params};
use schemas::{EndpointId, EndpointKind, EventId, Timestamp};

use super::Config;
use crate::error::DbError;
use crate::ports::not_found;
use crate::sqlite::from_sql;
use crate::state::rows::{Time, first};

/// What the success rate speaks of.
const RATED: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

impl Config {
    /// How deliveries go, but for what only the feed tells: of what waits, that of an operational endpoint.
    pub(crate) async fn delivering(
        &self,
        id: EndpointId,
        at: Option<Timestamp>,
    ) -> Result<Delivering, DbError> {
        let since = at.map(rated_since);
        self.read(move |connection| delivering(connection, id, since)).await
    }
}

/// Since when attempts count at a time.
pub(crate) fn rated_since(at: Timestamp) -> i64 {
    at.millis() - i64::try_from(RATED.as_millis()).unwrap_or(i64::MAX)
}

fn delivering(
    connection: &Connection,
    id: EndpointId,
    since: Option<i64>,
) -> Result<Delivering, DbError> {
    let sql = "SELECT cursor, failing_since, failed_in_a_row, disabled_reason,
        (SELECT min(from_position) FROM blocked_lines WHERE endpoint = id),
        CASE WHEN ?2 IS NULL THEN 0 ELSE
            (SELECT count(*) FROM attempts WHERE endpoint = id AND at >= ?2) END,
        CASE WHEN ?2 IS NULL THEN 0 ELSE
            (SELECT count(*) FROM attempts WHERE endpoint = id AND at >= ?2 AND failure IS NULL) END,
        kind, is_paused FROM endpoints WHERE id = ?1";
    let found = first(connection, sql, params![id.to_bytes(), since], |row| {
        let (lag_events, oldest_waiting) = match row.get_ref(7)?.as_str() {
            Ok(kind) if kind == EndpointKind::Operational.name() => {
                let first = row.get::<_, Option<i64>>(4)?.map_or(i64::MAX, |from| from - 1);
                untold(connection, first.min(row.get(0)?))?
            }
            Ok(_) | Err(_) => (0, None),
        };
        Ok(Delivering {
            lag_events,
            oldest_waiting,
            attempts: from_sql(row.get(5)?),
            delivered: from_sql(row.get(6)?),
            failing_since: row.get::<_, Option<Time>>(1)?.map(|time| time.0),
            failed_in_a_row: from_sql(row.get(2)?),
            last_error: since.map_or(Ok(None), |_| last_error(connection, id))?,
            disabled_reason: row.get(3)?,
            is_paused: row.get(8)?,
        })
    })?;
    found.ok_or_else(not_found)
}

/// How many operational events there are after a position, and when the first of them happened.
fn untold(connection: &Connection, after: i64) -> Result<(u64, Option<Timestamp>), DbError> {
    let sql = "SELECT count(*), min(at) FROM operational_events WHERE position > ?1";
    let found = first(connection, sql, [after], |row| {
        Ok((from_sql(row.get(0)?), row.get::<_, Option<Time>>(1)?.map(|time| time.0)))
    })?;
    Ok(found.unwrap_or_default())
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
