//! Directories and their tokens.

use api::ports::{
    Conflict, LIVE_TOKENS_MAX, NewDirectory, NewToken, Reach, ScimService, ScimServiceChange, Token,
};
use deadpool_postgres::{GenericClient, Transaction};
use schemas::{DirectoryId, Timestamp, TokenId};

use super::query::{Parameters, all, execute, first, id};
use super::{About, Config, host_names, organizations};
use crate::columns::Columns as _;
use crate::config::TOKEN_USE_EVERY;
use crate::config::directories::{Kind, is_over, made, token};
use crate::config::known::{SCIM_SERVICE_COLUMNS, scim_service};
use crate::config::organizations::domains_json;
use crate::config::placement::partition_for_next;
use crate::error::{DbError, unreadable};
use crate::ports::{conflicted, not_found};

/// How many directories live in each partition.
const LIVE: &str =
    "SELECT partition, count(*) FROM configured_directories WHERE NOT deleting GROUP BY partition";

impl Config {
    pub(super) async fn create_directory(
        &self,
        reach: Reach,
        new: NewDirectory,
        partitions: u16,
    ) -> Result<(), DbError> {
        if !reach.covers(new.organization_id) {
            return Err(not_found());
        }
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(new.id)).await?;
        let organization = organizations::get(&change.tx, new.organization_id).await?;
        check_room(&change.tx, &new).await?;
        // Changes of configuration come one after the other, so no other replica counts the same just now.
        let live = all(&change.tx, LIVE, &[]).await?;
        let live = live.iter().map(|row| Ok((row.number(0)?, row.integer(1)?.unsigned_abs())));
        let partition = partition_for_next(&live.collect::<Result<_, DbError>>()?, partitions);
        let sql = "INSERT INTO configured_directories (id, organization, kind, name, external_key,
                endpoint_id, partition, domains, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (id) DO NOTHING";
        let parameters: Parameters<'_> = &[
            &id(new.id.to_bytes()),
            &id(new.organization_id.to_bytes()),
            &new.kind.slug(),
            &new.name,
            &new.external_key,
            &new.endpoint_id,
            &i64::from(partition),
            &domains_json(&organization.domains)?,
            &new.created_at.millis(),
        ];
        if execute(&change.tx, sql, parameters).await? == 0 {
            return Err(conflicted(Conflict::Changed));
        }
        put_token(&change.tx, new.id, &new.token, Kind::Bearer).await?;
        self.commit(change).await
    }

    pub(super) async fn delete_directory(
        &self,
        reach: Reach,
        directory: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directories).await?;
        let sql = "UPDATE configured_directories SET deleting = true, updated_at = $2
            WHERE id = $1 AND NOT deleting";
        execute(&change.tx, sql, &[&id(directory.to_bytes()), &at.millis()]).await?;
        host_names::remove_of_directory(&change.tx, directory).await?;
        // Paths and bodies of its requests name people.
        let sql = "DELETE FROM scim_requests WHERE directory = $1";
        execute(&change.tx, sql, &[&id(directory.to_bytes())]).await?;
        self.commit(change).await
    }

    pub(super) async fn change_scim_settings(
        &self,
        reach: Reach,
        directory: DirectoryId,
        wanted: ScimServiceChange,
        at: Timestamp,
    ) -> Result<ScimService, DbError> {
        self.known().reached(reach, directory)?;
        let key = id(directory.to_bytes());
        let mut client = self.db.client().await?;
        // One change comes after the other, so what is read here is what there is.
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        let select =
            format!("SELECT {SCIM_SERVICE_COLUMNS} FROM configured_directories WHERE id = $1");
        let before = first(&change.tx, &select, &[&key]).await?.ok_or_else(not_found)?;
        let service = wanted.of(scim_service(&before)?);
        let ScimService { settings, debug_until } = service;
        let json = serde_json::to_string(&settings).map_err(unreadable("SCIM settings"))?;
        let until = debug_until.map(Timestamp::millis);
        let sql = "UPDATE configured_directories SET scim = $2, updated_at = $3, debug_until = $4
            WHERE id = $1";
        execute(&change.tx, sql, &[&key, &json, &at.millis(), &until]).await?;
        if debug_until.is_none() {
            // Who has seen enough wants nothing of it to stay.
            let sql = "UPDATE scim_requests SET request_body = NULL, response_body = NULL
                WHERE directory = $1 AND (request_body IS NOT NULL OR response_body IS NOT NULL)";
            execute(&change.tx, sql, &[&key]).await?;
        }
        self.commit(change).await?;
        Ok(service)
    }

    pub(super) async fn tokens(
        &self,
        reach: Reach,
        directory: DirectoryId,
    ) -> Result<Vec<Token>, DbError> {
        self.known().reached(reach, directory)?;
        live_bearers(&self.db.client().await?, directory, self.edge.now()).await
    }

    pub(super) async fn add_token(
        &self,
        reach: Reach,
        directory: DirectoryId,
        new: NewToken,
        others_until: Option<Timestamp>,
    ) -> Result<Token, DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        check_lives(&change.tx, directory).await?;
        if live_bearers(&change.tx, directory, self.edge.now()).await?.len() >= LIVE_TOKENS_MAX {
            return Err(conflicted(Conflict::LiveTokens));
        }
        if let Some(until) = others_until {
            let sql = "UPDATE configured_tokens SET expires_at = least(expires_at, $2)
                WHERE directory = $1 AND NOT is_client_secret AND NOT revoked";
            execute(&change.tx, sql, &[&id(directory.to_bytes()), &until.millis()]).await?;
        }
        put_token(&change.tx, directory, &new, Kind::Bearer).await?;
        self.commit(change).await?;
        Ok(made(new))
    }

    pub(super) async fn revoke_token(
        &self,
        reach: Reach,
        directory: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        revoke_token(&change.tx, directory, token, Kind::Bearer).await?;
        self.commit(change).await
    }

    pub(super) async fn keep_token(
        &self,
        reach: Reach,
        directory: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError> {
        self.known().reached(reach, directory)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        let sql = "UPDATE configured_tokens SET expires_at = NULL
            WHERE id = $1 AND directory = $2 AND NOT is_client_secret AND NOT revoked
                AND (expires_at IS NULL OR expires_at > $3)";
        let (token, directory) = (id(token.to_bytes()), id(directory.to_bytes()));
        let now = self.edge.now().millis();
        if execute(&change.tx, sql, &[&token, &directory, &now]).await? == 0 {
            return Err(not_found());
        }
        self.commit(change).await
    }

    /// Revokes the tokens of a directory whose time is over.
    pub(super) async fn revoke_expired(&self, directory: DirectoryId) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directory(directory)).await?;
        let sql = "UPDATE configured_tokens SET revoked = true
            WHERE directory = $1 AND NOT revoked AND expires_at <= $2";
        let directory = id(directory.to_bytes());
        let now = self.edge.now().millis();
        if execute(&change.tx, sql, &[&directory, &now]).await? == 0 {
            // Another replica was faster.
            return Ok(());
        }
        self.commit(change).await
    }

    pub(super) async fn token_used(&self, token: TokenId, at: Timestamp) -> Result<(), DbError> {
        let client = self.db.client().await?;
        let sql = "UPDATE configured_tokens SET last_used_at = $2
            WHERE id = $1 AND coalesce(last_used_at, 0) < $3";
        let before = at.millis() - i64::try_from(TOKEN_USE_EVERY.as_millis()).unwrap_or(i64::MAX);
        execute(&client, sql, &[&id(token.to_bytes()), &at.millis(), &before]).await?;
        Ok(())
    }
}

/// Refuses one more than the organization may have. Changes come one after the other, so no other is made meanwhile.
async fn check_room(tx: &Transaction<'_>, new: &NewDirectory) -> Result<(), DbError> {
    let Some(most) = new.among_max else { return Ok(()) };
    let sql =
        "SELECT count(*) FROM configured_directories WHERE organization = $1 AND NOT deleting";
    let there = first(tx, sql, &[&id(new.organization_id.to_bytes())]).await?;
    let there = there.map_or(Ok(0), |row| row.integer(0))?;
    if there >= i64::from(most) { Err(conflicted(Conflict::Directories)) } else { Ok(()) }
}

/// Refuses what makes no sense any more in a directory that is being deleted.
pub(super) async fn check_lives(
    tx: &Transaction<'_>,
    directory: DirectoryId,
) -> Result<(), DbError> {
    let sql = "SELECT deleting FROM configured_directories WHERE id = $1";
    let found = first(tx, sql, &[&id(directory.to_bytes())]).await?;
    let is_deleting = found.ok_or_else(not_found)?.flag(0)?;
    if is_deleting { Err(conflicted(Conflict::Deleting)) } else { Ok(()) }
}

/// Keeps a token. Whoever chose its id with a form may send that again when it has been revoked.
pub(super) async fn put_token(
    tx: &Transaction<'_>,
    directory: DirectoryId,
    token: &NewToken,
    kind: Kind,
) -> Result<(), DbError> {
    let sql = "INSERT INTO configured_tokens
            (id, directory, digest, suffix, created_at, is_client_secret)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
    let parameters: Parameters<'_> = &[
        &id(token.id.to_bytes()),
        &id(directory.to_bytes()),
        &token.digest.to_vec(),
        &token.suffix,
        &token.created_at.millis(),
        &kind.is_client_secret(),
    ];
    let added = execute(tx, sql, parameters).await?;
    if added == 0 { Err(conflicted(Conflict::Changed)) } else { Ok(()) }
}

pub(super) async fn revoke_token(
    tx: &Transaction<'_>,
    directory: DirectoryId,
    token: TokenId,
    kind: Kind,
) -> Result<(), DbError> {
    let sql = "UPDATE configured_tokens SET revoked = true
        WHERE id = $1 AND directory = $2 AND is_client_secret = $3 AND NOT revoked";
    let (token, directory) = (id(token.to_bytes()), id(directory.to_bytes()));
    let revoked = execute(tx, sql, &[&token, &directory, &kind.is_client_secret()]).await?;
    if revoked == 0 { Err(not_found()) } else { Ok(()) }
}

pub(super) async fn live_tokens(
    client: &impl GenericClient,
    directory: DirectoryId,
    kind: Kind,
) -> Result<Vec<Token>, DbError> {
    let sql = "SELECT id, suffix, created_at, last_used_at, expires_at FROM configured_tokens
        WHERE directory = $1 AND is_client_secret = $2 AND NOT revoked ORDER BY id DESC";
    let parameters: Parameters<'_> = &[&id(directory.to_bytes()), &kind.is_client_secret()];
    all(client, sql, parameters).await?.iter().map(token).collect()
}

/// Those of bearer tokens whose time is not over.
async fn live_bearers(
    client: &impl GenericClient,
    directory: DirectoryId,
    now: Timestamp,
) -> Result<Vec<Token>, DbError> {
    let mut tokens = live_tokens(client, directory, Kind::Bearer).await?;
    tokens.retain(|token| !is_over(token.expires_at, now));
    Ok(tokens)
}
