//! What was removed within a window, and the most that there was.

use std::collections::VecDeque;

use schemas::{Brake, Timestamp};
use serde::{Deserialize, Serialize};

use super::Counts;

/// Into how many parts a window is cut, which is what a directory costs at most. A removal is forgotten
/// up to one part too early, never too late.
const PARTS: u32 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    index: i64,
    /// The most that there was before any of its events.
    peak: Counts,
    removed: Counts,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// In milliseconds. With another window it begins anew.
    part_ms: i64,
    parts: VecDeque<Part>,
}

impl Tally {
    /// Takes in what an event removes; `before` is what there was before it.
    pub(super) fn take(&mut self, at: Timestamp, window_s: u32, before: Counts, removed: Counts) {
        let part_ms = i64::from(window_s) * 1_000 / i64::from(PARTS);
        if self.part_ms != part_ms {
            *self = Self { part_ms, parts: VecDeque::new() };
        }
        // Should a clock go back, time stands still here.
        let last = self.parts.back().map_or(i64::MIN, |part| part.index);
        let index = (at.millis() / part_ms).max(last);
        while self.parts.front().is_some_and(|part| part.index <= index - i64::from(PARTS)) {
            self.parts.pop_front();
        }
        if last < index {
            self.parts.push_back(Part { index, peak: before, removed: Counts::default() });
        }
        if let Some(part) = self.parts.back_mut() {
            part.peak = most(part.peak, before);
            part.removed.users += removed.users;
            part.removed.memberships += removed.memberships;
        }
    }

    /// What was removed within the window.
    pub(super) fn removed(&self) -> Counts {
        let sum = |all: Counts, part: &Part| Counts {
            users: all.users + part.removed.users,
            memberships: all.memberships + part.removed.memberships,
        };
        self.parts.iter().fold(Counts::default(), sum)
    }

    /// The most that there was within the window.
    pub(super) fn peak(&self) -> Counts {
        self.parts.iter().fold(Counts::default(), |peak, part| most(peak, part.peak))
    }

    /// Whether more was removed than the rule allows.
    pub(super) fn exceeds(&self, rule: Brake) -> bool {
        let (removed, peak) = (self.removed(), self.peak());
        let is_too_much =
            |part, all| part > u64::from(rule.floor) && rule.share.is_exceeded(part, all);
        is_too_much(removed.users, peak.users) || is_too_much(removed.memberships, peak.memberships)
    }
}

fn most(one: Counts, other: Counts) -> Counts {
    Counts {
        users: one.users.max(other.users),
        memberships: one.memberships.max(other.memberships),
    }
}
