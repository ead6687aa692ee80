//! Configuration and deliveries on PostgreSQL, as the ports ask them.

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

use super::Config;
use crate::backend::ConfigBackend;
use crate::config::Known;
use crate::config::access::AccessToken;
use crate::config::attempts::{Kept, Retention, Walk};
use crate::config::replays::Extent;
use crate::error::DbError;

#[async_trait]
impl ConfigBackend for Config {
    fn known(&self) -> Arc<Known> {
        Config::known(self)
    }

    async fn fresh(&self) -> Result<Arc<Known>, DbError> {
        Config::fresh(self).await
    }

    fn now(&self) -> Timestamp {
        Config::now(self)
    }

    fn generation(&self) -> u64 {
        Config::generation(self)
    }

    async fn set_generation(&self, generation: u64) -> Result<(), DbError> {
        Config::set_generation(self, generation).await
    }

    fn set_retention(&self, retention: Retention) {
        *self.retention.lock().expect("nothing panics while it is held") = retention;
    }

    async fn ready(&self) -> Result<(), DbError> {
        self.db.ready().await
    }

    fn close(&self) {
        Config::close(self);
    }

    async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), DbError> {
        Config::token_used(self, id, at).await
    }

    async fn access_token(&self, digest: Digest) -> Result<Option<AccessToken>, DbError> {
        Config::access_token(self, digest).await
    }

    async fn issue(
        &self,
        client_id: &str,
        secret: Digest,
        access_token: Digest,
        host: Option<&HostName>,
    ) -> Result<Issue, DbError> {
        Config::issue(self, client_id, secret, access_token, host).await
    }

    async fn key_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, DbError> {
        Config::key_by_digest(self, digest).await
    }

    async fn touch_key(&self, id: ApiKeyId, at: Timestamp) -> Result<(), DbError> {
        Config::touch_key(self, id, at).await
    }

    async fn any_key(&self) -> Result<bool, DbError> {
        Config::any_key(self).await
    }

    async fn keys(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, DbError> {
        Config::keys(self, page).await
    }

    async fn create_key(&self, key: ApiKey, digest: Digest) -> Result<(), DbError> {
        Config::create_key(self, key, digest).await
    }

    async fn create_first_key(&self, key: ApiKey, digest: Digest) -> Result<bool, DbError> {
        Config::create_first_key(self, key, digest).await
    }

    async fn delete_key(&self, reach: Reach, id: ApiKeyId) -> Result<(), DbError> {
        Config::delete_key(self, reach, id).await
    }

    async fn begin_answer(
        &self,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<Begun, DbError> {
        Config::begin_answer(self, key, request, now).await
    }

    async fn end_answer(&self, key: Digest, answer: Option<KeptAnswer>) -> Result<(), DbError> {
        Config::end_answer(self, key, answer).await
    }

    async fn organizations(
        &self,
        page: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, DbError> {
        Config::organizations(self, page, filter).await
    }

    async fn organization(
        &self,
        reach: Reach,
        id: OrganizationId,
    ) -> Result<Organization, DbError> {
        Config::organization(self, reach, id).await
    }

    async fn organization_by_external_id(
        &self,
        reach: Reach,
        external_id: String,
    ) -> Result<Organization, DbError> {
        Config::organization_by_external_id(self, reach, external_id).await
    }

    async fn create_organization(&self, organization: Organization) -> Result<(), DbError> {
        Config::create_organization(self, organization).await
    }

    async fn update_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization, DbError> {
        Config::update_organization(self, reach, id, change).await
    }

    async fn delete_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        at: Timestamp,
    ) -> Result<Vec<DirectoryId>, DbError> {
        Config::delete_organization(self, reach, id, at).await
    }

    async fn create_directory(
        &self,
        reach: Reach,
        new: NewDirectory,
        partitions: u16,
    ) -> Result<(), DbError> {
        Config::create_directory(self, reach, new, partitions).await
    }

    async fn update_directory(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: DirectoryChange,
        at: Timestamp,
    ) -> Result<(), DbError> {
        Config::update_directory(self, reach, id, change, at).await
    }

    async fn delete_directory(
        &self,
        reach: Reach,
        id: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        Config::delete_directory(self, reach, id, at).await
    }

    async fn change_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: ScimServiceChange,
        at: Timestamp,
    ) -> Result<ScimService, DbError> {
        Config::change_scim_settings(self, reach, id, change, at).await
    }

    async fn tokens(&self, reach: Reach, id: DirectoryId) -> Result<Vec<Token>, DbError> {
        Config::tokens(self, reach, id).await
    }

    async fn add_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
        others_until: Option<Timestamp>,
    ) -> Result<Token, DbError> {
        Config::add_token(self, reach, id, new, others_until).await
    }

    async fn keep_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError> {
        Config::keep_token(self, reach, id, token).await
    }

    async fn revoke_expired(&self, id: DirectoryId) -> Result<(), DbError> {
        Config::revoke_expired(self, id).await
    }

    async fn revoke_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), DbError> {
        Config::revoke_token(self, reach, id, token).await
    }

    async fn oauth_client(&self, reach: Reach, id: DirectoryId) -> Result<OauthClient, DbError> {
        Config::oauth_client(self, reach, id).await
    }

    async fn set_token_lifetime(
        &self,
        reach: Reach,
        id: DirectoryId,
        seconds: u32,
        at: Timestamp,
    ) -> Result<OauthClient, DbError> {
        Config::set_token_lifetime(self, reach, id, seconds, at).await
    }

    async fn add_client_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        new: NewToken,
    ) -> Result<Token, DbError> {
        Config::add_client_secret(self, reach, id, new).await
    }

    async fn revoke_client_secret(
        &self,
        reach: Reach,
        id: DirectoryId,
        secret: TokenId,
    ) -> Result<(), DbError> {
        Config::revoke_client_secret(self, reach, id, secret).await
    }

    async fn keep_requests(&self, requests: Vec<Requested>) -> Result<(), DbError> {
        Config::keep_requests(self, requests).await
    }

    async fn requests(
        &self,
        directory: DirectoryId,
        page: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, DbError> {
        Config::requests(self, directory, page).await
    }

    async fn set_general_rules(&self, rules: GeneralRules) -> Result<(), DbError> {
        Config::set_general_rules(self, rules).await
    }

    async fn refresh_progress(
        &self,
        ids: Vec<DirectoryId>,
    ) -> Result<BTreeMap<DirectoryId, Progress>, DbError> {
        Config::refresh_progress(self, ids).await
    }

    async fn open_refreshes(&self) -> Result<Vec<Refresh>, DbError> {
        Config::open_refreshes(self).await
    }

    async fn refresh_moved(&self, refresh: Refresh) -> Result<(), DbError> {
        Config::refresh_moved(self, refresh).await
    }

    fn refreshes(&self) -> watch::Receiver<u64> {
        self.memory.refreshes.subscribe()
    }

    async fn endpoints(&self, page: PageRequest<EndpointId>) -> Result<Page<Endpoint>, DbError> {
        Config::endpoints(self, page).await
    }

    async fn endpoint(&self, id: EndpointId) -> Result<Endpoint, DbError> {
        Config::endpoint(self, id).await
    }

    async fn create_endpoint(&self, endpoint: Endpoint, cursor: u64) -> Result<(), DbError> {
        Config::create_endpoint(self, endpoint, cursor).await
    }

    async fn update_endpoint(
        &self,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Endpoint, DbError> {
        Config::update_endpoint(self, id, change).await
    }

    async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, DbError> {
        Config::rotate_secret(self, id, rotation).await
    }

    async fn delete_endpoint(&self, id: EndpointId) -> Result<(), DbError> {
        Config::delete_endpoint(self, id).await
    }

    async fn delivering(
        &self,
        id: EndpointId,
        at: Option<Timestamp>,
    ) -> Result<Delivering, DbError> {
        Config::delivering(self, id, at).await
    }

    async fn signing_key(&self) -> Result<Arc<SigningKey>, DbError> {
        Config::signing_key(self).await
    }

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, DbError> {
        Config::verification_keys(self).await
    }

    async fn rotate_signing_key(&self, rotation: Rotation) -> Result<VerificationKey, DbError> {
        Config::rotate_signing_key(self, rotation).await
    }

    async fn attempts(&self, walk: Walk, filter: AttemptFilter) -> Result<Vec<Kept>, DbError> {
        Config::attempts(self, walk, filter).await
    }

    async fn forget_attempts(&self) -> Result<(), DbError> {
        Config::forget_attempts(self).await
    }

    async fn create_replay(&self, new: NewReplay, extent: Extent) -> Result<Replay, DbError> {
        Config::create_replay(self, new, extent).await
    }

    async fn replays(
        &self,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, DbError> {
        Config::replays(self, endpoint, page).await
    }

    async fn replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<Replay, DbError> {
        Config::replay(self, endpoint, id).await
    }

    async fn cancel_replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<(), DbError> {
        Config::cancel_replay(self, endpoint, id).await
    }

    async fn lanes(&self) -> Result<Endpoints, DbError> {
        Config::lanes(self).await
    }

    async fn wait_endpoints_changed(&self, version: u64) -> Result<(), DbError> {
        Config::wait_endpoints_changed(self, version).await
    }

    async fn lane(&self, lane: LaneId) -> Result<Option<LaneState>, DbError> {
        Config::lane(self, lane).await
    }

    async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, DbError> {
        Config::flush(self, flushes).await
    }

    async fn disable(&self, endpoint: EndpointId, reason: DisableReason) -> Result<(), DbError> {
        Config::disable(self, endpoint, reason).await
    }

    async fn operational(
        &self,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        Config::operational(self, after, limit).await
    }

    async fn wait_operational(&self, after: FeedPosition) -> Result<(), DbError> {
        Config::wait_operational(self, after).await
    }

    fn operational_end(&self) -> u64 {
        Config::operational_end(self)
    }

    async fn join(&self, dispatcher: DispatcherId, lasts: Duration) -> Result<(), DbError> {
        Config::join(self, dispatcher, lasts).await
    }

    async fn renew(
        &self,
        dispatcher: DispatcherId,
        lasts: Duration,
    ) -> Result<Option<Standing>, DbError> {
        Config::renew(self, dispatcher, lasts).await
    }

    async fn lease(
        &self,
        dispatcher: DispatcherId,
        lanes: Vec<LaneId>,
    ) -> Result<Vec<Lease>, DbError> {
        Config::lease(self, dispatcher, lanes).await
    }

    async fn release(&self, dispatcher: DispatcherId, leases: Vec<Lease>) -> Result<(), DbError> {
        Config::release(self, dispatcher, leases).await
    }

    async fn leave(&self, dispatcher: DispatcherId) -> Result<(), DbError> {
        Config::leave(self, dispatcher).await
    }

    fn moves(&self) -> watch::Receiver<u64> {
        self.memory.moves.subscribe()
    }
}
