//! The API's reading port.

use api::ports::{
    Audit, AuditFilter, Audited, BoxError, EventFilter, FeedEnd, GroupFilter, Page, PageRequest,
    PortError, Reach, Reading, StoredEvent, UserFilter,
};
use async_trait::async_trait;
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, GroupId, UserId};

use super::port_error;
use crate::Store;
use crate::state::reading::Table;

#[async_trait]
impl Reading for Store {
    async fn users(
        &self,
        page: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, PortError> {
        self.state.api_users(self.config.known(), page, filter).await.map_err(port_error)
    }

    async fn user(&self, reach: Reach, id: UserId) -> Result<DirectoryUserWithGroups, PortError> {
        let found = self.state.api_user(self.config.known(), reach, id).await;
        found.map_err(port_error)?.ok_or(PortError::NotFound)
    }

    async fn directory_of_user(
        &self,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryId>, PortError> {
        let found = self.state.directory_of(Table::Users, id.to_bytes()).await;
        Ok(self.within(reach, found.map_err(port_error)?))
    }

    async fn groups(
        &self,
        page: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, PortError> {
        self.state.api_groups(self.config.known(), page, filter).await.map_err(port_error)
    }

    async fn group(&self, reach: Reach, id: GroupId) -> Result<DirectoryGroup, PortError> {
        let found = self.state.api_group(self.config.known(), reach, id).await;
        found.map_err(port_error)?.ok_or(PortError::NotFound)
    }

    async fn directory_of_group(
        &self,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryId>, PortError> {
        let found = self.state.directory_of(Table::Groups, id.to_bytes()).await;
        Ok(self.within(reach, found.map_err(port_error)?))
    }

    async fn events(
        &self,
        page: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, PortError> {
        self.state.api_events(self.config.known(), page, filter).await.map_err(port_error)
    }

    async fn event(&self, reach: Reach, id: EventId) -> Result<StoredEvent, PortError> {
        let found = self.state.api_event(self.config.known(), reach, id).await;
        found.map_err(port_error)?.ok_or(PortError::NotFound)
    }

    async fn feed_end(&self) -> Result<FeedEnd, PortError> {
        self.state.feed_end().await.map_err(port_error)
    }

    async fn wait_feed(&self, end: FeedEnd) -> Result<(), PortError> {
        let mut ends = self.state.progress().feed_end();
        let gone = |error| PortError::Unavailable(BoxError::from(error));
        ends.wait_for(|position| *position > end.position).await.map(drop).map_err(gone)
    }
}

#[async_trait]
impl Audit for Store {
    async fn audit(
        &self,
        page: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, PortError> {
        self.state.audit(self.config.known(), page, filter).await.map_err(port_error)
    }

    async fn has_history(&self, reach: Reach, directory: DirectoryId) -> Result<bool, PortError> {
        match self.config.known().origin(directory) {
            Some(origin) => Ok(reach.covers(origin.organization_id)),
            None if reach == Reach::Everything => {
                self.state.has_stream(directory).await.map_err(port_error)
            }
            None => Ok(false),
        }
    }
}

impl Store {
    fn within(&self, reach: Reach, id: Option<DirectoryId>) -> Option<DirectoryId> {
        let known = self.config.known();
        id.filter(|id| known.origin(*id).is_some_and(|origin| reach.covers(origin.organization_id)))
    }
}
