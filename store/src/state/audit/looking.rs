//! How much a page of the history looks at.
//!
//! Streams are looked at together, in the order of the feed, each by its places, to which an index leads:
//!
//! ```text
//!   one      3   7   8          ┐
//!   two        5       12  14   ├─▶  3 5 7 8 12 ┊ 14     until enough is looked at
//!   three                       ┘
//! ```
//!
//! What others have in the feed costs nothing and is never a place to go on from.

use std::collections::{BTreeMap, VecDeque};

use super::{LOOKED_AT_MAX, SEARCHED_BYTES_MAX, SEARCHED_MAX};

/// How many places of a stream are read at first where there are many streams: one costs as much as these.
const FEW: u64 = 8;

/// How much may be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    events: u64,
    bytes: u64,
}

impl Budget {
    /// So many events, however large: they are not looked into.
    pub(crate) const fn of(events: u64) -> Self {
        Self { events, bytes: u64::MAX }
    }

    /// For what a list is narrowed to that no index leads to.
    pub(crate) const fn narrowed(is_searched: bool) -> Self {
        if is_searched {
            Self { events: SEARCHED_MAX, bytes: SEARCHED_BYTES_MAX }
        } else {
            Self::of(LOOKED_AT_MAX)
        }
    }

    /// Whether anything is left when an event has been looked at.
    const fn spend(&mut self, bytes: u64) -> bool {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.events > 0 && self.bytes > 0
    }
}

/// An event in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its place in the stream.
    pub(crate) seq: u64,
    /// Its place in the feed.
    pub(crate) position: u64,
    /// How large it is, if it is looked into.
    pub(crate) bytes: u64,
}

/// A part of a stream that is to be read: the places behind `low`, up to and with `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The key of the directory; the feed itself is a stream without.
    pub(crate) key: Option<i64>,
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) limit: u64,
}

#[derive(Debug)]
struct Stream {
    left: Part,
    read: VecDeque<Place>,
    is_read: bool,
}

/// A walk through streams.
#[derive(Debug)]
pub(crate) struct Looking {
    rising: bool,
    budget: Budget,
    streams: Vec<Stream>,
    /// The next of each stream of which one is known, by its position.
    next: BTreeMap<u64, usize>,
    /// The streams of which the next one is to be read.
    unread: Vec<usize>,
    looked_at: Vec<u64>,
    is_over: bool,
}

impl Looking {
    /// Begins with these parts of streams, by key; `limit` is not asked.
    pub(crate) fn at(parts: Vec<(Option<i64>, u64, u64)>, rising: bool, budget: Budget) -> Self {
        let share = budget.events.div_ceil(parts.len().max(1) as u64);
        let limit = if parts.len() > 1 { (share * 2).max(FEW) } else { share };
        let limit = limit.min(budget.events);
        let streams: Vec<Stream> = parts
            .into_iter()
            .map(|(key, low, high)| Stream {
                left: Part { key, low, high, limit },
                read: VecDeque::new(),
                is_read: false,
            })
            .collect();
        let unread = (0..streams.len()).collect();
        let (next, looked_at) = (BTreeMap::new(), Vec::new());
        Self { rising, budget, streams, next, unread, looked_at, is_over: false }
    }

    /// What has to be read before it goes on; nothing once it has ended.
    pub(crate) fn wanted(&mut self) -> Option<Part> {
        while !self.is_over {
            if let Some(unread) = self.unread.last() {
                return Some(self.streams[*unread].left);
            }
            let next = if self.rising { self.next.pop_first() } else { self.next.pop_last() };
            let (position, stream) = next?;
            let bytes = self.streams[stream].read.pop_front().map_or(0, |place| place.bytes);
            self.looked_at.push(position);
            self.is_over = !self.budget.spend(bytes);
            self.go_on(stream);
        }
        None
    }

    /// Takes what was wanted: as many as there are up to the limit, in the order of the walk.
    pub(crate) fn take(&mut self, places: Vec<Place>) {
        let Some(stream) = self.unread.pop() else { return };
        let Stream { left, read, is_read } = &mut self.streams[stream];
        *is_read = (places.len() as u64) < left.limit;
        if let Some(last) = places.last() {
            if self.rising { left.low = last.seq } else { left.high = last.seq.saturating_sub(1) }
        }
        left.limit = (left.limit * 2).min(self.budget.events.max(1));
        read.extend(places);
        self.go_on(stream);
    }

    fn go_on(&mut self, stream: usize) {
        let Stream { read, is_read, .. } = &self.streams[stream];
        match read.front() {
            Some(place) => {
                self.next.insert(place.position, stream);
            }
            None if *is_read => {}
            None => self.unread.push(stream),
        }
    }

    /// The positions that were looked at, in order, and whether there may be more.
    pub(crate) fn looked_at(self) -> (Vec<u64>, bool) {
        let more = !self.next.is_empty() || !self.unread.is_empty();
        (self.looked_at, more)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Walks streams, which are given by their positions; the places are 1, 2, 3….
    fn walk(streams: &[Vec<u64>], rising: bool, budget: Budget, bytes: u64) -> (Vec<u64>, bool) {
        let parts = (0..).zip(streams).map(|(key, _)| (Some(key), 0, u64::MAX)).collect();
        let mut looking = Looking::at(parts, rising, budget);
        while let Some(Part { key, low, high, limit }) = looking.wanted() {
            let positions = &streams[usize::try_from(key.unwrap()).unwrap()];
            let places = (1..).zip(positions).map(|(seq, position)| Place {
                seq,
                position: *position,
                bytes,
            });
            let mut places: Vec<_> =
                places.filter(|place| place.seq > low && place.seq <= high).collect();
            if !rising {
                places.reverse();
            }
            places.truncate(usize::try_from(limit).unwrap());
            looking.take(places);
        }
        looking.looked_at()
    }

    proptest! {
        #[test]
        fn streams_are_looked_at_together_in_the_order_of_the_feed(
            of in prop::collection::vec(0_usize..5, 0..200),
            rising: bool,
            events in 1_u64..250,
        ) {
            let mut streams = vec![Vec::new(); 5];
            for (position, stream) in (1..).zip(&of) {
                streams[*stream].push(position);
            }
            let mut expected: Vec<u64> = (1..=of.len() as u64).collect();
            if !rising {
                expected.reverse();
            }
            let all = expected.len() as u64;
            expected.truncate(usize::try_from(events).unwrap());
            let (looked_at, more) = walk(&streams, rising, Budget::of(events), 0);
            prop_assert_eq!(looked_at, expected);
            prop_assert!(more || all <= events);
            prop_assert!(!more || all >= events);
        }
    }

    #[test]
    fn what_is_looked_into_ends_at_its_size_but_never_before_the_first() {
        let streams = [vec![1, 2, 3, 4], vec![5]];
        let budget = Budget { events: 10, bytes: 100 };
        assert_eq!(walk(&streams, true, budget, 40), (vec![1, 2, 3], true));
        assert_eq!(walk(&streams, true, budget, 400), (vec![1], true));
        assert_eq!(walk(&streams, false, budget, 10), (vec![5, 4, 3, 2, 1], false));
    }
}
