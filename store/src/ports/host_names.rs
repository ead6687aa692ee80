//! The port on host names.

use api::ports::{
    Host, HostFilter, HostNames, HostOwner, NewHost, Page, PageRequest, PortError, Reach,
};
use async_trait::async_trait;
use schemas::{HostName, HostNameId, OrganizationId};

use super::port_error;
use crate::Store;

#[async_trait]
impl HostNames for Store {
    async fn list(
        &self,
        page: PageRequest<HostNameId>,
        filter: HostFilter,
    ) -> Result<Page<Host>, PortError> {
        Ok(self.config.host_names(&page, filter))
    }

    async fn get(&self, reach: Reach, id: HostNameId) -> Result<Host, PortError> {
        self.config.host_name(reach, id).map_err(port_error)
    }

    async fn add(&self, reach: Reach, new: NewHost) -> Result<Host, PortError> {
        if let HostOwner::Directory(id) = new.owner {
            self.must_be_there(reach, id).await?;
        }
        self.config.add_host_name(reach, new).await.map_err(port_error)
    }

    async fn remove(&self, reach: Reach, id: HostNameId) -> Result<(), PortError> {
        self.config.remove_host_name(reach, id).await.map_err(port_error)
    }

    fn by_name(&self, name: &HostName) -> Option<Host> {
        self.config.known().host(name).cloned()
    }

    fn of_organization(&self, organization: OrganizationId) -> Option<HostName> {
        self.config.known().host_name_of_organization(organization).cloned()
    }
}
