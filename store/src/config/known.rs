//! The directories and tokens in memory: every SCIM request asks for them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use directory::normalise::Origin;
use directory::{Directory, DirectoryToken};
use log::Partition;
use rusqlite::Connection;
use schemas::wire::{DirectoryType, DomainTag, OrganizationDomain};
use schemas::{DirectoryId, OrganizationDomainId, OrganizationId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};

use crate::error::{DbError, unreadable};
use crate::state::rows::{Time, all};

/// A directory as it is configured, with what only the store knows of it.
#[derive(Debug)]
pub(crate) struct KnownDirectory {
    pub(crate) directory: Directory,
    pub(crate) endpoint_id: String,
    pub(crate) partition: Partition,
}

/// A token that opens a directory.
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
    live_tokens: BTreeMap<[u8; 32], KnownToken>,
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

    pub(crate) fn directories_of(
        &self,
        organization: OrganizationId,
    ) -> impl Iterator<Item = DirectoryId> {
        let of = move |directory: &&Directory| directory.organization_id == organization;
        self.directories().filter(of).map(|directory| directory.id)
    }

    /// The directory at this endpoint and the token with this digest, if they belong together.
    pub(crate) fn access(
        &self,
        endpoint_id: &str,
        digest: [u8; 32],
    ) -> Option<(&KnownDirectory, &KnownToken)> {
        // Both are looked up whatever the first finds, so that the time tells nothing. Comparing
        // digests tells nothing of the secrets either.
        let at_endpoint = self.by_endpoint.get(endpoint_id);
        let token = self.live_tokens.get(&digest);
        let (directory, token) = (self.directories.get(at_endpoint?)?, token?);
        let fits = token.directory == directory.directory.id && !directory.directory.deleting;
        fits.then_some((directory, token))
    }
}

impl KnownToken {
    /// Whether its use should be written again.
    pub(crate) fn note_use(&self, at: Timestamp, every: std::time::Duration) -> bool {
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
        domains, created_at, updated_at, scim FROM directories";
    for directory in all(connection, sql, [], directory)? {
        let id = directory.directory.id;
        known.by_endpoint.insert(directory.endpoint_id.clone(), id);
        known.directories.insert(id, directory);
    }
    let sql = "SELECT id, directory, digest, suffix, created_at, revoked FROM tokens ORDER BY id";
    let tokens = all(connection, sql, [], |row| {
        let id = TokenId::from_bytes(row.get(0)?);
        let directory = DirectoryId::from_bytes(row.get(1)?);
        let token = DirectoryToken {
            id,
            suffix: row.get(3)?,
            created_at: row.get::<_, Time>(4)?.0,
            revoked: row.get(5)?,
        };
        Ok((directory, row.get::<_, [u8; 32]>(2)?, token))
    })?;
    for (id, digest, token) in tokens {
        if !token.revoked {
            let suffix = token.suffix.clone();
            let noted = AtomicI64::new(0);
            let live = KnownToken { id: token.id, directory: id, suffix, noted };
            known.live_tokens.insert(digest, live);
        }
        if let Some(known) = known.directories.get_mut(&id) {
            known.directory.tokens.push(token);
        }
    }
    Ok(known)
}

fn directory(row: &rusqlite::Row<'_>) -> Result<KnownDirectory, DbError> {
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
    })
}
