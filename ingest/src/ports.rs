//! What ingest needs to know: the projection, as a replica of the log that may trail it.

mod oauth;
mod refreshes;

use async_trait::async_trait;
use directory::resource::ScimSettings;
use directory::sorting::SortKey;
use directory::{Facts, Group, Needs, User};
use log::{Offset, Partition};
use schemas::scim::{AttrPath, Filter, ScimError};
use schemas::{DirectoryId, Head, HostName, ScimId, TokenId};
use serde::{Deserialize, Serialize};

pub use refreshes::{Refresh, RefreshProgress, Refreshes, ToRefresh};

pub use oauth::{ACCESS_TOKENS_MAX, Clients, Digest, ISSUE_WINDOW, ISSUES_MAX, Issue};

/// What a bearer token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The directory.
    pub directory_id: DirectoryId,
    /// Where its stream lies.
    pub partition: Partition,
    /// Whether the stream already says that the identity provider has connected.
    pub activated: bool,
    /// The host name that its addresses have, if it is not that of the installation.
    pub host_name: Option<HostName>,
    /// How its SCIM service behaves.
    pub scim: ScimSettings,
    /// Whether its request log keeps bodies just now.
    pub keeps_bodies: bool,
    /// Which token was used; for an access token, the client secret that it was issued with.
    pub token_id: TokenId,
    /// Its last four characters, for the audit trail.
    pub token_suffix: String,
}

/// What becomes of who presents a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It opens the directory.
    Granted(Access),
    /// It is an access token that opened this very directory until it expired. Told apart only for a
    /// while after that.
    Expired(DirectoryId),
    /// It opens this directory, but not under the host name that the request came through, which is of another
    /// directory or organization.
    Elsewhere(DirectoryId),
    /// The token or the endpoint is unknown, the token is of another directory, or revoked, or the
    /// directory is gone. With the directory at the endpoint, if there is one: for its own request log, never
    /// for the caller.
    Refused(Option<DirectoryId>),
}

/// Facts as of one moment of the projection.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The stream's last accepted record.
    pub head: Head,
    /// Whether a gap has stopped the stream: nothing may be appended to it.
    pub stopped: bool,
    /// What was asked for, and the directory's own facts; `facts.tail` is the head's place.
    pub facts: Facts,
}

/// A group as a user shows it, or a user as a group shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Which.
    pub id: ScimId,
    /// Its display name, if it has one.
    pub display: Option<String>,
}

/// A user with what is derived.
#[derive(Clone, Debug, PartialEq)]
pub struct UserView {
    /// The user.
    pub user: User,
    /// The groups it is in.
    pub groups: Vec<Reference>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it stands among the others.
    pub place: MemberPlace,
    /// The user.
    pub user: Reference,
}

/// The place of a member in its group. The order is that in which the users were created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberPlace(pub i64);

/// A page of a list (RFC 7644 §3.4.2).
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Which resources; all if there is none.
    pub filter: Option<Filter>,
    /// In which order; if there is none, in that of creation, where who returns for apps is new.
    pub sort: Option<Sort>,
    /// Where the page begins.
    pub start: Start,
    /// How many to return at most. With 0, only the total counts.
    pub count: u32,
    /// What the addresses of resources begin with, for filters on `meta.location` and `$ref`.
    pub base: String,
}

impl ListQuery {
    /// So many of all there are, from the first on.
    #[must_use]
    pub const fn first(count: u32) -> Self {
        Self { filter: None, sort: None, start: Start::Skip(0), count, base: String::new() }
    }
}

/// The order of a list (RFC 7644 §3.4.2.3). What is equal stands in the order of creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By which attribute.
    pub by: AttrPath,
    /// Whether the last comes first.
    pub descending: bool,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Behind so many (RFC 7644 §3.4.2.4).
    Skip(u64),
    /// Behind this place, whatever has come or gone before it (RFC 9865).
    After(Place),
}

/// The place of a resource in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// What it is sorted by, if the list is sorted and it has such a value.
    pub key: Option<SortKey>,
    /// Where it stands among those with the same.
    pub order: [u8; 16],
}

/// The answer to a [`ListQuery`].
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// How many match in all.
    pub total: u64,
    /// Those of the page.
    pub items: Vec<T>,
    /// The place of the last of them, if others follow.
    pub next: Option<Place>,
}

/// A turn at writing to a directory. It ends when this is dropped, at the latest.
#[async_trait]
pub trait Turn: Send {
    /// Lets the next replica have its turn.
    async fn end(self: Box<Self>);
}

/// The projection, and the configuration beside it.
#[async_trait]
pub trait Replica: Send + Sync {
    /// What the token with this SHA-256 digest opens at this endpoint: a bearer token of the directory,
    /// or an access token that was issued to its OAuth client. A host name that is nobody's counts as none: under
    /// it every directory is reached.
    async fn access(
        &self,
        endpoint_id: &str,
        token_digest: Digest,
        host: Option<&HostName>,
    ) -> Result<Admission, ReplicaError>;

    /// Where a directory's stream lies; `None` if there is no such directory.
    async fn partition(&self, directory: DirectoryId) -> Result<Option<Partition>, ReplicaError>;

    /// Gathers facts, all as of one moment. Everything that is asked for is in the answer, as there
    /// or as not there; for `members_of`, the members are among the users too.
    ///
    /// Fails as long as the projection cannot be written, so that nothing is appended that could not
    /// be judged.
    async fn gather(
        &self,
        directory: DirectoryId,
        needs: Needs,
    ) -> Result<Option<Gathered>, ReplicaError>;

    /// Waits until the projection has passed this record. May be dropped at any time.
    ///
    /// Fails as soon as the projection cannot be written, rather than when it can again.
    async fn wait_applied(&self, partition: Partition, offset: Offset) -> Result<(), ReplicaError>;

    /// For each of these records, whether it was accepted. Each builds on the one before it: if the last was
    /// accepted, all were.
    async fn accepted(
        &self,
        directory: DirectoryId,
        records: Vec<Head>,
    ) -> Result<Vec<bool>, ReplicaError>;

    /// Waits for this replica's turn at writing to a directory, where replicas take turns. `None` where there is none to
    /// be had. Turns save appends that would lose a race; what is accepted depends on none. May be dropped at any time.
    async fn turn(&self, _directory: DirectoryId) -> Option<Box<dyn Turn>> {
        None
    }

    /// A user.
    async fn user(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<UserView>, ReplicaError>;

    /// A group.
    async fn group(
        &self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Group>, ReplicaError>;

    /// At most so many members of a group, behind a place. None if there is no such group.
    async fn members(
        &self,
        directory: DirectoryId,
        group: ScimId,
        after: Option<MemberPlace>,
        limit: u32,
    ) -> Result<Vec<Member>, ReplicaError>;

    /// A page of users.
    async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Listed<UserView>, ReplicaError>;

    /// A page of groups.
    async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Listed<Group>, ReplicaError>;
}

/// Why the replica does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// It may answer later.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The partition is not followed any further until its operator has mended what stopped it. Reads go on.
    #[error("the partition stands still")]
    Halted(#[source] BoxError),
    /// There is no room to project into. Reads go on; writes work again when there is room.
    #[error("the disk is full")]
    Full(#[source] BoxError),
    /// The filter cannot be evaluated.
    #[error("the filter cannot be evaluated: {}", .0.detail)]
    Filter(ScimError),
}

/// Any error, kept as the cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
