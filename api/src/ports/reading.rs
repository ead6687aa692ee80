//! What the log made of the directories: users, groups, events.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::wire::{DirectoryGroup, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, EventType, GroupId, OrganizationId, Timestamp, UserId};

use super::{Page, PageRequest, PortError, Reach};

/// Which users a list shows: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Those of this directory.
    pub directory: Option<DirectoryId>,
    /// The members of this group.
    pub group: Option<GroupId>,
    /// The one with this `idp_id`.
    pub idp_id: Option<String>,
    /// Those with this primary address, whatever the case.
    pub email: Option<String>,
}

/// Which groups a list shows: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Those of this directory.
    pub directory: Option<DirectoryId>,
    /// Those that this user is a member of.
    pub user: Option<UserId>,
}

/// Which events a list shows: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those of these types; all if there is none.
    pub types: Vec<EventType>,
    /// Those of this organization.
    pub organization: Option<OrganizationId>,
    /// Those created at this time or later.
    pub from: Option<Timestamp>,
    /// Those created at this time or earlier.
    pub to: Option<Timestamp>,
}

/// An end of the feed, for waiting until it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedEnd {
    /// The position of the last event.
    pub position: u64,
    /// The last event, if there is one.
    pub event: Option<EventId>,
}

/// An event as the events API answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Which.
    pub id: EventId,
    /// The JSON, byte for byte as webhooks carry it.
    pub body: Bytes,
}

/// The directories as the log made them.
#[async_trait]
pub trait Reading: Send + Sync {
    /// A page of users. A directory or group that does not exist has none.
    async fn users(
        &self,
        page: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, PortError>;

    /// A user.
    async fn user(&self, reach: Reach, id: UserId) -> Result<DirectoryUserWithGroups, PortError>;

    /// The directory of a user that is there, or was as far as the store can tell.
    async fn directory_of_user(
        &self,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryId>, PortError>;

    /// A page of groups. A directory or user that does not exist has none.
    async fn groups(
        &self,
        page: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, PortError>;

    /// A group.
    async fn group(&self, reach: Reach, id: GroupId) -> Result<DirectoryGroup, PortError>;

    /// The directory of a group that is there, or was as far as the store can tell.
    async fn directory_of_group(
        &self,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryId>, PortError>;

    /// A page of events, in the order in which they were accepted.
    async fn events(
        &self,
        page: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, PortError>;

    /// An event.
    async fn event(&self, reach: Reach, id: EventId) -> Result<StoredEvent, PortError>;

    /// Where the feed ends now.
    async fn feed_end(&self) -> Result<FeedEnd, PortError>;

    /// Returns once the feed goes on behind this, at once if it already does. It may return too early.
    /// Safe to drop.
    async fn wait_feed(&self, end: FeedEnd) -> Result<(), PortError>;
}
