//! What configuration and deliveries have to do for the ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{
    ApiKey, AttemptFilter, Begun, Delivering, Digest, DirectoryChange, Endpoint, EndpointChange,
    KeptAnswer, NewDirectory, NewReplay, NewToken, OauthClient, Organization, OrganizationChange,
    OrganizationFilter, Page, PageRequest, Progress, Reach, Replay, Rotation, ScimRequest,
    ScimService, ScimServiceChange, SecretRotation, Token, VerificationKey,
};
use async_trait::async_trait;
use directory::rules::GeneralRules;
use dispatcher::ports::{
    DisableReason, DispatcherId, Endpoints, FeedEvent, FeedPosition, Fenced, LaneId, LaneState,
    Lease, Standing,
};
use dispatcher::security_event::SigningKey;
use ingest::ports::{Issue, Refresh};
use ingest::request_log::Requested;
use schemas::{
    ApiKeyId, DirectoryId, EndpointId, HostName, OrganizationId, ReplayId, RequestId, Timestamp,
    TokenId,
};
use tokio::sync::watch;

use super::{AdminEventsBackend, BrakeBackend, ConsoleBackend, HostBackend, PortalBackend};
use crate::config::Known;
use crate::config::access::AccessToken;
use crate::config::attempts::{Kept, Retention, Walk};
use crate::config::replays::Extent;
use crate::error::DbError;

/// What people have set up, and what deliveries have come to.
#[async_trait]
pub(crate) trait ConfigBackend:
    AdminEventsBackend
    + BrakeBackend
    + ConsoleBackend
    + HostBackend
    + PortalBackend
    + std::fmt::Debug
    + Send
    + Sync
{
    /// The directories, tokens and organizations as this process knows them.
    fn known(&self) -> Arc<Known>;

    /// The same, not older than what may still open something that is void. Whoever lets somebody in asks for this.
    async fn fresh(&self) -> Result<Arc<Known>, DbError>;

    fn now(&self) -> Timestamp;

    /// Which state is in use.
    fn generation(&self) -> u64;

    async fn set_generation(&self, generation: u64) -> Result<(), DbError>;

    /// Says how long attempts are remembered.
    fn set_retention(&self, retention: Retention);

    async fn ready(&self) -> Result<(), DbError>;

    /// Finishes what was begun. Blocks.
    fn close(&self);

    // What lets requests in.

    /// Notes that a token was used, now and then, without making the request wait.
    async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), DbError>;

    /// The access token with this digest, expired or not.
    async fn access_token(&self, digest: Digest) -> Result<Option<AccessToken>, DbError>;

    async fn issue(
        &self,
        client_id: &str,
        secret: Digest,
        access_token: Digest,
        host: Option<&HostName>,
    ) -> Result<Issue, DbError>;

    async fn key_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, DbError>;

    async fn touch_key(&self, id: ApiKeyId, at: Timestamp) -> Result<(), DbError>;

    async fn any_key(&self) -> Result<bool, DbError>;

    async fn keys(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, DbError>;

    async fn create_key(&self, key: ApiKey, digest: Digest) -> Result<(), DbError>;

    /// Keeps a key if there is none at all, and says whether it did.
    async fn create_first_key(&self, key: ApiKey, digest: Digest) -> Result<bool, DbError>;

    async fn delete_key(&self, reach: Reach, id: ApiKeyId) -> Result<(), DbError>;

    async fn begin_answer(
        &self,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<Begun, DbError>;

    async fn end_answer(&self, key: Digest, answer: Option<KeptAnswer>) -> Result<(), DbError>;

    // Organizations and directories.

    async fn organizations(
        &self,
        page: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, DbError>;

    async fn organization(&self, reach: Reach, id: OrganizationId)
    -> Result<Organization, DbError>;

    async fn organization_by_external_id(
        &self,
        reach: Reach,
        external_id: String,
    ) -> Result<Organization, DbError>;

    async fn create_organization(&self, organization: Organization) -> Result<(), DbError>;

    async fn update_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization, DbError>;

    /// Deletes the organization and marks its directories, whose streams still have to say so.
    async fn delete_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        at: Timestamp,
    ) -> Result<Vec<DirectoryId>, DbError>;

    /// Creates a directory, and chooses one of so many partitions of the log for its stream.
    async fn create_directory(
        &self,
        reach: Reach,
        new: NewDirectory,
        partitions: u16,
    ) -> Result<(), DbError>;

    /// Changes a directory. If its rules are others then, its users are refreshed.
    async fn update_directory(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: DirectoryChange,
        at: Timestamp,
    ) -> Result<(), DbError>;

    /// Marks a directory; its stream has to say so before it is gone.
    async fn delete_directory(
        &self,
        reach: Reach,
        id: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError>;

    async fn change_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: ScimServiceChange,
        at: Timestamp,
    ) -> Result<ScimService, DbError>;

    async fn tokens(&self, reach: Reach, id: DirectoryId) -> Result<Vec<Token>, DbError>;

    async fn add_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
        others_until: Option<Timestamp>,
    ) -> Result<Token, DbError>;

    async fn keep_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError>;

    /// Revokes the tokens of a directory whose time is over.
    async fn revoke_expired(&self, id: DirectoryId) -> Result<(), DbError>;

    async fn revoke_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError>;

    async fn oauth_client(&self, reach: Reach, id: DirectoryId) -> Result<OauthClient, DbError>;

    async fn set_token_lifetime(
        &self,
        reach: Reach,
        id: DirectoryId,
        seconds: u32,
        at: Timestamp,
    ) -> Result<OauthClient, DbError>;

    async fn add_client_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
    ) -> Result<Token, DbError>;

    /// Ends the access tokens that were issued with it too.
    async fn revoke_client_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        secret: TokenId,
    ) -> Result<(), DbError>;

    async fn keep_requests(&self, requests: Vec<Requested>) -> Result<(), DbError>;

    async fn requests(
        &self,
        directory: DirectoryId,
        page: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, DbError>;

    // Rules for what apps are shown, and the jobs that follow a change of them.

    /// Takes over the rules of the settings. Directories that had others by them are refreshed.
    async fn set_general_rules(&self, rules: GeneralRules) -> Result<(), DbError>;

    /// How far the jobs of directories have come; those that never had one are left out.
    async fn refresh_progress(
        &self,
        ids: Vec<DirectoryId>,
    ) -> Result<BTreeMap<DirectoryId, Progress>, DbError>;

    /// The jobs that are not finished and that nobody else works on.
    async fn open_refreshes(&self) -> Result<Vec<Refresh>, DbError>;

    /// Notes how far a job has come, unless the rules have changed since.
    async fn refresh_moved(&self, refresh: Refresh) -> Result<(), DbError>;

    /// Counts up when there may be new jobs.
    fn refreshes(&self) -> watch::Receiver<u64>;

    // Endpoints, and the keys of this installation.

    async fn endpoints(&self, page: PageRequest<EndpointId>) -> Result<Page<Endpoint>, DbError>;

    async fn endpoint(&self, id: EndpointId) -> Result<Endpoint, DbError>;

    /// A new endpoint gets what comes after `cursor`; if it is the operator's, what he is told next.
    async fn create_endpoint(&self, endpoint: Endpoint, cursor: u64) -> Result<(), DbError>;

    async fn update_endpoint(
        &self,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Endpoint, DbError>;

    /// The secret before signs until its overlap ends, and so do those before it, if not for less.
    async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, DbError>;

    async fn delete_endpoint(&self, id: EndpointId) -> Result<(), DbError>;

    /// How deliveries go. What waits is told of an operational endpoint alone: of others only the feed tells it.
    async fn delivering(
        &self,
        id: EndpointId,
        at: Option<Timestamp>,
    ) -> Result<Delivering, DbError>;

    /// The key that signs now; the first who asks for any makes the first.
    async fn signing_key(&self) -> Result<Arc<SigningKey>, DbError>;

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, DbError>;

    async fn rotate_signing_key(&self, rotation: Rotation) -> Result<VerificationKey, DbError>;

    // Deliveries.

    /// Attempts in the order of a walk, without regard to what only the feed tells of them.
    async fn attempts(&self, walk: Walk, filter: AttemptFilter) -> Result<Vec<Kept>, DbError>;

    /// Drops what is too old, whatever endpoint it was sent to.
    async fn forget_attempts(&self) -> Result<(), DbError>;

    /// The furthest position of the feed that an endpoint is done with. On a server the feed lies beside it, and is as
    /// old as it is.
    async fn told_up_to(&self) -> Result<u64, DbError> {
        Ok(0)
    }

    /// Lets every endpoint that is done with more go on from the end of the feed.
    async fn tell_from(&self, _end: u64) -> Result<(), DbError> {
        Ok(())
    }

    async fn create_replay(&self, new: NewReplay, extent: Extent) -> Result<Replay, DbError>;

    async fn replays(
        &self,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, DbError>;

    async fn replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<Replay, DbError>;

    async fn cancel_replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<(), DbError>;

    /// The endpoints and replays as the dispatcher needs them.
    async fn lanes(&self) -> Result<Endpoints, DbError>;

    async fn wait_endpoints_changed(&self, version: u64) -> Result<(), DbError>;

    async fn lane(&self, lane: LaneId) -> Result<Option<LaneState>, DbError>;

    async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, DbError>;

    async fn disable(&self, endpoint: EndpointId, reason: DisableReason) -> Result<(), DbError>;

    async fn operational(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError>;

    async fn wait_operational(&self, after: FeedPosition) -> Result<(), DbError>;

    /// The last operational event that this process knows of.
    fn operational_end(&self) -> u64;

    async fn join(&self, dispatcher: DispatcherId, lasts: Duration) -> Result<(), DbError>;

    async fn renew(
        &self,
        dispatcher: DispatcherId,
        lasts: Duration,
    ) -> Result<Option<Standing>, DbError>;

    async fn lease(
        &self,
        dispatcher: DispatcherId,
        lanes: Vec<LaneId>,
    ) -> Result<Vec<Lease>, DbError>;

    async fn release(&self, dispatcher: DispatcherId, leases: Vec<Lease>) -> Result<(), DbError>;

    async fn leave(&self, dispatcher: DispatcherId) -> Result<(), DbError>;

    /// Counts up when a dispatcher joined, left or gave lanes back.
    fn moves(&self) -> watch::Receiver<u64>;
}
