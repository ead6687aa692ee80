//! What the API needs from the rest of the system, cut by use.
//!
//! Configuration is read and written through [`Keys`], [`Organizations`], [`Directories`],
//! [`OauthClients`], [`HostNames`] and [`Endpoints`]; a write has happened, durably, when the call returns. What the log made of the
//! directories is read through [`Reading`] and [`Audit`] and never written; [`Verifier`] walks through the log itself. [`VerificationKeys`] is what anyone may know of
//! what tokens are signed with. [`Streams`] lets the event log say what
//! configuration says.
//!
//! [`AdminEvents`] keeps what people and keys do here: nothing is changed without an entry.
//!
//! [`PortalLinks`] are made and revoked by whoever calls the API; [`Portal`] is what the setup page sees of them.
//!
//! Every call that could show something of an organization takes a [`Reach`], and the implementation
//! applies it in its query: what lies outside does not exist.

mod admin_events;
mod answers;
mod audit;
mod deliveries;
mod directories;
mod endpoints;
mod host_names;
mod keys;
mod oauth;
mod organizations;
mod outward;
mod portal;
mod reading;
mod trials;
mod verification;

use async_trait::async_trait;
use schemas::{Actor, DirectoryId, OrganizationId};

pub use admin_events::{
    ACTIONS_LOOKED_AT_MAX, ActionActor, AdminEvent, AdminEventFilter, AdminEvents, Conclusion,
    FoundActions, NOTED_MAX, NewAdminEvent,
};
pub use answers::{ANSWERING_MAX, ANSWERS_KEPT, ANSWERS_MAX, Answers, Begun, KeptAnswer};
pub use audit::{Audit, AuditEvent, AuditFilter, Audited, Verification, Verifier};
pub use deliveries::{
    Attempt, AttemptFilter, AttemptStatus, Deliveries, LIVE_REPLAYS_MAX, NewReplay, Point, Range,
    Replay, Resource,
};
pub use directories::{
    Counts, Directories, Directory, DirectoryChange, DirectoryFilter, Hold, HoldState,
    NewDirectory, NewToken, Progress, ScimRequest, ScimService, ScimServiceChange, Token,
};
pub use endpoints::{
    Delivering, Endpoint, EndpointChange, Endpoints, Health, LastError, Secret, Start,
};
pub use host_names::{HOST_NAMES_MAX, Host, HostFilter, HostNames, HostOwner, NewHost};
pub use keys::{ApiKey, Keys, Permission};
pub use oauth::{OauthClient, OauthClients, TOKEN_LIFETIME_SECS};
pub use organizations::{
    Domain, DomainState, METADATA_MAX, Organization, OrganizationChange, OrganizationFilter,
    Organizations,
};
pub use outward::{
    ClientCertificate, KeyPair, Outward, OutwardChange, SIGNING_SECRETS_MAX, SecretRotation,
};
pub use portal::{
    LINK_LIFETIME, LINKS_KEPT, LIVE_LINKS_MAX, NewPortalLink, NewPortalSession, Opening, Portal,
    PortalLink, PortalLinks, PortalSession, SESSION_LIFETIME, WhyVoid,
};
pub use reading::{EventFilter, FeedEnd, GroupFilter, Reading, StoredEvent, UserFilter};
pub use trials::{Sample, Trial, Trials};
pub use verification::{Rotation, VerificationKey, VerificationKeys};

/// How many tokens of a directory may be live: the one in use and, during a rotation, the next.
pub const LIVE_TOKENS_MAX: usize = 2;

/// How many secrets of an OAuth client may be live: again the one in use and the next.
pub const LIVE_SECRETS_MAX: usize = 2;

/// How many events an export reads at once: half a megabyte or so, whatever the size of the history.
pub const EXPORT_PAGE: u32 = 500;

/// SHA-256 of a token or an API key, all that is kept of it.
pub type Digest = [u8; 32];

/// What a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything.
    Everything,
    /// What belongs to this organization.
    Organization(OrganizationId),
}

impl Reach {
    /// Whether something of this organization may be seen.
    #[must_use]
    pub fn covers(self, organization: OrganizationId) -> bool {
        match self {
            Self::Everything => true,
            Self::Organization(own) => own == organization,
        }
    }
}

/// Which way a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Where a page lies, seen in the order of the list. The object need not exist (any more): lists run
/// in the order of ids, and a cursor stands where its id would. The events list runs in the order of
/// the feed; there the cursor stands at its event, and where its id would if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor<I> {
    /// The items behind this one.
    After(I),
    /// The items in front of this one: those nearest to it, still in the order of the list.
    Before(I),
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest<I> {
    /// What the caller may see.
    pub reach: Reach,
    /// How many items at most: 1 to 100 for a list, and up to [`EXPORT_PAGE`] for an export.
    pub limit: u32,
    /// Which way the list runs.
    pub order: Order,
    /// Where the page lies; without it, at the beginning of the list.
    pub cursor: Option<Cursor<I>>,
}

/// A page of a list, in the order that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether the list has items in front of the first one.
    pub has_before: bool,
    /// Whether the list has items behind the last one.
    pub has_after: bool,
}

/// Why a port did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// There is no such thing within the caller's reach. The caller answers 404.
    #[error("not found")]
    NotFound,
    /// Something that is there already forbids it. Nothing was changed. The caller answers 409.
    #[error("{0}")]
    Conflict(Conflict),
    /// It may work later. Nothing was changed.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// A change of which it is not known whether it was made.
    #[error("whether it was done is not known")]
    Unsure(#[source] BoxError),
    /// There is no room; reads go on, and writes work again when there is room.
    #[error("the disk is full")]
    Full(#[source] BoxError),
}

impl PortError {
    /// Of what is read behind a change: the change was made, whatever has become of this.
    #[must_use]
    pub fn behind_change(self) -> Self {
        match self {
            Self::NotFound | Self::Conflict(_) | Self::Unsure(_) => self,
            Self::Unavailable(cause) | Self::Full(cause) => Self::Unsure(cause),
        }
    }
}

/// What forbids a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another endpoint has the URL.
    #[error("another endpoint has this URL")]
    EndpointUrl,
    /// Another organization has the external id.
    #[error("another organization has this external id")]
    ExternalId,
    /// The organization would have more than [`METADATA_MAX`] entries of metadata.
    #[error("the organization has as many entries of metadata as it may")]
    Metadata,
    /// [`LIVE_TOKENS_MAX`] tokens of the directory are live.
    #[error("the directory has as many live tokens as it may")]
    LiveTokens,
    /// [`LIVE_SECRETS_MAX`] secrets of the OAuth client are live.
    #[error("the OAuth client has as many live secrets as it may")]
    LiveSecrets,
    /// [`LIVE_REPLAYS_MAX`] replays of the endpoint are under way.
    #[error("the endpoint has as many replays under way as it may")]
    LiveReplays,
    /// The replay would end before it begins.
    #[error("the replay would end before it begins")]
    Backwards,
    /// The host name is somebody's already.
    #[error("the host name is in use")]
    HostName,
    /// There are [`HOST_NAMES_MAX`] host names of the organization or directory.
    #[error("the owner has as many host names as it may")]
    HostNames,
    /// A signing key waits for its turn already.
    #[error("a new signing key waits for its turn already")]
    SigningKeyWaits,
    /// [`SIGNING_SECRETS_MAX`] secrets of the endpoint sign.
    #[error("the endpoint has as many signing secrets as it may")]
    SigningSecrets,
    /// The organization has as many directories as whoever adds one may add.
    #[error("the organization has as many directories as it may")]
    Directories,
    /// The directory is being deleted.
    #[error("the directory is being deleted")]
    Deleting,
    /// Nothing of the directory is held.
    #[error("nothing of the directory is held")]
    NotHeld,
    /// It is not what the change was made from any more.
    #[error("it was changed meanwhile")]
    Changed,
}

/// Any error, kept as the cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The event streams of directories, as far as they follow configuration.
#[async_trait]
pub trait Streams: Send + Sync {
    /// Makes the stream of a directory say what its configuration says: tokens that were made and
    /// revoked, the directory deleted. Returns when the projection has it. Doing it again adds
    /// nothing. If it fails, whoever starts the roles makes up for it later; nothing is lost but the actor.
    async fn reconcile(&self, directory: DirectoryId, actor: Actor) -> Result<(), PortError>;
}
