//! The directories, tokens and client secrets in memory: every SCIM request asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::client_id;
use api::ports::{Digest, Host, HostOwner, Reach, ScimService};
use directory::normalise::Origin;
use directory::rules::GeneralRules;
use directory::{AppRules, Directory, DirectoryToken, InactiveUsers};
use log::Partition;
use rusqlite::Connection;
use schemas::wire::{DirectoryType, DomainTag, OrganizationDomain};
use schemas::{
    BrakeChoice, DirectoryId, HostName, OrganizationDomainId, OrganizationId, Timestamp, TokenId,
};
use serde::{Deserialize, Serialize};

use super::access::AccessToken;
use super::app_rules::general_rules;
use super::brakes;
use super::directories::is_over;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::not_found;
use crate::state::rows::{all, first};

/// A directory as it is configured, with what only the store knows of it.
#[derive(Debug)]
pub(crate) struct KnownDirectory {
    pub(crate) directory: Directory,
    pub(crate) endpoint_id: String,
    /// The host name that its addresses have: its own, or that of its organization.
    pub(crate) host_name: Option<HostName>,
    pub(crate) partition: Partition,
    /// How long the access tokens live that are issued to its client.
    pub(crate) token_lifetime: Duration,
    /// Until when bodies are kept with its requests.
    pub(crate) debug_until: Option<Timestamp>,
    /// What it says of its brake.
    pub(crate) brake: BrakeChoice,
}

/// A token that opens a directory, or a client secret that gets access tokens for it.
#[derive(Debug)]
pub(crate) struct KnownToken {
    pub(crate) id: TokenId,
    pub(crate) directory: DirectoryId,
    pub(crate) suffix: String,
    /// From when on it opens nothing, though nobody has revoked it.
    expires_at: Option<Timestamp>,
    /// When its use was last written, so that it is written now and then only.
    noted: AtomicI64,
}

/// Everything that is configured about directories, as of one moment.
///
/// There may be ten thousand of them. A change of one makes a copy of the maps, which is cheap, and reads that one
/// again, not all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    directories: BTreeMap<DirectoryId, Arc<KnownDirectory>>,
    by_endpoint: BTreeMap<String, DirectoryId>,
    live_tokens: BTreeMap<Digest, Arc<KnownToken>>,
    by_client: BTreeMap<String, DirectoryId>,
    /// Those that are live, of directories that are not being deleted.
    secrets: BTreeMap<TokenId, Arc<KnownToken>>,
    by_secret: BTreeMap<Digest, TokenId>,
    hosts: BTreeMap<HostName, Host>,
    /// Of those the one that addresses have, for each who has any.
    shown_hosts: BTreeMap<HostOwner, HostName>,
}

/// What a token opens at an endpoint.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// A directory, by a token of its own.
    Token(&'a KnownDirectory, &'a KnownToken),
    /// A directory, by an access token that was issued with this secret.
    Secret(&'a KnownDirectory, &'a KnownToken),
    /// Nothing here: the token opens this directory, but the host name is of others.
    Elsewhere(&'a KnownDirectory),
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
    /// The last partition that a directory lies in.
    pub(crate) fn last_partition(&self) -> Option<Partition> {
        self.directories.values().map(|known| known.partition).max()
    }

    /// What these rows say; the tokens in the order of their ids.
    pub(crate) fn of(
        directories: Vec<KnownDirectory>,
        tokens: Vec<TokenRow>,
        hosts: BTreeMap<HostName, Host>,
    ) -> Self {
        let mut of_each: BTreeMap<DirectoryId, Vec<TokenRow>> = BTreeMap::new();
        for row in tokens {
            of_each.entry(row.directory).or_default().push(row);
        }
        let mut known = Self { shown_hosts: shown(&hosts), hosts, ..Self::default() };
        for directory in directories {
            let tokens = of_each.remove(&directory.directory.id).unwrap_or_default();
            known.add(directory, tokens);
        }
        known
    }

    /// The same after a change of one directory, of which these are the rows now.
    pub(crate) fn with(
        &self,
        id: DirectoryId,
        found: Option<KnownDirectory>,
        tokens: Vec<TokenRow>,
    ) -> Self {
        let mut known = self.clone();
        if let Some(before) = known.directories.remove(&id) {
            known.by_endpoint.remove(&before.endpoint_id);
            known.by_client.remove(&client_id(&before.endpoint_id));
            known.live_tokens.retain(|_, token| token.directory != id);
            known.secrets.retain(|_, secret| secret.directory != id);
            known.by_secret.retain(|_, secret| known.secrets.contains_key(secret));
        }
        if let Some(directory) = found {
            known.add(directory, tokens);
        }
        known
    }

    fn add(&mut self, mut directory: KnownDirectory, tokens: Vec<TokenRow>) {
        let id = directory.directory.id;
        let own = self.shown_hosts.get(&HostOwner::Directory(id));
        let organization = HostOwner::Organization(directory.directory.organization_id);
        directory.host_name = own.or_else(|| self.shown_hosts.get(&organization)).cloned();
        for row in tokens {
            self.add_token(&mut directory, row);
        }
        self.by_endpoint.insert(directory.endpoint_id.clone(), id);
        self.by_client.insert(client_id(&directory.endpoint_id), id);
        self.directories.insert(id, Arc::new(directory));
    }

    pub(crate) fn directories(&self) -> impl Iterator<Item = &Directory> {
        self.directories.values().map(|known| &known.directory)
    }

    /// Those whose streams may still grow, and those that are gone.
    pub(crate) fn all(&self) -> impl Iterator<Item = &KnownDirectory> {
        self.directories.values().map(|known| &**known)
    }

    pub(crate) fn get(&self, id: DirectoryId) -> Option<&KnownDirectory> {
        self.directories.get(&id).map(|known| &**known)
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
        host: Option<&HostName>,
        now: Timestamp,
    ) -> Entry<'_> {
        // All are looked up whatever the first finds, so that the time tells nothing. Comparing
        // digests tells nothing of the secrets either.
        let at_endpoint = self.by_endpoint.get(endpoint_id);
        let token = self.live_tokens.get(&digest).map(|token| &**token);
        let token = token.filter(|token| !is_over(token.expires_at, now));
        let secret = issued.and_then(|issued| self.secrets.get(&issued.secret));
        let secret = secret.map(|secret| &**secret);
        let host = host.and_then(|name| self.hosts.get(name));
        let directory = at_endpoint.and_then(|id| self.get(*id));
        let Some(directory) = directory.filter(|known| !known.directory.deleting) else {
            return Entry::Nothing(None);
        };
        let fits = |token: &&KnownToken| token.directory == directory.directory.id;
        let elsewhere = host.is_some_and(|host| !directory.is_reached_through(host));
        match (token.filter(fits), secret.filter(fits), issued) {
            // Only who may enter is told that this is the wrong door. To all others a directory of another host
            // name is as unknown as one that does not exist.
            (Some(_), _, _) if elsewhere => Entry::Elsewhere(directory),
            (None, Some(_), Some(issued)) if elsewhere && now < issued.expires_at => {
                Entry::Elsewhere(directory)
            }
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
        host: Option<&HostName>,
    ) -> Option<(&KnownDirectory, &KnownToken)> {
        // As for entries, nothing that is looked up depends on what was found.
        let of_client = self.by_client.get(client_id);
        let secret = self.by_secret.get(&secret).and_then(|id| self.secrets.get(id));
        let host = host.and_then(|name| self.hosts.get(name));
        let (directory, secret) = (self.get(*of_client?)?, &**secret?);
        if host.is_some_and(|host| !directory.is_reached_through(host)) {
            return None;
        }
        (secret.directory == directory.directory.id).then_some((directory, secret))
    }

    /// Whether this is a token that opens a directory by itself.
    pub(crate) fn is_live_token(&self, digest: &Digest) -> bool {
        self.live_tokens.contains_key(digest)
    }

    /// The directories with a token whose time is over and that nobody has revoked yet.
    pub(crate) fn with_expired_tokens(&self, now: Timestamp) -> BTreeSet<DirectoryId> {
        let over = self.live_tokens.values().filter(|token| is_over(token.expires_at, now));
        over.map(|token| token.directory).collect()
    }

    /// Whether access tokens that were issued with this secret open anything.
    pub(crate) fn has_secret(&self, id: TokenId) -> bool {
        self.secrets.contains_key(&id)
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// Whose this name is.
    pub(crate) fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// The name that the address of an organization has.
    pub(crate) fn host_name_of_organization(&self, id: OrganizationId) -> Option<&HostName> {
        self.shown_hosts.get(&HostOwner::Organization(id))
    }

    fn add_token(&mut self, known: &mut KnownDirectory, row: TokenRow) {
        let TokenRow { directory, digest, is_client_secret, expires_at, token } = row;
        if !token.revoked {
            let (id, suffix, noted) = (token.id, token.suffix.clone(), AtomicI64::new(0));
            let live = Arc::new(KnownToken { id, directory, suffix, expires_at, noted });
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

/// The host name that the addresses of each have who has any: the one that was added last.
fn shown(hosts: &BTreeMap<HostName, Host>) -> BTreeMap<HostOwner, HostName> {
    let mut latest: Vec<&Host> = hosts.values().collect();
    latest.sort_by_key(|host| host.id);
    latest.into_iter().map(|host| (host.owner, host.name.clone())).collect()
}

impl KnownDirectory {
    fn is_reached_through(&self, host: &Host) -> bool {
        host.serves(self.directory.organization_id, self.directory.id)
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
    let general = general_rules(connection)?;
    let sql = format!("SELECT {DIRECTORY_COLUMNS} FROM directories");
    let directories = all(connection, &sql, [], |row| directory(row, general))?;
    let sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens ORDER BY id");
    let tokens = all(connection, &sql, [], |row| TokenRow::read(row))?;
    Ok(Known::of(directories, tokens, super::host_names::load(connection)?))
}

/// What is known after a change of one directory.
pub(crate) fn reload(
    known: &Known,
    connection: &Connection,
    id: DirectoryId,
) -> Result<Known, DbError> {
    let general = general_rules(connection)?;
    let sql = format!("SELECT {DIRECTORY_COLUMNS} FROM directories WHERE id = ?1");
    let found = first(connection, &sql, [id.to_bytes()], |row| directory(row, general))?;
    let sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE directory = ?1 ORDER BY id");
    let tokens = all(connection, &sql, [id.to_bytes()], |row| TokenRow::read(row))?;
    Ok(known.with(id, found, tokens))
}

/// The columns of [`TokenRow::read`], in its order.
pub(crate) const TOKEN_COLUMNS: &str =
    "id, directory, digest, suffix, created_at, revoked, is_client_secret, expires_at";

/// A row of `tokens`.
pub(crate) struct TokenRow {
    directory: DirectoryId,
    digest: Digest,
    is_client_secret: bool,
    expires_at: Option<Timestamp>,
    token: DirectoryToken,
}

impl TokenRow {
    pub(crate) fn read(row: &impl Columns) -> Result<Self, DbError> {
        let token = DirectoryToken {
            id: TokenId::from_bytes(row.id(0)?),
            suffix: row.text(3)?,
            created_at: row.time(4)?,
            revoked: row.flag(5)?,
        };
        let directory = DirectoryId::from_bytes(row.id(1)?);
        Ok(Self {
            directory,
            digest: row.digest(2)?,
            is_client_secret: row.flag(6)?,
            expires_at: row.time_if(7)?,
            token,
        })
    }
}

/// The rules of a directory, with the general ones where it has none of its own.
fn app_rules(row: &impl Columns, general: GeneralRules) -> Result<AppRules, DbError> {
    let (map, policy, roles) = (row.text(13)?, row.text_if(14)?, row.text(15)?);
    let policy = policy
        .map(|name| InactiveUsers::named(&name).ok_or_else(|| unreadable("policy")(name.as_str())));
    Ok(AppRules {
        attribute_map: Arc::new(serde_json::from_str(&map).map_err(unreadable("attribute map"))?),
        inactive_users: policy.transpose()?.unwrap_or(general.inactive_users),
        role_mapping: Arc::new(serde_json::from_str(&roles).map_err(unreadable("role mapping"))?),
        emptied: general.emptied,
    })
}

/// The columns of [`directory()`], in its order.
pub(crate) const DIRECTORY_COLUMNS: &str = "id, organization, kind, name, external_key, \
    endpoint_id, partition, deleting, domains, created_at, updated_at, scim, token_lifetime_s, \
    attribute_map, inactive_users, role_mapping, debug_until, brake";

/// The columns of [`scim_service`], in its order.
pub(crate) const SCIM_SERVICE_COLUMNS: &str = "scim, debug_until";

pub(crate) fn scim_service(row: &impl Columns) -> Result<ScimService, DbError> {
    let settings = serde_json::from_str(&row.text(0)?).map_err(unreadable("SCIM settings"))?;
    Ok(ScimService { settings, debug_until: row.time_if(1)? })
}

pub(crate) fn directory(
    row: &impl Columns,
    general: GeneralRules,
) -> Result<KnownDirectory, DbError> {
    let organization_id = OrganizationId::from_bytes(row.id(1)?);
    let (kind, domains, scim) = (row.text(2)?, row.text(8)?, row.text(11)?);
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
            id: DirectoryId::from_bytes(row.id(0)?),
            organization_id,
            external_key: row.text(4)?,
            scim: serde_json::from_str(&scim).map_err(unreadable("SCIM settings"))?,
            apps: app_rules(row, general)?,
            kind: DirectoryType::from_slug(&kind)
                .ok_or_else(|| unreadable("directory type")(kind.as_str()))?,
            name: row.text(3)?,
            domains: domains.collect(),
            tokens: Vec::new(),
            deleting: row.flag(7)?,
            created_at: row.time(9)?,
            updated_at: row.time(10)?,
        },
        endpoint_id: row.text(5)?,
        host_name: None,
        partition: Partition(row.number(6)?),
        token_lifetime: Duration::from_secs(row.count(12)?),
        debug_until: row.time_if(16)?,
        brake: brakes::own(row, 17)?,
    })
}
