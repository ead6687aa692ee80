//! The OAuth 2.0 clients of directories (RFC 6749 §4.4).

use std::ops::RangeInclusive;

use async_trait::async_trait;
use schemas::{DirectoryId, HostName, Timestamp, TokenId};

#[cfg(doc)]
use super::LIVE_SECRETS_MAX;
use super::{NewToken, PortError, Reach, Token};

/// How long the access tokens of a client may live, in seconds: one to six hours, which is what Entra ID
/// takes from an app in its gallery. Clients that were never changed have the least.
pub const TOKEN_LIFETIME_SECS: RangeInclusive<u32> = 3_600..=21_600;

/// The one OAuth client of a directory. Every directory has it, with or without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthClient {
    /// Its public name, as [`client_id`](crate::client_id) makes it.
    pub client_id: String,
    /// The host name that the addresses of its directory have, if it is not that of the installation.
    pub host_name: Option<HostName>,
    /// How long the access tokens live that are issued from now on, within [`TOKEN_LIFETIME_SECS`].
    pub token_lifetime_secs: u32,
    /// Its live secrets, newest first. They were last used when an access token was last issued with
    /// them.
    pub secrets: Vec<Token>,
}

/// The OAuth clients of directories. A secret is kept as the tokens of a directory are, and its stream
/// tells of it as of them; but it opens nothing by itself.
#[async_trait]
pub trait OauthClients: Send + Sync {
    /// The client of a directory.
    async fn client(&self, reach: Reach, directory: DirectoryId) -> Result<OauthClient, PortError>;

    /// Sets how long access tokens live that are issued from now on. `Conflict(Deleting)` if the
    /// directory is being deleted.
    async fn set_token_lifetime(
        &self,
        reach: Reach,
        directory: DirectoryId,
        seconds: u32,
        at: Timestamp,
    ) -> Result<OauthClient, PortError>;

    /// Adds a secret. `Conflict(LiveSecrets)` if there are [`LIVE_SECRETS_MAX`], `Conflict(Deleting)`
    /// if the directory is being deleted.
    async fn add_secret(
        &self,
        reach: Reach,
        directory: DirectoryId,
        secret: NewToken,
    ) -> Result<Token, PortError>;

    /// Makes a live secret void, and with it every access token that was issued with it. `NotFound`
    /// also if it is void already.
    async fn revoke_secret(
        &self,
        reach: Reach,
        directory: DirectoryId,
        secret: TokenId,
    ) -> Result<(), PortError>;
}
