//! What the token endpoint needs to know and to keep.

use std::time::Duration;

use async_trait::async_trait;
use schemas::HostName;

use super::ReplicaError;

/// SHA-256 of a secret or a token, all that is kept of it.
pub type Digest = [u8; 32];

/// How often a client may be issued an access token within [`ISSUE_WINDOW`]: many times what an identity
/// provider needs that keeps its tokens, and little enough that one that does not wears out no disk.
pub const ISSUES_MAX: u32 = 60;

/// See [`ISSUES_MAX`].
pub const ISSUE_WINDOW: Duration = Duration::from_secs(60);

/// How many access tokens are kept for each client; the oldest goes. More than can be issued within
/// [`ISSUE_WINDOW`], so that nobody is left with a token that others displaced before it was used, and so
/// that those that are kept tell how many were issued in it.
pub const ACCESS_TOKENS_MAX: u32 = 64;

/// What becomes of a request for an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// It is kept, durably enough to survive the process, and opens the directory for so long.
    Issued {
        /// In whole seconds.
        lifetime: Duration,
    },
    /// There is no such client, the secret is not one of its live ones, or its directory is gone.
    Unknown,
    /// [`ISSUES_MAX`] were issued within [`ISSUE_WINDOW`].
    TooMany {
        /// When the next can be.
        wait: Duration,
    },
}

/// The OAuth clients of directories.
#[async_trait]
pub trait Clients: Send + Sync {
    /// Issues the access token with this digest to the client with this id and secret. An unknown
    /// client and a wrong secret take the same time, and so does a host name of others.
    async fn issue(
        &self,
        client_id: &str,
        secret: Digest,
        access_token: Digest,
        host: Option<&HostName>,
    ) -> Result<Issue, ReplicaError>;
}
