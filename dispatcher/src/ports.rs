//! What the dispatcher needs from the store, as a contract.
//!
//! ```text
//!  feed      1  2  3  4  5  6  7  8  9 10 …
//!                  ▲     ✗        ▲
//!                  │     │        └ cursor: all up to here was delivered, filtered out or waits in a blocked line
//!                  │     └ from: first undelivered event of a blocked line; later events of the line wait behind it
//!                  └ delivered
//! ```
//!
//! One lane owns one endpoint's state: nobody else writes its cursor and its blocked lines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::{
    DirectoryId, EndpointId, EventId, EventType, Format, RequestId, ScimId, Seq, Timestamp,
};

use crate::Failure;
use crate::egress::Identity;
use crate::security_event::SigningKey;

/// Where in the feed. Positions grow in the order of acceptance, starting at 1; 0 lies before the
/// first event. A position may be skipped, but none is ever filled in later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// An accepted event as the dispatcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Where it stands in the feed.
    pub position: FeedPosition,
    /// Its id, the same on every attempt.
    pub id: EventId,
    /// Its type, which endpoints subscribe to.
    pub event: EventType,
    /// The directory that it is about.
    pub directory_id: DirectoryId,
    /// Its number in the directory's stream.
    pub seq: Seq,
    /// The user that it is about: set for user and membership events.
    pub user: Option<ScimId>,
    /// The group that it is about: set for group and membership events.
    pub group: Option<ScimId>,
    /// The SCIM request that caused it, if one did. Its events share it.
    pub request: Option<RequestId>,
    /// The exact bytes of the event: the body of a webhook. Reading an event twice gives the same bytes.
    pub body: Bytes,
}

/// The events that go out one after the other. Which lines an event stands in depends on the
/// [`Order`] of the endpoint: see [`crate::lane::lines_of`].
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
}

/// The order in which an endpoint gets events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Events that touch the same user or group go out one after the other.
    #[default]
    Resource,
    /// The events of one directory go out strictly one after the other.
    Directory,
    /// No order.
    None,
}

impl Order {
    /// Its name in settings and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Directory => "directory",
            Self::None => "none",
        }
    }

    /// The order of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Resource, Self::Directory, Self::None].into_iter().find(|order| order.name() == name)
    }
}

/// What requests are signed with: `whsec_` and base64, or `whsk_` and base64 for a private key of
/// Ed25519. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    until: Option<Timestamp>,
}

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text, until: None }
    }

    /// The same secret, which signs only until then.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// The text, for signing and for the owner of the endpoint.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Until when it signs, if that has an end.
    #[must_use]
    pub const fn ends(&self) -> Option<Timestamp> {
        self.until
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A customer app's webhook URL and how it wants events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where to post. It passed [`crate::address::check_url`] when it was stored; the client judges
    /// it again on every request.
    pub url: String,
    /// The secrets, the current one first. Never empty. During a rotation those before are here too,
    /// each with its end, the newer first. A key of Ed25519 may be among them.
    pub secrets: Vec<Secret>,
    /// The types that it subscribes to; empty means all that may be subscribed to.
    pub events: Vec<EventType>,
    /// Whether it gets anything. The cursor of a disabled endpoint stands still.
    pub enabled: bool,
    /// Its order.
    pub order: Order,
    /// What it gets. An event that the format cannot carry is passed over, like a type that is not
    /// subscribed to.
    pub format: Format,
    /// When it was created.
    pub created_at: Timestamp,
    /// How long a request may take, if not as long as everywhere.
    pub timeout: Option<Duration>,
    /// The certificate that we show it.
    pub identity: Option<Identity>,
}

/// All endpoints at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Grows with every change to any endpoint, also across restarts or starting anew with each
    /// process: it is only ever compared within one.
    pub version: u64,
    /// The endpoints, enabled or not.
    pub list: Vec<Endpoint>,
}

/// A line that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The line. At most one row an endpoint and line.
    pub line: Line,
    /// No event of the line before this position is undelivered; every subscribed one from here up
    /// to the cursor is. Never past the cursor of the same flush.
    pub from: FeedPosition,
    /// How often the first event was attempted without success.
    pub failures: u16,
    /// When to try again. `None`: it waits for no time, only for another line of its first event,
    /// or its turn.
    pub due: Option<Timestamp>,
}

/// Where a lane stands, as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// Everything up to here was delivered, filtered out, exhausted, or waits in a blocked line.
    /// The store sets it to the end of the feed when the endpoint is created.
    pub cursor: FeedPosition,
    /// The lines that wait, in any order. At most about [`crate::lane::BLOCKED_LINES_MAX`].
    pub blocked: Vec<Blocked>,
    /// Since when the endpoint has failed without a success in between.
    pub failing_since: Option<Timestamp>,
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered 2xx.
    Delivered {
        /// The status.
        status: u16,
    },
    /// It did not.
    Failed(Failure),
}

/// One HTTP request to an endpoint, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The event that was sent.
    pub event_id: EventId,
    /// Where that event stands in the feed.
    pub position: FeedPosition,
    /// 1 for the first attempt at the event. After a crash a number may occur twice.
    pub attempt: u16,
    /// When the request began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the schedule is used up: nobody tries again until a replay is asked for.
    pub exhausted: bool,
}

/// What one lane has to write. The store writes all of it in one transaction or none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Whose lane.
    pub endpoint: EndpointId,
    /// The cursor. Never smaller than the one before.
    pub cursor: FeedPosition,
    /// Rows to insert, or to overwrite by their line.
    pub blocked: Vec<Blocked>,
    /// Lines whose rows go. A line is not in `blocked` too. A row may not be there; that is fine.
    pub unblocked: Vec<Line>,
    /// Replaces the stored value.
    pub failing_since: Option<Timestamp>,
    /// Attempts to add, in the order of their ends. Endpoint, event and number do not make a key.
    pub attempts: Vec<Attempt>,
}

/// Why the dispatcher itself turns an endpoint off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisableReason {
    /// It answered 410: its owner says that it is gone for good.
    Gone,
    /// It has failed without a success for [`crate::lane::FAILING_MAX`].
    Failing,
}

impl DisableReason {
    /// Its name in the store and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// What a store may answer instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is busy. The caller waits and asks again; a flush that got this
    /// answer may be repeated, also when it did take effect.
    #[error("store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be read. Asking again does not help; an operator must look.
    #[error("store holds what cannot be read")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The store, as the dispatcher needs it.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// All endpoints and the version that the answer reflects, read together.
    async fn endpoints(&self) -> Result<Endpoints, StoreError>;

    /// The key that tokens of this installation are signed with now. It is asked for before every token, so it
    /// is at hand; the first to ask has the first made. The API shows the public half.
    async fn signing_key(&self) -> Result<Arc<SigningKey>, StoreError>;

    /// Returns once the version differs from `version`, at once if it already does. It may return
    /// without a change; the caller looks again. Safe to drop.
    async fn wait_endpoints_changed(&self, version: u64) -> Result<(), StoreError>;

    /// Where the lane of an endpoint stands. `None`: there is no such endpoint (any more).
    async fn lane(&self, endpoint: EndpointId) -> Result<Option<LaneState>, StoreError>;

    /// Up to `limit` events after `after`, in order. Fewer than `limit` means that the end of the
    /// feed was reached. Never waits.
    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<Vec<FeedEvent>, StoreError>;

    /// Up to `limit` events of one line after `after` and not past `up_to`, in order. Fewer than
    /// `limit` means that there are no more up to `up_to`. Must not cost more when the line is short and the
    /// feed is long: the store keeps an index for it.
    async fn line(
        &self,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError>;

    /// Returns once the feed holds an event after `after`, at once if it already does. It may
    /// return too early; the caller looks again. Safe to drop. An implementation registers for
    /// the wake-up before it looks, so that none is missed.
    async fn wait_feed(&self, after: FeedPosition) -> Result<(), StoreError>;

    /// The last position of the feed, for telling how far behind a lane is.
    async fn feed_end(&self) -> Result<FeedPosition, StoreError>;

    /// Writes the flushes of several lanes, at most one a lane, in one transaction. A flush for an
    /// endpoint that was deleted is dropped without a word. It need not survive a power loss: what is lost is sent again.
    async fn flush(&self, flushes: Vec<Flush>) -> Result<(), StoreError>;

    /// Turns an endpoint off and notes why; its version changes. Its cursor and blocked lines stay.
    async fn disable(&self, endpoint: EndpointId, reason: DisableReason) -> Result<(), StoreError>;
}
