//! How much a page of the history looks at.
//!
//! Streams are looked at together, in the order of the feed, each by its places, to which an index leads, or blocks. Where
//! types are asked for, the events of one type are a stream of their own, so that a rare one is found however old it is:
//!
//! ```text
//!   one      3   7   8          ┐
//!   two        5       12  14   ├─▶  3 5 7 8 12 ┊ 14     until enough is looked at
//!   three                       ┘
//! ```
//!
//! What others have in the feed costs nothing and is never a place to go on from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::ports::AuditFilter;
use schemas::EventType;

use super::{LOOKED_AT_MAX, SEARCHED_BYTES_MAX, SEARCHED_MAX};

/// How many places of a stream are read at first where there are many streams: one costs as much as these.
const FEW: u64 = 8;

/// How many streams of single types are looked at together, if what they hold is narrowed further: each costs a
/// question. Past that all types are looked at as one.
const OF_TYPES_MAX: usize = 256;

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

/// What an index leads through in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Of {
    /// The key of the directory; the feed itself is a stream without.
    pub(crate) key: Option<i64>,
    /// The one type, if it is not all of them.
    pub(crate) kind: Option<EventType>,
}

impl Of {
    /// Of each of these directories, or the feed, each of these types, or all. No event is in two of them.
    pub(crate) fn each(keys: Option<&[i64]>, types: &[EventType]) -> Vec<Self> {
        let keys = keys.map_or_else(|| vec![None], |keys| keys.iter().copied().map(Some).collect());
        let of = |key| {
            let one = types.iter().map(move |kind| Self { key, kind: Some(*kind) });
            one.chain(types.is_empty().then_some(Self { key, kind: None }))
        };
        keys.into_iter().flat_map(of).collect()
    }

    /// Whether its places are those of a stream in the log, and not those of the feed.
    pub(crate) const fn has_places_of_its_own(self) -> bool {
        self.key.is_some() && self.kind.is_none()
    }
}

/// The types that a page is led by, each once. None, if all are asked for, or if something leads there that is narrower.
pub(crate) fn leading_types(filter: &AuditFilter, directories: Option<usize>) -> Vec<EventType> {
    let AuditFilter { types, user, group, actor, request, text, from, to, .. } = filter;
    let types: BTreeSet<EventType> = types.iter().copied().collect();
    let is_narrowed_further =
        actor.is_some() || request.is_some() || text.is_some() || from.is_some() || to.is_some();
    let streams = types.len() * directories.unwrap_or(1);
    let is_left =
        user.is_some() || group.is_some() || is_narrowed_further && streams > OF_TYPES_MAX;
    if is_left { Vec::new() } else { types.into_iter().collect() }
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
    pub(crate) of: Of,
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
    /// Begins with these parts of streams.
    pub(crate) fn at(parts: Vec<(Of, u64, u64)>, rising: bool, budget: Budget) -> Self {
        let share = budget.events.div_ceil(parts.len().max(1) as u64);
        let limit = if parts.len() > 1 { (share * 2).max(FEW) } else { share };
        let limit = limit.min(budget.events);
        let streams: Vec<Stream> = parts
            .into_iter()
            .map(|(of, low, high)| Stream {
                left: Part { of, low, high, limit },
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
        let of = |key| Of { key: Some(key), kind: None };
        let parts = (0..).zip(streams).map(|(key, _)| (of(key), 0, u64::MAX)).collect();
        let mut looking = Looking::at(parts, rising, budget);
        while let Some(Part { of, low, high, limit }) = looking.wanted() {
            let positions = &streams[usize::try_from(of.key.unwrap()).unwrap()];
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
    fn types_are_looked_at_one_by_one_unless_these_are_too_many_or_something_narrower_leads() {
        let (one, two) = (EventType::UserCreated, EventType::GroupCreated);
        let filter = AuditFilter { types: vec![two, one, two], ..AuditFilter::default() };
        assert_eq!(leading_types(&filter, None).len(), 2);
        assert_eq!(leading_types(&filter, Some(5_000)).len(), 2);
        let narrowed = AuditFilter { text: Some("a".into()), ..filter.clone() };
        assert_eq!(leading_types(&narrowed, Some(100)).len(), 2);
        assert_eq!(leading_types(&narrowed, Some(5_000)), []);
        let about = AuditFilter { user: Some(schemas::UserId::from_bits(1)), ..filter };
        assert_eq!(leading_types(&about, None), []);
        let of = |key, kind| Of { key, kind };
        assert_eq!(Of::each(None, &[]), [of(None, None)]);
        assert_eq!(Of::each(None, &[one]), [of(None, Some(one))]);
        let each = [
            of(Some(1), Some(one)),
            of(Some(1), Some(two)),
            of(Some(7), Some(one)),
            of(Some(7), Some(two)),
        ];
        assert_eq!(Of::each(Some(&[1, 7]), &[one, two]), each);
        assert_eq!(Of::each(Some(&[]), &[one]), []);
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
