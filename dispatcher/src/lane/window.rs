//! The events beyond the cursor that a lane holds in memory, and whose turn it is.
//!
//! Each line has a queue of slots; a slot is ready when it is at the head of all its queues. All
//! moves cost the same however many slots there are, apart from hashing.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::lane::lines::Lines;
use crate::ports::{FeedEvent, FeedPosition, Line};

/// The most events that a lane holds beyond its cursor, and so the most that a crash sends again. It
/// is several times the requests in flight, so that one slow request does not hold up the rest.
pub const WINDOW_MAX: usize = 512;

/// Counts the slots of a lane from its start; never used twice.
pub(crate) type SlotNumber = u64;

#[derive(Debug)]
struct Slot {
    position: FeedPosition,
    /// `None` once it is done: delivered, exhausted or parked.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    event: FeedEvent,
    lines: Lines,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Window {
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    base: SlotNumber,
    queues: HashMap<Line, VecDeque<SlotNumber>>,
    ready: BTreeSet<SlotNumber>,
}

impl Window {
    /// How many more events there is room for.
    pub(crate) fn room(&self) -> usize {
        WINDOW_MAX - self.slots.len()
    }

    /// How many events there are, or gaps that done ones have left.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The position of the first event that is not done.
    pub(crate) fn first(&self) -> Option<FeedPosition> {
        self.slots.front().map(|slot| slot.position)
    }

    /// Whether an event of this line is not done yet.
    pub(crate) fn holds(&self, line: Line) -> bool {
        self.queues.contains_key(&line)
    }

    /// Whether something could be sent.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes an event in. Positions must grow.
    pub(crate) fn push(&mut self, event: FeedEvent, lines: Lines) {
        let number = self.base + self.slots.len() as u64;
        let mut is_head = true;
        for line in lines.iter() {
            let queue = self.queues.entry(line).or_default();
            queue.push_back(number);
            is_head &= queue.len() == 1;
        }
        if is_head {
            self.ready.insert(number);
        }
        let position = event.position;
        self.slots.push_back(Slot { position, pending: Some(Pending { event, lines }) });
    }

    /// The first event that is ready; it is no longer ready then.
    pub(crate) fn take(&mut self) -> Option<(SlotNumber, FeedEvent)> {
        let number = self.ready.pop_first()?;
        let pending = self.pending(number);
        Some((number, pending.event.clone()))
    }

    /// Puts a taken event back, to be taken again.
    pub(crate) fn put_back(&mut self, number: SlotNumber) {
        self.ready.insert(number);
    }

    /// A taken event is done. Hands the lines of which no event is left to `left`.
    pub(crate) fn finish(&mut self, number: SlotNumber, mut left: impl FnMut(Line)) {
        let done = self.slot_mut(number).pending.take().expect("a slot is finished once");
        for line in done.lines.iter() {
            let queue = self.queues.get_mut(&line).expect("a pending slot is in its queues");
            let head = queue.pop_front();
            debug_assert_eq!(head, Some(number), "only the head of its lines is taken");
            match queue.front().copied() {
                None => {
                    self.queues.remove(&line);
                    left(line);
                }
                Some(next) => self.ready_if_head(next),
            }
        }
        self.compact();
    }

    /// A taken event failed: it and whatever waits behind it leave the window, and what waits
    /// behind those. Hands each of them to `parked`, in no order.
    pub(crate) fn park(&mut self, number: SlotNumber, mut parked: impl FnMut(FeedPosition, Lines)) {
        let mut leaving = vec![number];
        while let Some(number) = leaving.pop() {
            let slot = self.slot_mut(number);
            let position = slot.position;
            let Some(pending) = slot.pending.take() else { continue };
            for line in pending.lines.iter() {
                let Some(queue) = self.queues.get_mut(&line) else { continue };
                let keep = queue.partition_point(|other| *other < number);
                leaving.extend(queue.drain(keep..).filter(|other| *other != number));
                if queue.is_empty() {
                    self.queues.remove(&line);
                }
            }
            parked(position, pending.lines);
        }
        self.compact();
    }

    fn ready_if_head(&mut self, number: SlotNumber) {
        let lines = self.pending(number).lines;
        let heads = |line| self.queues.get(&line).and_then(VecDeque::front) == Some(&number);
        if lines.iter().all(heads) {
            self.ready.insert(number);
        }
    }

    fn compact(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.pending.is_none()) {
            self.slots.pop_front();
            self.base += 1;
        }
    }

    fn slot_mut(&mut self, number: SlotNumber) -> &mut Slot {
        let index = usize::try_from(number - self.base).expect("the window is small");
        &mut self.slots[index]
    }

    fn pending(&self, number: SlotNumber) -> &Pending {
        let index = usize::try_from(number - self.base).expect("the window is small");
        self.slots[index].pending.as_ref().expect("queues hold pending slots only")
    }
}
