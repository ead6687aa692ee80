//! What was sent to an endpoint, and what is to be sent once more.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::{
    AttemptId, DirectoryId, EndpointId, EventId, EventType, GroupId, ReplayId, Timestamp, UserId,
};

use super::{Page, PageRequest, PortError};

/// How many replays of an endpoint may be under way: each is a lane of its own.
pub const LIVE_REPLAYS_MAX: usize = 4;

/// One request to an endpoint, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which; ids rise in the order of the ends.
    pub id: AttemptId,
    /// What was sent.
    pub event_id: EventId,
    /// The type of that event, unless it is forgotten.
    pub event: Option<String>,
    /// 1 for the first attempt at the event.
    pub attempt: u16,
    /// When the request began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
    /// What failed, in a word; `None` if nothing did.
    pub failure: Option<String>,
    /// Whether nobody tries again until a replay is asked for.
    pub exhausted: bool,
    /// The replay that sent it.
    pub replay: Option<ReplayId>,
    /// Of a failure, how the body of the request begins.
    pub request: Option<Bytes>,
    /// Of a failure, how the body of the answer begins, if that may be shown.
    pub response: Option<Bytes>,
}

/// What came of an attempt, to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStatus {
    /// It was answered with 2xx.
    Delivered,
    /// It was not.
    Failed,
    /// It was not, and was the last.
    Exhausted,
    /// This is what the endpoint answered.
    Answered(u16),
}

/// Whom or what an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A user; also of memberships.
    User(UserId),
    /// A group; also of memberships.
    Group(GroupId),
}

/// Which attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Of this event.
    pub event: Option<EventId>,
    /// Of events of this type.
    pub kind: Option<EventType>,
    /// That ended like this.
    pub status: Option<AttemptStatus>,
    /// About this user or group.
    pub resource: Option<Resource>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// Begun at this time or before.
    pub until: Option<Timestamp>,
}

/// A place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// This event.
    Event(EventId),
    /// Events of this time. Those of different directories that were decided at about the same time may
    /// stand in any order, so of them a few more may be meant.
    At(Timestamp),
}

/// Which part of the history is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Begins here.
    pub from: Point,
    /// Ends with this; `None` for the present end.
    pub to: Option<Point>,
}

/// A replay to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReplay {
    /// Its id.
    pub id: ReplayId,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// What it walks.
    pub range: Range,
    /// Just this directory.
    pub directory: Option<DirectoryId>,
    /// Just these types; none stands for all that the endpoint subscribes to.
    pub events: Vec<EventType>,
    /// How many events a second at most.
    pub rate: NonZeroU32,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A replay and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// Just this directory.
    pub directory: Option<DirectoryId>,
    /// Just these types.
    pub events: Vec<EventType>,
    /// How many events a second at most.
    pub rate: u32,
    /// How many events there are to send.
    pub total: u64,
    /// How many of them were answered with 2xx.
    pub delivered: u64,
    /// How many used up the schedule.
    pub exhausted: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the last of them was delivered or exhausted.
    pub finished_at: Option<Timestamp>,
}

/// What endpoints were sent. As endpoints themselves, it is for callers that see everything.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// A page of the attempts of an endpoint that are still remembered.
    async fn attempts(
        &self,
        endpoint: EndpointId,
        page: PageRequest<AttemptId>,
        filter: AttemptFilter,
    ) -> Result<Page<Attempt>, PortError>;

    /// Begins a replay. `Conflict(LiveReplays)` if [`LIVE_REPLAYS_MAX`] are under way, and `Conflict(Backwards)` if the event
    /// that one end of the range names stands on the wrong side of the other. An event that the range names is there, as
    /// the caller has made sure.
    async fn start_replay(&self, new: NewReplay) -> Result<Replay, PortError>;

    /// A page of the replays of an endpoint; of the finished ones, the latest.
    async fn replays(
        &self,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, PortError>;

    /// One.
    async fn replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<Replay, PortError>;

    /// Ends one before its time, and forgets it.
    async fn cancel_replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<(), PortError>;
}
