//! Endpoints and replays, as they are configured.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

pub use schemas::DeliveryOrder as Order;
use schemas::{
    DirectoryId, EndpointId, EndpointKind, EventType, Format, OrganizationId, ReplayId, Timestamp,
    Waits,
};

use crate::egress::Identity;

use super::{FeedEvent, FeedPosition, Topic};

/// What requests are signed with: `whsec_` and base64, or `whsk_` and base64 for a private key of
/// Ed25519. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    until: Option<Timestamp>,
}

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text, until: None }
    }

    /// The same secret, which signs only until then.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// The text, for signing and for the owner of the endpoint.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Until when it signs, if that has an end.
    #[must_use]
    pub const fn ends(&self) -> Option<Timestamp> {
        self.until
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which events are wanted. Each list narrows; an empty one does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The types.
    pub events: Vec<EventType>,
    /// The organizations.
    pub organizations: Vec<OrganizationId>,
    /// The directories.
    pub directories: Vec<DirectoryId>,
}

impl Filter {
    /// Whether an event passes.
    #[must_use]
    pub fn passes(&self, event: &FeedEvent) -> bool {
        let is_of_type = match event.topic {
            Topic::Directory(kind) => self.events.is_empty() || self.events.contains(&kind),
            Topic::Operational(_) => true,
        };
        let organization =
            || event.organization_id.is_some_and(|id| self.organizations.contains(&id));
        is_of_type
            && (self.directories.is_empty() || self.directories.contains(&event.directory_id))
            && (self.organizations.is_empty() || organization())
    }
}

/// A webhook URL and how it wants events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose events it gets.
    pub kind: EndpointKind,
    /// Where to post. It passed [`crate::address::check_url`] when it was stored; the client judges
    /// it again on every request.
    pub url: String,
    /// The secrets, the current one first. Never empty. During a rotation those before are here too,
    /// each with its end, the newer first. A key of Ed25519 may be among them.
    pub secrets: Vec<Secret>,
    /// What it subscribes to; no type means all that may be subscribed to.
    pub filter: Filter,
    /// Whether it gets anything. The cursor of a disabled endpoint stands still.
    pub enabled: bool,
    /// Its order. An operational endpoint gets its events one after the other, whatever this says.
    pub order: Order,
    /// When to try again, if not as the settings say.
    pub retry_schedule: Option<Waits>,
    /// What it gets. An event that the format cannot carry is passed over, like a type that is not
    /// subscribed to.
    pub format: Format,
    /// When it was created.
    pub created_at: Timestamp,
    /// How long a request may take, if not as long as everywhere.
    pub timeout: Option<Duration>,
    /// The certificate that we show it.
    pub identity: Option<Identity>,
}

impl Endpoint {
    /// The order in which its lanes send.
    #[must_use]
    pub const fn lane_order(&self) -> Order {
        match self.kind {
            EndpointKind::Directory => self.order,
            EndpointKind::Operational => Order::Directory,
        }
    }

    /// Whether it gets this event.
    #[must_use]
    pub fn wants(&self, event: &FeedEvent) -> bool {
        let is_carried = match event.topic {
            Topic::Directory(kind) => self.format.carries(kind),
            Topic::Operational(_) => true,
        };
        is_carried && self.filter.passes(event)
    }
}

/// A replay that is not finished: a lane of its own beside the one that follows the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// The last position that it sends. It begins where its cursor stands.
    pub up_to: FeedPosition,
    /// What it sends of what the endpoint subscribes to.
    pub filter: Filter,
    /// How many events it sends a second at most.
    pub rate: NonZeroU32,
}

/// All endpoints and replays at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Grows with every change to any of them, also across restarts or starting anew with each
    /// process: it is only ever compared within one.
    pub version: u64,
    /// The endpoints, enabled or not.
    pub list: Vec<Endpoint>,
    /// The replays that are not finished, of endpoints in the list.
    pub replays: Vec<Replay>,
}

/// Which lane: an endpoint has one that follows the feed, and one for each replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// To where.
    pub endpoint: EndpointId,
    /// `None` for the one that follows the feed.
    pub replay: Option<ReplayId>,
}
