//! How far lanes have come, and what there is to write.

use std::time::Duration;

use bytes::Bytes;
use schemas::{EventId, Timestamp};

use super::{FeedPosition, LaneId, Line, Topic};
use crate::Failure;

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
    /// The store sets it when the endpoint or the replay is created.
    pub cursor: FeedPosition,
    /// What is delivered or exhausted beyond the cursor, in order: at most about
    /// [`crate::lane::WINDOW_MAX`] positions.
    pub done: Vec<FeedPosition>,
    /// The lines that wait, in any order. At most about [`crate::lane::BLOCKED_LINES_MAX`].
    pub blocked: Vec<Blocked>,
    /// Since when the endpoint has failed without a success in between. Not kept for a replay.
    pub failing_since: Option<Timestamp>,
    /// Whether the operator was told that it fails, and not yet that it answers again. Not kept for a
    /// replay.
    pub is_told: bool,
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered 2xx, or the brokers have the record.
    Delivered {
        /// The status; brokers give none.
        status: Option<u16>,
    },
    /// It did not.
    Failed(Failure),
}

/// One HTTP request to an endpoint, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The event that was sent.
    pub event_id: EventId,
    /// What it is about.
    pub topic: Topic,
    /// Where that event stands in the feed.
    pub position: FeedPosition,
    /// 1 for the first attempt at the event. A number may occur several times: an attempt before the event's time
    /// has that of the next one, and after a crash some are made again.
    pub attempt: u16,
    /// When the request began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the schedule is used up: nobody tries again until a replay is asked for.
    pub exhausted: bool,
    /// Of a failure, how the body of the answer begins; `None` if there is none that may be shown.
    pub excerpt: Option<Bytes>,
}

/// What the operator is told of an endpoint beside its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It fails as a whole.
    Failing {
        /// Since when it has failed without a success in between.
        since: Timestamp,
        /// The failure that showed it.
        failure: Failure,
        /// When it is turned off at the earliest, if nothing succeeds before.
        disables_at: Timestamp,
    },
    /// So much of it waits that it gets nothing new.
    Stalled {
        /// How many lines wait.
        lines: usize,
    },
    /// It answers again.
    Recovered {
        /// Since when it had failed.
        since: Timestamp,
    },
}

/// What one lane has to write. The store writes all of it in one transaction or none of it.
///
/// In that transaction it also notes, for the operator, the notices and what is exhausted; not of an
/// operational endpoint, or each notice that fails would make another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Whose.
    pub lane: LaneId,
    /// The cursor. Never smaller than the one before.
    pub cursor: FeedPosition,
    /// Replaces the stored positions.
    pub done: Vec<FeedPosition>,
    /// Rows to insert, or to overwrite by their line.
    pub blocked: Vec<Blocked>,
    /// Lines whose rows go. A line is not in `blocked` too. A row may not be there; that is fine.
    pub unblocked: Vec<Line>,
    /// Replaces the stored value; nothing for a replay.
    pub failing_since: Option<Timestamp>,
    /// Replaces the stored value; nothing for a replay.
    pub is_told: bool,
    /// Whether it is sent a probe now and then and nothing else, for people to see; nothing for a replay.
    pub is_paused: bool,
    /// When it happened, and what.
    pub notices: Vec<(Timestamp, Notice)>,
    /// Attempts to add, in the order of their ends. Endpoint, event and number do not make a key.
    pub attempts: Vec<Attempt>,
    /// Whether this is the end of a replay.
    pub is_finished: bool,
}

/// Why the dispatcher itself turns an endpoint off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisableReason {
    /// It answered 410: its owner says that it is gone for good.
    Gone,
    /// It has failed without a success for [`crate::lane::FAILING_MAX`], and the operator knew.
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
