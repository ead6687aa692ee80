//! A line that waits.

use std::collections::VecDeque;

use schemas::Timestamp;

use crate::ports::{Blocked, FeedEvent, FeedPosition, Line};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `from` failed and waits until it is due.
    Parked,
    /// Waits for its turn to be read.
    Queued,
    /// Being read; the number tells the answer from that of an earlier read.
    Reading(u64),
    /// `from` waits for another line, or for events of the window.
    Waiting,
    /// `from` may be sent.
    Ready,
    /// `from` is in flight.
    Sending,
    /// `from` is ready or in flight on behalf of another line.
    Paired,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// No event of the line before this one is undelivered, apart from those in the window.
    pub(super) from: FeedPosition,
    /// The last event that is known to wait here.
    pub(super) last: FeedPosition,
    pub(super) failures: u16,
    pub(super) due: Option<Timestamp>,
    /// How many successes the lane had seen when `from` failed last.
    pub(super) failed_after: u64,
    /// Which failure that was, of all lines.
    pub(super) failed_as: u64,
    /// Whether it has failed twice with a success of another between: it is not the endpoint then.
    pub(super) is_at_fault: bool,
    pub(super) phase: Phase,
    pub(super) page: VecDeque<FeedEvent>,
    /// How far the line has been read.
    pub(super) read_to: FeedPosition,
}

impl Entry {
    pub(super) fn loaded(&self) -> bool {
        match self.phase {
            Phase::Reading(_) | Phase::Ready | Phase::Sending => true,
            Phase::Parked | Phase::Queued | Phase::Waiting | Phase::Paired => false,
        }
    }

    pub(super) fn is_past(&self, position: FeedPosition) -> bool {
        self.from > position || self.read_to >= position
    }

    /// The head failed, when the lane had seen so many successes.
    pub(super) const fn fail(
        &mut self,
        (failures, due): (u16, Timestamp),
        successes: u64,
        failed: u64,
    ) {
        self.is_at_fault = self.failures > 0 && self.failed_after != successes;
        (self.failed_after, self.failed_as) = (successes, failed);
        (self.failures, self.due) = (failures, Some(due));
    }

    pub(super) fn to_row(&self, line: Line) -> Blocked {
        Blocked { line, from: self.from, failures: self.failures, due: self.due }
    }
}

/// A page to read: the events of `line` after `after` up to `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRead {
    pub(crate) line: Line,
    pub(crate) number: u64,
    pub(crate) after: FeedPosition,
    pub(crate) up_to: FeedPosition,
}

/// The head of a line, to be sent.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) line: Line,
    pub(crate) event: FeedEvent,
    /// How often it failed.
    pub(crate) failures: u16,
    /// When it is due, if it has failed.
    pub(crate) due: Option<Timestamp>,
}
