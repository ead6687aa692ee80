//! The host names under which organizations and directories are reached beside the address of the installation.

use async_trait::async_trait;
use schemas::{DirectoryId, HostName, HostNameId, OrganizationId, Timestamp};

use super::{Page, PageRequest, PortError, Reach};

/// How many host names an organization, or a directory, may have of its own: the one in use and those that identity
/// providers are still being moved away from.
pub const HOST_NAMES_MAX: usize = 10;

/// Whom a host name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostOwner {
    /// All directories of an organization.
    Organization(OrganizationId),
    /// One directory.
    Directory(DirectoryId),
}

/// A host name that was given to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub id: HostNameId,
    /// The name; no two are the same.
    pub name: HostName,
    /// Whom it is for.
    pub owner: HostOwner,
    /// The organization of whom it is for.
    pub organization_id: OrganizationId,
    /// When it was added.
    pub created_at: Timestamp,
}

impl Host {
    /// Whether a directory of this organization is reached through it.
    #[must_use]
    pub fn serves(&self, organization: OrganizationId, directory: DirectoryId) -> bool {
        match self.owner {
            HostOwner::Organization(id) => id == organization,
            HostOwner::Directory(id) => id == directory,
        }
    }
}

/// A host name to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHost {
    /// Which.
    pub id: HostNameId,
    /// The name.
    pub name: HostName,
    /// Whom it is for.
    pub owner: HostOwner,
    /// When it is added.
    pub created_at: Timestamp,
}

/// Which host names a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Those of this organization and its directories.
    pub organization: Option<OrganizationId>,
    /// Those of this directory alone.
    pub directory: Option<DirectoryId>,
}

/// The host names. The address of a directory has the name that was last added to the directory, or else to its
/// organization; those that were added before lead to it too.
#[async_trait]
pub trait HostNames: Send + Sync {
    /// A page of them.
    async fn list(
        &self,
        page: PageRequest<HostNameId>,
        filter: HostFilter,
    ) -> Result<Page<Host>, PortError>;

    /// One.
    async fn get(&self, reach: Reach, id: HostNameId) -> Result<Host, PortError>;

    /// Adds one. `NotFound`: its owner is not there; `Conflict(HostName)`: it is somebody's already;
    /// `Conflict(HostNames)`: its owner has [`HOST_NAMES_MAX`]; `Conflict(Deleting)`: its owner goes.
    async fn add(&self, reach: Reach, new: NewHost) -> Result<Host, PortError>;

    /// Removes one; nothing is reached through it any more that it was kept for.
    async fn remove(&self, reach: Reach, id: HostNameId) -> Result<(), PortError>;

    /// Whose this name is, from memory: every request that comes in asks.
    fn by_name(&self, name: &HostName) -> Option<Host>;

    /// The name that the address of an organization has, if it has one of its own.
    fn of_organization(&self, organization: OrganizationId) -> Option<HostName>;
}
