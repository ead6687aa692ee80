//! The ports on links to the setup page: the API makes them, the pages open them.

use api::ports::{
    Digest, NewPortalLink, NewPortalSession, Opening, Page, PageRequest, PortError, Portal,
    PortalLink, PortalLinks, PortalSession, Reach,
};
use async_trait::async_trait;
use schemas::{OrganizationId, PortalLinkId, Timestamp};

use super::port_error;
use crate::Store;

#[async_trait]
impl PortalLinks for Store {
    async fn list(
        &self,
        page: PageRequest<PortalLinkId>,
        organization: Option<OrganizationId>,
    ) -> Result<Page<PortalLink>, PortError> {
        self.config.portal_links(page, organization).await.map_err(port_error)
    }

    async fn create(&self, reach: Reach, new: NewPortalLink) -> Result<(), PortError> {
        self.config.create_portal_link(reach, new).await.map_err(port_error)
    }

    async fn revoke(&self, reach: Reach, id: PortalLinkId, at: Timestamp) -> Result<(), PortError> {
        self.config.revoke_portal_link(reach, id, at).await.map_err(port_error)
    }
}

#[async_trait]
impl Portal for Store {
    async fn link(&self, token: Digest) -> Result<Option<PortalLink>, PortError> {
        self.config.portal_link(token).await.map_err(port_error)
    }

    async fn open(
        &self,
        token: Digest,
        session: NewPortalSession,
        now: Timestamp,
    ) -> Result<Opening, PortError> {
        self.config.open_portal_link(token, session, now).await.map_err(port_error)
    }

    async fn session(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<PortalSession>, PortError> {
        self.config.portal_session(session, now).await.map_err(port_error)
    }

    async fn end(&self, session: Digest) -> Result<(), PortError> {
        self.config.end_portal_session(session).await.map_err(port_error)
    }
}
