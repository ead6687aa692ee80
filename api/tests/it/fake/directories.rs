//! Directories and their OAuth clients.

use std::sync::Arc;

use api::ports::{
    Conflict, Counts, Directories, Directory, DirectoryChange, DirectoryFilter, LIVE_SECRETS_MAX,
    LIVE_TOKENS_MAX, NewDirectory, NewToken, OauthClient, OauthClients, Organizations, Page,
    PageRequest, PortError, Progress, Reach, ScimRequest, ScimService, ScimServiceChange, Token,
};
use async_trait::async_trait;
use directory::AppRules;
use directory::resource::ScimSettings;
use schemas::wire::DirectoryState;
use schemas::{DirectoryId, RequestId, Timestamp, TokenId, UserId};

use super::{Fake, one, page};

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
            host_name: None,
            external_key: new.external_key,
            kind: new.kind,
            state: DirectoryState::Inactive,
            name: new.name,
            domain: None,
            stopped: false,
            counts: Counts::default(),
            apps: AppRules::default(),
            refresh: Progress::default(),
            brake: None,
            hold: None,
            created_at: new.created_at,
            updated_at: new.created_at,
        };
        self.state().directories.push(directory.clone());
        self.add_token(reach, new.id, new.token, None).await?;
        Ok(directory)
    }

    async fn update(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: DirectoryChange,
        at: Timestamp,
    ) -> Result<Directory, PortError> {
        Directories::get(self, reach, id).await?;
        let mut state = self.state();
        let found = state.directories.iter_mut().find(|found| found.id == id).unwrap();
        found.updated_at = at;
        if let Some(name) = change.name {
            found.name = name;
        }
        if let Some(map) = change.attribute_map {
            found.apps.attribute_map = Arc::new(map);
        }
        if let Some(policy) = change.inactive_users {
            found.apps.inactive_users = policy.unwrap_or_default();
        }
        if let Some(mapping) = change.role_mapping {
            found.apps.role_mapping = Arc::new(mapping);
        }
        if let Some(brake) = change.brake {
            found.brake = brake.effective(None);
        }
        Ok(found.clone())
    }

    async fn release(&self, reach: Reach, id: DirectoryId, _: Timestamp) -> Result<(), PortError> {
        Directories::get(self, reach, id).await?;
        Err(PortError::Conflict(Conflict::NotHeld))
    }

    async fn sample(
        &self,
        reach: Reach,
        id: DirectoryId,
        _: Option<Vec<UserId>>,
        _: u32,
    ) -> Result<Vec<directory::User>, PortError> {
        Directories::get(self, reach, id).await?;
        Ok(Vec::new())
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

    async fn change_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: ScimServiceChange,
        _: Timestamp,
    ) -> Result<ScimService, PortError> {
        let service = change.of(self.scim_settings(reach, id).await?);
        self.state().scim = Some(service);
        Ok(service)
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
        others_until: Option<Timestamp>,
    ) -> Result<Token, PortError> {
        if self.tokens(reach, id).await?.len() >= LIVE_TOKENS_MAX {
            return Err(PortError::Conflict(Conflict::LiveTokens));
        }
        let token = Token {
            id: new.id,
            suffix: new.suffix,
            created_at: new.created_at,
            last_used_at: None,
            expires_at: None,
        };
        if let Some(until) = others_until {
            let mut state = self.state();
            let own = state.tokens.iter_mut().filter(|(directory, ..)| *directory == id);
            own.for_each(|(_, token, _)| token.expires_at = Some(until));
        }
        self.state().tokens.push((id, token.clone(), new.digest));
        Ok(token)
    }

    async fn keep_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), PortError> {
        let tokens = self.tokens(reach, id).await?;
        one(&tokens, |known| known.id == token)?;
        let mut state = self.state();
        let kept = state.tokens.iter_mut().filter(|(_, known, _)| known.id == token);
        kept.for_each(|(_, known, _)| known.expires_at = None);
        Ok(())
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
            host_name: None,
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
        let secret = Token { id: new.id, suffix, created_at, last_used_at: None, expires_at: None };
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
