//! The lines that wait, and how they catch up.
//!
//! ```text
//!            due                                 head is at the head of all its lines
//!   Parked ───────▶ Queued ─────▶ Reading ─────▶ Ready ─────▶ Sending ─────▶ next event: Queued or Ready
//!     ▲               ▲              │                          │            none left:  free
//!     │               └── Waiting ◀──┘ another line, or the     │
//!     │                              window, is not there yet   │
//!     └─────────────────────────────────────────────────────────┘ failed
//! ```
//!
//! Only the head of a line has a timer. Whatever waits behind it costs nothing: when the head is
//! done the rest is read from the feed, page by page. At most [`LOADED_MAX`] lines hold a page.

mod entry;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::Timestamp;

use crate::lane::holding::directory_of;
use crate::lane::lines::{Lines, lines_of};
use crate::lane::window::Window;
use crate::ports::{Blocked, FeedEvent, FeedPosition, Line, Order};

use entry::{Entry, Phase};
pub(crate) use entry::{Head, PageRead};

/// The most lines that may wait. At the limit the cursor stands still, so that an endpoint that
/// refuses much costs a bounded number of rows and a bounded amount of memory: a megabyte or two.
pub const BLOCKED_LINES_MAX: usize = 10_000;

/// The most lines of one endpoint that catch up at a time, and so the most retries in flight.
pub(crate) const LOADED_MAX: usize = 8;

/// How many events of a line are read at a time.
pub(crate) const PAGE: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    order: Order,
    entries: BTreeMap<Line, Entry>,
    timers: BTreeSet<(Timestamp, Line)>,
    /// Lines to be read. One that is not `Queued` any more is passed over.
    queue: VecDeque<Line>,
    /// Lines whose head may be sent, likewise.
    ready: VecDeque<Line>,
    /// Lines whose row may differ from the store's.
    dirty: BTreeSet<Line>,
    /// Lines of which the store holds a row. Not a matter of the entries: a line may be freed and
    /// blocked again between two writes.
    stored: BTreeSet<Line>,
    loaded: usize,
    reads: u64,
    failed: u64,
}

impl Parking {
    /// From the rows of the store; all up to `cursor` may wait in them.
    pub(crate) fn new(order: Order, rows: Vec<Blocked>, cursor: FeedPosition) -> Self {
        let mut parking = Self { order, ..Self::default() };
        for row in rows.into_iter().filter(|row| directory_of(row.line).is_none()) {
            let phase = if row.due.is_some() { Phase::Parked } else { Phase::Queued };
            match row.due {
                Some(due) => drop(parking.timers.insert((due, row.line))),
                None => parking.queue.push_back(row.line),
            }
            let entry = Entry {
                from: row.from,
                last: cursor.max(row.from),
                failures: row.failures,
                due: row.due,
                failed_after: 0,
                failed_as: 0,
                is_at_fault: false,
                phase,
                page: VecDeque::new(),
                read_to: row.from.before(),
            };
            parking.stored.insert(row.line);
            parking.entries.insert(row.line, entry);
        }
        parking
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the first event of the lines stands.
    pub(crate) fn first(&self) -> Option<FeedPosition> {
        self.entries.values().map(|entry| entry.from).min()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= BLOCKED_LINES_MAX
    }

    pub(crate) fn is_ready(&mut self) -> bool {
        while let Some(line) = self.ready.front() {
            if self.entries.get(line).is_some_and(|entry| entry.phase == Phase::Ready) {
                return true;
            }
            self.ready.pop_front();
        }
        false
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.loaded > 0
    }

    /// Whether a page is being read.
    pub(crate) fn is_reading(&self) -> bool {
        self.loaded > 0
            && self.entries.values().any(|entry| matches!(entry.phase, Phase::Reading(_)))
    }

    /// Forgets what stands beyond the cursor: it is read from the feed again. Nothing is being read or in flight.
    pub(crate) fn rewind(&mut self, cursor: FeedPosition) {
        let lines: Vec<Line> = self.entries.keys().copied().collect();
        for line in lines {
            let Some(entry) = self.entries.get_mut(&line) else { continue };
            if entry.from > cursor {
                self.set_phase(line, Phase::Waiting);
                self.entries.remove(&line);
                self.dirty.insert(line);
                continue;
            }
            entry.last = entry.last.min(cursor);
            match entry.phase {
                Phase::Parked | Phase::Queued => {}
                // What they waited for may be gone.
                Phase::Reading(_)
                | Phase::Waiting
                | Phase::Ready
                | Phase::Sending
                | Phase::Paired => self.enqueue(line),
            }
        }
    }

    /// When the next head is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Whether an event of these lines must wait here.
    pub(crate) fn blocks(&self, lines: Lines) -> bool {
        !self.entries.is_empty() && lines.iter().any(|line| self.entries.contains_key(&line))
    }

    /// An event waits behind one of its lines, and so do later ones of all its lines.
    pub(crate) fn wait(&mut self, position: FeedPosition, lines: Lines) {
        for line in lines.iter() {
            let entry = self.entries.entry(line).or_insert_with(|| Entry {
                from: position,
                last: position,
                failures: 0,
                due: None,
                failed_after: 0,
                failed_as: 0,
                is_at_fault: false,
                phase: Phase::Waiting,
                page: VecDeque::new(),
                read_to: position.before(),
            });
            entry.last = entry.last.max(position);
            self.dirty.insert(line);
            if position < entry.from {
                entry.from = position;
                (entry.failures, entry.due) = (0, None);
                self.set_phase(line, Phase::Waiting);
                let entry = self.entries.get_mut(&line).expect("inserted above");
                entry.read_to = position.before();
            }
        }
    }

    /// Whether one of these lines has gone past the position.
    pub(crate) fn is_past(&self, position: FeedPosition, lines: Lines) -> bool {
        let is_past =
            |line| self.entries.get(&line).is_some_and(|entry: &Entry| entry.is_past(position));
        lines.iter().any(is_past)
    }

    /// An event that was held waits here now, and has its turn when it is the first of its lines.
    pub(crate) fn hand(&mut self, position: FeedPosition, lines: Lines, window: &Window) {
        self.wait(position, lines);
        for line in lines.iter().filter(|line| !window.holds(*line)) {
            self.left_window(line);
        }
    }

    /// An event failed at the head of its lines, when the lane had seen so many successes. The first of
    /// them keeps the time; the others wait for it.
    pub(crate) fn park(
        &mut self,
        position: FeedPosition,
        lines: Lines,
        (failures, due): (u16, Timestamp),
        successes: u64,
    ) {
        self.wait(position, lines);
        self.failed += 1;
        for line in lines.iter() {
            self.set_phase(line, Phase::Waiting);
            let entry = self.entries.get_mut(&line).expect("inserted above");
            debug_assert_eq!(entry.from, position, "only the head of a line is sent");
            if line != lines.first() {
                (entry.failures, entry.due) = (0, None);
            } else {
                entry.fail((failures, due), successes, self.failed);
                self.timers.insert((due, line));
                self.set_phase(line, Phase::Parked);
            }
        }
    }

    /// Time has passed: what is due gets its turn.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        while let Some((_, line)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.enqueue(line);
        }
    }

    /// Gives the line its turn, be it early, that was not tried for longest: another each time, since one may be
    /// what the endpoint fails on.
    pub(crate) fn hurry(&mut self) {
        let failed_as = |line| self.entries.get(&line).map(|entry| entry.failed_as);
        let waiting = self.timers.iter().map(|(_, line)| *line);
        if let Some(line) = waiting.min_by_key(|line| failed_as(*line)) {
            self.enqueue(line);
        }
    }

    /// Gives every line its turn whose head may have failed of the endpoint alone.
    pub(crate) fn hurry_all(&mut self) {
        let is_free = |line| self.entries.get(&line).is_some_and(|entry| !entry.is_at_fault);
        let waiting: Vec<Line> = self.timers.iter().map(|(_, line)| *line).collect();
        let waiting = waiting.into_iter().filter(|line| is_free(*line)).collect::<Vec<_>>();
        waiting.into_iter().for_each(|line| self.enqueue(line));
    }

    /// The next page to read, if there is a line to read and room for it.
    pub(crate) fn next_read(&mut self) -> Option<PageRead> {
        if self.loaded >= LOADED_MAX {
            return None;
        }
        while let Some(line) = self.queue.pop_front() {
            let Some(entry) = self.entries.get(&line) else { continue };
            if entry.phase != Phase::Queued {
                continue;
            }
            self.reads += 1;
            let (after, up_to) = (entry.read_to, entry.last);
            self.set_phase(line, Phase::Reading(self.reads));
            return Some(PageRead { line, number: self.reads, after, up_to });
        }
        None
    }

    /// A page was read: `events` are those that the endpoint wants; the line was read up to
    /// `read_to`, and nothing after `ends` waits in it, if that is known.
    pub(crate) fn fill(
        &mut self,
        read: PageRead,
        events: Vec<FeedEvent>,
        (read_to, ends): (FeedPosition, Option<FeedPosition>),
        window: &Window,
    ) {
        let Some(entry) = self.entries.get_mut(&read.line) else { return };
        if entry.phase != Phase::Reading(read.number) {
            return;
        }
        entry.last = ends.map_or(entry.last, |ends| ends.min(entry.last));
        entry.page = events.into();
        entry.read_to = read_to;
        self.advance(read.line, window);
    }

    /// The next head to send.
    pub(crate) fn take(&mut self) -> Option<Head> {
        if !self.is_ready() {
            return None;
        }
        let line = self.ready.pop_front()?;
        self.set_phase(line, Phase::Sending);
        let event = self.entries.get(&line).and_then(|entry| entry.page.front());
        let event = event.expect("a ready line holds its head").clone();
        let lines = lines_of(&event, self.order);
        // Between lines that stand at the same head, only the first one has counted.
        let counts = if is_in(line, lines) { lines.first() } else { line };
        let counted = self.entries.get(&counts).map(|entry| (entry.failures, entry.due));
        let (failures, due) = counted.unwrap_or_default();
        Some(Head { line, event, failures, due })
    }

    /// The head of `line` was delivered or is exhausted: all its lines move on.
    pub(crate) fn finish(&mut self, line: Line, window: &Window) {
        let event = self.sent(line);
        for line in self.lines_at(line, &event) {
            let Some(entry) = self.entries.get_mut(&line) else { continue };
            entry.from = event.position.next();
            entry.read_to = entry.read_to.max(event.position);
            (entry.failures, entry.due) = (0, None);
            self.dirty.insert(line);
            self.advance(line, window);
        }
    }

    /// The head of `line` failed again.
    pub(crate) fn fail(&mut self, line: Line, failures: u16, due: Timestamp, successes: u64) {
        let event = self.sent(line);
        let lines = lines_of(&event, self.order);
        if is_in(line, lines) {
            self.park(event.position, lines, (failures, due), successes);
            return;
        }
        self.failed += 1;
        let entry = self.entries.get_mut(&line).expect("a line in flight is blocked");
        entry.fail((failures, due), successes, self.failed);
        self.timers.insert((due, line));
        self.dirty.insert(line);
        self.set_phase(line, Phase::Parked);
    }

    /// The window holds no event of this line any more.
    pub(crate) fn left_window(&mut self, line: Line) {
        if self.entries.get(&line).is_some_and(|entry| entry.phase == Phase::Waiting) {
            self.enqueue(line);
        }
    }

    /// The rows that changed since the last call, given that the cursor stands at `cursor`: a line
    /// whose head lies beyond it needs none, since a restart reads that head from the feed.
    pub(crate) fn changes(&mut self, cursor: FeedPosition) -> (Vec<Blocked>, Vec<Line>) {
        let (mut blocked, mut unblocked) = (Vec::new(), Vec::new());
        let mut beyond = BTreeSet::new();
        for line in std::mem::take(&mut self.dirty) {
            let entry = self.entries.get(&line);
            if let Some(entry) = entry.filter(|entry| entry.from <= cursor) {
                self.stored.insert(line);
                blocked.push(entry.to_row(line));
                continue;
            }
            if self.stored.remove(&line) {
                unblocked.push(line);
            }
            if entry.is_some() {
                beyond.insert(line);
            }
        }
        self.dirty = beyond;
        (blocked, unblocked)
    }

    /// Moves a line to its next undelivered event, or frees it.
    fn advance(&mut self, line: Line, window: &Window) {
        let Some(entry) = self.entries.get_mut(&line) else { return };
        while entry.page.front().is_some_and(|event| event.position < entry.from) {
            entry.page.pop_front();
        }
        if let Some(head) = entry.page.front() {
            if entry.from != head.position {
                entry.from = head.position;
                self.dirty.insert(line);
            }
            let lines = lines_of(head, self.order);
            self.resolve(line, lines, window);
            return;
        }
        entry.from = entry.from.max(entry.read_to.next());
        self.dirty.insert(line);
        if entry.from > entry.last {
            self.set_phase(line, Phase::Waiting);
            self.entries.remove(&line);
        } else {
            self.enqueue(line);
        }
    }

    /// The head of `line` is known: it is ready if it is the head of all its lines.
    fn resolve(&mut self, line: Line, lines: Lines, window: &Window) {
        let from = self.entries.get(&line).map(|entry| entry.from);
        let lines = is_in(line, lines).then_some(lines);
        let others = || lines.into_iter().flat_map(Lines::iter).filter(|other| *other != line);
        let is_there = |other: Line| match self.entries.get(&other) {
            None => true,
            Some(entry) => entry.phase == Phase::Waiting && Some(entry.from) == from,
        };
        let window_is_past = !window.holds(line) && others().all(|other| !window.holds(other));
        if !(window_is_past && others().all(is_there)) {
            self.set_phase(line, Phase::Waiting);
            return;
        }
        for other in others() {
            self.set_phase(other, Phase::Paired);
        }
        self.set_phase(line, Phase::Ready);
        self.ready.push_back(line);
    }

    fn enqueue(&mut self, line: Line) {
        self.set_phase(line, Phase::Queued);
        self.queue.push_back(line);
    }

    /// Changes the phase. What is not loaded holds no page.
    fn set_phase(&mut self, line: Line, phase: Phase) {
        let Some(entry) = self.entries.get_mut(&line) else { return };
        let was_loaded = entry.loaded();
        if entry.phase == Phase::Parked
            && let Some(due) = entry.due
        {
            self.timers.remove(&(due, line));
        }
        entry.phase = phase;
        if !entry.loaded() && !entry.page.is_empty() {
            entry.page = VecDeque::new();
            entry.read_to = entry.from.before();
        }
        self.loaded = self.loaded + usize::from(entry.loaded()) - usize::from(was_loaded);
    }

    /// The event of a line that is in flight.
    fn sent(&self, line: Line) -> FeedEvent {
        let event = self.entries.get(&line).and_then(|entry| entry.page.front());
        event.expect("a line in flight holds its head").clone()
    }

    /// The lines that stand at this event: those that it is in, and `line`, which sent it.
    fn lines_at(&self, line: Line, event: &FeedEvent) -> impl Iterator<Item = Line> + use<> {
        let lines = lines_of(event, self.order);
        let others = lines.iter().filter(move |other| *other != line);
        let stands_here = |other: &Line| {
            let entry = self.entries.get(other);
            entry.is_some_and(|entry| entry.phase == Phase::Paired && entry.from == event.position)
        };
        let others: Vec<Line> = others.filter(stands_here).collect();
        std::iter::once(line).chain(others)
    }
}

/// Whether `line` is one of an event's lines. It is not when the endpoint's order was changed while
/// the line waited: such a line sends what it holds on its own.
fn is_in(line: Line, lines: Lines) -> bool {
    lines.iter().any(|other| other == line)
}
