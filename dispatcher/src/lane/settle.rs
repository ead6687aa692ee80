//! What follows from an answer.

use schemas::Timestamp;

use super::io::{Action, Completed};
use super::window::SlotNumber;
use super::{Flying, Lane, Origin, SLOW_AFTER};
use crate::Failure;
use crate::circuit::{Circuit, PROBE_WAIT_MAX, Signal};
use crate::failure::Patience;
use crate::ports::{Attempt, DisableReason, FeedPosition, Line, Outcome};
use crate::schedule::Next;

impl Lane {
    pub(super) fn complete(
        &mut self,
        completed: Completed,
        now: Timestamp,
        dice: f64,
        actions: &mut Vec<Action>,
    ) {
        let Some(flying) = self.in_flight.remove(&completed.position) else { return };
        *self.taken.get_mut(flying.pool) -= 1;
        if !flying.is_slow {
            self.speed.note(completed.duration >= SLOW_AFTER);
        }
        let next = self.judge(&flying, &completed, now, dice);
        match flying.origin {
            Origin::Window(number) => {
                self.settle_window(number, &flying, completed.position, next, now)
            }
            Origin::Line(line) => self.settle_line(line, &flying, next, now),
        }
        if next.is_none_or(|next| next == Next::Exhausted) {
            self.done.insert(completed.position);
        }
        self.attempts.push(Attempt {
            event_id: flying.event_id,
            topic: flying.topic,
            position: completed.position,
            attempt: flying.attempt,
            at: completed.at,
            duration: completed.duration,
            outcome: completed.outcome,
            exhausted: next == Some(Next::Exhausted),
            excerpt: completed.excerpt,
        });
        self.note(now);
        let has_failed = next.is_some() && self.replay.is_none();
        if next == Some(Next::Gone) {
            self.disable(DisableReason::Gone, actions);
        } else if has_failed && self.failing.is_too_long(now) {
            self.disable(DisableReason::Failing, actions);
        }
    }

    pub(super) fn note_slow(&mut self, position: FeedPosition) {
        if let Some(flying) = self.in_flight.get_mut(&position)
            && !std::mem::replace(&mut flying.is_slow, true)
        {
            self.speed.note(true);
        }
    }

    /// What the outcome says about the endpoint, and what follows for the event if it failed.
    fn judge(
        &mut self,
        flying: &Flying,
        completed: &Completed,
        now: Timestamp,
        dice: f64,
    ) -> Option<Next> {
        let retry_after = completed.retry_after;
        let was_down = self.circuit.is_open() || self.has_probed;
        let Outcome::Failed(failure) = completed.outcome else {
            self.signal(Signal::Answered, now, dice);
            self.successes += 1;
            self.answered(was_down);
            let notice = self.failing.succeeded();
            self.notices.extend(notice.map(|notice| (now, notice)));
            return None;
        };
        if failure.is_of_the_endpoint() {
            let fresh = flying.attempt == 1;
            self.signal(Signal::Failed { fresh, retry_after }, now, dice);
            let probe = self.schedule.probe(u16::MAX, PROBE_WAIT_MAX, retry_after, now, dice);
            self.probe_at = Some(probe);
        } else {
            self.signal(Signal::Answered, now, dice);
            self.answered(was_down);
        }
        let notice = self.failing.failed(failure, self.circuit.is_open(), now);
        // A replay that fails says nothing about what follows the feed.
        let notice = notice.filter(|_| self.replay.is_none());
        self.notices.extend(notice.map(|notice| (now, notice)));
        Some(self.what_follows(failure, flying, completed, now, dice))
    }

    fn signal(&mut self, signal: Signal, now: Timestamp, dice: f64) {
        self.circuit = self.circuit.next(signal, &self.schedule, now, dice);
    }

    /// The endpoint works. If it had not, what waits has its turn.
    fn answered(&mut self, was_down: bool) {
        (self.probe_at, self.has_probed) = (None, false);
        if was_down {
            self.parking.hurry_all();
        }
    }

    /// What follows for an event that has failed. An attempt before its time changes nothing.
    fn what_follows(
        &self,
        failure: Failure,
        flying: &Flying,
        completed: &Completed,
        now: Timestamp,
        dice: f64,
    ) -> Next {
        match (failure.patience(), flying.early_for) {
            (Patience::Long | Patience::Short, Some(due)) => Next::Retry(due),
            (Patience::Never, _) | (Patience::Long | Patience::Short, None) => {
                let (attempt, retry_after) = (flying.attempt, completed.retry_after);
                self.schedule.next(failure, attempt, retry_after, now, dice)
            }
        }
    }

    fn settle_window(
        &mut self,
        number: SlotNumber,
        flying: &Flying,
        position: FeedPosition,
        next: Option<Next>,
        now: Timestamp,
    ) {
        match next {
            None | Some(Next::Exhausted) => {
                let parking = &mut self.parking;
                self.window.finish(number, |line| parking.left_window(line));
            }
            // The cursor stands still, and nothing piles up; the attempt does not count. A probe is parked
            // all the same, so that the next one is another event: this one may be what the endpoint fails on.
            Some(Next::Retry(_)) if self.circuit.is_open() && !self.was_probe() => {
                self.window.put_back(number);
            }
            Some(Next::Retry(due)) => self.park(number, flying, position, due),
            Some(Next::Gone) => self.park(number, flying, position, now),
        }
    }

    fn settle_line(&mut self, line: Line, flying: &Flying, next: Option<Next>, now: Timestamp) {
        self.retries_in_flight -= 1;
        match next {
            None | Some(Next::Exhausted) => self.parking.finish(line, &self.window),
            Some(Next::Retry(due)) => {
                let is_early = flying.early_for.is_some();
                let failures = flying.attempt - u16::from(is_early);
                self.parking.fail(line, failures, due, self.successes);
            }
            Some(Next::Gone) => self.parking.fail(line, flying.attempt, now, self.successes),
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
        self.parking.park(position, flying.lines, (flying.attempt, due), self.successes);
    }

    fn disable(&mut self, reason: DisableReason, actions: &mut Vec<Action>) {
        if !self.is_stopped {
            self.is_stopped = true;
            actions.push(Action::Disable(reason));
        }
    }
}
