//! The console's ports.

use api::ports::{
    AuditEvent, Delivering, Digest, Directory, Endpoint, Order, PageRequest, PortError, Reach,
};
use async_trait::async_trait;
use console::ports::{
    Arrivals, Arrived, Counted, Delivered, FailingEndpoint, Looks, Lookups, PasswordHash, Proof,
    Role, Session, Sessions,
};
use schemas::wire::{DirectoryGroup, DirectoryUser};
use schemas::{DirectoryId, EndpointId, EventId, OrganizationId, Timestamp};

use super::deliveries::attempt;
use super::port_error;
use crate::Store;

#[async_trait]
impl Sessions for Store {
    async fn password(&self, role: Role) -> Result<Option<PasswordHash>, PortError> {
        self.config.console_password(role).await.map_err(port_error)
    }

    async fn set_password(&self, role: Role, hash: Option<PasswordHash>) -> Result<(), PortError> {
        self.config.set_console_password(role, hash).await.map_err(port_error)
    }

    async fn begin(&self, digest: Digest, session: Session, proof: Proof) -> Result<(), PortError> {
        self.config.begin_session(digest, session, proof).await.map_err(port_error)
    }

    async fn find(&self, digest: Digest) -> Result<Option<Session>, PortError> {
        self.config.session(digest).await.map_err(port_error)
    }

    async fn touch(&self, digest: Digest, at: Timestamp) -> Result<(), PortError> {
        self.config.touch_session(digest, at).await.map_err(port_error)
    }

    async fn end(&self, digest: Digest) -> Result<(), PortError> {
        self.config.end_session(digest).await.map_err(port_error)
    }
}

#[async_trait]
impl Lookups for Store {
    async fn users(
        &self,
        directory: DirectoryId,
        beginning: &str,
        limit: u32,
    ) -> Result<Vec<DirectoryUser>, PortError> {
        let known = self.config.known();
        let found = self.state.users_like(known, directory, beginning.to_owned(), limit).await;
        found.map_err(port_error)
    }

    async fn groups(
        &self,
        directory: DirectoryId,
        beginning: &str,
        limit: u32,
    ) -> Result<Vec<DirectoryGroup>, PortError> {
        let known = self.config.known();
        let found = self.state.groups_like(known, directory, beginning.to_owned(), limit).await;
        found.map_err(port_error)
    }

    async fn event(&self, id: EventId) -> Result<AuditEvent, PortError> {
        let found = self.state.audit_event(id).await.map_err(port_error)?;
        found.ok_or(PortError::NotFound)
    }

    async fn attempts_of(&self, event: EventId, limit: u32) -> Result<Vec<Delivered>, PortError> {
        let found = self.config.attempts_of(event, limit).await.map_err(port_error)?;
        let delivered =
            |(endpoint, url, kept)| Delivered { endpoint, url, attempt: attempt(kept, None) };
        Ok(found.into_iter().map(delivered).collect())
    }

    async fn endpoints_of(
        &self,
        organization: OrganizationId,
        limit: u32,
    ) -> Result<Vec<Endpoint>, PortError> {
        // Endpoints are few, and lists of them are read as a whole.
        let all = PageRequest {
            reach: Reach::Everything,
            limit: u32::MAX,
            order: Order::Descending,
            cursor: None,
        };
        let all = self.config.endpoints(all).await.map_err(port_error)?.items;
        let own = all.into_iter().filter(|one| one.organizations.contains(&organization));
        Ok(own.take(limit as usize).collect())
    }

    async fn furthest_behind(&self) -> Result<u64, PortError> {
        let feed_end = *self.state.progress().feed_end().borrow();
        self.config.furthest_behind(feed_end).await.map_err(port_error)
    }

    async fn failing_endpoints(&self, limit: u32) -> Result<Vec<FailingEndpoint>, PortError> {
        self.config.failing_endpoints(limit).await.map_err(port_error)
    }

    async fn standing(&self, endpoint: EndpointId) -> Result<Delivering, PortError> {
        self.delivering_rated(endpoint, None).await
    }

    async fn latest_attempts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Counted>, PortError> {
        self.config.latest_attempts(endpoint, since, limit).await.map_err(port_error)
    }

    async fn held_directories(&self, limit: u32) -> Result<Vec<Directory>, PortError> {
        let ids = self.config.held_directories(limit).await.map_err(port_error)?;
        let mut held = self.described(ids).await?;
        held.retain(|directory| directory.hold.is_some());
        Ok(held)
    }
}

#[async_trait]
impl Arrivals for Store {
    async fn arrived(&self, directory: DirectoryId, looks: Looks) -> Result<Arrived, PortError> {
        self.state.arrived(directory, looks).await.map_err(port_error)
    }
}
