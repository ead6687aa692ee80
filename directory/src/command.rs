//! What can be asked of a directory, and why it can be refused.

use schemas::scim::{Attributes, ScimError, SharedAttributes, echo};
use schemas::{ScimId, Seq, Timestamp};

use crate::patch::{MemberOp, Operation};

/// A request to change a directory. Attributes are canonical: whoever parsed them saw to that.
#[derive(Clone, Debug)]
pub enum Command {
    /// Note that the identity provider has connected.
    Activate,
    /// Make the stream say what the configuration says: tokens made and revoked, deletion.
    Reconcile,
    /// Create a user.
    CreateUser {
        /// Canonical.
        attributes: SharedAttributes,
    },
    /// Replace a user's attributes (PUT).
    ReplaceUser {
        /// Which.
        id: ScimId,
        /// Canonical.
        attributes: SharedAttributes,
    },
    /// Change some of a user's attributes (PATCH).
    PatchUser {
        /// Which.
        id: ScimId,
        /// In order; all or none.
        operations: Vec<Operation>,
    },
    /// Delete a user.
    DeleteUser {
        /// Which.
        id: ScimId,
    },
    /// Show apps of these users what the rules in force make of them. Those who are not there any more
    /// are passed over.
    RefreshUsers {
        /// Which.
        ids: Vec<ScimId>,
    },
    /// Create a group.
    CreateGroup {
        /// Canonical, without members.
        attributes: Attributes,
        /// Values that name users, as the client wrote them.
        members: Vec<String>,
    },
    /// Replace a group's attributes and members (PUT).
    ReplaceGroup {
        /// Which.
        id: ScimId,
        /// Canonical, without members.
        attributes: Attributes,
        /// Values that name users, as the client wrote them. All others leave.
        members: Vec<String>,
        /// Whether those stay who are pending and not named: the client changes what it was shown, and they are
        /// not shown.
        keeps_pending: bool,
    },
    /// Change some of a group's attributes or members (PATCH).
    PatchGroup {
        /// Which.
        id: ScimId,
        /// On attributes, in order.
        operations: Vec<Operation>,
        /// On members, in order.
        members: Vec<MemberOp>,
    },
    /// Delete a group.
    DeleteGroup {
        /// Which.
        id: ScimId,
    },
    /// Do it only if the resource has one of these versions (`If-Match`, RFC 7644 §3.14).
    Conditional {
        /// The versions that the client has seen.
        versions: Vec<Seq>,
        /// What to do.
        then: Box<Command>,
    },
}

impl Command {
    /// The resource that it changes and that has to be there.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::ReplaceUser { id, .. } | Self::PatchUser { id, .. } | Self::DeleteUser { id } => {
                Some(Target::User(*id))
            }
            Self::ReplaceGroup { id, .. }
            | Self::PatchGroup { id, .. }
            | Self::DeleteGroup { id } => Some(Target::Group(*id)),
            Self::Conditional { then, .. } => then.target(),
            Self::Activate
            | Self::Reconcile
            | Self::CreateUser { .. }
            | Self::RefreshUsers { .. }
            | Self::CreateGroup { .. } => None,
        }
    }
}

/// A resource that a command changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This user.
    User(ScimId),
    /// This group.
    Group(ScimId),
}

/// What only the edge can know: the time, and fresh ids.
pub struct Stamp<'a> {
    /// When the command is decided.
    pub at: Timestamp,
    /// The id of the resource that the command creates, if it was promised to others before. They may
    /// have used it already, which nobody can with a fresh one.
    pub promised: Option<ScimId>,
    /// Fresh bits for ids, rising from call to call.
    pub ids: &'a mut dyn FnMut() -> u128,
}

/// Why a command changes nothing and is answered with an error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// There is no such user.
    #[error("user {0} does not exist in this directory")]
    NoSuchUser(ScimId),
    /// There is no such group.
    #[error("group {0} does not exist in this directory")]
    NoSuchGroup(ScimId),
    /// Another user has this name, in any letter case.
    #[error(
        "another user already has the userName \"{}\"; letter case does not tell names apart",
        echo(.0)
    )]
    UserNameTaken(String),
    /// Another group has this identity.
    #[error("another group already has the {attribute} \"{}\"", echo(value))]
    GroupTaken {
        /// `externalId` or `displayName`.
        attribute: &'static str,
        /// What was asked for.
        value: String,
    },
    /// A member does not exist. Nothing is ever dropped in silence.
    #[error(
        "members: \"{}\" is not the id of a user of this directory; create the user first, and leave groups out: they cannot be members",
        echo(.0)
    )]
    NoSuchMember(String),
    /// A member fits several users, and which is not for us to guess.
    #[error(
        "members: \"{}\" fits several users of this directory; name the user by its id",
        echo(.0)
    )]
    AmbiguousMember(String),
    /// The value of a member that is no user yet is longer than any that a user has.
    #[error(
        "members: a value of {bytes} bytes is no user of this directory, and too long to wait for one; at most {limit} are kept"
    )]
    PendingMemberTooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// More members would be pending than may be.
    #[error("members: more than {limit} would be pending {of}; create the users first")]
    TooManyPending {
        /// In what, or for whom.
        of: &'static str,
        /// How many may be.
        limit: usize,
    },
    /// One request would make more events than one commit may hold.
    #[error("the request changes {changes} memberships at once, more than {limit}; split it")]
    TooManyChanges {
        /// How many it asked for.
        changes: usize,
        /// How many may be.
        limit: usize,
    },
    /// The resource is no longer what the client has seen.
    #[error("the resource has changed meanwhile and has version W/\"{0}\"; read it again")]
    VersionMismatch(Seq),
    /// The directory was deleted.
    #[error("the directory has been deleted")]
    DirectoryGone,
    /// The request itself is wrong.
    #[error("{}", .0.detail)]
    Invalid(ScimError),
}

impl From<ScimError> for Rejection {
    fn from(error: ScimError) -> Self {
        Self::Invalid(error)
    }
}
