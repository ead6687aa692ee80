//! Host names.

use api::ports::{
    Conflict, Directories, Host, HostFilter, HostNames, HostOwner, NewHost, Organizations, Page,
    PageRequest, PortError, Reach,
};
use async_trait::async_trait;
use schemas::{HostName, HostNameId, OrganizationId};

use super::{Fake, one, page};

#[async_trait]
impl HostNames for Fake {
    async fn list(
        &self,
        request: PageRequest<HostNameId>,
        filter: HostFilter,
    ) -> Result<Page<Host>, PortError> {
        let state = self.state();
        let found = state.hosts.iter().filter(|host| {
            request.reach.covers(host.organization_id)
                && filter.organization.is_none_or(|id| id == host.organization_id)
                && filter.directory.is_none_or(|id| host.owner == HostOwner::Directory(id))
        });
        Ok(page(request, found.cloned().collect(), |host| host.id))
    }

    async fn get(&self, reach: Reach, id: HostNameId) -> Result<Host, PortError> {
        one(&self.state().hosts, |host| host.id == id && reach.covers(host.organization_id))
    }

    async fn add(&self, reach: Reach, new: NewHost) -> Result<Host, PortError> {
        let organization_id = match new.owner {
            HostOwner::Organization(id) => Organizations::get(self, reach, id).await?.id,
            HostOwner::Directory(id) => Directories::get(self, reach, id).await?.organization_id,
        };
        if self.by_name(&new.name).is_some() {
            return Err(PortError::Conflict(Conflict::HostName));
        }
        let NewHost { id, name, owner, created_at } = new;
        let host = Host { id, name, owner, organization_id, created_at };
        self.state().hosts.push(host.clone());
        Ok(host)
    }

    async fn remove(&self, reach: Reach, id: HostNameId) -> Result<(), PortError> {
        HostNames::get(self, reach, id).await?;
        self.state().hosts.retain(|host| host.id != id);
        Ok(())
    }

    fn by_name(&self, name: &HostName) -> Option<Host> {
        self.state().hosts.iter().find(|host| host.name == *name).cloned()
    }

    fn of_organization(&self, organization: OrganizationId) -> Option<HostName> {
        let state = self.state();
        let mut own = state.hosts.iter().rev();
        let found = own.find(|host| host.owner == HostOwner::Organization(organization));
        found.map(|host| host.name.clone())
    }
}
