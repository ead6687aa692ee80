//! Who signs in to the console, and which endpoints it warns of.

use std::time::Duration;

use api::ports::Digest;
use async_trait::async_trait;
use console::ports::{Counted, FailingEndpoint, PasswordHash, Proof, Role, SESSIONS_MAX, Session};
use rusqlite::{Connection, TransactionBehavior, params};
use schemas::{DirectoryId, EndpointId, EventId, FAILS_AFTER, Timestamp};

use super::attempts::{Kept, id_of, kept, word};
use super::{Config, operational};
use crate::backend::ConsoleBackend;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::not_found;
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{all, first};

#[async_trait]
impl ConsoleBackend for Config {
    async fn console_password(&self, role: Role) -> Result<Option<PasswordHash>, DbError> {
        self.read(move |connection| hash_of(connection, role)).await
    }

    async fn set_console_password(
        &self,
        role: Role,
        hash: Option<PasswordHash>,
    ) -> Result<(), DbError> {
        self.durably(move |connection| {
            let role = role.name();
            connection.execute("DELETE FROM console_sessions WHERE role = ?1", [role])?;
            connection.execute("DELETE FROM console_passwords WHERE role = ?1", [role])?;
            if let Some(hash) = hash {
                let sql = "INSERT INTO console_passwords (role, hash) VALUES (?1, ?2)";
                connection.execute(sql, params![role, hash.expose()])?;
            }
            Ok(())
        })
        .await
    }

    async fn begin_session(
        &self,
        digest: Digest,
        session: Session,
        proof: Proof,
    ) -> Result<(), DbError> {
        self.durably(move |connection| {
            match proof {
                // The password may have changed while this one was checked.
                Proof::Password(hash)
                    if hash_of(connection, session.role)?.as_ref() != Some(&hash) =>
                {
                    return Err(not_found());
                }
                Proof::Password(_) | Proof::Provider => {}
            }
            connection.execute(
                "INSERT INTO console_sessions (digest, role, created_at, last_used_at, person)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    digest,
                    session.role.name(),
                    session.created_at.millis(),
                    session.last_used_at.millis(),
                    session.person,
                ],
            )?;
            connection.execute(
                "DELETE FROM console_sessions WHERE digest IN (
                     SELECT digest FROM console_sessions ORDER BY created_at DESC LIMIT -1 OFFSET ?1)",
                [as_sql(SESSIONS_MAX as u64)],
            )?;
            Ok(())
        })
        .await
    }

    async fn session(&self, digest: Digest) -> Result<Option<Session>, DbError> {
        let sql =
            "SELECT role, created_at, last_used_at, person FROM console_sessions WHERE digest = ?1";
        self.read(move |connection| first(connection, sql, [digest], |row| session(row))).await
    }

    async fn touch_session(&self, digest: Digest, at: Timestamp) -> Result<(), DbError> {
        self.progress
            .run(move |connection| {
                let sql = "UPDATE console_sessions SET last_used_at = ?2 WHERE digest = ?1";
                connection.prepare_cached(sql)?.execute(params![digest, at.millis()])?;
                Ok(())
            })
            .await
    }

    async fn end_session(&self, digest: Digest) -> Result<(), DbError> {
        self.durably(move |connection| {
            connection.execute("DELETE FROM console_sessions WHERE digest = ?1", [digest])?;
            Ok(())
        })
        .await
    }

    async fn attempts_of(
        &self,
        event: EventId,
        limit: u32,
    ) -> Result<Vec<(EndpointId, String, Kept)>, DbError> {
        let sql = format!(
            "SELECT {ATTEMPT_COLUMNS} FROM attempts INDEXED BY attempts_event
             WHERE substr(event_id, 1, 8) = substr(?1, 1, 8) AND event_id = ?1 ORDER BY key DESC LIMIT ?2"
        );
        let parameters = (event.to_bytes(), limit);
        self.read(move |connection| all(connection, &sql, parameters, |row| attempt(row))).await
    }

    async fn furthest_behind(&self, feed_end: u64) -> Result<u64, DbError> {
        let sql = "SELECT coalesce(max(
                CASE kind WHEN 'operational' THEN ?2 ELSE ?1 END - cursor
                    + (SELECT count(*) FROM blocked_lines WHERE endpoint = endpoints.id)), 0)
            FROM endpoints WHERE enabled";
        self.read(move |connection| {
            let ends = (as_sql(feed_end), as_sql(operational::end(connection)?));
            let found = first(connection, sql, ends, |row| Ok(row.get::<_, i64>(0)?))?;
            Ok(found.map_or(0, |behind| from_sql(behind.max(0))))
        })
        .await
    }

    async fn failing_endpoints(&self, limit: u32) -> Result<Vec<FailingEndpoint>, DbError> {
        let sql = format!(
            "SELECT {FAILING_COLUMNS} FROM endpoints
             WHERE failed_in_a_row >= {FAILS_AFTER} OR disabled_reason IS NOT NULL OR NOT enabled
             ORDER BY {FAILING_ORDER} LIMIT ?1"
        );
        self.read(move |connection| all(connection, &sql, [limit], |row| failing(row))).await
    }

    async fn latest_attempts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Counted>, DbError> {
        let sql = "SELECT key, at, duration_ms, failure FROM (
                SELECT key, at, duration_ms, failure FROM attempts WHERE endpoint = ?1
                ORDER BY at DESC, key DESC LIMIT ?2)
            WHERE at >= ?3 ORDER BY at DESC, key DESC";
        let parameters = (endpoint.to_bytes(), limit, since.millis());
        self.read(move |connection| all(connection, sql, parameters, |row| counted(row))).await
    }

    async fn held_directories(&self, limit: u32) -> Result<Vec<DirectoryId>, DbError> {
        self.read(move |connection| {
            all(connection, HELD, [limit], |row| Ok(DirectoryId::from_bytes(row.id(0)?)))
        })
        .await
    }
}

/// From one directory to the next along the index: of each there may be many events.
const HELD: &str = "WITH RECURSIVE held (directory) AS (
        SELECT (SELECT directory FROM held_events ORDER BY directory LIMIT 1)
        UNION ALL
        SELECT (SELECT next.directory FROM held_events AS next
            WHERE next.directory > held.directory ORDER BY next.directory LIMIT 1)
        FROM held WHERE held.directory IS NOT NULL)
    SELECT directory FROM held WHERE directory IS NOT NULL LIMIT ?1";

impl Config {
    /// One durable transaction for what no request but those of the console asks.
    async fn durably<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.durable
            .run(move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let done = job(&transaction)?;
                transaction.commit()?;
                Ok(done)
            })
            .await
    }
}

fn hash_of(connection: &Connection, role: Role) -> Result<Option<PasswordHash>, DbError> {
    let sql = "SELECT hash FROM console_passwords WHERE role = ?1";
    first(connection, sql, [role.name()], |row| Ok(PasswordHash::new(row.get(0)?)))
}

pub(crate) fn session(row: &impl Columns) -> Result<Session, DbError> {
    let role = row.text(0)?;
    Ok(Session {
        role: Role::named(&role).ok_or_else(|| unreadable("role")(role.as_str()))?,
        created_at: row.time(1)?,
        last_used_at: row.time(2)?,
        person: row.text_if(3)?,
    })
}

/// The columns of [`failing`], in its order.
pub(crate) const FAILING_COLUMNS: &str =
    "id, url, failing_since, failed_in_a_row, disabled_reason, enabled";

/// Those that somebody turned off come last.
pub(crate) const FAILING_ORDER: &str =
    "(failing_since IS NULL AND disabled_reason IS NULL), failing_since NULLS FIRST, id";

/// The columns of [`attempt`], in its order: those of [`kept`] and two more. What came back is not asked for.
pub(crate) const ATTEMPT_COLUMNS: &str = "key, event_id, position, attempt, at, duration_ms, status, failure, \
    exhausted, replay, NULL, NULL, endpoint, (SELECT url FROM endpoints WHERE id = endpoint)";

pub(crate) fn attempt(row: &impl Columns) -> Result<(EndpointId, String, Kept), DbError> {
    Ok((EndpointId::from_bytes(row.id(12)?), row.text(13)?, kept(row)?))
}

pub(crate) fn failing(row: &impl Columns) -> Result<FailingEndpoint, DbError> {
    Ok(FailingEndpoint {
        id: EndpointId::from_bytes(row.id(0)?),
        url: row.text(1)?,
        failing_since: row.time_if(2)?,
        failed_in_a_row: row.count(3)?,
        disabled_reason: row.text_if(4)?,
        enabled: row.flag(5)?,
    })
}

/// An attempt of a list that counts them.
pub(crate) fn counted(row: &impl Columns) -> Result<Counted, DbError> {
    let at = row.time(1)?;
    Ok(Counted {
        id: id_of(at, row.integer(0)?),
        at,
        duration: Duration::from_millis(row.count(2)?),
        failure: row.text_if(3)?.as_deref().map(word),
    })
}
