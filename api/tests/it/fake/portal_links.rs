//! Links to the setup page.

use api::ports::{
    NewPortalLink, Organizations, Page, PageRequest, PortError, PortalLink, PortalLinks, Reach,
};
use async_trait::async_trait;
use schemas::{OrganizationId, PortalLinkId, Timestamp};

use super::{Fake, page};

#[async_trait]
impl PortalLinks for Fake {
    async fn list(
        &self,
        request: PageRequest<PortalLinkId>,
        organization: Option<OrganizationId>,
    ) -> Result<Page<PortalLink>, PortError> {
        let state = self.state();
        let found = state.links.iter().map(|(link, _)| link).filter(|link| {
            request.reach.covers(link.organization_id)
                && organization.is_none_or(|id| id == link.organization_id)
        });
        Ok(page(request, found.cloned().collect(), |link| link.id))
    }

    async fn create(&self, reach: Reach, new: NewPortalLink) -> Result<(), PortError> {
        Organizations::get(self, reach, new.organization_id).await?;
        let link = PortalLink {
            id: new.id,
            organization_id: new.organization_id,
            return_url: new.return_url,
            success_url: new.success_url,
            created_by: new.created_by,
            created_at: new.created_at,
            expires_at: new.expires_at,
            used_at: None,
            revoked_at: None,
        };
        self.state().links.push((link, new.digest));
        Ok(())
    }

    async fn revoke(&self, reach: Reach, id: PortalLinkId, at: Timestamp) -> Result<(), PortError> {
        let mut state = self.state();
        let mut links = state.links.iter_mut().map(|(link, _)| link);
        let found = links.find(|link| link.id == id && reach.covers(link.organization_id));
        found.ok_or(PortError::NotFound)?.revoked_at = Some(at);
        Ok(())
    }
}
