//! What stands between a wrong click in an identity provider and a locked-out company.
//!
//! A [`Watch`] is what one directory that has a brake comes to: a state machine that is shown its events
//! in the order of the feed and says of each whether it is held. Time is that of the events, so that
//! whoever begins at the same place comes to the same answers.
//!
//! ```text
//!         too much is removed        released, or the directory is deleted
//!   Open ──────────────────────▶ Held ────────────────────────▶ Releasing
//!    ▲                             ▲      too much is removed      │  │
//!    │                             └───────────────────────────────┘  │
//!    └────────────── every endpoint has what was held ────────────────┘
//! ```
//!
//! Held is what removes somebody, and what is about a user or group of which something is held already,
//! so that order stays what it is. Everything else flows on. What becomes of held events in the lane of
//! an endpoint is in [`crate::lane`].

mod tally;

use schemas::{Brake, EventType, ScimId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ports::FeedPosition;
use tally::Tally;

/// Active users, and memberships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Users that are active.
    pub users: u64,
    /// Members of groups.
    pub memberships: u64,
}

/// An event as the brake sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands in the feed.
    pub position: FeedPosition,
    /// When it was decided.
    pub at: Timestamp,
    /// Its type.
    pub kind: EventType,
    /// The user that it is about.
    pub user: Option<ScimId>,
    /// The group that it is about.
    pub group: Option<ScimId>,
    /// Of an event about a user alone, whether apps took the user for active before; false if they did not know it.
    pub was_active: bool,
    /// Whether they do afterwards.
    pub is_active: bool,
    /// How many memberships ended with the user or group that was deleted.
    pub ended: u64,
}

impl Seen {
    /// The users and groups that it is about.
    pub fn subjects(&self) -> impl Iterator<Item = ScimId> + use<> {
        self.user.into_iter().chain(self.group)
    }
}

/// What an event does to a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Effect {
    added: Counts,
    /// What is counted as removed.
    removed: Counts,
    /// Memberships that end because their user does: they are not counted a second time.
    ended: u64,
    /// Whether it tells apps to take something away.
    is_removal: bool,
}

fn effect(seen: &Seen) -> Effect {
    let none = Effect::default();
    let user = Counts { users: 1, memberships: 0 };
    let memberships = |memberships| Counts { users: 0, memberships };
    match seen.kind {
        EventType::UserCreated | EventType::UserUpdated => {
            match (seen.was_active, seen.is_active) {
                (false, true) => Effect { added: user, ..none },
                (true, false) => Effect { removed: user, is_removal: true, ..none },
                (true, true) | (false, false) => none,
            }
        }
        EventType::UserDeleted => {
            let removed = if seen.was_active { user } else { Counts::default() };
            Effect { removed, ended: seen.ended, is_removal: true, ..none }
        }
        EventType::GroupUserAdded => Effect { added: memberships(1), ..none },
        EventType::GroupUserRemoved => Effect { removed: memberships(1), is_removal: true, ..none },
        EventType::GroupDeleted => {
            Effect { removed: memberships(seen.ended), is_removal: true, ..none }
        }
        EventType::Activated
        | EventType::Deleted
        | EventType::GroupCreated
        | EventType::GroupUpdated
        | EventType::GroupPendingMemberAdded
        | EventType::GroupPendingMemberRemoved
        | EventType::InactiveUserChanged
        | EventType::TokenCreated
        | EventType::TokenRevoked => none,
    }
}

/// What is held, since when, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The first event that is held.
    pub from: FeedPosition,
    /// When that was decided.
    pub since: Timestamp,
    /// What was removed, from the beginning of the window.
    pub removed: Counts,
    /// The most that the directory had in the window.
    pub of: Counts,
    /// How many events are held.
    pub events: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Open,
    Held(Hold),
    /// Not every endpoint has what was held. What follows of the same users and groups waits behind it.
    Releasing(Hold),
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out as always.
    Passes,
    /// It is held, or waits behind what was held.
    Held {
        /// The hold, by the first event of it.
        hold: FeedPosition,
        /// Whether this is that first event.
        has_tripped: bool,
    },
}

/// What one directory has come to. See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Everything up to here happened before it began.
    began: FeedPosition,
    counts: Counts,
    tally: Tally,
    phase: Phase,
    /// Holds that began here or before are released.
    released: FeedPosition,
    /// Whether it has seen every event since it began.
    is_on: bool,
}

impl Watch {
    /// One that begins after `began`, when the directory had this.
    #[must_use]
    pub fn new(began: FeedPosition, counts: Counts) -> Self {
        Self { began, counts, is_on: true, ..Self::default() }
    }

    /// The same after it was off; nothing was held then.
    #[must_use]
    pub fn begin_again(&self, began: FeedPosition, counts: Counts) -> Self {
        Self { released: self.released, ..Self::new(began, counts) }
    }

    /// From here on it misses events.
    pub fn turn_off(&mut self) {
        self.is_on = false;
    }

    /// Whether it has seen every event since it began.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Shows it the next event of the directory. `is_behind`: something of a user or group that the event
    /// is about is held already.
    pub fn see(&mut self, seen: &Seen, rule: Option<Brake>, is_behind: bool) -> Verdict {
        if seen.position <= self.began {
            return Verdict::Passes;
        }
        let effect = effect(seen);
        let before = self.counts;
        self.count(effect);
        match &mut self.phase {
            Phase::Held(hold) => {
                hold.removed.users += effect.removed.users;
                hold.removed.memberships += effect.removed.memberships;
                let is_held = effect.is_removal || is_behind || seen.kind == EventType::Deleted;
                hold.events += u64::from(is_held);
                let hold = hold.from;
                if seen.kind == EventType::Deleted {
                    // Who deletes a directory means it: nobody could release it afterwards.
                    self.release();
                }
                if is_held { Verdict::Held { hold, has_tripped: false } } else { Verdict::Passes }
            }
            Phase::Open | Phase::Releasing(_) => {
                self.see_open(seen, rule, effect, before, is_behind)
            }
        }
    }

    fn see_open(
        &mut self,
        seen: &Seen,
        rule: Option<Brake>,
        effect: Effect,
        before: Counts,
        is_behind: bool,
    ) -> Verdict {
        if let Some(rule) = rule {
            self.tally.take(seen.at, rule.window_seconds, before, effect.removed);
            if effect.is_removal && self.tally.exceeds(rule) {
                let (removed, of) = (self.tally.removed(), self.tally.peak());
                let from = seen.position;
                let hold = Hold { from, since: seen.at, removed, of, events: 1 };
                self.phase = Phase::Held(hold);
                return Verdict::Held { hold: from, has_tripped: true };
            }
        }
        match self.phase {
            Phase::Releasing(hold) if is_behind || seen.kind == EventType::Deleted => {
                Verdict::Held { hold: hold.from, has_tripped: false }
            }
            Phase::Open | Phase::Held(_) | Phase::Releasing(_) => Verdict::Passes,
        }
    }

    fn count(&mut self, effect: Effect) {
        let Counts { users, memberships } = &mut self.counts;
        *users = (*users + effect.added.users).saturating_sub(effect.removed.users);
        let gone = effect.removed.memberships + effect.ended;
        *memberships = (*memberships + effect.added.memberships).saturating_sub(gone);
    }

    /// Lets go what is held. The window begins anew, so that it is not held again for the same.
    pub fn release(&mut self) -> Option<Hold> {
        let Phase::Held(hold) = self.phase else { return None };
        self.phase = Phase::Releasing(hold);
        self.released = hold.from;
        self.tally = Tally::default();
        Some(hold)
    }

    /// Every endpoint has what was held.
    pub fn close(&mut self) {
        if self.is_releasing() {
            self.phase = Phase::Open;
        }
    }

    /// What is held now.
    #[must_use]
    pub const fn held(&self) -> Option<Hold> {
        match self.phase {
            Phase::Held(hold) => Some(hold),
            Phase::Open | Phase::Releasing(_) => None,
        }
    }

    /// What is or was held, as long as not every endpoint has it.
    #[must_use]
    pub const fn hold(&self) -> Option<Hold> {
        match self.phase {
            Phase::Held(hold) | Phase::Releasing(hold) => Some(hold),
            Phase::Open => None,
        }
    }

    /// Whether what was held is on its way.
    #[must_use]
    pub const fn is_releasing(&self) -> bool {
        match self.phase {
            Phase::Releasing(_) => true,
            Phase::Open | Phase::Held(_) => false,
        }
    }

    /// Holds that began here or before are released.
    #[must_use]
    pub const fn released(&self) -> FeedPosition {
        self.released
    }
}

#[cfg(test)]
mod tests;
