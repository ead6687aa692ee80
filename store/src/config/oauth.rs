//! OAuth clients, their secrets, and the access tokens that are issued to them.
//!
//! Access tokens are written like delivery progress, without waiting for the disk: they survive the
//! process, and after a power cut the identity provider gets another.

use std::sync::Arc;
use std::time::Duration;

use api::client_id;
use api::ports::{Conflict, Digest, LIVE_SECRETS_MAX, NewToken, OauthClient, Reach, Token};
use ingest::ports::{ACCESS_TOKENS_MAX, ISSUE_WINDOW, ISSUES_MAX, Issue};
use rusqlite::{Connection, TransactionBehavior, params};
use schemas::{DirectoryId, HostName, Timestamp, TokenId};

use super::access::{AccessToken, AccessTokens};
use super::directories::{Kind, check_lives, live_tokens, made, put_token, revoke_token};
use super::{Config, Known};
use crate::error::DbError;
use crate::ports::{conflicted, not_found};
use crate::state::rows::{Time, all, first};

/// How long an expired token is told apart from an unknown one: until whoever looks into a failed
/// provisioning cycle has most likely seen the answer.
pub(crate) const EXPIRED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many expired tokens are removed when one is issued, at most: more than come in, few enough that
/// nobody waits for it.
pub(crate) const REMOVED_AT_ONCE: u32 = 16;

const _: () = assert!(ACCESS_TOKENS_MAX > ISSUES_MAX, "those that are kept are counted");

impl Config {
    pub(crate) async fn oauth_client(
        &self,
        reach: Reach,
        id: DirectoryId,
    ) -> Result<OauthClient, DbError> {
        self.check_reach(reach, id)?;
        let known = self.known();
        self.read(move |connection| client(connection, &known, id)).await
    }

    pub(crate) async fn set_token_lifetime(
        &self,
        reach: Reach,
        id: DirectoryId,
        seconds: u32,
        at: Timestamp,
    ) -> Result<OauthClient, DbError> {
        self.check_reach(reach, id)?;
        self.change_directory(id, move |connection| {
            check_lives(connection, id)?;
            connection.execute(
                "UPDATE directories SET token_lifetime_s = ?2, updated_at = ?3 WHERE id = ?1",
                params![id.to_bytes(), seconds, at.millis()],
            )?;
            Ok(())
        })
        .await?;
        self.oauth_client(reach, id).await.map_err(DbError::behind_commit)
    }

    pub(crate) async fn add_client_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
    ) -> Result<Token, DbError> {
        self.check_reach(reach, id)?;
        self.change_directory(id, move |connection| {
            check_lives(connection, id)?;
            if live_tokens(connection, id, Kind::ClientSecret)?.len() >= LIVE_SECRETS_MAX {
                return Err(conflicted(Conflict::LiveSecrets));
            }
            put_token(connection, id, &new, Kind::ClientSecret)?;
            Ok(made(new))
        })
        .await
    }

    /// Ends the access tokens that were issued with it too.
    pub(crate) async fn revoke_client_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        secret: TokenId,
    ) -> Result<(), DbError> {
        self.check_reach(reach, id)?;
        self.change_directory(id, move |connection| {
            revoke_token(connection, id, secret, Kind::ClientSecret)?;
            connection.execute(
                "DELETE FROM access_tokens WHERE directory = ?1 AND secret = ?2",
                params![id.to_bytes(), secret.to_bytes()],
            )?;
            Ok(())
        })
        .await
    }

    /// The access token with this digest, expired or not.
    pub(crate) fn access_token(&self, digest: Digest) -> Option<AccessToken> {
        self.memory.access_tokens.read().expect("nothing panics while it is held").get(&digest)
    }

    pub(crate) async fn issue(
        &self,
        client_id: &str,
        secret: Digest,
        access_token: Digest,
        host: Option<&HostName>,
    ) -> Result<Issue, DbError> {
        let (lifetime, wanted) = {
            let known = self.known();
            let Some((directory, secret)) = known.client(client_id, secret, host) else {
                return Ok(Issue::Unknown);
            };
            let (lifetime, now) = (directory.token_lifetime, self.now());
            let (directory, expires_at) = (directory.directory.id, now.after(lifetime));
            (lifetime, Wanted { directory, secret: secret.id, access_token, now, expires_at })
        };
        let memory = Arc::clone(&self.memory);
        self.progress
            .run(move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                if let Some(refused) = refuse(&transaction, &wanted)? {
                    return Ok(refused);
                }
                let removed = keep(&transaction, &wanted)?;
                transaction.commit()?;
                let Wanted { secret, access_token, expires_at, .. } = wanted;
                memory.issued(access_token, AccessToken { secret, expires_at }, &removed);
                Ok(Issue::Issued { lifetime })
            })
            .await
    }
}

/// An access token that a client asks for.
pub(crate) struct Wanted {
    pub(crate) directory: DirectoryId,
    pub(crate) secret: TokenId,
    pub(crate) access_token: Digest,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Every access token that is stored.
pub(super) fn load(connection: &Connection) -> Result<AccessTokens, DbError> {
    let sql = "SELECT digest, secret, expires_at FROM access_tokens";
    let stored = all(connection, sql, [], |row| {
        let secret = TokenId::from_bytes(row.get(1)?);
        let expires_at = row.get::<_, Time>(2)?.0;
        Ok((row.get(0)?, AccessToken { secret, expires_at }))
    })?;
    let mut tokens = AccessTokens::default();
    for (digest, token) in stored {
        tokens.insert(digest, token);
    }
    Ok(tokens)
}

fn client(connection: &Connection, known: &Known, id: DirectoryId) -> Result<OauthClient, DbError> {
    let directory = known.get(id).ok_or_else(not_found)?;
    let sql = "SELECT token_lifetime_s FROM directories WHERE id = ?1";
    let lifetime = first(connection, sql, [id.to_bytes()], |row| Ok(row.get(0)?))?;
    Ok(OauthClient {
        client_id: client_id(&directory.endpoint_id),
        host_name: directory.host_name.clone(),
        token_lifetime_secs: lifetime.ok_or_else(not_found)?,
        secrets: live_tokens(connection, id, Kind::ClientSecret)?,
    })
}

/// Why the token is not issued, if it is not. Notes the use of the secret otherwise.
fn refuse(connection: &Connection, wanted: &Wanted) -> Result<Option<Issue>, DbError> {
    let now = wanted.now.millis();
    let window = i64::try_from(ISSUE_WINDOW.as_millis()).unwrap_or(i64::MAX);
    // After the clock was set back, tokens of the future do not count.
    let sql = "SELECT count(*), min(issued_at) FROM access_tokens
        WHERE directory = ?1 AND issued_at > ?2 AND issued_at <= ?3";
    let parameters = params![wanted.directory.to_bytes(), now - window, now];
    let issued = first(connection, sql, parameters, |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, Option<Time>>(1)?))
    })?;
    if let Some((count, Some(oldest))) = issued
        && count >= ISSUES_MAX
    {
        let wait = oldest.0.after(ISSUE_WINDOW).since(wanted.now);
        return Ok(Some(Issue::TooMany { wait }));
    }
    let used = connection
        .prepare_cached("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1 AND revoked = 0")?
        .execute(params![wanted.secret.to_bytes(), now])?;
    Ok((used == 0).then_some(Issue::Unknown))
}

/// Stores a token, and removes the oldest beyond the limit of the client and a few that expired long
/// ago; returns the digests of those.
fn keep(connection: &Connection, wanted: &Wanted) -> Result<Vec<Digest>, DbError> {
    let directory = wanted.directory.to_bytes();
    connection
        .prepare_cached(
            "INSERT INTO access_tokens (digest, directory, secret, issued_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            wanted.access_token,
            directory,
            wanted.secret.to_bytes(),
            wanted.now.millis(),
            wanted.expires_at.millis(),
        ])?;
    let sql = "DELETE FROM access_tokens WHERE directory = ?1 AND key <= (
            SELECT key FROM access_tokens WHERE directory = ?1 ORDER BY key DESC LIMIT 1 OFFSET ?2)
        RETURNING digest";
    let parameters = params![directory, ACCESS_TOKENS_MAX];
    let mut removed = all(connection, sql, parameters, |row| Ok(row.get(0)?))?;
    let sql = "DELETE FROM access_tokens WHERE key IN (
            SELECT key FROM access_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
        RETURNING digest";
    let kept = i64::try_from(EXPIRED_KEPT.as_millis()).unwrap_or(i64::MAX);
    let parameters = params![wanted.now.millis() - kept, REMOVED_AT_ONCE];
    removed.extend(all(connection, sql, parameters, |row| Ok(row.get::<_, Digest>(0)?))?);
    Ok(removed)
}
