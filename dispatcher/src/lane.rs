//! What one endpoint gets, in which order, and when.
//!
//! ```text
//!  feed  … 41 42 43 44 45 46 47 48 49 50 51 52 …
//!              ▲     │           │           ▲
//!        cursor┘     └──window───┘           └ end of the feed
//! ```
//!
//! A [`Lane`] is a state machine: it takes an [`Input`] with the time and a throw of the dice, and
//! says what is to be done as [`Action`]s. It does nothing itself, so that it can be run through
//! years of outages in a second. [`crate::run()`] is what carries out its actions.
//!
//! A replay is a lane too: it begins at a cursor of its own, ends at a position, keeps a
//! [pace](Replay::rate) and has few requests in flight.
//!
//! While a directory is held, what has a hold waits in one line of its own, and everything behind it that
//! the [brake](crate::brake) says has to. A replay is asked for by the operator and is not held.
//!
//! # An endpoint that fails
//!
//! - An attempt *counts* when it is made at an event's time or later. One before its time is recorded and leaves the
//!   event's count and time as they were, and so does a first attempt that ends when the circuit has opened meanwhile:
//!   an event is given up after its whole schedule, never because the endpoint was probed.
//! - First attempts at five events in a row that fail as a whole open the circuit. It lets one request through now and
//!   then: an event that was not tried yet if there is one, or else the one that was not tried for longest.
//! - A lane whose events all wait has nothing to open the circuit with, as in strict order. One of them is
//!   tried at least every [`PROBE_WAIT_MAX`](crate::circuit::PROBE_WAIT_MAX), as long as there was no answer, and
//!   once when the lane begins.
//! - When such an endpoint answers again, what waits has its turn, be it early. What failed again although others had
//!   succeeded since is at fault itself: it waits for its own time.
//! - An endpoint is *failing* when five attempts or more in a row have failed, of whatever kind, and the circuit is
//!   open or ten minutes have passed. The operator is told then. After five days without a success, and
//!   a day after that at the earliest, the next failure disables it.
//! - When [`BLOCKED_LINES_MAX`] lines wait, nothing new is read, and the operator is told that it is *stalled*.
//!
//! Four laws hold, whatever fails and whenever it is started anew from its last flush:
//! - every subscribed event is delivered, or exhausted, at least once;
//! - what a flush says was delivered is not sent again;
//! - no event succeeds for the first time before an earlier one of any of its lines has succeeded or is exhausted;
//! - the cursor never passes an event that is neither delivered nor waiting in a blocked line.

mod advance;
mod failing;
mod holding;
mod intake;
mod io;
mod lines;
mod pace;
mod parking;
mod settle;
mod speed;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use schemas::{EventId, Timestamp};

use crate::circuit::Circuit;
use crate::lane::failing::Failing;
pub use crate::lane::failing::{FAILING_MAX, TOLD_BEFORE};
use crate::lane::holding::Holding;
pub use crate::lane::holding::Released;
pub use crate::lane::io::{Action, Completed, Input, LineRead, Send};
pub use crate::lane::lines::{Lines, lines_of};
use crate::lane::pace::Pace;
pub use crate::lane::parking::BLOCKED_LINES_MAX;
use crate::lane::parking::Parking;
use crate::lane::speed::Speed;
pub use crate::lane::speed::{PerPool, Pool, SLOW_AFTER, share_of};
pub use crate::lane::window::WINDOW_MAX;
use crate::lane::window::{SlotNumber, Window};
use crate::ports::{
    Attempt, Endpoint, FeedPosition, LaneId, LaneState, Line, Notice, Order, Replay, Topic,
};
use crate::schedule::Schedule;

/// How long completions are gathered before they are written.
pub const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// How many completions are gathered at most before they are written.
pub const FLUSH_COMPLETIONS: usize = 500;

/// How long a cursor may have moved without being written, if there is nothing else to write: an event that an endpoint
/// does not want is to cost no write for it. What is not written is read once more at the next start.
pub const CURSOR_EVERY: Duration = Duration::from_secs(10);

/// How many positions it may have moved.
const CURSOR_BEHIND_MAX: u64 = 10_000;

/// The most attempts that wait to be written while the store is slow. At the limit nothing is sent,
/// so that a store that is down bounds both memory and what a crash sends again.
const UNWRITTEN_MAX: usize = 4 * FLUSH_COMPLETIONS;

/// How many events are read ahead for a probe.
const PROBE_PAGE: usize = 32;

/// The most requests of one replay in flight: it has time, and what follows the feed goes first.
const REPLAY_IN_FLIGHT_MAX: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Origin {
    Window(SlotNumber),
    Line(Line),
}

#[derive(Debug)]
struct Flying {
    origin: Origin,
    attempt: u16,
    /// When its event is due, if this is before its time. It does not count then.
    early_for: Option<Timestamp>,
    pool: Pool,
    /// Whether it is known that it takes long.
    is_slow: bool,
    event_id: EventId,
    topic: Topic,
    lines: Lines,
}

/// The work for one endpoint. See the module.
#[derive(Debug)]
pub struct Lane {
    id: LaneId,
    endpoint: Endpoint,
    replay: Option<Replay>,
    order: Order,
    schedule: Schedule,
    circuit: Circuit,
    window: Window,
    parking: Parking,
    holding: Holding,
    in_flight: HashMap<FeedPosition, Flying>,
    retries_in_flight: usize,
    /// How many in each pool.
    taken: PerPool,
    /// How many it may have there.
    shares: PerPool,
    speed: Speed,
    /// How far the feed was taken in.
    read_to: FeedPosition,
    /// What is delivered or exhausted beyond the cursor, so that no later lane sends it again.
    done: BTreeSet<FeedPosition>,
    is_reading: bool,
    /// Whether events were dropped that are to be read again.
    is_behind: bool,
    failing: Failing,
    /// Counts the successes, to tell whether there was one since something failed.
    successes: u64,
    /// When to try what waits, be it early, if everything waits.
    probe_at: Option<Timestamp>,
    /// Whether that has been done since the last answer.
    has_probed: bool,
    /// Whether the operator was told that it gets nothing new because so much waits.
    is_stalled: bool,
    notices: Vec<(Timestamp, Notice)>,
    pace: Option<Pace>,
    /// When the pace lets it go on, if that is what holds it up.
    resumes_at: Option<Timestamp>,
    attempts: Vec<Attempt>,
    flushed_cursor: FeedPosition,
    /// Since when there is something to write.
    unwritten_since: Option<Timestamp>,
    /// Since when the cursor has moved with nothing else to write.
    moved_since: Option<Timestamp>,
    is_flushing: bool,
    is_stopped: bool,
}

impl Lane {
    /// The lane that follows the feed for `endpoint`, where the store says that it stood.
    #[must_use]
    pub fn new(endpoint: &Endpoint, state: LaneState, schedule: Schedule) -> Self {
        let closed = Circuit::Closed { failures: 0 };
        let circuit = state.failing_since.map_or(closed, |_| Circuit::cautious());
        Self::begin(endpoint, None, circuit, state, schedule)
    }

    /// The lane of a replay to `endpoint`, where the store says that it stood.
    #[must_use]
    pub fn replaying(
        replay: &Replay,
        endpoint: &Endpoint,
        state: LaneState,
        schedule: Schedule,
    ) -> Self {
        Self::begin(endpoint, Some(replay.clone()), Circuit::cautious(), state, schedule)
    }

    fn begin(
        endpoint: &Endpoint,
        replay: Option<Replay>,
        circuit: Circuit,
        state: LaneState,
        schedule: Schedule,
    ) -> Self {
        let LaneState { cursor, done, blocked, failing_since, is_told } = state;
        let order = endpoint.lane_order();
        let goes_on = blocked.iter().any(|row| row.failures > 0);
        // What waits since before is tried once at the start: somebody may have mended it meanwhile.
        Self {
            id: LaneId { endpoint: endpoint.id, replay: replay.as_ref().map(|replay| replay.id) },
            endpoint: endpoint.clone(),
            order,
            schedule,
            circuit,
            window: Window::default(),
            holding: Holding::new(&blocked, cursor),
            parking: Parking::new(order, blocked, cursor),
            in_flight: HashMap::new(),
            retries_in_flight: 0,
            taken: PerPool::default(),
            shares: PerPool::ALONE,
            speed: Speed::default(),
            read_to: cursor,
            done: done.into_iter().collect(),
            is_reading: false,
            is_behind: false,
            failing: Failing::new(failing_since, is_told, goes_on),
            successes: 0,
            probe_at: goes_on.then(|| Timestamp::from_millis(0)),
            has_probed: goes_on,
            is_stalled: false,
            notices: Vec::new(),
            pace: replay.as_ref().map(|replay| Pace::new(replay.rate)),
            replay,
            resumes_at: None,
            attempts: Vec::new(),
            flushed_cursor: cursor,
            unwritten_since: None,
            moved_since: None,
            is_flushing: false,
            is_stopped: false,
        }
    }

    /// Takes an input in and appends what is to be done. Begin with [`Input::Tick`].
    pub fn step(&mut self, input: Input, now: Timestamp, dice: f64, actions: &mut Vec<Action>) {
        match input {
            Input::Tick => {}
            Input::Fed(events) => self.take_in(events, now),
            Input::FedLast(events) => {
                self.take_in(events, now);
                let up_to = self.replay.as_ref().map(|replay| replay.up_to);
                self.read_to = self.read_to.max(up_to.unwrap_or_default());
            }
            Input::LineRead(read, events) => self.take_line(read.page, events, now),
            Input::Completed(completed) => self.complete(completed, now, dice, actions),
            Input::Slow(position) => self.note_slow(position),
            Input::Flushed => self.is_flushing = false,
            Input::Released(released) => self.holding.release(released),
            Input::Stop => self.is_stopped = true,
            Input::Abandoned => {
                self.in_flight.clear();
                self.taken = PerPool::default();
            }
        }
        self.move_on(now, dice, actions);
    }

    /// Says how much of each pool it may take from now on.
    pub const fn share(&mut self, shares: PerPool) {
        self.shares = shares;
    }

    /// How much of each pool it takes.
    #[must_use]
    pub const fn taken(&self) -> PerPool {
        self.taken
    }

    /// When to come back with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let flush = self.flush_due().filter(|_| !self.is_flushing);
        let work = match self.circuit {
            _ if self.is_stopped => None,
            Circuit::Open { due, .. } => self.in_flight.is_empty().then_some(due),
            Circuit::Probing { .. } => None,
            Circuit::Closed { .. } | Circuit::Ramping { .. } => {
                self.next_turn().into_iter().chain(self.resumes_at).min()
            }
        };
        flush.into_iter().chain(work).min()
    }

    /// Everything up to here was delivered, filtered out, exhausted, or waits in a blocked line.
    #[must_use]
    pub fn cursor(&self) -> FeedPosition {
        self.window.first().map_or(self.read_to, FeedPosition::before)
    }

    /// No event before this one waits, be it behind the cursor in a line that waits or is held.
    #[must_use]
    pub fn waits_from(&self) -> FeedPosition {
        let lines = self.parking.first().into_iter().chain(self.holding.first());
        lines.fold(self.cursor().next(), FeedPosition::min)
    }

    /// How many lines wait.
    #[must_use]
    pub fn blocked_lines(&self) -> usize {
        self.parking.len()
    }

    /// How many directories have events that are held, or wait for those that were.
    #[must_use]
    pub fn held_directories(&self) -> usize {
        self.holding.len()
    }

    /// Whether the endpoint as a whole fails.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.circuit.is_open()
    }

    /// Whether nothing is in flight and everything is written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && !self.is_flushing && self.flush_due().is_none()
    }

    /// When the next of what waits has its turn.
    fn next_turn(&self) -> Option<Timestamp> {
        let due = self.parking.next_due()?;
        let probe = self.probe_at.filter(|_| self.is_standing());
        Some(probe.map_or(due, |probe| probe.min(due)))
    }

    /// Whether everything that there is waits for its time.
    fn is_standing(&self) -> bool {
        self.in_flight.is_empty() && !self.window.is_ready() && !self.parking.is_loading()
    }

    /// Whether all of a replay was sent.
    fn is_finished(&self) -> bool {
        let is_read = self.replay.as_ref().is_some_and(|replay| self.read_to >= replay.up_to);
        is_read && self.window.first().is_none() && self.parking.len() == 0
    }

    /// There is something to write.
    fn note(&mut self, now: Timestamp) {
        self.unwritten_since.get_or_insert(now);
    }

    fn note_cursor(&mut self, now: Timestamp) {
        let cursor = self.cursor();
        while self.done.first().is_some_and(|done| *done <= cursor) {
            self.done.pop_first();
        }
        let moved = cursor.0.saturating_sub(self.flushed_cursor.0);
        if moved >= CURSOR_BEHIND_MAX || moved > 0 && self.replay.is_some() {
            self.note(now);
        } else if moved > 0 {
            self.moved_since.get_or_insert(now);
        }
    }

    /// When what is to be written has to be written.
    fn flush_due(&self) -> Option<Timestamp> {
        let moved = self.moved_since.map(|since| since.after(CURSOR_EVERY));
        self.unwritten_since.map(|since| since.after(FLUSH_EVERY)).into_iter().chain(moved).min()
    }

    /// Tells the operator, once, that so many lines wait that the feed is not read on.
    fn tell_stalled(&mut self, now: Timestamp) {
        let lines = self.parking.len();
        if self.parking.is_full() && self.replay.is_none() && !self.is_stalled {
            self.is_stalled = true;
            self.notices.push((now, Notice::Stalled { lines }));
            self.note(now);
        } else if lines < BLOCKED_LINES_MAX / 2 {
            self.is_stalled = false;
        }
    }

    /// While the endpoint is down, what was read ahead is dropped: it may be down for days, and with it many others.
    /// The lane stands then as if it had begun at its cursor.
    fn drop_window(&mut self) {
        let is_down = match self.circuit {
            Circuit::Open { .. } => self.in_flight.is_empty() && !self.is_reading,
            Circuit::Closed { .. } | Circuit::Probing { .. } | Circuit::Ramping { .. } => false,
        };
        let is_much = self.window.len() > PROBE_PAGE;
        if is_down && is_much && !self.parking.is_reading() && !self.holding.is_reading() {
            self.read_to = self.cursor();
            self.parking.rewind(self.read_to);
            self.holding.rewind(self.read_to);
            self.window = Window::default();
            self.is_behind = true;
        }
    }
}

#[cfg(test)]
mod held;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod tests;
