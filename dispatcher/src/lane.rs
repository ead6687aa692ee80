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
//! Three laws hold, whatever fails and whenever it is started anew from its last flush:
//! - every subscribed event is delivered, or exhausted, at least once;
//! - no event succeeds for the first time before an earlier one of any of its lines has succeeded or is exhausted;
//! - the cursor never passes an event that is neither delivered nor waiting in a blocked line.

mod lines;
mod parking;
mod window;

use std::collections::HashMap;
use std::time::Duration;

use schemas::{EndpointId, EventType, Format, Timestamp};

use crate::circuit::{Circuit, Signal};
pub use crate::lane::lines::{Lines, lines_of};
pub use crate::lane::parking::BLOCKED_LINES_MAX;
use crate::lane::parking::{LOADED_MAX, PAGE, PageRead, Parking};
pub use crate::lane::window::WINDOW_MAX;
use crate::lane::window::{SlotNumber, Window};
use crate::ports::{
    Attempt, DisableReason, Endpoint, FeedEvent, FeedPosition, Flush, LaneState, Line, Order,
    Outcome,
};
use crate::schedule::{Next, Schedule};

/// How long completions are gathered before they are written.
pub const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// How many completions are gathered at most before they are written.
pub const FLUSH_COMPLETIONS: usize = 500;

/// The most attempts that wait to be written while the store is slow. At the limit nothing is sent,
/// so that a store that is down bounds both memory and what a crash sends again.
const UNWRITTEN_MAX: usize = 4 * FLUSH_COMPLETIONS;

/// An endpoint that has failed for so long without a success is disabled.
pub const FAILING_MAX: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Nothing but that time has passed.
    Tick,
    /// The answer to [`Action::ReadFeed`].
    Fed(Vec<FeedEvent>),
    /// The answer to [`Action::ReadLine`].
    LineRead(LineRead, Vec<FeedEvent>),
    /// The answer to [`Action::Send`].
    Completed(Completed),
    /// The answer to [`Action::Flush`]: it is written.
    Flushed,
    /// Send no more. When [`Lane::is_idle`], the lane has written all it knows.
    Stop,
    /// After `Stop`: what is still in flight is given up, and will be sent again by another lane.
    Abandoned,
}

/// What is to be done. Each is answered once, in any order.
#[derive(Debug)]
pub enum Action {
    /// Send an event. At most one is in flight for each position.
    Send(Send),
    /// Read up to `limit` events of the feed after `after`; the answer may wait until there is one,
    /// and is never empty.
    ReadFeed {
        /// Read after this.
        after: FeedPosition,
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
    page: PageRead,
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

/// First attempts and retries have room of their own, so that neither can hold up the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Events fresh from the feed.
    Fresh,
    /// Events that waited in a line.
    Retry,
}

/// What came of a [`Send`].
#[derive(Clone, Copy, Debug)]
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
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Window(SlotNumber),
    Line(Line),
}

#[derive(Debug)]
struct Flying {
    origin: Origin,
    attempt: u16,
    event_id: schemas::EventId,
    lines: Lines,
}

/// The work for one endpoint. See the module.
#[derive(Debug)]
pub struct Lane {
    endpoint: EndpointId,
    order: Order,
    events: Vec<EventType>,
    format: Format,
    schedule: Schedule,
    circuit: Circuit,
    window: Window,
    parking: Parking,
    in_flight: HashMap<FeedPosition, Flying>,
    retries_in_flight: usize,
    /// How far the feed was taken in.
    read_to: FeedPosition,
    is_reading: bool,
    failing_since: Option<Timestamp>,
    attempts: Vec<Attempt>,
    flushed_cursor: FeedPosition,
    /// Since when there is something to write.
    unwritten_since: Option<Timestamp>,
    is_flushing: bool,
    is_stopped: bool,
}

impl Lane {
    /// The lane of `endpoint`, where the store says that it stood.
    #[must_use]
    pub fn new(endpoint: &Endpoint, state: LaneState, schedule: Schedule) -> Self {
        let LaneState { cursor, blocked, failing_since } = state;
        let closed = Circuit::Closed { failures: 0 };
        Self {
            endpoint: endpoint.id,
            order: endpoint.order,
            events: endpoint.events.clone(),
            format: endpoint.format,
            schedule,
            circuit: failing_since.map_or(closed, |_| Circuit::cautious()),
            window: Window::default(),
            parking: Parking::new(endpoint.order, blocked, cursor),
            in_flight: HashMap::new(),
            retries_in_flight: 0,
            read_to: cursor,
            is_reading: false,
            failing_since,
            attempts: Vec::new(),
            flushed_cursor: cursor,
            unwritten_since: None,
            is_flushing: false,
            is_stopped: false,
        }
    }

    /// Takes an input in and appends what is to be done. Begin with [`Input::Tick`].
    pub fn step(&mut self, input: Input, now: Timestamp, dice: f64, actions: &mut Vec<Action>) {
        match input {
            Input::Tick => {}
            Input::Fed(events) => self.take_in(events, now),
            Input::LineRead(read, events) => self.take_line(read.page, events, now),
            Input::Completed(completed) => self.complete(completed, now, dice, actions),
            Input::Flushed => self.is_flushing = false,
            Input::Stop => self.is_stopped = true,
            Input::Abandoned => self.in_flight.clear(),
        }
        self.move_on(now, dice, actions);
    }

    /// When to come back with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let flush = self.unwritten_since.filter(|_| !self.is_flushing);
        let flush = flush.map(|since| since.after(FLUSH_EVERY));
        let work = match self.circuit {
            _ if self.is_stopped => None,
            Circuit::Open { due, .. } => self.in_flight.is_empty().then_some(due),
            Circuit::Probing { .. } => None,
            Circuit::Closed { .. } | Circuit::Ramping { .. } => self.parking.next_due(),
        };
        flush.into_iter().chain(work).min()
    }

    /// Everything up to here was delivered, filtered out, exhausted, or waits in a blocked line.
    #[must_use]
    pub fn cursor(&self) -> FeedPosition {
        self.window.first().map_or(self.read_to, FeedPosition::before)
    }

    /// How many lines wait.
    #[must_use]
    pub fn blocked_lines(&self) -> usize {
        self.parking.len()
    }

    /// Whether the endpoint as a whole fails.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.circuit.is_open()
    }

    /// Whether nothing is in flight and everything is written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && !self.is_flushing && self.unwritten_since.is_none()
    }

    fn take_in(&mut self, events: Vec<FeedEvent>, now: Timestamp) {
        self.is_reading = false;
        for event in events {
            self.read_to = event.position;
            if !self.wants(event.event) {
                continue;
            }
            let lines = lines_of(&event, self.order);
            if self.parking.blocks(lines) {
                self.parking.wait(event.position, lines);
            } else {
                self.window.push(event, lines);
            }
        }
        self.note_cursor(now);
    }

    fn take_line(&mut self, page: PageRead, mut events: Vec<FeedEvent>, now: Timestamp) {
        let is_full = events.len() >= PAGE;
        let last = events.last().map(|event| event.position).filter(|_| is_full);
        let read_to = last.unwrap_or(page.up_to);
        events.retain(|event| self.wants(event.event));
        self.parking.fill(page, events, read_to, &self.window);
        self.note(now);
    }

    fn complete(
        &mut self,
        completed: Completed,
        now: Timestamp,
        dice: f64,
        actions: &mut Vec<Action>,
    ) {
        let Some(flying) = self.in_flight.remove(&completed.position) else { return };
        let next = self.judge(&flying, completed, now, dice);
        match flying.origin {
            Origin::Window(number) => self.settle_window(number, &flying, completed, next, now),
            Origin::Line(line) => self.settle_line(line, &flying, next, now),
        }
        self.attempts.push(Attempt {
            event_id: flying.event_id,
            position: completed.position,
            attempt: flying.attempt,
            at: completed.at,
            duration: completed.duration,
            outcome: completed.outcome,
            exhausted: next == Some(Next::Exhausted),
        });
        self.note(now);
        let failing = self.failing_since.is_some_and(|since| now.since(since) >= FAILING_MAX);
        if next == Some(Next::Gone) {
            self.disable(DisableReason::Gone, actions);
        } else if failing && self.circuit.is_open() {
            self.disable(DisableReason::Failing, actions);
        }
    }

    /// What the outcome says about the endpoint, and what follows for the event if it failed.
    fn judge(
        &mut self,
        flying: &Flying,
        completed: Completed,
        now: Timestamp,
        dice: f64,
    ) -> Option<Next> {
        let Completed { outcome, retry_after, .. } = completed;
        let Outcome::Failed(failure) = outcome else {
            self.circuit = self.circuit.next(Signal::Answered, &self.schedule, now, dice);
            self.failing_since = None;
            return None;
        };
        let signal = if failure.is_of_the_endpoint() {
            Signal::Failed { fresh: flying.attempt == 1, retry_after }
        } else {
            Signal::Answered
        };
        self.circuit = self.circuit.next(signal, &self.schedule, now, dice);
        self.failing_since.get_or_insert(now);
        Some(self.schedule.next(failure, flying.attempt, retry_after, now, dice))
    }

    fn settle_window(
        &mut self,
        number: SlotNumber,
        flying: &Flying,
        completed: Completed,
        next: Option<Next>,
        now: Timestamp,
    ) {
        match next {
            None | Some(Next::Exhausted) => {
                let parking = &mut self.parking;
                self.window.finish(number, |line| parking.left_window(line));
            }
            // The cursor stands still, and nothing piles up. A probe is parked all the same, so
            // that the next one is another event: this one may be what the endpoint fails on.
            Some(Next::Retry(_)) if self.circuit.is_open() && !self.was_probe() => {
                self.window.put_back(number, flying.attempt);
            }
            Some(Next::Retry(due)) => self.park(number, flying, completed.position, due),
            Some(Next::Gone) => self.park(number, flying, completed.position, now),
        }
    }

    fn settle_line(&mut self, line: Line, flying: &Flying, next: Option<Next>, now: Timestamp) {
        self.retries_in_flight -= 1;
        match next {
            None | Some(Next::Exhausted) => self.parking.finish(line, &self.window),
            Some(Next::Retry(due)) => self.parking.fail(line, flying.attempt, due),
            Some(Next::Gone) => self.parking.fail(line, flying.attempt, now),
        }
    }

    /// Whether the request that just failed was a probe: it was the only one, and the circuit had
    /// been open before.
    fn was_probe(&self) -> bool {
        match self.circuit {
            Circuit::Open { opening, .. } => opening > 1 && self.in_flight.is_empty(),
            Circuit::Closed { .. } | Circuit::Probing { .. } | Circuit::Ramping { .. } => false,
        }
    }

    fn park(
        &mut self,
        number: SlotNumber,
        flying: &Flying,
        position: FeedPosition,
        due: Timestamp,
    ) {
        let parking = &mut self.parking;
        self.window.park(number, |position, lines| parking.wait(position, lines));
        self.parking.park(position, flying.lines, flying.attempt, due);
    }

    fn disable(&mut self, reason: DisableReason, actions: &mut Vec<Action>) {
        if !self.is_stopped {
            self.is_stopped = true;
            actions.push(Action::Disable(reason));
        }
    }

    /// Whatever is possible is begun.
    fn move_on(&mut self, now: Timestamp, dice: f64, actions: &mut Vec<Action>) {
        self.note_cursor(now);
        if !self.is_stopped {
            if self.in_flight.is_empty() {
                self.circuit = self.circuit.next(Signal::Tick, &self.schedule, now, dice);
            }
            self.read(now, actions);
            self.send(actions);
        }
        self.flush(now, actions);
    }

    fn read(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        match self.circuit {
            Circuit::Open { .. } => return,
            Circuit::Probing { .. } => {
                let has_candidate = self.window.is_ready() || self.parking.is_ready();
                if !self.in_flight.is_empty() || has_candidate {
                    return;
                }
                if !self.parking.is_loading() {
                    self.read_line(actions);
                }
                if !self.parking.is_loading() {
                    self.parking.hurry();
                    self.read_line(actions);
                }
            }
            Circuit::Closed { .. } | Circuit::Ramping { .. } => {
                self.parking.tick(now);
                while self.read_line(actions) {}
            }
        }
        let room = self.window.room();
        // Half a window at a time, so that a read is worth its cost.
        if !self.is_reading && room >= WINDOW_MAX / 2 && !self.parking.is_full() {
            self.is_reading = true;
            actions.push(Action::ReadFeed { after: self.read_to, limit: room });
        }
    }

    fn read_line(&mut self, actions: &mut Vec<Action>) -> bool {
        let page = self.parking.next_read();
        actions.extend(page.map(|page| Action::ReadLine(LineRead { page })));
        page.is_some()
    }

    fn send(&mut self, actions: &mut Vec<Action>) {
        let limit = self.circuit.limit();
        while self.in_flight.len() < limit && self.attempts.len() < UNWRITTEN_MAX {
            // Lines get up to half of the room, and all of it if the window has nothing to send.
            let share = if self.window.is_ready() { limit / 2 } else { limit };
            let sent = (self.retries_in_flight < share.min(LOADED_MAX) && self.send_line(actions))
                || self.send_fresh(actions);
            if !sent {
                return;
            }
        }
    }

    fn send_fresh(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some((number, event, failures)) = self.window.take() else { return false };
        self.launch(Origin::Window(number), event, failures, Pool::Fresh, actions);
        true
    }

    fn send_line(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some((line, event, failures)) = self.parking.take() else { return false };
        self.retries_in_flight += 1;
        self.launch(Origin::Line(line), event, failures, Pool::Retry, actions);
        true
    }

    fn launch(
        &mut self,
        origin: Origin,
        event: FeedEvent,
        failures: u16,
        pool: Pool,
        actions: &mut Vec<Action>,
    ) {
        let attempt = failures.saturating_add(1);
        let lines = lines_of(&event, self.order);
        let flying = Flying { origin, attempt, event_id: event.id, lines };
        self.in_flight.insert(event.position, flying);
        actions.push(Action::Send(Send { event, attempt, pool }));
    }

    fn flush(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(since) = self.unwritten_since.filter(|_| !self.is_flushing) else { return };
        let is_last = self.is_stopped && self.in_flight.is_empty();
        let is_due = since.after(FLUSH_EVERY) <= now;
        if !(is_due || is_last || self.attempts.len() >= FLUSH_COMPLETIONS) {
            return;
        }
        let cursor = self.cursor();
        let (blocked, unblocked) = self.parking.changes(cursor);
        self.flushed_cursor = cursor;
        self.unwritten_since = None;
        self.is_flushing = true;
        actions.push(Action::Flush(Flush {
            endpoint: self.endpoint,
            cursor,
            blocked,
            unblocked,
            failing_since: self.failing_since,
            attempts: std::mem::take(&mut self.attempts),
        }));
    }

    fn wants(&self, event: EventType) -> bool {
        self.format.carries(event) && (self.events.is_empty() || self.events.contains(&event))
    }

    /// There is something to write.
    fn note(&mut self, now: Timestamp) {
        self.unwritten_since.get_or_insert(now);
    }

    fn note_cursor(&mut self, now: Timestamp) {
        if self.cursor() != self.flushed_cursor {
            self.note(now);
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
