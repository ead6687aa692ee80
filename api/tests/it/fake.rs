//! The ports on vectors.

use std::sync::{Mutex, MutexGuard};

use api::ports::{
    ApiKey, BoxError, Conflict, Counts, Cursor, Delivering, Digest, Directories, Directory,
    DirectoryFilter, Endpoint, EndpointChange, Endpoints, EventFilter, FeedEnd, GroupFilter, Keys,
    LIVE_SECRETS_MAX, LIVE_TOKENS_MAX, NewDirectory, NewToken, OauthClient, OauthClients, Order,
    Organization, OrganizationChange, OrganizationFilter, Organizations, Page, PageRequest,
    PortError, Reach, Reading, Rotation, ScimRequest, ScimService, SecretRotation, StoredEvent,
    Streams, Token, UserFilter, VerificationKey, VerificationKeys,
};
use async_trait::async_trait;
use directory::resource::ScimSettings;
use schemas::wire::{DirectoryGroup, DirectoryState, DirectoryUserWithGroups};
use schemas::{
    ApiKeyId, DirectoryId, EndpointId, EventId, EventType, GroupId, OrganizationId, RequestId,
    Timestamp, TokenId, UserId,
};

/// An event with what it is filtered by.
pub(crate) struct FakeEvent {
    pub(crate) stored: StoredEvent,
    pub(crate) kind: EventType,
    pub(crate) organization: OrganizationId,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: Vec<(ApiKey, Digest)>,
    pub(crate) organizations: Vec<Organization>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) tokens: Vec<(DirectoryId, Token, Digest)>,
    pub(crate) scim: Option<ScimService>,
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) secrets: Vec<(DirectoryId, Token, Digest)>,
    /// The last that was set, whichever client it was for.
    pub(crate) token_lifetime_secs: Option<u32>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) delivering: Delivering,
    pub(crate) users: Vec<DirectoryUserWithGroups>,
    pub(crate) groups: Vec<DirectoryGroup>,
    pub(crate) events: Vec<FakeEvent>,
    pub(crate) reconciled: Vec<DirectoryId>,
    pub(crate) touched: Vec<ApiKeyId>,
    pub(crate) event_filters: Vec<EventFilter>,
    /// The next list of organizations fails like this.
    pub(crate) failure: Option<PortError>,
}

#[derive(Default)]
pub(crate) struct Fake(Mutex<State>);

impl Fake {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

pub(crate) fn broken(text: &str) -> BoxError {
    text.to_owned().into()
}

fn page<I: Ord + Copy, T>(
    request: PageRequest<I>,
    mut items: Vec<T>,
    id: impl Fn(&T) -> I,
) -> Page<T> {
    items.sort_by_key(&id);
    if request.order == Order::Descending {
        items.reverse();
    }
    let in_front = |item: &T, cursor: I| match request.order {
        Order::Ascending => id(item) < cursor,
        Order::Descending => id(item) > cursor,
    };
    let limit = usize::try_from(request.limit).unwrap();
    let (start, end) = match request.cursor {
        None => (0, limit),
        Some(Cursor::After(cursor)) => {
            let start = items.partition_point(|item| in_front(item, cursor) || id(item) == cursor);
            (start, start + limit)
        }
        Some(Cursor::Before(cursor)) => {
            let end = items.partition_point(|item| in_front(item, cursor));
            (end.saturating_sub(limit), end)
        }
    };
    let end = end.min(items.len());
    let (has_before, has_after) = (start > 0, end < items.len());
    Page { items: items.drain(start..end).collect(), has_before, has_after }
}

fn one<T: Clone>(items: &[T], fits: impl Fn(&T) -> bool) -> Result<T, PortError> {
    items.iter().find(|item| fits(item)).cloned().ok_or(PortError::NotFound)
}

fn is_in_reach(reach: Reach, organization: Option<OrganizationId>) -> bool {
    organization.map_or(reach == Reach::Everything, |id| reach.covers(id))
}

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
        state.organizations.push(organization);
        Ok(())
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

#[async_trait]
impl Directories for Fake {
    async fn list(
        &self,
        request: PageRequest<DirectoryId>,
        filter: DirectoryFilter,
    ) -> Result<Page<Directory>, PortError> {
        let state = self.state();
        let found = state.directories.iter().filter(|found| {
            request.reach.covers(found.organization_id)
                && filter.organization.is_none_or(|id| id == found.organization_id)
                && filter.search.as_ref().is_none_or(|text| found.name.contains(text))
        });
        Ok(page(request, found.cloned().collect(), |found| found.id))
    }

    async fn get(&self, reach: Reach, id: DirectoryId) -> Result<Directory, PortError> {
        one(&self.state().directories, |found| {
            found.id == id && reach.covers(found.organization_id)
        })
    }

    async fn create(&self, reach: Reach, new: NewDirectory) -> Result<Directory, PortError> {
        Organizations::get(self, reach, new.organization_id).await?;
        let directory = Directory {
            id: new.id,
            organization_id: new.organization_id,
            endpoint_id: new.endpoint_id,
            external_key: new.external_key,
            kind: new.kind,
            state: DirectoryState::Inactive,
            name: new.name,
            domain: None,
            counts: Counts::default(),
            created_at: new.created_at,
            updated_at: new.created_at,
        };
        self.state().directories.push(directory.clone());
        self.add_token(reach, new.id, new.token).await?;
        Ok(directory)
    }

    async fn delete(&self, reach: Reach, id: DirectoryId, _: Timestamp) -> Result<(), PortError> {
        Directories::get(self, reach, id).await?;
        let mut state = self.state();
        let found = state.directories.iter_mut().find(|found| found.id == id).unwrap();
        found.state = DirectoryState::Deleting;
        Ok(())
    }

    async fn scim_settings(&self, reach: Reach, id: DirectoryId) -> Result<ScimService, PortError> {
        Directories::get(self, reach, id).await?;
        let default = ScimService { settings: ScimSettings::default(), debug_until: None };
        Ok(self.state().scim.unwrap_or(default))
    }

    async fn set_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        service: ScimService,
        _: Timestamp,
    ) -> Result<(), PortError> {
        Directories::get(self, reach, id).await?;
        self.state().scim = Some(service);
        Ok(())
    }

    async fn requests(
        &self,
        id: DirectoryId,
        request: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, PortError> {
        Directories::get(self, request.reach, id).await?;
        Ok(page(request, Vec::new(), |found: &ScimRequest| found.id))
    }

    async fn tokens(&self, reach: Reach, id: DirectoryId) -> Result<Vec<Token>, PortError> {
        Directories::get(self, reach, id).await?;
        let state = self.state();
        let own = state.tokens.iter().rev().filter(|(directory, ..)| *directory == id);
        Ok(own.map(|(_, token, _)| token.clone()).collect())
    }

    async fn add_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
    ) -> Result<Token, PortError> {
        if self.tokens(reach, id).await?.len() >= LIVE_TOKENS_MAX {
            return Err(PortError::Conflict(Conflict::LiveTokens));
        }
        let token = Token {
            id: new.id,
            suffix: new.suffix,
            created_at: new.created_at,
            last_used_at: None,
        };
        self.state().tokens.push((id, token.clone(), new.digest));
        Ok(token)
    }

    async fn revoke_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
        _: Timestamp,
    ) -> Result<(), PortError> {
        let tokens = self.tokens(reach, id).await?;
        one(&tokens, |known| known.id == token)?;
        self.state().tokens.retain(|(_, known, _)| known.id != token);
        Ok(())
    }
}

#[async_trait]
impl OauthClients for Fake {
    async fn client(&self, reach: Reach, id: DirectoryId) -> Result<OauthClient, PortError> {
        let directory = Directories::get(self, reach, id).await?;
        let state = self.state();
        let own = state.secrets.iter().rev().filter(|(directory, ..)| *directory == id);
        Ok(OauthClient {
            client_id: api::client_id(&directory.endpoint_id),
            token_lifetime_secs: state.token_lifetime_secs.unwrap_or(3_600),
            secrets: own.map(|(_, secret, _)| secret.clone()).collect(),
        })
    }

    async fn set_token_lifetime(
        &self,
        reach: Reach,
        id: DirectoryId,
        seconds: u32,
        _: Timestamp,
    ) -> Result<OauthClient, PortError> {
        Directories::get(self, reach, id).await?;
        self.state().token_lifetime_secs = Some(seconds);
        self.client(reach, id).await
    }

    async fn add_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
    ) -> Result<Token, PortError> {
        if self.client(reach, id).await?.secrets.len() >= LIVE_SECRETS_MAX {
            return Err(PortError::Conflict(Conflict::LiveSecrets));
        }
        let (suffix, created_at) = (new.suffix, new.created_at);
        let secret = Token { id: new.id, suffix, created_at, last_used_at: None };
        self.state().secrets.push((id, secret.clone(), new.digest));
        Ok(secret)
    }

    async fn revoke_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        secret: TokenId,
    ) -> Result<(), PortError> {
        one(&self.client(reach, id).await?.secrets, |known| known.id == secret)?;
        self.state().secrets.retain(|(_, known, _)| known.id != secret);
        Ok(())
    }
}

#[async_trait]
impl Endpoints for Fake {
    async fn list(&self, request: PageRequest<EndpointId>) -> Result<Page<Endpoint>, PortError> {
        Ok(page(request, self.state().endpoints.clone(), |found| found.id))
    }

    async fn get(&self, id: EndpointId) -> Result<Endpoint, PortError> {
        one(&self.state().endpoints, |found| found.id == id)
    }

    async fn delivering(&self, _: EndpointId, _: Timestamp) -> Result<Delivering, PortError> {
        Ok(self.state().delivering.clone())
    }

    async fn create(&self, endpoint: Endpoint) -> Result<(), PortError> {
        let mut state = self.state();
        if state.endpoints.iter().any(|known| known.url == endpoint.url) {
            return Err(PortError::Conflict(Conflict::EndpointUrl));
        }
        state.endpoints.push(endpoint);
        Ok(())
    }

    async fn update(&self, id: EndpointId, change: EndpointChange) -> Result<Endpoint, PortError> {
        let mut state = self.state();
        let found = state.endpoints.iter_mut().find(|found| found.id == id);
        let found = found.ok_or(PortError::NotFound)?;
        found.url = change.url.unwrap_or_else(|| found.url.clone());
        found.enabled = change.enabled.unwrap_or(found.enabled);
        found.events = change.events.unwrap_or_else(|| found.events.clone());
        found.format = change.format.unwrap_or(found.format);
        found.outward = change.outward.on(std::mem::take(&mut found.outward));
        Ok(found.clone())
    }

    async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, PortError> {
        let mut state = self.state();
        let found = state.endpoints.iter_mut().find(|found| found.id == id);
        let found = found.ok_or(PortError::NotFound)?;
        found.secret = rotation.secret;
        found.previous_secret_until = Some(rotation.until);
        Ok(found.clone())
    }

    async fn delete(&self, id: EndpointId) -> Result<(), PortError> {
        Endpoints::get(self, id).await?;
        self.state().endpoints.retain(|found| found.id != id);
        Ok(())
    }
}

#[async_trait]
impl VerificationKeys for Fake {
    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, PortError> {
        let rotations = self.state().rotations.clone();
        let made = |rotation: &Rotation| VerificationKey {
            kid: "thumbprint".to_owned(),
            x: "key".to_owned(),
            created_at: rotation.at,
            signs_from: rotation.signs_from,
            shown_until: None,
        };
        let at = Timestamp::from_millis(0);
        let first = Rotation { at, signs_from: at, shown_until: at };
        Ok(std::iter::once(&first).chain(&rotations).map(made).collect())
    }

    async fn rotate(&self, rotation: Rotation) -> Result<VerificationKey, PortError> {
        self.state().rotations.push(rotation);
        Ok(self.verification_keys().await?.pop().unwrap())
    }
}

#[async_trait]
impl Reading for Fake {
    async fn users(
        &self,
        request: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, PortError> {
        let state = self.state();
        let found = state.users.iter().filter(|found| {
            request.reach.covers(found.user.organization_id)
                && filter.directory.is_none_or(|id| id == found.user.directory_id)
                && filter.group.is_none_or(|id| found.groups.iter().any(|group| group.id == id))
                && filter.idp_id.as_ref().is_none_or(|id| *id == found.user.idp_id)
                && (filter.email.is_none() || filter.email == found.user.email)
        });
        Ok(page(request, found.cloned().collect(), |found| found.user.id))
    }

    async fn user(&self, reach: Reach, id: UserId) -> Result<DirectoryUserWithGroups, PortError> {
        one(&self.state().users, |found| {
            found.user.id == id && reach.covers(found.user.organization_id)
        })
    }

    async fn directory_of_user(
        &self,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryId>, PortError> {
        Ok(self.user(reach, id).await.ok().map(|found| found.user.directory_id))
    }

    async fn groups(
        &self,
        request: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, PortError> {
        let state = self.state();
        let found = state.groups.iter().filter(|found| {
            request.reach.covers(found.organization_id)
                && filter.directory.is_none_or(|id| id == found.directory_id)
        });
        Ok(page(request, found.cloned().collect(), |found| found.id))
    }

    async fn group(&self, reach: Reach, id: GroupId) -> Result<DirectoryGroup, PortError> {
        one(&self.state().groups, |found| found.id == id && reach.covers(found.organization_id))
    }

    async fn directory_of_group(
        &self,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryId>, PortError> {
        Ok(self.group(reach, id).await.ok().map(|found| found.directory_id))
    }

    async fn events(
        &self,
        request: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, PortError> {
        let mut state = self.state();
        let found = state.events.iter().filter(|found| {
            request.reach.covers(found.organization)
                && filter.organization.is_none_or(|id| id == found.organization)
                && (filter.types.is_empty() || filter.types.contains(&found.kind))
        });
        let found = found.map(|found| found.stored.clone()).collect();
        state.event_filters.push(filter);
        Ok(page(request, found, |found| found.id))
    }

    async fn event(&self, reach: Reach, id: EventId) -> Result<StoredEvent, PortError> {
        let state = self.state();
        let mut found = state.events.iter().filter(|found| reach.covers(found.organization));
        let found = found.find(|found| found.stored.id == id);
        found.map(|found| found.stored.clone()).ok_or(PortError::NotFound)
    }

    async fn feed_end(&self) -> Result<FeedEnd, PortError> {
        let state = self.state();
        let event = state.events.last().map(|event| event.stored.id);
        Ok(FeedEnd { position: state.events.len() as u64, event })
    }

    async fn wait_feed(&self, _: FeedEnd) -> Result<(), PortError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Streams for Fake {
    async fn reconcile(&self, directory: DirectoryId) -> Result<(), PortError> {
        self.state().reconciled.push(directory);
        Ok(())
    }
}
