//! Who signs in to the console, and which endpoints it warns of.

use api::ports::Digest;
use async_trait::async_trait;
use console::ports::{FailingEndpoint, PasswordHash, Proof, Role, SESSIONS_MAX, Session};
use rusqlite::{Connection, TransactionBehavior, params};
use schemas::{EndpointId, Timestamp};

use super::Config;
use crate::backend::ConsoleBackend;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::not_found;
use crate::sqlite::as_sql;
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
                "INSERT INTO console_sessions (digest, role, created_at, last_used_at)
                 VALUES (?1, ?2, ?3, ?4)",
                params![
                    digest,
                    session.role.name(),
                    session.created_at.millis(),
                    session.last_used_at.millis()
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
        let sql = "SELECT role, created_at, last_used_at FROM console_sessions WHERE digest = ?1";
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

    async fn failing_endpoints(&self, limit: u32) -> Result<Vec<FailingEndpoint>, DbError> {
        let sql = format!(
            "SELECT {FAILING_COLUMNS} FROM endpoints
             WHERE failing_since IS NOT NULL OR disabled_reason IS NOT NULL
             ORDER BY failing_since, id LIMIT ?1"
        );
        self.read(move |connection| all(connection, &sql, [limit], |row| failing(row))).await
    }
}

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
    })
}

/// The columns of [`failing`], in its order.
pub(crate) const FAILING_COLUMNS: &str = "id, url, failing_since, failed_in_a_row, disabled_reason";

pub(crate) fn failing(row: &impl Columns) -> Result<FailingEndpoint, DbError> {
    Ok(FailingEndpoint {
        id: EndpointId::from_bytes(row.id(0)?),
        url: row.text(1)?,
        failing_since: row.time_if(2)?,
        failed_in_a_row: row.count(3)?,
        disabled_reason: row.text_if(4)?,
    })
}
