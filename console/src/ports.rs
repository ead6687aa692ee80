//! What the pages need beside the ports of the API.
//!
//! [`Sessions`] keeps who has signed in, [`Lookups`] finds what people look for by a part of its name,
//! and [`Pipeline`] tells how much passes through the server.

use std::fmt;
use std::time::Duration;

use crate::oidc::Authorization;
use api::ports::{Attempt, AuditEvent, Delivering, Digest, Directory, Endpoint, PortError};
use async_trait::async_trait;
use schemas::wire::{DirectoryGroup, DirectoryUser};
use schemas::{AttemptId, DirectoryId, EndpointId, EventId, OrganizationId, Timestamp};

/// How many sessions there may be; beyond it the oldest end. More than people who run a server have
/// browsers.
pub const SESSIONS_MAX: usize = 1_000;

/// What somebody who signed in may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Read everything, change nothing.
    Auditor,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Admin, Self::Auditor];

    /// Its name in the store and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a password is checked with: an argon2id hash with its parameters and its salt, as text.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps the text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the store.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A browser that has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// As whom.
    pub role: Role,
    /// The address that an identity provider has vouched for, if one let them in.
    pub person: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it was last used, to the minute or so.
    pub last_used_at: Timestamp,
}

/// Why somebody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// They know the password, which was checked with this.
    Password(PasswordHash),
    /// An identity provider says who they are, and the settings let them in.
    Provider,
}

/// Passwords and sessions. A session is known by the digest of its cookie.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// What the password of a role is checked with, if the role has one.
    async fn password(&self, role: Role) -> Result<Option<PasswordHash>, PortError>;

    /// Gives a role another password, or none, and ends its sessions in the same transaction.
    async fn set_password(&self, role: Role, hash: Option<PasswordHash>) -> Result<(), PortError>;

    /// Begins a session. `NotFound` if a password was the proof and its role's is not checked with that any more.
    async fn begin(&self, digest: Digest, session: Session, proof: Proof) -> Result<(), PortError>;

    /// The session with this digest, whether or not it is too old.
    async fn find(&self, digest: Digest) -> Result<Option<Session>, PortError>;

    /// Notes that a session was used. May be lost in a crash; one that has ended is no error.
    async fn touch(&self, digest: Digest, at: Timestamp) -> Result<(), PortError>;

    /// Ends a session. One that has ended already is no error.
    async fn end(&self, digest: Digest) -> Result<(), PortError>;
}

/// An endpoint that does not get what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingEndpoint {
    /// Which.
    pub id: EndpointId,
    /// Where it is.
    pub url: String,
    /// Since when it has failed without a success in between.
    pub failing_since: Option<Timestamp>,
    /// How many attempts have failed since then.
    pub failed_in_a_row: u64,
    /// Why the dispatcher turned it off, if it did.
    pub disabled_reason: Option<String>,
    /// Whether it is turned on.
    pub enabled: bool,
}

/// An attempt at delivering an event, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// Where that is.
    pub url: String,
    /// The attempt, without what was sent.
    pub attempt: Attempt,
}

/// An attempt at a delivery, as far as it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Which.
    pub id: AttemptId,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What failed, in a word; `None` if nothing did.
    pub failure: Option<String>,
}

/// What people look for. Everything here is found by an index, however much there is.
#[async_trait]
pub trait Lookups: Send + Sync {
    /// Users of a directory whose user name or address begins with this, whatever the case, and those
    /// whose identity provider calls them exactly this; in the order of their names.
    async fn users(
        &self,
        directory: DirectoryId,
        beginning: &str,
        limit: u32,
    ) -> Result<Vec<DirectoryUser>, PortError>;

    /// Groups of a directory whose name begins with this, whatever the case; in the order of their names.
    async fn groups(
        &self,
        directory: DirectoryId,
        beginning: &str,
        limit: u32,
    ) -> Result<Vec<DirectoryGroup>, PortError>;

    /// An event with who caused it.
    async fn event(&self, id: EventId) -> Result<AuditEvent, PortError>;

    /// What endpoints were sent of an event, as far as it is remembered; the latest attempts first.
    async fn attempts_of(&self, event: EventId, limit: u32) -> Result<Vec<Delivered>, PortError>;

    /// Endpoints that name this organization, the newest first.
    async fn endpoints_of(
        &self,
        organization: OrganizationId,
        limit: u32,
    ) -> Result<Vec<Endpoint>, PortError>;

    /// How many events the endpoint has to get that is furthest behind, of those that are turned on.
    async fn furthest_behind(&self) -> Result<u64, PortError>;

    /// Endpoints that fail or are turned off; those that fail longest first, those that somebody turned off last.
    async fn failing_endpoints(&self, limit: u32) -> Result<Vec<FailingEndpoint>, PortError>;

    /// How deliveries to an endpoint go, without what attempts have to be counted for: those of
    /// [`Delivering`] are 0, and there is no last error.
    async fn standing(&self, endpoint: EndpointId) -> Result<Delivering, PortError>;

    /// The latest attempts at an endpoint, newest first: of the latest so many that are kept, those that began at
    /// `since` or later.
    async fn latest_attempts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Counted>, PortError>;

    /// Directories of which something is held, or on its way after that.
    async fn held_directories(&self, limit: u32) -> Result<Vec<Directory>, PortError>;
}

/// How many users, groups and memberships are looked at to tell what has arrived in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// Users: those that changed last.
    pub users: u32,
    /// Groups: those that were made last.
    pub groups: u32,
    /// Memberships of these groups.
    pub memberships: u32,
}

/// What has arrived in a directory, as far as it was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrived {
    /// The users that changed last, the last one first. Without those whom apps are not shown, and fewer where they are so
    /// large that they would fill the memory.
    pub users: Vec<directory::User>,
    /// How many groups were looked at.
    pub groups: u64,
    /// How many of them have no member.
    pub empty_groups: u64,
    /// The name of one of these.
    pub empty_group: Option<String>,
    /// How many memberships they have.
    pub memberships: u64,
    /// How many members of groups of the directory are no users yet.
    pub waiting_members: u64,
}

/// What identity providers have sent. It costs the same however much there is.
#[async_trait]
pub trait Arrivals: Send + Sync {
    /// What has arrived in a directory. Nothing, in one that is not there.
    async fn arrived(&self, directory: DirectoryId, looks: Looks) -> Result<Arrived, PortError>;
}

/// How much passed between two moments, as counts a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// SCIM requests answered by this process, if it answers any.
    pub requests: Option<f64>,
    /// Events accepted.
    pub events: f64,
    /// Webhooks of this process that were answered with 2xx, if it sends any.
    pub deliveries: Option<f64>,
    /// Attempts at webhooks of this process that failed.
    pub failures: f64,
}

/// What passes through the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// The last minutes, oldest first, one entry for each [`Flow::interval`].
    pub rates: Vec<Rates>,
    /// How long each of them is.
    pub interval: Duration,
    /// How many records the log has.
    pub records: u64,
    /// How many of them are not in the store yet.
    pub lag: u64,
    /// How many events the endpoint that is furthest behind has to get.
    pub undelivered: u64,
    /// Whether other processes may do the same work, of whose requests and deliveries nothing is known here.
    pub has_others: bool,
}

/// The pipeline as it is.
#[async_trait]
pub trait Pipeline: Send + Sync {
    /// How much passes.
    async fn flow(&self) -> Result<Flow, PortError>;
}

/// What the server runs with, as it was at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// The version of the program.
    pub version: String,
    /// Which roles this process plays.
    pub roles: Vec<String>,
    /// Where it keeps something, each with what it is.
    pub paths: Vec<(&'static str, String)>,
    /// Every setting, in the order of its lists.
    pub settings: Vec<Setting>,
}

/// A setting and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is called.
    pub key: String,
    /// What holds.
    pub value: SettingValue,
    /// Who said so.
    pub source: String,
    /// What it does.
    pub help: &'static str,
}

/// What holds of a setting. There is no room for a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// This.
    Shown(String),
    /// Something that is never shown.
    Secret,
    /// Nothing; this is what happens then.
    Absent(&'static str),
}

/// What an ID token says whose signature a key of the provider has made. Nothing else of it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who made it.
    pub issuer: String,
    /// For which applications.
    pub audience: Vec<String>,
    /// Which application asked for it, where it says so.
    pub authorized_party: Option<String>,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was made.
    pub issued_at: Timestamp,
    /// What the sign-in was begun with.
    pub nonce: Option<String>,
    /// The address of whoever signed in.
    pub email: Option<String>,
    /// Whether the provider says that it is theirs.
    pub email_verified: bool,
    /// The groups that they are in.
    pub groups: Vec<String>,
}

/// A code that a browser brought back.
#[derive(Clone, Copy)]
pub struct Redemption<'a> {
    /// The code.
    pub code: &'a str,
    /// What the challenge was made from (RFC 7636).
    pub verifier: &'a str,
    /// Where the browser was sent back to.
    pub redirect_uri: &'a str,
}

/// Why a provider does not tell who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or not as a provider does.
    #[error("the identity provider does not answer as it should")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers no; with its own words.
    #[error("the identity provider refuses: {0}")]
    Refused(String),
    /// What it answers is not signed by it.
    #[error("the signature of an ID token is not good")]
    Untrusted(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The identity provider that people sign in to the console with. It is the one that the operator named, and whoever
/// implements this calls nobody else.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Where it asks people who they are.
    async fn authorization(&self) -> Result<Authorization, ProviderError>;

    /// Redeems a code for what its ID token says, of which the signature alone was checked.
    async fn redeem(&self, redemption: Redemption<'_>) -> Result<Claims, ProviderError>;
}
