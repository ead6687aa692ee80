//! OAuth clients, their secrets, and the access tokens that are issued to them.
//!
//! Access tokens are asked for at the server with every request that brings one: any replica may have issued it, and
//! the oldest of too many is void at once everywhere.

use std::time::Duration;

use api::client_id;
use api::ports::{Conflict, Digest, LIVE_SECRETS_MAX, NewToken, OauthClient, Reach, Token};
use deadpool_postgres::Transaction;
use ingest::ports::{ACCESS_TOKENS_MAX, ISSUE_WINDOW, ISSUES_MAX, Issue};
use schemas::{DirectoryId, HostName, Timestamp, TokenId};

use super::directories::{check_lives, live_tokens, put_token, revoke_token};
use super::query::{Parameters, execute, first, id};
use super::{About, Config};
use crate::columns::Columns as _;
use crate::config::access::AccessToken;
use crate::config::directories::{Kind, made};
use crate::config::oauth::{EXPIRED_KEPT, REMOVED_AT_ONCE, Wanted};
use crate::error::DbError;
use crate::ports::{conflicted, not_found};

impl Config {
    pub(super) async fn oauth_client(
        &self,
        reach: Reach,
        directory: DirectoryId,
    ) -> Result<OauthClient, DbError> {
        self.known().reached(reach, directory)?;
        let known = self.known();
        let known = known.get(directory).ok_or_else(not_found)?;
        let client = self.db.client().await?;
        let sql = "SELECT token_lifetime_s FROM configured_directories WHERE id = $1";
        let lifetime = first(&client, sql, &[&id(directory.to_bytes())]).await?;
        Ok(OauthClient {
            client_id: client_id(&known.endpoint_id),
            host_name: known.host_name.clone(),
            token_lifetime_secs: lifetime.ok_or_else(not_found)?.number(0)?,
            secrets: live_tokens(&client, directory, Kind::ClientSecret).await?,
        })
    }

    pub(super) async fn set_token_lifetime(
        &self,
        reach: Reach,
        directory: DirectoryId,
        seconds: u32,
        at: Timestamp,
    ) -> Result<OauthClient, DbError> {
        self.known().reached(reach, directory)?;
        {
            let mut client = self.db.client().await?;
            let change = self.begin(&mut client, About::Directory(directory)).await?;
            check_lives(&change.tx, directory).await?;
            let sql = "UPDATE configured_directories SET token_lifetime_s = $2, updated_at = $3
                WHERE id = $1";
            let parameters: Parameters<'_> =
                &[&id(directory.to_bytes()), &i64::from(seconds), &at.millis()];
            execute(&change.tx, sql, parameters).await?;
            self.commit(change).await?;
        }
        self.oauth_client(reach, directory).await.map_err(DbError::behind_commit)
    }

    pub(super) async fn add_client_secret(
        &self,
        reach: Reach,
        directory: DirectoryId,
        new: NewToken,
    ) -> Result<Token, DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        check_lives(&change.tx, directory).await?;
        let live = live_tokens(&change.tx, directory, Kind::ClientSecret).await?;
        if live.len() >= LIVE_SECRETS_MAX {
            return Err(conflicted(Conflict::LiveSecrets));
        }
        put_token(&change.tx, directory, &new, Kind::ClientSecret).await?;
        self.commit(change).await?;
        Ok(made(new))
    }

    pub(super) async fn revoke_client_secret(
        &self,
        reach: Reach,
        directory: DirectoryId,
        secret: TokenId,
    ) -> Result<(), DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        revoke_token(&change.tx, directory, secret, Kind::ClientSecret).await?;
        let sql = "DELETE FROM access_tokens WHERE directory = $1 AND secret = $2";
        let (directory, secret) = (id(directory.to_bytes()), id(secret.to_bytes()));
        execute(&change.tx, sql, &[&directory, &secret]).await?;
        self.commit(change).await
    }

    pub(super) async fn access_token(
        &self,
        digest: Digest,
    ) -> Result<Option<AccessToken>, DbError> {
        if self.known().is_live_token(&digest) {
            return Ok(None);
        }
        let client = self.db.client().await?;
        let sql = "SELECT secret, expires_at FROM access_tokens WHERE digest = $1";
        let Some(row) = first(&client, sql, &[&digest.to_vec()]).await? else { return Ok(None) };
        let secret = TokenId::from_bytes(row.id(0)?);
        Ok(Some(AccessToken { secret, expires_at: row.time(1)? }))
    }

    pub(super) async fn issue(
        &self,
        client_id: &str,
        secret: Digest,
        access_token: Digest,
        host: Option<&HostName>,
    ) -> Result<Issue, DbError> {
        let (lifetime, wanted) = {
            let known = self.fresh().await?;
            let Some((directory, secret)) = known.client(client_id, secret, host) else {
                return Ok(Issue::Unknown);
            };
            let (lifetime, now) = (directory.token_lifetime, self.now());
            let (directory, expires_at) = (directory.directory.id, now.after(lifetime));
            (lifetime, Wanted { directory, secret: secret.id, access_token, now, expires_at })
        };
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        // The secret's row stays locked: whoever is issued with it is counted one after the other, and it is not
        // revoked in between.
        if let Some(refused) = refuse(&tx, &wanted).await? {
            return Ok(refused);
        }
        keep(&tx, &wanted).await?;
        tx.commit().await?;
        Ok(Issue::Issued { lifetime })
    }
}

/// Why the token is not issued, if it is not. Notes the use of the secret otherwise.
async fn refuse(tx: &Transaction<'_>, wanted: &Wanted) -> Result<Option<Issue>, DbError> {
    let now = wanted.now.millis();
    let directory = id(wanted.directory.to_bytes());
    let sql = "SELECT 1 FROM configured_directories WHERE id = $1 FOR NO KEY UPDATE";
    execute(tx, sql, &[&directory]).await?;
    let window = i64::try_from(ISSUE_WINDOW.as_millis()).unwrap_or(i64::MAX);
    // After the clock was set back, tokens of the future do not count.
    let sql = "SELECT count(*), min(issued_at) FROM access_tokens
        WHERE directory = $1 AND issued_at > $2 AND issued_at <= $3";
    let issued = first(tx, sql, &[&directory, &(now - window), &now]).await?;
    if let Some(row) = issued
        && let (count, Some(oldest)) = (row.count(0)?, row.time_if(1)?)
        && count >= u64::from(ISSUES_MAX)
    {
        let wait: Duration = oldest.after(ISSUE_WINDOW).since(wanted.now);
        return Ok(Some(Issue::TooMany { wait }));
    }
    let sql = "UPDATE configured_tokens SET last_used_at = $2 WHERE id = $1 AND NOT revoked";
    let used = execute(tx, sql, &[&id(wanted.secret.to_bytes()), &now]).await?;
    Ok((used == 0).then_some(Issue::Unknown))
}

/// Stores a token, and removes the oldest beyond the limit of the client and a few that expired long ago.
async fn keep(tx: &Transaction<'_>, wanted: &Wanted) -> Result<(), DbError> {
    let directory = id(wanted.directory.to_bytes());
    let sql = "INSERT INTO access_tokens (digest, directory, secret, issued_at, expires_at)
        VALUES ($1, $2, $3, $4, $5)";
    let parameters: Parameters<'_> = &[
        &wanted.access_token.to_vec(),
        &directory,
        &id(wanted.secret.to_bytes()),
        &wanted.now.millis(),
        &wanted.expires_at.millis(),
    ];
    execute(tx, sql, parameters).await?;
    let sql =
        "DELETE FROM access_tokens WHERE directory = $1 AND key <= (SELECT key FROM access_tokens
        WHERE directory = $1 ORDER BY key DESC LIMIT 1 OFFSET $2)";
    execute(tx, sql, &[&directory, &i64::from(ACCESS_TOKENS_MAX)]).await?;
    let sql = "DELETE FROM access_tokens WHERE key IN (SELECT key FROM access_tokens
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let kept = i64::try_from(EXPIRED_KEPT.as_millis()).unwrap_or(i64::MAX);
    let before = wanted.now.millis() - kept;
    execute(tx, sql, &[&before, &i64::from(REMOVED_AT_ONCE)]).await?;
    Ok(())
}
