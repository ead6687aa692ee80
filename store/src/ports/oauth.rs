//! The ports on OAuth clients: the API configures them, ingest issues access tokens to them.

use api::ports::{NewToken, OauthClient, OauthClients, PortError, Reach, Token};
use async_trait::async_trait;
use ingest::ports::{Clients, Digest, Issue, ReplicaError};
use schemas::{DirectoryId, HostName, Timestamp, TokenId};

use super::port_error;
use super::replica::unavailable;
use crate::Store;

#[async_trait]
impl OauthClients for Store {
    async fn client(&self, reach: Reach, directory: DirectoryId) -> Result<OauthClient, PortError> {
        self.must_be_there(reach, directory).await?;
        self.config.oauth_client(reach, directory).await.map_err(port_error)
    }

    async fn set_token_lifetime(
        &self,
        reach: Reach,
        directory: DirectoryId,
        seconds: u32,
        at: Timestamp,
    ) -> Result<OauthClient, PortError> {
        self.must_be_there(reach, directory).await?;
        self.config.set_token_lifetime(reach, directory, seconds, at).await.map_err(port_error)
    }

    async fn add_secret(
        &self,
        reach: Reach,
        directory: DirectoryId,
        secret: NewToken,
    ) -> Result<Token, PortError> {
        self.must_be_there(reach, directory).await?;
        self.config.add_client_secret(reach, directory, secret).await.map_err(port_error)
    }

    async fn revoke_secret(
        &self,
        reach: Reach,
        directory: DirectoryId,
        secret: TokenId,
    ) -> Result<(), PortError> {
        self.config.revoke_client_secret(reach, directory, secret).await.map_err(port_error)
    }
}

impl Store {
    /// A directory whose stream says that it is gone is not found.
    pub(super) async fn must_be_there(
        &self,
        reach: Reach,
        id: DirectoryId,
    ) -> Result<(), PortError> {
        api::ports::Directories::get(self, reach, id).await.map(drop)
    }
}

#[async_trait]
impl Clients for Store {
    async fn issue(
        &self,
        client_id: &str,
        secret: Digest,
        access_token: Digest,
        host: Option<&HostName>,
    ) -> Result<Issue, ReplicaError> {
        self.config.issue(client_id, secret, access_token, host).await.map_err(unavailable)
    }
}
