//! The API's ports on configuration.

use std::sync::atomic::Ordering;

use api::ports::{
    Answers, ApiKey, Begun, Delivering, Digest, Directories, Directory, DirectoryChange,
    DirectoryFilter, Endpoint, EndpointChange, Endpoints, Hold, KeptAnswer, Keys, NewDirectory,
    NewToken, Organization, OrganizationChange, OrganizationFilter, Organizations, Page,
    PageRequest, PortError, Progress, Reach, Rotation, ScimRequest, ScimService, ScimServiceChange,
    SecretRotation, Start, Token, VerificationKey, VerificationKeys,
};
use async_trait::async_trait;
use schemas::wire::DirectoryState;
use schemas::{
    ApiKeyId, Brake, DirectoryId, EndpointId, OrganizationId, RequestId, Timestamp, TokenId, UserId,
};

use super::paging::{Sides, filled, sides};
use super::port_error;
use crate::Store;
use crate::state::reading::Standing;

#[async_trait]
impl Keys for Store {
    async fn by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, PortError> {
        self.config.key_by_digest(digest).await.map_err(port_error)
    }

    async fn touch(&self, id: ApiKeyId, at: Timestamp) -> Result<(), PortError> {
        self.config.touch_key(id, at).await.map_err(port_error)
    }

    async fn any(&self) -> Result<bool, PortError> {
        self.config.any_key().await.map_err(port_error)
    }

    async fn list(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, PortError> {
        self.config.keys(page).await.map_err(port_error)
    }

    async fn create(&self, key: ApiKey, digest: Digest) -> Result<(), PortError> {
        self.config.create_key(key, digest).await.map_err(port_error)
    }

    async fn create_first(&self, key: ApiKey, digest: Digest) -> Result<bool, PortError> {
        self.config.create_first_key(key, digest).await.map_err(port_error)
    }

    async fn delete(&self, reach: Reach, id: ApiKeyId) -> Result<(), PortError> {
        self.config.delete_key(reach, id).await.map_err(port_error)
    }
}

#[async_trait]
impl Answers for Store {
    async fn begin(
        &self,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<Begun, PortError> {
        self.config.begin_answer(key, request, now).await.map_err(port_error)
    }

    async fn end(&self, key: Digest, answer: Option<KeptAnswer>) -> Result<(), PortError> {
        self.config.end_answer(key, answer).await.map_err(port_error)
    }
}

#[async_trait]
impl Organizations for Store {
    async fn list(
        &self,
        page: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, PortError> {
        self.config.organizations(page, filter).await.map_err(port_error)
    }

    async fn get(&self, reach: Reach, id: OrganizationId) -> Result<Organization, PortError> {
        self.config.organization(reach, id).await.map_err(port_error)
    }

    async fn by_external_id(
        &self,
        reach: Reach,
        external_id: &str,
    ) -> Result<Organization, PortError> {
        let found = self.config.organization_by_external_id(reach, external_id.to_owned()).await;
        found.map_err(port_error)
    }

    async fn create(&self, organization: Organization) -> Result<(), PortError> {
        self.config.create_organization(organization).await.map_err(port_error)
    }

    async fn update(
        &self,
        reach: Reach,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization, PortError> {
        self.config.update_organization(reach, id, change).await.map_err(port_error)
    }

    async fn delete(
        &self,
        reach: Reach,
        id: OrganizationId,
        at: Timestamp,
    ) -> Result<Vec<DirectoryId>, PortError> {
        self.config.delete_organization(reach, id, at).await.map_err(port_error)
    }
}

#[async_trait]
impl Directories for Store {
    async fn list(
        &self,
        page: PageRequest<DirectoryId>,
        filter: DirectoryFilter,
    ) -> Result<Page<Directory>, PortError> {
        let known = self.config.known();
        let fits = |directory: &&directory::Directory| {
            let search = filter
                .search
                .as_ref()
                .is_none_or(|part| directory.name.to_lowercase().contains(&part.to_lowercase()));
            let domain = filter.domain.as_ref().is_none_or(|wanted| {
                directory.domains.iter().any(|one| one.domain.eq_ignore_ascii_case(wanted))
            });
            page.reach.covers(directory.organization_id)
                && filter.organization.is_none_or(|wanted| wanted == directory.organization_id)
                && search
                && domain
        };
        let ids: Vec<DirectoryId> =
            known.directories().filter(fits).map(|directory| directory.id).collect();
        let Sides { ahead, behind } = sides(ids, &page);
        let ahead = self.first_described(ahead, page.limit as usize + 1).await?;
        let behind = self.first_described(behind, 1).await?;
        Ok(filled(ahead, !behind.is_empty(), &page))
    }

    async fn get(&self, reach: Reach, id: DirectoryId) -> Result<Directory, PortError> {
        let found = self.described(vec![id]).await?.pop();
        found.filter(|directory| reach.covers(directory.organization_id)).ok_or(PortError::NotFound)
    }

    async fn scim_settings(&self, reach: Reach, id: DirectoryId) -> Result<ScimService, PortError> {
        Directories::get(self, reach, id).await?;
        self.config.known().scim_settings(reach, id).map_err(port_error)
    }

    async fn change_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: ScimServiceChange,
        at: Timestamp,
    ) -> Result<ScimService, PortError> {
        Directories::get(self, reach, id).await?;
        self.config.change_scim_settings(reach, id, change, at).await.map_err(port_error)
    }

    async fn requests(
        &self,
        id: DirectoryId,
        page: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, PortError> {
        Directories::get(self, page.reach, id).await?;
        self.config.requests(id, page).await.map_err(port_error)
    }

    async fn create(&self, reach: Reach, new: NewDirectory) -> Result<Directory, PortError> {
        let id = new.id;
        let partitions = self.partitions.load(Ordering::Relaxed);
        self.config.create_directory(reach, new, partitions).await.map_err(port_error)?;
        Directories::get(self, reach, id).await.map_err(PortError::behind_change)
    }

    async fn update(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: DirectoryChange,
        at: Timestamp,
    ) -> Result<Directory, PortError> {
        Directories::get(self, reach, id).await?;
        self.config.update_directory(reach, id, change, at).await.map_err(port_error)?;
        Directories::get(self, reach, id).await.map_err(PortError::behind_change)
    }

    async fn release(&self, reach: Reach, id: DirectoryId, at: Timestamp) -> Result<(), PortError> {
        Directories::get(self, reach, id).await?;
        self.config.release_hold(reach, id, at).await.map_err(port_error)
    }

    async fn sample(
        &self,
        reach: Reach,
        id: DirectoryId,
        users: Option<Vec<UserId>>,
        limit: u32,
    ) -> Result<Vec<directory::User>, PortError> {
        Directories::get(self, reach, id).await?;
        self.state.sample(id, users, limit).await.map_err(port_error)
    }

    async fn delete(&self, reach: Reach, id: DirectoryId, at: Timestamp) -> Result<(), PortError> {
        Directories::get(self, reach, id).await?;
        self.config.delete_directory(reach, id, at).await.map_err(port_error)
    }

    async fn tokens(&self, reach: Reach, id: DirectoryId) -> Result<Vec<Token>, PortError> {
        Directories::get(self, reach, id).await?;
        self.config.tokens(reach, id).await.map_err(port_error)
    }

    async fn add_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: NewToken,
        others_until: Option<Timestamp>,
    ) -> Result<Token, PortError> {
        Directories::get(self, reach, id).await?;
        self.config.add_token(reach, id, token, others_until).await.map_err(port_error)
    }

    async fn keep_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), PortError> {
        self.config.keep_token(reach, id, token).await.map_err(port_error)
    }

    async fn revoke_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
        _: Timestamp,
    ) -> Result<(), PortError> {
        self.config.revoke_token(reach, id, token).await.map_err(port_error)
    }
}

impl Store {
    /// The first of them that are still there.
    async fn first_described(
        &self,
        ids: Vec<DirectoryId>,
        limit: usize,
    ) -> Result<Vec<Directory>, PortError> {
        let (mut found, mut ids) = (Vec::new(), ids.into_iter());
        while found.len() < limit {
            let next: Vec<DirectoryId> = ids.by_ref().take(limit - found.len()).collect();
            if next.is_empty() {
                break;
            }
            found.extend(self.described(next).await?);
        }
        Ok(found)
    }

    /// Directories with what their streams say of them; those whose streams say that they are gone
    /// are left out.
    pub(super) async fn described(
        &self,
        ids: Vec<DirectoryId>,
    ) -> Result<Vec<Directory>, PortError> {
        let known = self.config.known();
        let standings = self.state.standings(ids.clone()).await.map_err(port_error)?;
        let refreshes = self.config.refresh_progress(ids.clone()).await.map_err(port_error)?;
        let mut holds = self.config.holds(ids.clone()).await.map_err(port_error)?;
        let described = ids.into_iter().zip(standings).filter(|(_, standing)| !standing.gone);
        let described = described.filter_map(|(id, standing)| {
            let refresh = refreshes.get(&id).copied().unwrap_or_default();
            let known = known.get(id)?;
            let braking = (self.config.brake_of(known.brake), holds.remove(&id));
            Some(describe(known, standing, refresh, braking))
        });
        Ok(described.collect())
    }
}

fn describe(
    known: &crate::config::KnownDirectory,
    standing: Standing,
    refresh: Progress,
    (brake, hold): (Option<Brake>, Option<Hold>),
) -> Directory {
    let configured = &known.directory;
    let state = match (configured.deleting, standing.activated) {
        (true, _) => DirectoryState::Deleting,
        (false, true) => DirectoryState::Active,
        (false, false) => DirectoryState::Inactive,
    };
    Directory {
        id: configured.id,
        organization_id: configured.organization_id,
        endpoint_id: known.endpoint_id.clone(),
        host_name: known.host_name.clone(),
        external_key: configured.external_key.clone(),
        kind: configured.kind,
        state,
        name: configured.name.clone(),
        domain: configured.domains.first().map(|domain| domain.domain.clone()),
        stopped: standing.stopped,
        counts: standing.counts,
        apps: configured.apps.clone(),
        refresh,
        brake,
        hold,
        created_at: configured.created_at,
        updated_at: configured.updated_at,
    }
}

#[async_trait]
impl Endpoints for Store {
    async fn list(&self, page: PageRequest<EndpointId>) -> Result<Page<Endpoint>, PortError> {
        self.config.endpoints(page).await.map_err(port_error)
    }

    async fn get(&self, id: EndpointId) -> Result<Endpoint, PortError> {
        self.config.endpoint(id).await.map_err(port_error)
    }

    async fn delivering(&self, id: EndpointId, now: Timestamp) -> Result<Delivering, PortError> {
        self.delivering_rated(id, Some(now)).await
    }

    async fn create(&self, endpoint: Endpoint, start: Start) -> Result<(), PortError> {
        let feed_end = *self.state.progress().feed_end().borrow();
        let cursor = match start {
            Start::Now => feed_end,
            Start::Beginning => 0,
            Start::At(time) => {
                let first = self.state.first_from(time).await.map_err(port_error)?;
                first.map_or(feed_end, |first| first.saturating_sub(1))
            }
        };
        self.config.create_endpoint(endpoint, cursor).await.map_err(port_error)
    }

    async fn update(&self, id: EndpointId, change: EndpointChange) -> Result<Endpoint, PortError> {
        self.config.update_endpoint(id, change).await.map_err(port_error)
    }

    async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, PortError> {
        self.config.rotate_secret(id, rotation).await.map_err(port_error)
    }

    async fn delete(&self, id: EndpointId) -> Result<(), PortError> {
        self.config.delete_endpoint(id).await.map_err(port_error)
    }
}

#[async_trait]
impl VerificationKeys for Store {
    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, PortError> {
        self.config.verification_keys().await.map_err(port_error)
    }

    async fn rotate(&self, rotation: Rotation) -> Result<VerificationKey, PortError> {
        self.config.rotate_signing_key(rotation).await.map_err(port_error)
    }
}
