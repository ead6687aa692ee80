//! Events: facts about one directory, in the past tense.
//!
//! Variants are only ever added. A changed meaning is a new variant with a new name; the old one is
//! read for ever. The golden files in `schemas/golden` hold one of each and are never edited.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scim::SharedAttributes;
use crate::wire::{
    ActivatedDirectory, DeletedDirectory, DirectoryGroup, DirectoryToken, DirectoryUser,
    GroupMembership, InactiveUser, PendingMembership, UpdatedGroup, UpdatedUser,
};

/// What happened, with what customer apps are told of it (`event` and `data` on the wire).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", content = "data")]
pub enum Event {
    /// The identity provider connected for the first time.
    #[serde(rename = "dsync.activated")]
    Activated(ActivatedDirectory),
    /// The directory was deleted. Nothing is said of its users and groups: all of them are gone.
    #[serde(rename = "dsync.deleted")]
    Deleted(DeletedDirectory),
    /// A user was created.
    #[serde(rename = "dsync.user.created")]
    UserCreated(DirectoryUser),
    /// A user changed; deactivation and return count as a change of `state`.
    #[serde(rename = "dsync.user.updated")]
    UserUpdated(UpdatedUser),
    /// A user was deleted, and with it every membership.
    #[serde(rename = "dsync.user.deleted")]
    UserDeleted(DirectoryUser),
    /// A group was created, empty.
    #[serde(rename = "dsync.group.created")]
    GroupCreated(DirectoryGroup),
    /// A group changed; its members do not count.
    #[serde(rename = "dsync.group.updated")]
    GroupUpdated(UpdatedGroup),
    /// A group was deleted, and with it every membership.
    #[serde(rename = "dsync.group.deleted")]
    GroupDeleted(DirectoryGroup),
    /// A user joined a group.
    #[serde(rename = "dsync.group.user_added")]
    GroupUserAdded(GroupMembership),
    /// A user left a group.
    #[serde(rename = "dsync.group.user_removed")]
    GroupUserRemoved(GroupMembership),
    /// A group has a member that is no user of the directory yet.
    #[serde(rename = "dsync.group.pending_member_added")]
    GroupPendingMemberAdded(PendingMembership),
    /// A group does not wait for a member any more: its user has arrived, or it was removed.
    #[serde(rename = "dsync.group.pending_member_removed")]
    GroupPendingMemberRemoved(PendingMembership),
    /// Something of a user changed that apps have been told is deleted, because it is inactive. Only the
    /// history has it.
    #[serde(rename = "dsync.inactive_user.changed")]
    InactiveUserChanged(InactiveUser),
    /// A bearer token was made.
    #[serde(rename = "dsync.token.created")]
    TokenCreated(DirectoryToken),
    /// A bearer token was revoked.
    #[serde(rename = "dsync.token.revoked")]
    TokenRevoked(DirectoryToken),
}

impl Event {
    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> EventType {
        match self {
            Self::Activated(_) => EventType::Activated,
            Self::Deleted(_) => EventType::Deleted,
            Self::UserCreated(_) => EventType::UserCreated,
            Self::UserUpdated(_) => EventType::UserUpdated,
            Self::UserDeleted(_) => EventType::UserDeleted,
            Self::GroupCreated(_) => EventType::GroupCreated,
            Self::GroupUpdated(_) => EventType::GroupUpdated,
            Self::GroupDeleted(_) => EventType::GroupDeleted,
            Self::GroupUserAdded(_) => EventType::GroupUserAdded,
            Self::GroupUserRemoved(_) => EventType::GroupUserRemoved,
            Self::GroupPendingMemberAdded(_) => EventType::GroupPendingMemberAdded,
            Self::GroupPendingMemberRemoved(_) => EventType::GroupPendingMemberRemoved,
            Self::InactiveUserChanged(_) => EventType::InactiveUserChanged,
            Self::TokenCreated(_) => EventType::TokenCreated,
            Self::TokenRevoked(_) => EventType::TokenRevoked,
        }
    }

    /// What apps are told of the SCIM resource itself, where the event is about one user or group that is there.
    pub(crate) const fn raw_attributes(&self) -> Option<&SharedAttributes> {
        match self {
            Self::UserCreated(user) => Some(&user.raw_attributes),
            Self::UserUpdated(updated) => Some(&updated.user.raw_attributes),
            Self::GroupCreated(group) => Some(&group.raw_attributes),
            Self::GroupUpdated(updated) => Some(&updated.group.raw_attributes),
            Self::Activated(_)
            | Self::Deleted(_)
            | Self::UserDeleted(_)
            | Self::GroupDeleted(_)
            | Self::GroupUserAdded(_)
            | Self::GroupUserRemoved(_)
            | Self::GroupPendingMemberAdded(_)
            | Self::GroupPendingMemberRemoved(_)
            | Self::InactiveUserChanged(_)
            | Self::TokenCreated(_)
            | Self::TokenRevoked(_) => None,
        }
    }

    /// What customer apps are told, as JSON: the `data` of the record.
    pub(crate) fn write_data(&self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Activated(directory) => serde_json::to_writer(out, directory),
            Self::Deleted(directory) => serde_json::to_writer(out, directory),
            Self::UserCreated(user) | Self::UserDeleted(user) => serde_json::to_writer(out, user),
            Self::UserUpdated(user) => serde_json::to_writer(out, user),
            Self::GroupCreated(group) | Self::GroupDeleted(group) => {
                serde_json::to_writer(out, group)
            }
            Self::GroupUpdated(group) => serde_json::to_writer(out, group),
            Self::GroupUserAdded(membership) | Self::GroupUserRemoved(membership) => {
                serde_json::to_writer(out, membership)
            }
            Self::GroupPendingMemberAdded(member) | Self::GroupPendingMemberRemoved(member) => {
                serde_json::to_writer(out, member)
            }
            Self::InactiveUserChanged(user) => serde_json::to_writer(out, user),
            Self::TokenCreated(token) | Self::TokenRevoked(token) => {
                serde_json::to_writer(out, token)
            }
        };
        written.expect("events hold nothing that JSON cannot");
    }
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// The type of an event.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        pub enum EventType { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl EventType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_types! {
    /// `dsync.activated`
    Activated = "dsync.activated";
    /// `dsync.deleted`
    Deleted = "dsync.deleted";
    /// `dsync.user.created`
    UserCreated = "dsync.user.created";
    /// `dsync.user.updated`
    UserUpdated = "dsync.user.updated";
    /// `dsync.user.deleted`
    UserDeleted = "dsync.user.deleted";
    /// `dsync.group.created`
    GroupCreated = "dsync.group.created";
    /// `dsync.group.updated`
    GroupUpdated = "dsync.group.updated";
    /// `dsync.group.deleted`
    GroupDeleted = "dsync.group.deleted";
    /// `dsync.group.user_added`
    GroupUserAdded = "dsync.group.user_added";
    /// `dsync.group.user_removed`
    GroupUserRemoved = "dsync.group.user_removed";
    /// `dsync.group.pending_member_added`
    GroupPendingMemberAdded = "dsync.group.pending_member_added";
    /// `dsync.group.pending_member_removed`
    GroupPendingMemberRemoved = "dsync.group.pending_member_removed";
    /// `dsync.inactive_user.changed`
    InactiveUserChanged = "dsync.inactive_user.changed";
    /// `dsync.token.created`
    TokenCreated = "dsync.token.created";
    /// `dsync.token.revoked`
    TokenRevoked = "dsync.token.revoked";
}

impl EventType {
    /// Whether apps are told of it at all. What changes of a user that is deleted for them is in the
    /// history alone.
    #[must_use]
    pub const fn is_told(self) -> bool {
        match self {
            Self::InactiveUserChanged => false,
            Self::Activated
            | Self::Deleted
            | Self::UserCreated
            | Self::UserUpdated
            | Self::UserDeleted
            | Self::GroupCreated
            | Self::GroupUpdated
            | Self::GroupDeleted
            | Self::GroupUserAdded
            | Self::GroupUserRemoved
            | Self::GroupPendingMemberAdded
            | Self::GroupPendingMemberRemoved
            | Self::TokenCreated
            | Self::TokenRevoked => true,
        }
    }

    /// Whether webhooks may carry it. Token events are for the events API alone, as SDKs expect; so
    /// are pending members, who are nobody that an app could know.
    #[must_use]
    pub const fn is_subscribable(self) -> bool {
        match self {
            Self::GroupPendingMemberAdded
            | Self::GroupPendingMemberRemoved
            | Self::InactiveUserChanged
            | Self::TokenCreated
            | Self::TokenRevoked => false,
            Self::Activated
            | Self::Deleted
            | Self::UserCreated
            | Self::UserUpdated
            | Self::UserDeleted
            | Self::GroupCreated
            | Self::GroupUpdated
            | Self::GroupDeleted
            | Self::GroupUserAdded
            | Self::GroupUserRemoved => true,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no event type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type {0:?}")]
pub struct UnknownEventType(pub String);

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownEventType(text.to_owned()))
    }
}
