//! Which of what matches is on the page.

use std::cmp::Ordering;

use directory::sorting::compare;
use ingest::ports::{ListQuery, Listed, Place, Start};

/// A row that matches.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: i64,
    pub(crate) place: Place,
}

/// A page in the making. Without an order of its own it is handed what matches in order of creation, and
/// keeps no more than it shows.
#[derive(Debug)]
pub(crate) struct Page {
    sorted: Option<Direction>,
    start: Start,
    count: usize,
    total: u64,
    found: Vec<Found>,
    more: bool,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Ascending,
    Descending,
}

impl Page {
    pub(crate) fn new(query: &ListQuery) -> Self {
        let direction = |descending| {
            if descending { Direction::Descending } else { Direction::Ascending }
        };
        Self {
            sorted: query.sort.as_ref().map(|sort| direction(sort.descending)),
            start: query.start.clone(),
            count: query.count as usize,
            total: 0,
            found: Vec::new(),
            more: false,
        }
    }

    pub(crate) const fn empty<T>() -> Listed<T> {
        Listed { total: 0, items: Vec::new(), next: None }
    }

    pub(crate) fn take(&mut self, found: Found) {
        let before = self.total;
        self.total += 1;
        if self.sorted.is_some() {
            self.found.push(found);
        } else if self.begins_before(before, &found) {
            if self.found.len() < self.count {
                self.found.push(found);
            } else {
                self.more = true;
            }
        }
    }

    /// Whether what comes changes nothing but the total, in a list without an order of its own.
    pub(crate) const fn is_full(&self) -> bool {
        self.more || self.count == 0
    }

    /// How many match, what is on the page, and the place of its last if others follow.
    pub(crate) fn finish(mut self) -> (u64, Vec<Found>, Option<Place>) {
        if let Some(direction) = self.sorted {
            self.found.sort_by(|one, other| direction.order(&one.place, &other.place));
            let from = match &self.start {
                Start::Skip(skip) => usize::try_from(*skip).unwrap_or(usize::MAX),
                Start::After(place) => {
                    self.found.partition_point(|found| direction.order(&found.place, place).is_le())
                }
            };
            self.found.drain(..from.min(self.found.len()));
            self.more = self.found.len() > self.count;
            self.found.truncate(self.count);
        }
        let last = self.found.last().filter(|_| self.more);
        let next = last.map(|found| found.place.clone());
        (self.total, self.found, next)
    }

    /// Whether the page begins before this one, which is behind `before` others.
    fn begins_before(&self, before: u64, found: &Found) -> bool {
        match &self.start {
            Start::Skip(skip) => before >= *skip,
            Start::After(place) => found.place.order > place.order,
        }
    }
}

impl Direction {
    /// What is equal stands in the order of creation either way.
    fn order(self, one: &Place, other: &Place) -> Ordering {
        let by_key = compare(one.key.as_ref(), other.key.as_ref());
        let by_key = match self {
            Self::Ascending => by_key,
            Self::Descending => by_key.reverse(),
        };
        by_key.then_with(|| one.order.cmp(&other.order))
    }
}
