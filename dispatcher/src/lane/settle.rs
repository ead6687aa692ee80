//! What follows from an answer.

use schemas::Timestamp;

use super::io::{Action, Completed};
use super::window::SlotNumber;
use super::{FAILING_MAX, Flying, Lane, Origin};
use crate::Failure;
use crate::circuit::{Circuit, Signal};
use crate::ports::{Attempt, DisableReason, FeedPosition, Line, Notice, Outcome};
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
        let failing = self.failing_since.is_some_and(|since| now.since(since) >= FAILING_MAX);
        if next == Some(Next::Gone) {
            self.disable(DisableReason::Gone, actions);
        } else if failing && self.circuit.is_open() && self.replay.is_none() {
            self.disable(DisableReason::Failing, actions);
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
        let Outcome::Failed(failure) = completed.outcome else {
            self.circuit = self.circuit.next(Signal::Answered, &self.schedule, now, dice);
            self.succeed(now);
            return None;
        };
        let signal = if failure.is_of_the_endpoint() {
            Signal::Failed { fresh: flying.attempt == 1, retry_after }
        } else {
            Signal::Answered
        };
        self.circuit = self.circuit.next(signal, &self.schedule, now, dice);
        self.failing_since.get_or_insert(now);
        self.tell_failing(failure, now);
        Some(self.schedule.next(failure, flying.attempt, retry_after, now, dice))
    }

    fn succeed(&mut self, now: Timestamp) {
        let since = self.failing_since.take();
        if std::mem::take(&mut self.is_told)
            && let Some(since) = since
        {
            self.notices.push((now, Notice::Recovered { since }));
        }
    }

    /// Tells the operator, once, when the circuit opens. A replay that fails says nothing about what
    /// follows the feed.
    fn tell_failing(&mut self, failure: Failure, now: Timestamp) {
        if self.is_told || self.replay.is_some() || !self.circuit.is_open() {
            return;
        }
        let since = self.failing_since.unwrap_or(now);
        let disables_at = since.after(FAILING_MAX);
        self.is_told = true;
        self.notices.push((now, Notice::Failing { since, failure, disables_at }));
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
            // The cursor stands still, and nothing piles up. A probe is parked all the same, so
            // that the next one is another event: this one may be what the endpoint fails on.
            Some(Next::Retry(_)) if self.circuit.is_open() && !self.was_probe() => {
                self.window.put_back(number, flying.attempt);
            }
            Some(Next::Retry(due)) => self.park(number, flying, position, due),
            Some(Next::Gone) => self.park(number, flying, position, now),
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
}
