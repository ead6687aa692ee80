//! What a lane takes in and what it wants done.

use std::time::Duration;

use bytes::Bytes;
use schemas::Timestamp;

use super::holding::Released;
use super::parking::{PAGE, PageRead};
use super::speed::Pool;
use crate::ports::{DisableReason, FeedEvent, FeedPosition, Flush, Line, Outcome};

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Nothing but that time has passed.
    Tick,
    /// The answer to [`Action::ReadFeed`].
    Fed(Vec<FeedEvent>),
    /// The same, and there is nothing more up to its `up_to`.
    FedLast(Vec<FeedEvent>),
    /// The answer to [`Action::ReadLine`].
    LineRead(LineRead, Vec<FeedEvent>),
    /// The answer to [`Action::Send`].
    Completed(Completed),
    /// There is no answer yet to the [`Action::Send`] of this event, though it takes longer than
    /// [`SLOW_AFTER`](super::SLOW_AFTER).
    Slow(FeedPosition),
    /// The answer to [`Action::Flush`]: it is written.
    Flushed,
    /// Which holds are released. Until the first of these, none is.
    Released(Released),
    /// Send no more. When [`Lane::is_idle`](super::Lane::is_idle), the lane has written all it knows.
    Stop,
    /// After `Stop`: what is still in flight is given up, and will be sent again by another lane.
    Abandoned,
}

/// What is to be done. Each is answered once, in any order.
#[derive(Debug)]
pub enum Action {
    /// Send an event. At most one is in flight for each position.
    Send(Send),
    /// Read up to `limit` events of the feed after `after`. Without `up_to` the answer may wait until
    /// there is one, and is never empty; with it, the answer says whether it is the last.
    ReadFeed {
        /// Read after this.
        after: FeedPosition,
        /// Read up to and with this.
        up_to: Option<FeedPosition>,
        /// At most so many.
        limit: usize,
    },
    /// Read a page of a line.
    ReadLine(LineRead),
    /// Write, and try until it is written.
    Flush(Flush),
    /// Turn the endpoint off. Has no answer; the lane sends nothing any more.
    Disable(DisableReason),
}

/// A page of a line to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRead {
    pub(super) page: PageRead,
}

impl LineRead {
    /// The most events that the page holds.
    pub const LIMIT: usize = PAGE;

    /// The line.
    #[must_use]
    pub const fn line(&self) -> Line {
        self.page.line
    }

    /// Read after this.
    #[must_use]
    pub const fn after(&self) -> FeedPosition {
        self.page.after
    }

    /// Read up to and with this.
    #[must_use]
    pub const fn up_to(&self) -> FeedPosition {
        self.page.up_to
    }
}

/// An event to be sent.
#[derive(Clone, Debug)]
pub struct Send {
    /// The event.
    pub event: FeedEvent,
    /// 1 for the first attempt.
    pub attempt: u16,
    /// Whose room it takes.
    pub pool: Pool,
}

/// What came of a [`Send`].
#[derive(Clone, Debug)]
pub struct Completed {
    /// Which event.
    pub position: FeedPosition,
    /// When the request began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// What the endpoint asked for.
    pub retry_after: Option<Duration>,
    /// Of a failure, how the body of the answer begins; `None` if there is none that may be shown.
    pub excerpt: Option<Bytes>,
}
