//! Who signs in to the console, and which endpoints it warns of.

use api::ports::Digest;
use async_trait::async_trait;
use console::ports::{Counted, FailingEndpoint, PasswordHash, Proof, Role, SESSIONS_MAX, Session};
use deadpool_postgres::GenericClient;
use schemas::{DirectoryId, EndpointId, EventId, FAILS_AFTER, Timestamp};

use super::query::{Parameters, all, commit, execute, first, id, int};
use super::{Config, operational};
use crate::backend::ConsoleBackend;
use crate::columns::Columns as _;
use crate::config::attempts::Kept;
use crate::config::console::{
    ATTEMPT_COLUMNS, FAILING_COLUMNS, FAILING_ORDER, attempt, counted, failing, session,
};
use crate::error::DbError;
use crate::ports::not_found;

#[async_trait]
impl ConsoleBackend for Config {
    async fn console_password(&self, role: Role) -> Result<Option<PasswordHash>, DbError> {
        hash_of(&self.db.client().await?, role).await
    }

    async fn set_console_password(
        &self,
        role: Role,
        hash: Option<PasswordHash>,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        let name = role.name();
        execute(&tx, "DELETE FROM console_sessions WHERE role = $1", &[&name]).await?;
        match hash {
            Some(hash) => {
                let sql = "INSERT INTO console_passwords (role, hash) VALUES ($1, $2)
                    ON CONFLICT (role) DO UPDATE SET hash = excluded.hash";
                execute(&tx, sql, &[&name, &hash.expose()]).await?;
            }
            None => {
                execute(&tx, "DELETE FROM console_passwords WHERE role = $1", &[&name]).await?;
            }
        }
        commit(tx).await
    }

    async fn begin_session(
        &self,
        digest: Digest,
        session: Session,
        proof: Proof,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        let name = session.role.name();
        match proof {
            Proof::Password(hash) => {
                // The row stays locked: a password that changes meanwhile ends this session or refuses it.
                let sql = "SELECT 1 FROM console_passwords WHERE role = $1 FOR SHARE";
                execute(&tx, sql, &[&name]).await?;
                if hash_of(&tx, session.role).await?.as_ref() != Some(&hash) {
                    return Err(not_found());
                }
            }
            Proof::Provider => {}
        }
        let sql = "INSERT INTO console_sessions (digest, role, created_at, last_used_at, person)
            VALUES ($1, $2, $3, $4, $5)";
        let parameters: Parameters<'_> = &[
            &digest.to_vec(),
            &name,
            &session.created_at.millis(),
            &session.last_used_at.millis(),
            &session.person,
        ];
        execute(&tx, sql, parameters).await?;
        let sql = "DELETE FROM console_sessions WHERE digest IN (
            SELECT digest FROM console_sessions ORDER BY created_at DESC OFFSET $1)";
        execute(&tx, sql, &[&int(SESSIONS_MAX as u64)]).await?;
        commit(tx).await
    }

    async fn session(&self, digest: Digest) -> Result<Option<Session>, DbError> {
        let client = self.db.client().await?;
        let sql =
            "SELECT role, created_at, last_used_at, person FROM console_sessions WHERE digest = $1";
        let found = first(&client, sql, &[&digest.to_vec()]).await?;
        found.map(|row| session(&row)).transpose()
    }

    async fn touch_session(&self, digest: Digest, at: Timestamp) -> Result<(), DbError> {
        let client = self.db.client().await?;
        let sql = "UPDATE console_sessions SET last_used_at = $2 WHERE digest = $1";
        execute(&client, sql, &[&digest.to_vec(), &at.millis()]).await.map(drop)
    }

    async fn end_session(&self, digest: Digest) -> Result<(), DbError> {
        let client = self.db.client().await?;
        let sql = "DELETE FROM console_sessions WHERE digest = $1";
        execute(&client, sql, &[&digest.to_vec()]).await.map(drop)
    }

    async fn attempts_of(
        &self,
        event: EventId,
        limit: u32,
    ) -> Result<Vec<(EndpointId, String, Kept)>, DbError> {
        let client = self.db.client().await?;
        let columns = ATTEMPT_COLUMNS.replace("NULL, NULL,", "NULL::bytea, NULL::text,");
        let sql = format!(
            "SELECT {columns} FROM attempts WHERE event_id = $1 ORDER BY key DESC LIMIT $2"
        );
        let parameters: Parameters<'_> = &[&id(event.to_bytes()), &i64::from(limit)];
        all(&client, &sql, parameters).await?.iter().map(attempt).collect()
    }

    async fn furthest_behind(&self, feed_end: u64) -> Result<u64, DbError> {
        let client = self.db.client().await?;
        let told = operational::end(&client).await?;
        let sql = "SELECT coalesce(max(
                CASE kind WHEN 'operational' THEN $2::bigint ELSE $1::bigint END - cursor
                    + (SELECT count(*) FROM blocked_lines WHERE owner = endpoints.id)), 0)::bigint
            FROM endpoints WHERE enabled";
        let row = first(&client, sql, &[&int(feed_end), &told]).await?;
        Ok(row.map_or(0, |row| row.get::<_, i64>(0).max(0).unsigned_abs()))
    }

    async fn failing_endpoints(&self, limit: u32) -> Result<Vec<FailingEndpoint>, DbError> {
        let client = self.db.client().await?;
        let sql = format!(
            "SELECT {FAILING_COLUMNS} FROM endpoints
             WHERE failed_in_a_row >= {FAILS_AFTER} OR disabled_reason IS NOT NULL OR NOT enabled
             ORDER BY {FAILING_ORDER} LIMIT $1"
        );
        all(&client, &sql, &[&i64::from(limit)]).await?.iter().map(failing).collect()
    }

    async fn latest_attempts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Counted>, DbError> {
        let client = self.db.client().await?;
        let sql = "SELECT key, at, duration_ms, failure FROM (
                SELECT key, at, duration_ms, failure FROM attempts WHERE endpoint = $1
                ORDER BY at DESC, key DESC LIMIT $2) AS latest
            WHERE at >= $3 ORDER BY at DESC, key DESC";
        let parameters: Parameters<'_> =
            &[&id(endpoint.to_bytes()), &i64::from(limit), &since.millis()];
        all(&client, sql, parameters).await?.iter().map(counted).collect()
    }

    async fn held_directories(&self, limit: u32) -> Result<Vec<DirectoryId>, DbError> {
        let client = self.db.client().await?;
        // From one directory to the next along the index: of each there may be many events.
        let sql = "WITH RECURSIVE held (directory) AS (
                SELECT (SELECT directory FROM held_events ORDER BY directory LIMIT 1)
                UNION ALL
                SELECT (SELECT next.directory FROM held_events AS next
                    WHERE next.directory > held.directory ORDER BY next.directory LIMIT 1)
                FROM held WHERE held.directory IS NOT NULL)
            SELECT directory FROM held WHERE directory IS NOT NULL LIMIT $1";
        let rows = all(&client, sql, &[&i64::from(limit)]).await?;
        rows.iter().map(|row| Ok(DirectoryId::from_bytes(row.id(0)?))).collect()
    }
}

async fn hash_of(client: &impl GenericClient, role: Role) -> Result<Option<PasswordHash>, DbError> {
    let sql = "SELECT hash FROM console_passwords WHERE role = $1";
    let found = first(client, sql, &[&role.name()]).await?;
    found.map(|row| Ok(PasswordHash::new(row.text(0)?))).transpose()
}
