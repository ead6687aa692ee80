//! How deliveries to an endpoint go.

use api::ports::{Delivering, LastError};
use rusqlite::{Connection, params};
use schemas::{EndpointId, EndpointKind, EventId, Timestamp};

use super::Config;
use crate::error::DbError;
use crate::ports::not_found;
use crate::sqlite::from_sql;
use crate::state::rows::{Time, first};

/// Of how many attempts the success rate speaks at most, the latest: as many as are kept unless somebody wants more. A
/// look at an endpoint that has had millions costs no more than one at another.
pub(crate) const RATED_MAX: i64 = 10_000;

/// For how long attempts count for it.
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
        (SELECT min(from_position) FROM blocked_lines WHERE endpoint = id), kind, is_paused
        FROM endpoints WHERE id = ?1";
    let (attempts, delivered) = since.map_or(Ok((0, 0)), |since| rated(connection, id, since))?;
    let found = first(connection, sql, params![id.to_bytes()], |row| {
        let (lag_events, oldest_waiting) = match row.get_ref(5)?.as_str() {
            Ok(kind) if kind == EndpointKind::Operational.name() => {
                let first = row.get::<_, Option<i64>>(4)?.map_or(i64::MAX, |from| from - 1);
                untold(connection, first.min(row.get(0)?))?
            }
            Ok(_) | Err(_) => (0, None),
        };
        Ok(Delivering {
            lag_events,
            oldest_waiting,
            attempts,
            delivered,
            failing_since: row.get::<_, Option<Time>>(1)?.map(|time| time.0),
            failed_in_a_row: from_sql(row.get(2)?),
            last_error: since.map_or(Ok(None), |_| last_error(connection, id))?,
            disabled_reason: row.get(3)?,
            is_paused: row.get(6)?,
        })
    })?;
    found.ok_or_else(not_found)
}

/// How many attempts there were since then, and how many of them succeeded. Indexes alone are read for it.
fn rated(connection: &Connection, id: EndpointId, since: i64) -> Result<(u64, u64), DbError> {
    let number = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)?);
    let sql =
        "SELECT count(*) FROM (SELECT 1 FROM attempts WHERE endpoint = ?1 AND at >= ?2 LIMIT ?3)";
    let rated = params![id.to_bytes(), since, RATED_MAX];
    let attempts = first(connection, sql, rated, number)?.unwrap_or_default();
    if attempts == 0 {
        return Ok((0, 0));
    }
    let sql = "SELECT count(*) FROM attempts
        WHERE endpoint = ?1 AND failure IS NOT NULL AND (at, key) >= (
            SELECT at, key FROM attempts WHERE endpoint = ?1
            ORDER BY at DESC, key DESC LIMIT 1 OFFSET ?2)";
    let of_those = params![id.to_bytes(), attempts - 1];
    let failed = first(connection, sql, of_those, number)?.unwrap_or_default();
    Ok((from_sql(attempts), from_sql(attempts - failed)))
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
