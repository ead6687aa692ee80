//! The events that wait because their directory is held, in one line for each directory.
//!
//! ```text
//!           released                    no room in parking
//!   Held ─────────────▶ Queued ──▶ Reading ─────────────▶ Full
//!     ▲                  ▲  ▲         │ │                  │
//!     └──────────────────┼──┼─────────┘ │  ◀── room ───────┘
//!      held anew         └──┴───────────┘ handed over, and there is more
//! ```
//!
//! However many events are held, a directory costs an endpoint one row and no timer. When it is released,
//! they are read page by page and handed over to the lines of their users and groups, where they wait
//! like those behind one that failed; as many at a time as leave room for others.

use std::collections::{BTreeMap, BTreeSet};

use schemas::DirectoryId;

use crate::lane::parking::{BLOCKED_LINES_MAX, PageRead};
use crate::ports::{Blocked, FeedEvent, FeedPosition, Line, Order};

/// With so many lines that wait, nothing more is handed over: the cursor stands still at twice as many,
/// and a directory that is released must not hold up others.
const HANDED_MAX: usize = BLOCKED_LINES_MAX / 2;

/// The holds that are released: of each directory, all that began here or before.
pub type Released = BTreeMap<DirectoryId, FeedPosition>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The event at `from` is held.
    Held,
    /// Waits to be read.
    Queued,
    /// Being read; the number tells the answer from that of an earlier read.
    Reading(u64),
    /// Waits for room in parking.
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    line: Line,
    /// No event of the line before this one waits here.
    from: FeedPosition,
    /// The last event that is known to wait here.
    last: FeedPosition,
    phase: Phase,
}

impl Entry {
    /// Whether an event of the directory belongs here.
    const fn takes(&self, event: &FeedEvent) -> bool {
        match self.line {
            Line::HeldStream(_) => true,
            Line::Held(_)
            | Line::User(_)
            | Line::Group(_)
            | Line::Directory(_)
            | Line::Stream(_)
            | Line::Event(_) => event.held.is_some(),
        }
    }
}

/// Whether rows of this line are those of a [`Holding`].
pub(crate) const fn directory_of(line: Line) -> Option<DirectoryId> {
    match line {
        Line::Held(id) | Line::HeldStream(id) => Some(id),
        Line::User(_) | Line::Group(_) | Line::Directory(_) | Line::Stream(_) | Line::Event(_) => {
            None
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    entries: BTreeMap<DirectoryId, Entry>,
    released: Released,
    /// Directories whose row may differ from the store's.
    dirty: BTreeSet<DirectoryId>,
    /// The lines of which the store holds a row.
    stored: BTreeSet<Line>,
    reads: u64,
}

impl Holding {
    /// From the rows of the store; all up to `cursor` may wait in them.
    pub(crate) fn new(rows: &[Blocked], cursor: FeedPosition) -> Self {
        let mut holding = Self::default();
        for row in rows {
            let Some(directory) = directory_of(row.line) else { continue };
            let (line, from, last) = (row.line, row.from, cursor.max(row.from));
            holding.entries.insert(directory, Entry { line, from, last, phase: Phase::Queued });
            holding.stored.insert(line);
        }
        holding
    }

    /// How many directories wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the first event that waits here stands.
    pub(crate) fn first(&self) -> Option<FeedPosition> {
        self.entries.values().map(|entry| entry.from).min()
    }

    /// Takes an event in that has to wait here; true if it has to.
    pub(crate) fn takes(&mut self, event: &FeedEvent, order: Order) -> bool {
        let directory = event.directory_id;
        if let Some(entry) = self.entries.get_mut(&directory)
            && entry.takes(event)
        {
            entry.last = entry.last.max(event.position);
            return true;
        }
        if !self.is_held(event) {
            return false;
        }
        let line = match order {
            Order::Resource | Order::None => Line::Held(directory),
            Order::Directory => Line::HeldStream(directory),
        };
        let (from, last) = (event.position, event.position);
        self.entries.insert(directory, Entry { line, from, last, phase: Phase::Held });
        self.dirty.insert(directory);
        true
    }

    /// Whether an event that was read for another line waits here.
    pub(crate) fn has(&self, event: &FeedEvent) -> bool {
        let entry = self.entries.get(&event.directory_id);
        entry.is_some_and(|entry| entry.takes(event) && event.position >= entry.from)
    }

    /// Where a line of which these are the next events ends, if one of them waits here: what follows of the
    /// line waits here too, and comes back to it when it is handed over. Not so if the endpoint wants its
    /// events one after the other since the directory is held.
    pub(crate) fn end_of_line(&self, events: &[FeedEvent], order: Order) -> Option<FeedPosition> {
        let first = events.iter().find(|event| self.has(event))?;
        match (order, self.entries.get(&first.directory_id)?.line) {
            (Order::Directory, Line::Held(_)) => None,
            (Order::Directory | Order::Resource | Order::None, _) => Some(first.position.before()),
        }
    }

    /// Learns what is released.
    pub(crate) fn release(&mut self, released: Released) {
        for (directory, entry) in &mut self.entries {
            let is_news = self.released.get(directory) < released.get(directory);
            if is_news && entry.phase == Phase::Held {
                entry.phase = Phase::Queued;
            }
        }
        self.released = released;
    }

    /// Whether a page is being read.
    pub(crate) fn is_reading(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry.phase, Phase::Reading(_)))
    }

    /// Forgets what stands beyond the cursor: it is read from the feed again. Nothing is being read.
    pub(crate) fn rewind(&mut self, cursor: FeedPosition) {
        let beyond = self.entries.extract_if(.., |_, entry| entry.from > cursor);
        self.dirty.extend(beyond.map(|(directory, _)| directory));
        self.entries.values_mut().for_each(|entry| entry.last = entry.last.min(cursor));
    }

    /// The next page to read, given how many lines wait in parking. One at a time is read.
    pub(crate) fn next_read(&mut self, parked: usize) -> Option<PageRead> {
        let reads = |entry: &Entry| matches!(entry.phase, Phase::Reading(_));
        if self.entries.is_empty() || self.entries.values().any(reads) {
            return None;
        }
        // Half of it has to be free again, so that a page is worth its cost.
        let has_room = parked <= HANDED_MAX / 2;
        let waits = |entry: &&mut Entry| match entry.phase {
            Phase::Queued => true,
            Phase::Full => has_room,
            Phase::Held | Phase::Reading(_) => false,
        };
        let entry = self.entries.values_mut().find(waits)?;
        self.reads += 1;
        entry.phase = Phase::Reading(self.reads);
        let (line, number) = (entry.line, self.reads);
        Some(PageRead { line, number, after: entry.from.before(), up_to: entry.last })
    }

    /// A page was read up to `read_to`: hands over its events to `hand`, which says whether there was room,
    /// until one is held.
    pub(crate) fn fill(
        &mut self,
        read: PageRead,
        events: &[FeedEvent],
        read_to: FeedPosition,
        mut hand: impl FnMut(&FeedEvent) -> bool,
    ) {
        let Some(directory) = directory_of(read.line) else { return };
        let Some(mut entry) = self.entries.get(&directory).copied() else { return };
        if entry.phase != Phase::Reading(read.number) {
            return;
        }
        self.dirty.insert(directory);
        for event in events {
            entry.from = event.position;
            let stays = if self.is_held(event) {
                Some(Phase::Held)
            } else {
                (!hand(event)).then_some(Phase::Full)
            };
            if let Some(phase) = stays {
                entry.phase = phase;
                self.entries.insert(directory, entry);
                return;
            }
            entry.from = event.position.next();
        }
        entry.from = entry.from.max(read_to.next());
        entry.phase = Phase::Queued;
        if entry.from > entry.last {
            self.entries.remove(&directory);
        } else {
            self.entries.insert(directory, entry);
        }
    }

    /// Whether there is room in parking.
    pub(crate) const fn has_room(parked: usize) -> bool {
        parked < HANDED_MAX
    }

    /// The rows that changed since the last call, given that the cursor stands at `cursor`: a line whose
    /// first event lies beyond it needs none.
    pub(crate) fn changes(&mut self, cursor: FeedPosition) -> (Vec<Blocked>, Vec<Line>) {
        let (mut blocked, mut unblocked) = (Vec::new(), Vec::new());
        let mut beyond = BTreeSet::new();
        for directory in std::mem::take(&mut self.dirty) {
            let entry = self.entries.get(&directory);
            let row = entry.filter(|entry| entry.from <= cursor);
            let row = row.map(|entry| Blocked {
                line: entry.line,
                from: entry.from,
                failures: 0,
                due: None,
            });
            let lines = [Line::Held(directory), Line::HeldStream(directory)];
            for line in lines.into_iter().filter(|line| row.is_none_or(|row| row.line != *line)) {
                if self.stored.remove(&line) {
                    unblocked.push(line);
                }
            }
            if entry.is_some() && row.is_none() {
                beyond.insert(directory);
            }
            self.stored.extend(row.map(|row| row.line));
            blocked.extend(row);
        }
        self.dirty = beyond;
        (blocked, unblocked)
    }

    /// Whether the hold of an event was not released.
    fn is_held(&self, event: &FeedEvent) -> bool {
        let released = self.released.get(&event.directory_id).copied().unwrap_or_default();
        event.held.is_some_and(|hold| hold > released)
    }
}
