//! Directories and their tokens.

use api::ports::{
    Conflict, LIVE_TOKENS_MAX, NewDirectory, NewToken, Reach, ScimService, ScimServiceChange, Token,
};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, Timestamp, TokenId};

use super::known::{SCIM_SERVICE_COLUMNS, scim_service};
use super::placement::partition_for_next;
use super::{Config, host_names, organizations};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::{conflicted, not_found};
use crate::sqlite::from_sql;
use crate::state::rows::{all, first};

/// How many directories live in each partition.
const LIVE: &str =
    "SELECT partition, count(*) FROM directories WHERE deleting = 0 GROUP BY partition";

impl Config {
    pub(crate) async fn create_directory(
        &self,
        reach: Reach,
        new: NewDirectory,
        partitions: u16,
    ) -> Result<(), DbError> {
        if !reach.covers(new.organization_id) {
            return Err(not_found());
        }
        self.change_directory(new.id, move |connection| {
            let organization = organizations::get(connection, new.organization_id)?;
            check_room(connection, &new)?;
            let live = all(connection, LIVE, [], |row| Ok((row.get(0)?, from_sql(row.get(1)?))))?;
            let partition = partition_for_next(&live.into_iter().collect(), partitions);
            let added = connection.execute(
                "INSERT INTO directories (id, organization, kind, name, external_key, endpoint_id,
                     partition, domains, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) ON CONFLICT (id) DO NOTHING",
                params![
                    new.id.to_bytes(),
                    new.organization_id.to_bytes(),
                    new.kind.slug(),
                    new.name,
                    new.external_key,
                    new.endpoint_id,
                    partition,
                    organizations::domains_json(&organization.domains)?,
                    new.created_at.millis(),
                ],
            )?;
            if added == 0 {
                return Err(conflicted(Conflict::Changed));
            }
            put_token(connection, new.id, &new.token, Kind::Bearer)
        })
        .await?;
        self.brakes_changed();
        Ok(())
    }

    /// Marks a directory; its stream has to say so before it is gone.
    pub(crate) async fn delete_directory(
        &self,
        reach: Reach,
        id: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        self.check_reach(reach, id)?;
        self.change(move |connection| {
            host_names::remove_of_directory(connection, id)?;
            // Paths and bodies of its requests name people.
            connection.execute("DELETE FROM scim_requests WHERE directory = ?1", [id.to_bytes()])?;
            connection.execute(
                "UPDATE directories SET deleting = 1, updated_at = ?2 WHERE id = ?1 AND deleting = 0",
                params![id.to_bytes(), at.millis()],
            )?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn change_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: ScimServiceChange,
        at: Timestamp,
    ) -> Result<ScimService, DbError> {
        self.check_reach(reach, id)?;
        self.change_directory(id, move |connection| {
            let select = format!("SELECT {SCIM_SERVICE_COLUMNS} FROM directories WHERE id = ?1");
            let before = first(connection, &select, [id.to_bytes()], |row| scim_service(row))?;
            let service = change.of(before.ok_or_else(not_found)?);
            let ScimService { settings, debug_until } = service;
            let json = serde_json::to_string(&settings).map_err(unreadable("SCIM settings"))?;
            let until = debug_until.map(Timestamp::millis);
            connection.execute(
                "UPDATE directories SET scim = ?2, updated_at = ?3, debug_until = ?4 WHERE id = ?1",
                params![id.to_bytes(), json, at.millis(), until],
            )?;
            if debug_until.is_none() {
                // Who has seen enough wants nothing of it to stay.
                connection.execute(
                    "UPDATE scim_requests SET request_body = NULL, response_body = NULL
                     WHERE directory = ?1",
                    [id.to_bytes()],
                )?;
            }
            Ok(service)
        })
        .await
    }

    pub(crate) async fn tokens(
        &self,
        reach: Reach,
        id: DirectoryId,
    ) -> Result<Vec<Token>, DbError> {
        self.check_reach(reach, id)?;
        let now = self.now();
        self.read(move |connection| live_bearers(connection, id, now)).await
    }

    pub(crate) async fn add_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
        others_until: Option<Timestamp>,
    ) -> Result<Token, DbError> {
        self.check_reach(reach, id)?;
        let now = self.now();
        self.change_directory(id, move |connection| {
            check_lives(connection, id)?;
            if live_bearers(connection, id, now)?.len() >= LIVE_TOKENS_MAX {
                return Err(conflicted(Conflict::LiveTokens));
            }
            if let Some(until) = others_until {
                connection.execute(
                    "UPDATE tokens SET expires_at = min(coalesce(expires_at, ?2), ?2)
                     WHERE directory = ?1 AND is_client_secret = 0 AND revoked = 0",
                    params![id.to_bytes(), until.millis()],
                )?;
            }
            put_token(connection, id, &new, Kind::Bearer)?;
            Ok(made(new))
        })
        .await
    }

    pub(crate) async fn revoke_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError> {
        self.check_reach(reach, id)?;
        let revoke =
            move |connection: &Connection| revoke_token(connection, id, token, Kind::Bearer);
        self.change_directory(id, revoke).await
    }

    pub(crate) async fn keep_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError> {
        self.check_reach(reach, id)?;
        let now = self.now();
        self.change_directory(id, move |connection| {
            let kept = connection.execute(
                "UPDATE tokens SET expires_at = NULL
                 WHERE id = ?1 AND directory = ?2 AND is_client_secret = 0 AND revoked = 0
                     AND coalesce(expires_at, ?3 + 1) > ?3",
                params![token.to_bytes(), id.to_bytes(), now.millis()],
            )?;
            if kept == 0 { Err(not_found()) } else { Ok(()) }
        })
        .await
    }

    /// Revokes the tokens of a directory whose time is over.
    pub(crate) async fn revoke_expired(&self, id: DirectoryId) -> Result<(), DbError> {
        let now = self.now();
        self.change_directory(id, move |connection| {
            connection.execute(
                "UPDATE tokens SET revoked = 1
                 WHERE directory = ?1 AND revoked = 0 AND expires_at <= ?2",
                params![id.to_bytes(), now.millis()],
            )?;
            Ok(())
        })
        .await
    }

    pub(super) fn check_reach(&self, reach: Reach, id: DirectoryId) -> Result<(), DbError> {
        self.known().reached(reach, id)
    }
}

/// What a row of `tokens` is. Both are told of by the stream of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens the directory.
    Bearer,
    /// Gets access tokens that open it.
    ClientSecret,
}

impl Kind {
    pub(crate) const fn is_client_secret(self) -> bool {
        match self {
            Self::Bearer => false,
            Self::ClientSecret => true,
        }
    }
}

/// Refuses one more than the organization may have. Changes come one after the other, so no other is made meanwhile.
fn check_room(connection: &Connection, new: &NewDirectory) -> Result<(), DbError> {
    let Some(most) = new.among_max else { return Ok(()) };
    let sql = "SELECT count(*) FROM directories WHERE organization = ?1 AND deleting = 0";
    let organization = new.organization_id.to_bytes();
    let there = first(connection, sql, [organization], |row| Ok(row.get::<_, i64>(0)?))?;
    if there.unwrap_or_default() >= i64::from(most) {
        return Err(conflicted(Conflict::Directories));
    }
    Ok(())
}

/// Refuses what makes no sense any more in a directory that is being deleted.
pub(super) fn check_lives(connection: &Connection, id: DirectoryId) -> Result<(), DbError> {
    let sql = "SELECT deleting FROM directories WHERE id = ?1";
    let deleting = first(connection, sql, [id.to_bytes()], |row| Ok(row.get::<_, bool>(0)?))?;
    if deleting.ok_or_else(not_found)? { Err(conflicted(Conflict::Deleting)) } else { Ok(()) }
}

/// A token that was just made.
pub(crate) fn made(new: NewToken) -> Token {
    let NewToken { id, suffix, created_at, .. } = new;
    Token { id, suffix, created_at, last_used_at: None, expires_at: None }
}

/// Keeps a token. Whoever chose its id with a form may send that again when it has been revoked.
pub(super) fn put_token(
    connection: &Connection,
    directory: DirectoryId,
    token: &NewToken,
    kind: Kind,
) -> Result<(), DbError> {
    let added = connection.execute(
        "INSERT INTO tokens (id, directory, digest, suffix, created_at, is_client_secret)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
        params![
            token.id.to_bytes(),
            directory.to_bytes(),
            token.digest,
            token.suffix,
            token.created_at.millis(),
            kind.is_client_secret(),
        ],
    )?;
    if added == 0 { Err(conflicted(Conflict::Changed)) } else { Ok(()) }
}

pub(super) fn revoke_token(
    connection: &Connection,
    directory: DirectoryId,
    token: TokenId,
    kind: Kind,
) -> Result<(), DbError> {
    let revoked = connection.execute(
        "UPDATE tokens SET revoked = 1
         WHERE id = ?1 AND directory = ?2 AND is_client_secret = ?3 AND revoked = 0",
        params![token.to_bytes(), directory.to_bytes(), kind.is_client_secret()],
    )?;
    if revoked == 0 { Err(not_found()) } else { Ok(()) }
}

pub(super) fn live_tokens(
    connection: &Connection,
    id: DirectoryId,
    kind: Kind,
) -> Result<Vec<Token>, DbError> {
    let sql = "SELECT id, suffix, created_at, last_used_at, expires_at FROM tokens
        WHERE directory = ?1 AND is_client_secret = ?2 AND revoked = 0 ORDER BY id DESC";
    all(connection, sql, params![id.to_bytes(), kind.is_client_secret()], |row| token(row))
}

/// Those of bearer tokens whose time is not over.
fn live_bearers(
    connection: &Connection,
    id: DirectoryId,
    now: Timestamp,
) -> Result<Vec<Token>, DbError> {
    let mut tokens = live_tokens(connection, id, Kind::Bearer)?;
    tokens.retain(|token| !is_over(token.expires_at, now));
    Ok(tokens)
}

/// Whether a token is void by itself, though nobody has written that down yet.
pub(crate) fn is_over(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|end| end <= now)
}

/// A token of its id, its suffix and the times of its making, its last use and its end.
pub(crate) fn token(row: &impl Columns) -> Result<Token, DbError> {
    Ok(Token {
        id: TokenId::from_bytes(row.id(0)?),
        suffix: row.text(1)?,
        created_at: row.time(2)?,
        last_used_at: row.time_if(3)?,
        expires_at: row.time_if(4)?,
    })
}
