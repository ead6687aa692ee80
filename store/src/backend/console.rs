//! What the console asks of configuration.

use api::ports::Digest;
use async_trait::async_trait;
use console::ports::{Counted, FailingEndpoint, PasswordHash, Proof, Role, Session};
use schemas::{DirectoryId, EndpointId, EventId, Timestamp};

use crate::config::attempts::Kept;
use crate::error::DbError;

/// Who signs in to the console, and which endpoints it warns of.
#[async_trait]
pub(crate) trait ConsoleBackend: Send + Sync {
    async fn console_password(&self, role: Role) -> Result<Option<PasswordHash>, DbError>;

    /// Sets what passwords are checked with, and ends the sessions of the role.
    async fn set_console_password(
        &self,
        role: Role,
        hash: Option<PasswordHash>,
    ) -> Result<(), DbError>;

    async fn begin_session(
        &self,
        digest: Digest,
        session: Session,
        proof: Proof,
    ) -> Result<(), DbError>;

    async fn session(&self, digest: Digest) -> Result<Option<Session>, DbError>;

    async fn touch_session(&self, digest: Digest, at: Timestamp) -> Result<(), DbError>;

    async fn end_session(&self, digest: Digest) -> Result<(), DbError>;

    /// The latest attempts at delivering an event, each with its endpoint and the URL of that.
    async fn attempts_of(
        &self,
        event: EventId,
        limit: u32,
    ) -> Result<Vec<(EndpointId, String, Kept)>, DbError>;

    /// How many events the endpoint has to get that is furthest behind, of those that are turned on.
    async fn furthest_behind(&self, feed_end: u64) -> Result<u64, DbError>;

    async fn failing_endpoints(&self, limit: u32) -> Result<Vec<FailingEndpoint>, DbError>;

    /// See the port.
    async fn latest_attempts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Counted>, DbError>;

    /// Directories that have held events.
    async fn held_directories(&self, limit: u32) -> Result<Vec<DirectoryId>, DbError>;
}
