//! Links to the setup page of an organization, for its administrators, and the sessions of who has opened one.
//!
//! ```text
//!  create ──▶ live ──open──▶ used: the session of this browser
//!              │ └──time──▶ expired
//!              └──revoke──▶ revoked ◀──revoke── used: its session ends
//! ```
//!
//! The API makes and revokes links through [`PortalLinks`]; the pages open them through [`Portal`].

use std::time::Duration;

use async_trait::async_trait;
use schemas::{ApiKeyId, OrganizationId, PortalLinkId, Timestamp};

use super::{Digest, Page, PageRequest, PortError, Reach};

/// How long a link may wait to be opened that the API made: an app sends its user there at once.
pub const LINK_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long who has opened a link may use the page: a working day, as identity providers take their time.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// How many links of an organization may wait to be opened: one for each administrator who clicks in the same minutes.
/// Beyond it the one goes that would expire first, and not the click of whoever came last.
pub const LIVE_LINKS_MAX: usize = 20;

/// How many links of an organization are kept, so that it can be seen who was let in: the latest. Those that open
/// something still are kept in any case.
pub const LINKS_KEPT: u32 = 100;

/// Why a link opens nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyVoid {
    /// It was opened; a link is for one browser.
    Used,
    /// It was not opened in time.
    Expired,
    /// It was revoked.
    Revoked,
}

impl WhyVoid {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A link, without what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalLink {
    /// Which. Not the secret.
    pub id: PortalLinkId,
    /// Whose setup page it opens.
    pub organization_id: OrganizationId,
    /// Where the page leads back to.
    pub return_url: Option<String>,
    /// Where the page leads to when all is done.
    pub success_url: Option<String>,
    /// The key that made it, if a key did.
    pub created_by: Option<ApiKeyId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing if it was not opened before.
    pub expires_at: Timestamp,
    /// When it was opened.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl PortalLink {
    /// Why it opens nothing at this time; `None` while it does.
    #[must_use]
    pub fn void(&self, now: Timestamp) -> Option<WhyVoid> {
        if self.revoked_at.is_some() {
            Some(WhyVoid::Revoked)
        } else if self.used_at.is_some() {
            Some(WhyVoid::Used)
        } else {
            (self.expires_at <= now).then_some(WhyVoid::Expired)
        }
    }
}

/// A link to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPortalLink {
    /// Which.
    pub id: PortalLinkId,
    /// The digest of what opens it.
    pub digest: Digest,
    /// Whose setup page it opens.
    pub organization_id: OrganizationId,
    /// Where the page leads back to.
    pub return_url: Option<String>,
    /// Where the page leads to when all is done.
    pub success_url: Option<String>,
    /// The key that makes it, if a key does.
    pub created_by: Option<ApiKeyId>,
    /// When it is made.
    pub created_at: Timestamp,
    /// Until when it waits to be opened.
    pub expires_at: Timestamp,
}

/// A session to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPortalSession {
    /// The digest of what its browser shows.
    pub digest: Digest,
    /// Until when it lasts.
    pub expires_at: Timestamp,
}

/// Who has opened a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalSession {
    /// The link.
    pub link: PortalLink,
    /// Until when it lasts.
    pub expires_at: Timestamp,
}

/// What becomes of who opens a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It was live: it is used, and this session has begun.
    Opened(PortalSession),
    /// It opens nothing any more; nothing was changed.
    Void(PortalLink, WhyVoid),
    /// There is no such link.
    Unknown,
}

/// The links, as those know them who make them.
#[async_trait]
pub trait PortalLinks: Send + Sync {
    /// A page of them, of one organization or of all within reach.
    async fn list(
        &self,
        page: PageRequest<PortalLinkId>,
        organization: Option<OrganizationId>,
    ) -> Result<Page<PortalLink>, PortError>;

    /// Keeps one, within [`LIVE_LINKS_MAX`] and [`LINKS_KEPT`]. `NotFound`: no such organization.
    async fn create(&self, reach: Reach, new: NewPortalLink) -> Result<(), PortError>;

    /// Makes one void, and ends the session of who has opened it. Revoking it again changes nothing.
    async fn revoke(&self, reach: Reach, id: PortalLinkId, at: Timestamp) -> Result<(), PortError>;
}

/// The links, as those know them who hold one.
#[async_trait]
pub trait Portal: Send + Sync {
    /// The link with this digest. Looking at it does not use it.
    async fn link(&self, token: Digest) -> Result<Option<PortalLink>, PortError>;

    /// Opens a link: of any number who try, also at once, one gets the session.
    async fn open(
        &self,
        token: Digest,
        session: NewPortalSession,
        now: Timestamp,
    ) -> Result<Opening, PortError>;

    /// The session with this digest, if it has not ended.
    async fn session(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<PortalSession>, PortError>;

    /// Ends the session with this digest, if there is one. Its link stays used.
    async fn end(&self, session: Digest) -> Result<(), PortError>;
}
