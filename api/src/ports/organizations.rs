//! Organizations and their domains.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemas::{DirectoryId, OrganizationDomainId, OrganizationId, Timestamp};

use super::{Page, PageRequest, PortError, Reach};

/// How many entries of metadata an organization may have: as many as apps written for WorkOS keep to.
pub const METADATA_MAX: usize = 50;

/// Whether the owner of a domain has shown that it is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// Yes, or the operator vouches for it.
    Verified,
    /// Not yet.
    Pending,
}

impl DomainState {
    /// Its name in the store and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Pending => "pending",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Verified, Self::Pending].into_iter().find(|known| known.name() == name)
    }
}

/// A domain of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Which. A domain that an update names again keeps its id: the store goes by `domain`.
    pub id: OrganizationDomainId,
    /// The domain, in lower case.
    pub domain: String,
    /// Whether it is verified.
    pub state: DomainState,
    /// When the organization got it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A customer of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Which.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// What the app calls it; no two organizations share one.
    pub external_id: Option<String>,
    /// What the app keeps about it.
    pub metadata: BTreeMap<String, String>,
    /// Its domains, in the order in which they were given.
    pub domains: Vec<Domain>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What an update changes of an organization. `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationChange {
    /// A new name.
    pub name: Option<String>,
    /// A new external id; `Some(None)` takes it away.
    pub external_id: Option<Option<String>>,
    /// These entries are set, or removed where there is `None`; the others stay.
    pub metadata: BTreeMap<String, Option<String>>,
    /// All domains from now on. For one that is there already only `state` counts.
    pub domains: Option<Vec<Domain>>,
    /// When.
    pub updated_at: Timestamp,
    /// The `updated_at` of what the change was made from. `Conflict(Changed)` if it is another by now;
    /// without it, the last who writes wins.
    pub made_from: Option<Timestamp>,
}

/// Which organizations a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationFilter {
    /// Those that have one of these domains; all if there is none.
    pub domains: Vec<String>,
    /// Those whose name contains this, whatever the case.
    pub search: Option<String>,
}

/// The organizations.
#[async_trait]
pub trait Organizations: Send + Sync {
    /// A page of them.
    async fn list(
        &self,
        page: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, PortError>;

    /// One.
    async fn get(&self, reach: Reach, id: OrganizationId) -> Result<Organization, PortError>;

    /// The one that the app calls this.
    async fn by_external_id(
        &self,
        reach: Reach,
        external_id: &str,
    ) -> Result<Organization, PortError>;

    /// Keeps one. `Conflict(ExternalId)` if another has its external id.
    async fn create(&self, organization: Organization) -> Result<(), PortError>;

    /// Changes one, and returns what it is then. `Conflict(Metadata)` if it had more than [`METADATA_MAX`] entries
    /// then.
    async fn update(
        &self,
        reach: Reach,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization, PortError>;

    /// Deletes one with the keys that are limited to it, and marks its directories as being deleted,
    /// in one transaction. Returns those directories; what the streams need to know of the
    /// organization stays until they have recorded it.
    async fn delete(
        &self,
        reach: Reach,
        id: OrganizationId,
        at: Timestamp,
    ) -> Result<Vec<DirectoryId>, PortError>;
}
