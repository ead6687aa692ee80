//! Webhook endpoints and how deliveries to them go.

use std::fmt;

use async_trait::async_trait;
use schemas::{
    DeliveryOrder, DirectoryId, EndpointId, EndpointKind, EventId, EventType, FAILS_AFTER, Format,
    OrganizationId, Timestamp, Waits,
};

#[cfg(doc)]
use super::Reach;
use super::{Outward, OutwardChange, Page, PageRequest, PortError, SecretRotation};

/// The signing secret of an endpoint: `whsec_` and base64. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the owner of the endpoint.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A webhook URL and how it wants events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which.
    pub id: EndpointId,
    /// Whose events it gets; never changes.
    pub kind: EndpointKind,
    /// Where to post.
    pub url: String,
    /// What requests are signed with; the current one.
    pub secret: Secret,
    /// Whether it gets anything.
    pub enabled: bool,
    /// What it subscribes to, in the order in which that was given.
    pub events: Vec<EventType>,
    /// The organizations whose events it gets; none stands for all.
    pub organizations: Vec<OrganizationId>,
    /// The directories whose events it gets; none stands for all.
    pub directories: Vec<DirectoryId>,
    /// In which order.
    pub order: DeliveryOrder,
    /// When a delivery is tried again, if not as the settings say.
    pub retry_schedule: Option<Waits>,
    /// What it gets.
    pub format: Format,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its configuration last changed.
    pub updated_at: Timestamp,
    /// How requests to it leave.
    pub outward: Outward,
    /// Until when the secret before the current one signs too, if it still does.
    pub previous_secret_until: Option<Timestamp>,
}

/// Where in the history a new endpoint begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At what comes next.
    #[default]
    Now,
    /// At the first event there is.
    Beginning,
    /// At the first event from this time on.
    At(Timestamp),
}

/// What an update changes of an endpoint. `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// A new URL.
    pub url: Option<String>,
    /// On or off. Turning it on also forgets why and since when it failed.
    pub enabled: Option<bool>,
    /// All subscriptions from now on.
    pub events: Option<Vec<EventType>>,
    /// All organizations from now on.
    pub organizations: Option<Vec<OrganizationId>>,
    /// All directories from now on.
    pub directories: Option<Vec<DirectoryId>>,
    /// The order from now on, of what waits for it too.
    pub order: Option<DeliveryOrder>,
    /// The waits from now on, or that they are those of the settings again.
    pub retry_schedule: Option<Option<Waits>>,
    /// What it gets from now on, of what waits for it too.
    pub format: Option<Format>,
    /// When.
    pub updated_at: Timestamp,
    /// How requests to it leave.
    pub outward: OutwardChange,
    /// The `updated_at` of what the change was made from. `Conflict(Changed)` if it is another by now;
    /// without it, the last who writes wins.
    pub made_from: Option<Timestamp>,
}

/// How deliveries to an endpoint go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivering {
    /// How many events that it subscribes to it has not got: behind its cursor and in blocked lines. Of very many not
    /// all are counted.
    pub lag_events: u64,
    /// When the oldest of them was created.
    pub oldest_waiting: Option<Timestamp>,
    /// How many attempts were made in the last 24 hours; of more than 10,000 the latest.
    pub attempts: u64,
    /// How many of them were answered with 2xx.
    pub delivered: u64,
    /// Since when it has failed without a success in between.
    pub failing_since: Option<Timestamp>,
    /// How many attempts have failed since then.
    pub failed_in_a_row: u64,
    /// The latest attempt that failed, of all times that are kept.
    pub last_error: Option<LastError>,
    /// Why the dispatcher turned it off, if it did: `gone` or `failing`.
    pub disabled_reason: Option<String>,
    /// Whether it is sent a probe now and then and nothing else, because it fails as a whole.
    pub is_paused: bool,
}

/// How an endpoint is doing, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is off.
    Disabled,
    /// It takes what it gets, or has not failed often enough in a row to say otherwise.
    Healthy,
    /// At least [`FAILS_AFTER`] attempts in a row have failed, of whatever kind.
    Failing,
    /// It fails as a whole: it is probed now and then, and sent nothing else.
    Paused,
}

impl Health {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Paused => "paused",
        }
    }
}

impl Delivering {
    /// How an endpoint is doing that is on or off.
    #[must_use]
    pub fn health(&self, enabled: bool) -> Health {
        if !enabled {
            Health::Disabled
        } else if self.failing_since.is_some() && self.is_paused {
            Health::Paused
        } else if self.failed_in_a_row >= FAILS_AFTER.into() {
            Health::Failing
        } else {
            Health::Healthy
        }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When the request began.
    pub at: Timestamp,
    /// The event that it carried.
    pub event_id: EventId,
    /// What failed: `dns`, `connect`, `proxy`, `tls`, `timeout`, `status`, `protocol`, `refused`
    /// or `unreadable`.
    pub failure: String,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
}

/// The webhook endpoints. They belong to the installation and not to an organization, so there is no
/// reach here: a caller with a limited one does not get to ask.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// A page of them. `page.reach` is [`Reach::Everything`].
    async fn list(&self, page: PageRequest<EndpointId>) -> Result<Page<Endpoint>, PortError>;

    /// One.
    async fn get(&self, id: EndpointId) -> Result<Endpoint, PortError>;

    /// How deliveries to it go, at the time `now`.
    async fn delivering(&self, id: EndpointId, now: Timestamp) -> Result<Delivering, PortError>;

    /// Keeps one; it gets the events from `start` on. `Conflict(EndpointUrl)` if another has its URL.
    async fn create(&self, endpoint: Endpoint, start: Start) -> Result<(), PortError>;

    /// Changes one, and returns what it is then.
    async fn update(&self, id: EndpointId, change: EndpointChange) -> Result<Endpoint, PortError>;

    /// Gives it another secret, and returns what it is then. `Conflict(SigningSecrets)` if
    /// [`SIGNING_SECRETS_MAX`](super::SIGNING_SECRETS_MAX) sign already.
    async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, PortError>;

    /// Deletes one with its cursor, and what waited for it.
    async fn delete(&self, id: EndpointId) -> Result<(), PortError>;
}
