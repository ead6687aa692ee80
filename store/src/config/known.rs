//! The directories, tokens and client secrets in memory: every SCIM request asks for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::client_id;
use api::ports::{Digest, Reach, ScimService};
use directory::normalise::Origin;
use directory::rules::GeneralRules;
use directory::{AppRules, Directory, DirectoryToken, InactiveUsers};
use log::Partition;
use rusqlite::Connection;
use schemas::wire::{DirectoryType, DomainTag, OrganizationDomain};
use schemas::{DirectoryId, OrganizationDomainId, OrganizationId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};

use super::access::AccessToken;
use super::app_rules::general_rules;
use crate::error::{DbError, unreadable};
use crate::ports::not_found;
use crate::state::rows::{Time, all};

/// A directory as it is configured, with what only the store knows of it.
#[derive(Debug)]
pub(crate) struct KnownDirectory {
    pub(crate) directory: Directory,
    pub(crate) endpoint_id: String,
    pub(crate) partition: Partition,
    /// How long the access tokens live that are issued to its client.
    pub(crate) token_lifetime: Duration,
    /// Until when bodies are kept with its requests.
    pub(crate) debug_until: Option<Timestamp>,
}

/// A token that opens a directory, or a client secret that gets access tokens for it.
#[derive(Debug)]
pub(crate) struct KnownToken {
    pub(crate) id: TokenId,
    pub(crate) directory: DirectoryId,
    pub(crate) suffix: String,
    /// When its use was last written, so that it is written now and then only.
    noted: AtomicI64,
}

/// Everything that is configured about directories, as of one moment.
#[derive(Debug, Default)]
pub(crate) struct Known {
    directories: BTreeMap<DirectoryId, KnownDirectory>,
    by_endpoint: BTreeMap<String, DirectoryId>,
    live_tokens: BTreeMap<Digest, KnownToken>,
    by_client: BTreeMap<String, DirectoryId>,
    /// Those that are live, of directories that are not being deleted.
    secrets: BTreeMap<TokenId, KnownToken>,
    by_secret: BTreeMap<Digest, TokenId>,
}

/// What a token opens at an endpoint.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// A directory, by a token of its own.
    Token(&'a KnownDirectory, &'a KnownToken),
    /// A directory, by an access token that was issued with this secret.
    Secret(&'a KnownDirectory, &'a KnownToken),
    /// Nothing any more: the access token that opened this directory has expired.
    Expired(&'a KnownDirectory),
    /// Nothing, at this directory if there is one at the endpoint.
    Nothing(Option<&'a KnownDirectory>),
}

/// A domain as it is stored with its organization and, as of its creation, with a directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredDomain {
    pub(crate) id: OrganizationDomainId,
    pub(crate) domain: String,
    pub(crate) state: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Known {
    pub(crate) fn directories(&self) -> impl Iterator<Item = &Directory> {
        self.directories.values().map(|known| &known.directory)
    }

    pub(crate) fn get(&self, id: DirectoryId) -> Option<&KnownDirectory> {
        self.directories.get(&id)
    }

    pub(crate) fn origin(&self, id: DirectoryId) -> Option<Origin> {
        let directory = &self.directories.get(&id)?.directory;
        Some(Origin { directory_id: id, organization_id: directory.organization_id })
    }

    /// Refuses directories beyond a reach as if they were not there.
    pub(crate) fn reached(&self, reach: Reach, id: DirectoryId) -> Result<(), DbError> {
        let origin = self.origin(id).filter(|origin| reach.covers(origin.organization_id));
        origin.map(drop).ok_or_else(not_found)
    }

    /// How the SCIM service of a directory behaves.
    pub(crate) fn scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
    ) -> Result<ScimService, DbError> {
        self.reached(reach, id)?;
        let known = self.get(id).ok_or_else(not_found)?;
        Ok(ScimService { settings: known.directory.scim, debug_until: known.debug_until })
    }

    pub(crate) fn directories_of(
        &self,
        organization: OrganizationId,
    ) -> impl Iterator<Item = DirectoryId> {
        let of = move |directory: &&Directory| directory.organization_id == organization;
        self.directories().filter(of).map(|directory| directory.id)
    }

    /// What the token with this digest opens at this endpoint; `issued` is the access token that has it.
    pub(crate) fn entry(
        &self,
        endpoint_id: &str,
        digest: Digest,
        issued: Option<AccessToken>,
        now: Timestamp,
    ) -> Entry<'_> {
        // All are looked up whatever the first finds, so that the time tells nothing. Comparing
        // digests tells nothing of the secrets either.
        let at_endpoint = self.by_endpoint.get(endpoint_id);
        let token = self.live_tokens.get(&digest);
        let secret = issued.and_then(|issued| self.secrets.get(&issued.secret));
        let directory = at_endpoint.and_then(|id| self.directories.get(id));
        let Some(directory) = directory.filter(|known| !known.directory.deleting) else {
            return Entry::Nothing(None);
        };
        let fits = |token: &&KnownToken| token.directory == directory.directory.id;
        match (token.filter(fits), secret.filter(fits), issued) {
            (Some(token), _, _) => Entry::Token(directory, token),
            (None, Some(secret), Some(issued)) if now < issued.expires_at => {
                Entry::Secret(directory, secret)
            }
            (None, Some(_), Some(_)) => Entry::Expired(directory),
            (None, Some(_) | None, _) => Entry::Nothing(Some(directory)),
        }
    }

    /// The directory of this client and the secret with this digest, if they belong together.
    pub(crate) fn client(
        &self,
        client_id: &str,
        secret: Digest,
    ) -> Option<(&KnownDirectory, &KnownToken)> {
        // As for entries, nothing that is looked up depends on what was found.
        let of_client = self.by_client.get(client_id);
        let secret = self.by_secret.get(&secret).and_then(|id| self.secrets.get(id));
        let (directory, secret) = (self.directories.get(of_client?)?, secret?);
        (secret.directory == directory.directory.id).then_some((directory, secret))
    }

    /// Whether access tokens that were issued with this secret open anything.
    pub(crate) fn has_secret(&self, id: TokenId) -> bool {
        self.secrets.contains_key(&id)
    }

    fn add_token(&mut self, directory: DirectoryId, row: TokenRow) {
        let TokenRow { digest, is_client_secret, token } = row;
        let Some(known) = self.directories.get_mut(&directory) else { return };
        if !token.revoked {
            let (id, suffix, noted) = (token.id, token.suffix.clone(), AtomicI64::new(0));
            let live = KnownToken { id, directory, suffix, noted };
            if !is_client_secret {
                self.live_tokens.insert(digest, live);
            } else if !known.directory.deleting {
                self.by_secret.insert(digest, id);
                self.secrets.insert(id, live);
            }
        }
        known.directory.tokens.push(token);
    }
}

impl KnownToken {
    /// Whether its use should be written again.
    pub(crate) fn note_use(&self, at: Timestamp, every: Duration) -> bool {
        let before = self.noted.load(Ordering::Relaxed);
        let due = at.since(Timestamp::from_millis(before)) >= every;
        if due {
            self.noted.store(at.millis(), Ordering::Relaxed);
        }
        due
    }
}

pub(crate) fn load(connection: &Connection) -> Result<Known, DbError> {
    let mut known = Known::default();
    let sql = "SELECT id, organization, kind, name, external_key, endpoint_id, partition, deleting,
        domains, created_at, updated_at, scim, token_lifetime_s, attribute_map, inactive_users,
        role_mapping, debug_until FROM directories";
    let general = general_rules(connection)?;
    for directory in all(connection, sql, [], |row| directory(row, general))? {
        let id = directory.directory.id;
        known.by_endpoint.insert(directory.endpoint_id.clone(), id);
        known.by_client.insert(client_id(&directory.endpoint_id), id);
        known.directories.insert(id, directory);
    }
    let sql = "SELECT id, directory, digest, suffix, created_at, revoked, is_client_secret
        FROM tokens ORDER BY id";
    let tokens = all(connection, sql, [], |row| {
        let id = TokenId::from_bytes(row.get(0)?);
        let directory = DirectoryId::from_bytes(row.get(1)?);
        let token = DirectoryToken {
            id,
            suffix: row.get(3)?,
            created_at: row.get::<_, Time>(4)?.0,
            revoked: row.get(5)?,
        };
        Ok((directory, TokenRow { digest: row.get(2)?, is_client_secret: row.get(6)?, token }))
    })?;
    for (directory, row) in tokens {
        known.add_token(directory, row);
    }
    Ok(known)
}

/// A row of `tokens`.
struct TokenRow {
    digest: Digest,
    is_client_secret: bool,
    token: DirectoryToken,
}

/// The rules of a directory, with the general ones where it has none of its own.
fn app_rules(row: &rusqlite::Row<'_>, general: GeneralRules) -> Result<AppRules, DbError> {
    let map: String = row.get(13)?;
    let policy: Option<String> = row.get(14)?;
    let roles: String = row.get(15)?;
    let policy = policy
        .map(|name| InactiveUsers::named(&name).ok_or_else(|| unreadable("policy")(name.as_str())));
    Ok(AppRules {
        attribute_map: Arc::new(serde_json::from_str(&map).map_err(unreadable("attribute map"))?),
        inactive_users: policy.transpose()?.unwrap_or(general.inactive_users),
        role_mapping: Arc::new(serde_json::from_str(&roles).map_err(unreadable("role mapping"))?),
        emptied: general.emptied,
    })
}

fn directory(row: &rusqlite::Row<'_>, general: GeneralRules) -> Result<KnownDirectory, DbError> {
    let organization_id = OrganizationId::from_bytes(row.get(1)?);
    let kind: String = row.get(2)?;
    let domains: String = row.get(8)?;
    let scim: String = row.get(11)?;
    let domains: Vec<StoredDomain> =
        serde_json::from_str(&domains).map_err(unreadable("domains"))?;
    let domains = domains.into_iter().map(|domain| OrganizationDomain {
        object: DomainTag::Tag,
        id: domain.id,
        domain: domain.domain,
        organization_id,
    });
    Ok(KnownDirectory {
        directory: Directory {
            id: DirectoryId::from_bytes(row.get(0)?),
            organization_id,
            external_key: row.get(4)?,
            scim: serde_json::from_str(&scim).map_err(unreadable("SCIM settings"))?,
            apps: app_rules(row, general)?,
            kind: DirectoryType::from_slug(&kind)
                .ok_or_else(|| unreadable("directory type")(kind.as_str()))?,
            name: row.get(3)?,
            domains: domains.collect(),
            tokens: Vec::new(),
            deleting: row.get(7)?,
            created_at: row.get::<_, Time>(9)?.0,
            updated_at: row.get::<_, Time>(10)?.0,
        },
        endpoint_id: row.get(5)?,
        partition: Partition(row.get(6)?),
        token_lifetime: Duration::from_secs(row.get::<_, u32>(12)?.into()),
        debug_until: row.get::<_, Option<Time>>(16)?.map(|time| time.0),
    })
}
