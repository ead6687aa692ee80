//! API keys.

use async_trait::async_trait;
use schemas::{ApiKeyId, OrganizationId, Timestamp};

use super::{Digest, Page, PageRequest, PortError, Reach};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Everything.
    Full,
    /// Read everything, write nothing.
    Read,
    /// Read the events and the audit trail, and nothing else.
    Audit,
}

impl Permission {
    /// Its name in the store and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Read => "read",
            Self::Audit => "audit",
        }
    }

    /// The permission of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Full, Self::Read, Self::Audit].into_iter().find(|known| known.name() == name)
    }
}

/// An API key, without what opens doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Which.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub permission: Permission,
    /// The organization that it is limited to.
    pub organization_id: Option<OrganizationId>,
    /// Its last four characters, to tell keys apart.
    pub suffix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute or so.
    pub last_used_at: Option<Timestamp>,
}

/// The API keys.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key with this digest.
    async fn by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, PortError>;

    /// Notes that a key was used. May be lost in a crash; a key that is gone is no error.
    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), PortError>;

    /// Whether there is any key.
    async fn any(&self) -> Result<bool, PortError>;

    /// A page of the keys. One limited to an organization is within that organization's reach, one
    /// without a limit only within [`Reach::Everything`].
    async fn list(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, PortError>;

    /// Keeps a key. If a key with this digest is there already, it stays as it is and the call
    /// succeeds. `NotFound`: the organization that it would be limited to does not exist.
    async fn create(&self, key: ApiKey, digest: Digest) -> Result<(), PortError>;

    /// Keeps a key if there is none at all, and says whether it did. Of several processes that start at once, one
    /// makes the first key.
    async fn create_first(&self, key: ApiKey, digest: Digest) -> Result<bool, PortError>;

    /// Deletes a key, which opens nothing from then on.
    async fn delete(&self, reach: Reach, id: ApiKeyId) -> Result<(), PortError>;
}
