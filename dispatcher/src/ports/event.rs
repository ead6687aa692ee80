//! What is delivered, and what stands in line with it.

use bytes::Bytes;
use schemas::{
    DirectoryId, EventId, EventType, OperationalEvent, OrganizationId, RequestId, ScimId, Seq,
};
use serde::{Deserialize, Serialize};

/// Where in the feed. Positions grow in the order of acceptance, starting at 1; 0 lies before the
/// first event. A position may be skipped, but none is ever filled in later.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FeedPosition(pub u64);

impl FeedPosition {
    /// The position right before, as a reader states it that wants to see this one first.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The position right after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A directory; the event is one of its log.
    Directory(EventType),
    /// The installation itself; the event is for the operator.
    Operational(OperationalEvent),
}

impl Topic {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory(event) => event.name(),
            Self::Operational(event) => event.name(),
        }
    }
}

/// An accepted event as the dispatcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Where it stands in the feed, or among the operational events, which are counted on their own.
    pub position: FeedPosition,
    /// Its id, the same on every attempt.
    pub id: EventId,
    /// Its type, which endpoints subscribe to.
    pub topic: Topic,
    /// The organization of the directory, if the configuration still knows it.
    pub organization_id: Option<OrganizationId>,
    /// The directory that it is about. Operational events are one stream, that of the directory
    /// [`OPERATIONAL`].
    pub directory_id: DirectoryId,
    /// Its number in the directory's stream.
    pub seq: Seq,
    /// The user that it is about: set for user and membership events.
    pub user: Option<ScimId>,
    /// The group that it is about: set for group and membership events.
    pub group: Option<ScimId>,
    /// The SCIM request that caused it, if one did. Its events share it.
    pub request: Option<RequestId>,
    /// The hold that it is held by, or stands behind, by the first event of that hold. It says nothing of
    /// whether it was released since.
    pub held: Option<FeedPosition>,
    /// The exact bytes of the event: the body of a webhook. Reading an event twice gives the same bytes.
    pub body: Bytes,
}

/// Stands where operational events would name their directory. No directory has it: ids begin with
/// the time when they were made.
pub const OPERATIONAL: DirectoryId = DirectoryId::from_bits(0);

/// The events that go out one after the other. Which lines an event stands in depends on the
/// [`Order`](super::Order) of the endpoint: see [`crate::lane::lines_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// The events whose `user` is this one, membership events among them.
    User(ScimId),
    /// The events whose `group` is this one, membership events among them.
    Group(ScimId),
    /// The events of the directory that are about neither a user nor a group.
    Directory(DirectoryId),
    /// Every event of the directory.
    Stream(DirectoryId),
    /// One event alone, for endpoints without order.
    Event(EventId),
    /// The events of the directory that have a hold: see [`FeedEvent::held`].
    Held(DirectoryId),
    /// Every event of the directory behind one that is held, for endpoints that want them one after the
    /// other.
    HeldStream(DirectoryId),
}
