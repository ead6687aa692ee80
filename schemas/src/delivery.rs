//! How an endpoint wants what it gets: which kind of events, in which order, and what happens to
//! the installation itself, for operators.

use std::fmt;
use std::str::FromStr;

/// The order in which an endpoint gets events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryOrder {
    /// Events that touch the same user or group go out one after the other.
    #[default]
    Resource,
    /// The events of one directory go out strictly one after the other.
    Directory,
    /// No order.
    None,
}

impl DeliveryOrder {
    /// Every order, in the order in which help texts list them.
    pub const ALL: [Self; 3] = [Self::Resource, Self::Directory, Self::None];

    /// Its name in the API and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Directory => "directory",
            Self::None => "none",
        }
    }
}

/// So many attempts in a row have to fail before an endpoint is said to fail: a bad event is given up before.
pub const FAILS_AFTER: u32 = 5;

/// Whose events an endpoint gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointKind {
    /// Those of directories: it is a customer app's.
    #[default]
    Directory,
    /// Those of the installation, as [`OperationalEvent`] names them: it is the operator's.
    Operational,
}

impl EndpointKind {
    /// Every kind, in the order in which help texts list them.
    pub const ALL: [Self; 2] = [Self::Directory, Self::Operational];

    /// Its name in the API and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Operational => "operational",
        }
    }
}

/// What the operator is told of. It is never in the log of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationalEvent {
    /// An endpoint fails as a whole and is sent no more than a probe now and then.
    EndpointFailing,
    /// An endpoint was turned off for what it answered.
    EndpointDisabled,
    /// So much of an endpoint waits, each for itself, that it gets nothing new.
    EndpointStalled,
    /// An endpoint that failed answers again.
    EndpointRecovered,
    /// An event used up the schedule of an endpoint and waits for a replay.
    DeliveryExhausted,
    /// So much of a directory was removed that what tells apps of it is held.
    DirectoryHeld,
    /// What was held of a directory goes out.
    DirectoryReleased,
}

impl OperationalEvent {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::EndpointFailing,
        Self::EndpointDisabled,
        Self::EndpointStalled,
        Self::EndpointRecovered,
        Self::DeliveryExhausted,
        Self::DirectoryHeld,
        Self::DirectoryReleased,
    ];

    /// Its name on the wire and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndpointFailing => "endpoint.failing",
            Self::EndpointDisabled => "endpoint.disabled",
            Self::EndpointStalled => "endpoint.stalled",
            Self::EndpointRecovered => "endpoint.recovered",
            Self::DeliveryExhausted => "delivery.exhausted",
            Self::DirectoryHeld => "directory.held",
            Self::DirectoryReleased => "directory.released",
        }
    }
}

/// A text that names none of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name {0:?}")]
pub struct UnknownName(pub String);

macro_rules! named {
    ($($kind:ty),*) => { $(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $kind {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|one| one.name() == text);
                found.ok_or_else(|| UnknownName(text.to_owned()))
            }
        }
    )* };
}

named!(DeliveryOrder, EndpointKind, OperationalEvent);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for order in DeliveryOrder::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        for kind in EndpointKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for event in OperationalEvent::ALL {
            assert_eq!(event.to_string().parse(), Ok(event));
        }
        assert!("Resource".parse::<DeliveryOrder>().is_err());
    }
}
