//! What auditors read: every event with its place in its stream, its hash and who caused it.

use async_trait::async_trait;
use schemas::{
    DirectoryId, EventId, EventType, GroupId, Hash, OrganizationId, RequestId, Seq, Timestamp,
    UserId,
};
use serde_json::value::RawValue;

use super::{Page, PageRequest, PortError, Reach};

/// Which events an auditor asks for: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those of these types; all if there is none.
    pub types: Vec<EventType>,
    /// Those of this organization.
    pub organization: Option<OrganizationId>,
    /// Those of this directory.
    pub directory: Option<DirectoryId>,
    /// Those about this user, memberships among them, also when the user is gone.
    pub user: Option<UserId>,
    /// Those about this group, memberships among them, also when the group is gone.
    pub group: Option<GroupId>,
    /// Those that this token suffix, address, user agent, API key, role or setup link caused; compared as a whole.
    pub actor: Option<String>,
    /// Those that this request caused.
    pub request: Option<RequestId>,
    /// Those whose data contains this text, whatever the case of ASCII letters.
    pub text: Option<String>,
    /// Those created at this time or later.
    pub from: Option<Timestamp>,
    /// Those created at this time or earlier.
    pub to: Option<Timestamp>,
    /// Those in front of this one, in the order of the list.
    pub in_front_of: Option<EventId>,
}

/// An event with what proves it and who caused it.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Which.
    pub id: EventId,
    /// Its type.
    pub event: EventType,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What customer apps are told: the JSON of `data`.
    pub data: Box<RawValue>,
    /// Whose stream it belongs to.
    pub directory_id: DirectoryId,
    /// Its place in the stream.
    pub seq: Seq,
    /// SHA-256 of its record in the log.
    pub hash: Hash,
    /// That of the record before it.
    pub prev_hash: Hash,
    /// Who caused it: the JSON of a [`schemas::Actor`].
    pub actor: Box<RawValue>,
}

/// A page of what was looked through.
#[derive(Clone, Debug)]
pub struct Audited {
    /// The events that fit. If fewer than asked for do although more events follow, `has_after` is set.
    pub page: Page<AuditEvent>,
    /// The last event that was looked at, where that is not the last of the page: the cursor to go on
    /// from.
    pub looked_to: Option<EventId>,
}

/// What came of a walk through the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The chain is whole, and state and feed are what it says.
    Whole {
        /// How many events it has: of the one directory, if it was asked for one.
        events: u64,
    },
    /// The first difference.
    Broken {
        /// Where, if a directory can be named.
        directory: Option<DirectoryId>,
        /// At which place of its stream, if one can be named.
        seq: Option<Seq>,
        /// What differs.
        what: String,
    },
}

/// The history, for auditors.
#[async_trait]
pub trait Audit: Send + Sync {
    /// A page of events, in the order in which they were accepted. Looks at a bounded number of events,
    /// so that a filter that nothing fits costs no more than one that everything does.
    async fn audit(
        &self,
        page: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, PortError>;

    /// Whether there is a directory within reach with this id, or was one. A key that is limited to an
    /// organization does not reach the history of a directory that is gone: nothing says whose it was.
    async fn has_history(&self, reach: Reach, directory: DirectoryId) -> Result<bool, PortError>;
}

/// Walks through the log itself, which no other part of the API sees.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Walks the chain of one directory, or of all, and compares it with the state. Takes as long as
    /// reading the whole log takes; one walk at a time. `None`, at once, if the same walk is under way or waits for its
    /// turn, or as many others wait as may.
    async fn verify(
        &self,
        directory: Option<DirectoryId>,
    ) -> Result<Option<Verification>, PortError>;
}
