//! What the log made of the directories.

use api::ports::{
    EventFilter, FeedEnd, GroupFilter, Page, PageRequest, PortError, Reach, Reading, StoredEvent,
    Streams, UserFilter,
};
use async_trait::async_trait;
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{Actor, DirectoryId, EventId, GroupId, UserId};

use super::{Fake, one, page};

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
    async fn reconcile(&self, directory: DirectoryId, actor: Actor) -> Result<(), PortError> {
        self.state().reconciled.push(directory);
        self.state().actors.push(actor);
        Ok(())
    }
}
