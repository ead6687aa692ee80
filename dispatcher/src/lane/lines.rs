//! Which lines an event stands in.

use schemas::EventId;

use crate::ports::{FeedEvent, Line, Order};

/// The one or two lines of an event. The first is the one that keeps its failures and its due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    first: Line,
    second: Option<Line>,
}

impl Lines {
    /// Of an event that waits for no other.
    pub(crate) const fn alone(event: EventId) -> Self {
        Self { first: Line::Event(event), second: None }
    }

    /// The line that keeps the event's failures.
    #[must_use]
    pub const fn first(self) -> Line {
        self.first
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Line> {
        std::iter::once(self.first).chain(self.second)
    }
}

/// The lines of an event, for an endpoint with this order.
#[must_use]
pub const fn lines_of(event: &FeedEvent, order: Order) -> Lines {
    let (first, second) = match order {
        Order::None => (Line::Event(event.id), None),
        Order::Directory => (Line::Stream(event.directory_id), None),
        Order::Resource => match (event.user, event.group) {
            (Some(user), Some(group)) => (Line::User(user), Some(Line::Group(group))),
            (Some(user), None) => (Line::User(user), None),
            (None, Some(group)) => (Line::Group(group), None),
            (None, None) => (Line::Directory(event.directory_id), None),
        },
    };
    Lines { first, second }
}
