//! What was read finds its place: the window, a line that waits, or what is held.

use schemas::Timestamp;

use super::Lane;
use super::holding::{Holding, directory_of};
use super::lines::{Lines, lines_of};
use super::parking::{PAGE, PageRead};
use crate::ports::{FeedEvent, FeedPosition, Replay};

impl Lane {
    pub(super) fn take_in(&mut self, events: Vec<FeedEvent>, now: Timestamp) {
        (self.is_reading, self.is_behind) = (false, false);
        for event in events {
            self.read_to = event.position;
            if self.done.contains(&event.position) || !self.wants(&event) {
                continue;
            }
            if self.replay.is_none() && self.holding.takes(&event, self.order) {
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

    pub(super) fn take_line(&mut self, page: PageRead, mut events: Vec<FeedEvent>, now: Timestamp) {
        let is_full = events.len() >= PAGE;
        let last = events.last().map(|event| event.position).filter(|_| is_full);
        let read_to = last.unwrap_or(page.up_to);
        events.retain(|event| self.wants(event) && !self.done.contains(&event.position));
        self.note(now);
        if directory_of(page.line).is_some() {
            self.hand_over(page, &events, read_to);
            return;
        }
        let ends = self.holding.end_of_line(&events, self.order);
        events.retain(|event| !self.holding.has(event));
        let read_to = ends.map_or(read_to, |ends| ends.min(read_to));
        self.parking.fill(page, events, (read_to, ends), &self.window);
    }

    /// What was held and is released waits in its own lines from now on.
    fn hand_over(&mut self, page: PageRead, events: &[FeedEvent], read_to: FeedPosition) {
        let Self { holding, parking, window, order, .. } = self;
        holding.fill(page, events, read_to, |event| {
            if !Holding::has_room(parking.len()) {
                return false;
            }
            let lines = lines_of(event, *order);
            // The order of the endpoint was changed meanwhile: what comes late comes on its own.
            let is_late = parking.is_past(event.position, lines);
            let lines = if is_late { Lines::alone(event.id) } else { lines };
            parking.hand(event.position, lines, window);
            true
        });
    }

    fn wants(&self, event: &FeedEvent) -> bool {
        let is_replayed = |replay: &Replay| replay.filter.passes(event);
        self.endpoint.wants(event) && self.replay.as_ref().is_none_or(is_replayed)
    }
}
