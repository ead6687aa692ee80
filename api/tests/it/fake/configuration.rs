//! Keys and organizations.

use api::ports::{
    ApiKey, Conflict, Digest, Keys, Organization, OrganizationChange, OrganizationFilter,
    Organizations, Page, PageRequest, PortError, Reach,
};
use async_trait::async_trait;
use schemas::wire::DirectoryState;
use schemas::{ApiKeyId, DirectoryId, OrganizationId, Timestamp};

use super::{Fake, is_in_reach, one, page};

#[async_trait]
impl Keys for Fake {
    async fn by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, PortError> {
        let state = self.state();
        Ok(state.keys.iter().find(|(_, known)| *known == digest).map(|(key, _)| key.clone()))
    }

    async fn touch(&self, id: ApiKeyId, _: Timestamp) -> Result<(), PortError> {
        self.state().touched.push(id);
        Ok(())
    }

    async fn any(&self) -> Result<bool, PortError> {
        Ok(!self.state().keys.is_empty())
    }

    async fn list(&self, request: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, PortError> {
        let state = self.state();
        let keys = state.keys.iter().map(|(key, _)| key.clone());
        let keys = keys.filter(|key| is_in_reach(request.reach, key.organization_id)).collect();
        Ok(page(request, keys, |key| key.id))
    }

    async fn create(&self, key: ApiKey, digest: Digest) -> Result<(), PortError> {
        let mut state = self.state();
        if let Some(id) = key.organization_id {
            one(&state.organizations, |known| known.id == id)?;
        }
        if state.keys.iter().all(|(_, known)| *known != digest) {
            state.keys.push((key, digest));
        }
        Ok(())
    }

    async fn create_first(&self, key: ApiKey, digest: Digest) -> Result<bool, PortError> {
        let is_first = !self.any().await?;
        if is_first {
            Keys::create(self, key, digest).await?;
        }
        Ok(is_first)
    }

    async fn delete(&self, reach: Reach, id: ApiKeyId) -> Result<(), PortError> {
        let mut state = self.state();
        let before = state.keys.len();
        state.keys.retain(|(key, _)| key.id != id || !is_in_reach(reach, key.organization_id));
        if state.keys.len() == before { Err(PortError::NotFound) } else { Ok(()) }
    }
}

#[async_trait]
impl Organizations for Fake {
    async fn list(
        &self,
        request: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, PortError> {
        let mut state = self.state();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        let named = |found: &&Organization| {
            filter.search.as_ref().is_none_or(|text| found.name.contains(text))
        };
        let domain = |found: &&Organization| {
            let has = |domain: &String| found.domains.iter().any(|known| known.domain == *domain);
            filter.domains.is_empty() || filter.domains.iter().any(has)
        };
        let found = state.organizations.iter().filter(|found| request.reach.covers(found.id));
        let found = found.filter(named).filter(domain).cloned().collect();
        Ok(page(request, found, |found| found.id))
    }

    async fn get(&self, reach: Reach, id: OrganizationId) -> Result<Organization, PortError> {
        one(&self.state().organizations, |found| found.id == id && reach.covers(id))
    }

    async fn by_external_id(&self, reach: Reach, id: &str) -> Result<Organization, PortError> {
        one(&self.state().organizations, |found| {
            found.external_id.as_deref() == Some(id) && reach.covers(found.id)
        })
    }

    async fn create(&self, organization: Organization) -> Result<(), PortError> {
        let mut state = self.state();
        let known = |found: &Organization| found.external_id == organization.external_id;
        if organization.external_id.is_some() && state.organizations.iter().any(known) {
            return Err(PortError::Conflict(Conflict::ExternalId));
        }
        let failure = state.failure.take();
        if matches!(&failure, None | Some(PortError::Unsure(_))) {
            state.organizations.push(organization);
        }
        failure.map_or(Ok(()), Err)
    }

    async fn update(
        &self,
        reach: Reach,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization, PortError> {
        let mut state = self.state();
        let found = state.organizations.iter_mut();
        let found = found.filter(|found| reach.covers(found.id)).find(|found| found.id == id);
        let found = found.ok_or(PortError::NotFound)?;
        found.name = change.name.unwrap_or_else(|| found.name.clone());
        found.external_id = change.external_id.unwrap_or_else(|| found.external_id.clone());
        for (name, value) in change.metadata {
            match value {
                Some(value) => found.metadata.insert(name, value),
                None => found.metadata.remove(&name),
            };
        }
        found.domains = change.domains.unwrap_or_else(|| found.domains.clone());
        Ok(found.clone())
    }

    async fn delete(
        &self,
        reach: Reach,
        id: OrganizationId,
        _: Timestamp,
    ) -> Result<Vec<DirectoryId>, PortError> {
        Organizations::get(self, reach, id).await?;
        let mut state = self.state();
        state.organizations.retain(|found| found.id != id);
        let own = state.directories.iter_mut().filter(|found| found.organization_id == id);
        Ok(own
            .map(|found| {
                found.state = DirectoryState::Deleting;
                found.id
            })
            .collect())
    }
}
