//! What a lane begins: reads, requests, writes.

use schemas::Timestamp;

use super::io::{Action, LineRead, Send};
use super::lines::lines_of;
use super::parking::{Head, LOADED_MAX};
use super::speed::Pool;
use super::window::WINDOW_MAX;
use super::{
    FLUSH_COMPLETIONS, Flying, Lane, Origin, PROBE_PAGE, REPLAY_IN_FLIGHT_MAX, UNWRITTEN_MAX,
};
use crate::circuit::{Circuit, IN_FLIGHT_MAX, Signal};
use crate::ports::{FeedEvent, Flush};

impl Lane {
    /// Whatever is possible is begun.
    pub(super) fn move_on(&mut self, now: Timestamp, dice: f64, actions: &mut Vec<Action>) {
        self.note_cursor(now);
        if !self.is_stopped {
            if self.in_flight.is_empty() {
                self.circuit = self.circuit.next(Signal::Tick, &self.schedule, now, dice);
            }
            self.drop_window();
            self.read(now, actions);
            self.tell_stalled(now);
            self.send(now, actions);
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
                if !self.is_behind {
                    self.read_for_probe(actions);
                }
            }
            Circuit::Closed { .. } | Circuit::Ramping { .. } => {
                self.parking.tick(now);
                while self.read_line(actions) {}
                self.probe_early(now, actions);
                self.read_held(actions);
            }
        }
        let room = match self.circuit {
            Circuit::Probing { .. } => self.window.room().min(PROBE_PAGE),
            Circuit::Closed { .. } | Circuit::Open { .. } | Circuit::Ramping { .. } => {
                self.window.room()
            }
        };
        let up_to = self.replay.as_ref().map(|replay| replay.up_to);
        if up_to.is_some_and(|up_to| self.read_to >= up_to) {
            return;
        }
        // Half a window at a time, so that a read is worth its cost.
        let is_worth_it = self.window.room() >= WINDOW_MAX / 2;
        if !self.is_reading && is_worth_it && !self.parking.is_full() {
            self.is_reading = true;
            actions.push(Action::ReadFeed { after: self.read_to, up_to, limit: room });
        }
    }

    /// What was not tried yet is read first; without it, what was not tried for longest.
    fn read_for_probe(&mut self, actions: &mut Vec<Action>) {
        if !self.parking.is_loading() {
            self.read_line(actions);
        }
        if !self.parking.is_loading() {
            self.parking.hurry();
            self.read_line(actions);
        }
        self.read_held(actions);
    }

    /// If everything waits since the endpoint has failed, something is tried now and then.
    fn probe_early(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.probe_at.is_some_and(|at| at <= now) && self.is_standing() {
            (self.probe_at, self.has_probed) = (None, true);
            self.parking.hurry();
            self.read_line(actions);
        }
    }

    fn read_line(&mut self, actions: &mut Vec<Action>) -> bool {
        let page = self.parking.next_read();
        actions.extend(page.map(|page| Action::ReadLine(LineRead { page })));
        page.is_some()
    }

    fn read_held(&mut self, actions: &mut Vec<Action>) {
        let page = self.holding.next_read(self.parking.len());
        actions.extend(page.map(|page| Action::ReadLine(LineRead { page })));
    }

    fn send(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let limit = self.circuit.limit().min(self.in_flight_max());
        self.resumes_at = None;
        while self.in_flight.len() < limit && self.attempts.len() < UNWRITTEN_MAX {
            if let Some(at) = self.pace.as_ref().and_then(|pace| pace.closed_until(now)) {
                let has_work = self.window.is_ready() || self.parking.is_ready();
                self.resumes_at = has_work.then_some(at);
                return;
            }
            // Lines get up to half of the room, and all of it if the window has nothing to send.
            let share = if self.window.is_ready() { limit / 2 } else { limit };
            let sent = (self.retries_in_flight < share.min(LOADED_MAX)
                && self.send_line(now, actions))
                || self.send_fresh(actions);
            if !sent {
                return;
            }
            if let Some(pace) = &mut self.pace {
                pace.take(now);
            }
        }
    }

    fn send_fresh(&mut self, actions: &mut Vec<Action>) -> bool {
        let is_well = self.replay.is_none() && self.circuit.is_closed();
        let Some(pool) = self.room_in(if is_well { Pool::Fresh } else { Pool::Retry }) else {
            return false;
        };
        let Some((number, event)) = self.window.take() else { return false };
        self.launch(Origin::Window(number), event, (0, None), pool, actions);
        true
    }

    fn send_line(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let Some(pool) = self.room_in(Pool::Retry) else { return false };
        let Some(Head { line, event, failures, due }) = self.parking.take() else { return false };
        self.retries_in_flight += 1;
        let early_for = due.filter(|due| *due > now);
        let origin = Origin::Line(line);
        self.launch(origin, event, (failures, early_for), pool, actions);
        true
    }

    /// The pool from which there is room for a request of this kind, if there is.
    fn room_in(&self, pool: Pool) -> Option<Pool> {
        let pool = if self.speed.is_slow() { Pool::Slow } else { pool };
        (self.taken.get(pool) < self.shares.get(pool)).then_some(pool)
    }

    fn launch(
        &mut self,
        origin: Origin,
        event: FeedEvent,
        (failures, early_for): (u16, Option<Timestamp>),
        pool: Pool,
        actions: &mut Vec<Action>,
    ) {
        let attempt = failures.saturating_add(1);
        let lines = lines_of(&event, self.order);
        let (event_id, topic) = (event.id, event.topic);
        let is_slow = false;
        let flying = Flying { origin, attempt, early_for, pool, is_slow, event_id, topic, lines };
        *self.taken.get_mut(pool) += 1;
        self.in_flight.insert(event.position, flying);
        actions.push(Action::Send(Send { event, attempt, pool }));
    }

    /// The most requests in flight, whatever the circuit permits.
    const fn in_flight_max(&self) -> usize {
        if self.replay.is_some() { REPLAY_IN_FLIGHT_MAX } else { IN_FLIGHT_MAX }
    }

    fn flush(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(due) = self.flush_due().filter(|_| !self.is_flushing) else { return };
        let is_last = self.is_stopped && self.in_flight.is_empty();
        let is_due = due <= now;
        if !(is_due || is_last || self.attempts.len() >= FLUSH_COMPLETIONS) {
            return;
        }
        let cursor = self.cursor();
        let (mut blocked, mut unblocked) = self.parking.changes(cursor);
        let (held, no_longer_held) = self.holding.changes(cursor);
        blocked.extend(held);
        unblocked.extend(no_longer_held);
        self.flushed_cursor = cursor;
        (self.unwritten_since, self.moved_since) = (None, None);
        self.is_flushing = true;
        actions.push(Action::Flush(Flush {
            lane: self.id,
            cursor,
            done: self.done.range(cursor.next()..).copied().collect(),
            blocked,
            unblocked,
            failing_since: self.failing.since,
            is_told: self.failing.is_told,
            is_paused: self.circuit.is_open(),
            notices: std::mem::take(&mut self.notices),
            attempts: std::mem::take(&mut self.attempts),
            is_finished: self.is_finished(),
        }));
    }
}
