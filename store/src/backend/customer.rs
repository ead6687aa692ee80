//! What concerns a customer's own people: the host names they know, and the links to their setup page.

use api::ports::{
    Digest, Host, HostFilter, NewHost, NewPortalLink, NewPortalSession, Opening, Page, PageRequest,
    PortalLink, PortalSession, Reach,
};
use async_trait::async_trait;
use schemas::{HostNameId, OrganizationId, PortalLinkId, Timestamp};

use crate::error::DbError;

/// Host names of organizations and directories.
#[async_trait]
pub(crate) trait HostBackend: Send + Sync {
    fn host_names(&self, page: &PageRequest<HostNameId>, filter: HostFilter) -> Page<Host>;

    fn host_name(&self, reach: Reach, id: HostNameId) -> Result<Host, DbError>;

    async fn add_host_name(&self, reach: Reach, new: NewHost) -> Result<Host, DbError>;

    async fn remove_host_name(&self, reach: Reach, id: HostNameId) -> Result<(), DbError>;
}

/// Links to setup pages, and the sessions of who has opened one.
#[async_trait]
pub(crate) trait PortalBackend: Send + Sync {
    async fn portal_links(
        &self,
        page: PageRequest<PortalLinkId>,
        organization: Option<OrganizationId>,
    ) -> Result<Page<PortalLink>, DbError>;

    async fn create_portal_link(&self, reach: Reach, new: NewPortalLink) -> Result<(), DbError>;

    async fn revoke_portal_link(
        &self,
        reach: Reach,
        id: PortalLinkId,
        at: Timestamp,
    ) -> Result<(), DbError>;

    async fn portal_link(&self, token: Digest) -> Result<Option<PortalLink>, DbError>;

    async fn open_portal_link(
        &self,
        token: Digest,
        session: NewPortalSession,
        now: Timestamp,
    ) -> Result<Opening, DbError>;

    async fn portal_session(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<PortalSession>, DbError>;

    async fn end_portal_session(&self, session: Digest) -> Result<(), DbError>;
}
