//! What a record does to the state: all that is needed to rebuild it.

use std::borrow::Cow;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::scim::{Attributes, SharedAttributes};
use crate::wire::Role;
use crate::{GroupId, ScimId, Timestamp, TokenId, UserId};

/// A change whose attributes stay the text they are in the record: what a store keeps, byte for byte.
pub type StoredChange = Change<StoredAttributes>;

/// Attributes as they stand in a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, from = "Box<RawValue>")]
pub enum StoredAttributes {
    /// As text, which was read.
    Text(Box<RawValue>),
    /// As the tree that the text was made of, by whoever sealed the record.
    Tree(SharedAttributes),
}

impl StoredAttributes {
    /// The text.
    #[must_use]
    pub fn json(&self) -> &str {
        match self {
            Self::Text(text) => text.get(),
            Self::Tree(tree) => tree.json().get(),
        }
    }

    /// At least the attributes of these names, in any case; see [`Attributes::pick`].
    ///
    /// # Errors
    ///
    /// If the text is not one JSON object.
    pub fn pick(&self, names: &[&'static str]) -> Result<Cow<'_, Attributes>, serde_json::Error> {
        match self {
            Self::Text(text) => Attributes::pick(text.get(), names).map(Cow::Owned),
            Self::Tree(tree) => Ok(Cow::Borrowed(tree)),
        }
    }
}

impl From<Box<RawValue>> for StoredAttributes {
    fn from(text: Box<RawValue>) -> Self {
        Self::Text(text)
    }
}

/// The `resource` of a record: the part of the directory that the event leaves behind.
///
/// The version of a user or group is the `seq` of the record, and the time of its last change the
/// record's `created_at`; neither is said twice.
///
/// `A` is how the attributes are held: as a tree, or as the text they are in the record, see
/// [`StoredChange`]. What apps are told of them as they are is in the `data` of the record alone, see
/// [`change_in`](crate::record::change_in).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<A = SharedAttributes> {
    /// The user is now this.
    User {
        /// The id that the identity provider knows.
        id: ScimId,
        /// The id that customer apps know.
        user_id: UserId,
        /// The user name in the form that is compared. Fixed here, because tables for folding case
        /// change with Unicode and old records must not.
        name_key: String,
        /// When it was created.
        created_at: Timestamp,
        /// The SCIM resource, canonical, without `id`, `meta`, `groups` and `password`.
        attributes: A,
        /// What apps were told of it with this record.
        #[serde(default, skip_serializing_if = "Shown::is_default")]
        shown: Shown,
    },
    /// The user is gone, and with it every membership.
    UserGone {
        /// Which.
        id: ScimId,
    },
    /// The group is now this. Its members are apart.
    Group {
        /// The id that the identity provider knows.
        id: ScimId,
        /// The id that customer apps know.
        group_id: GroupId,
        /// The identity provider's own id, fixed when the group was created.
        idp_id: String,
        /// The display name in the form that is compared.
        name_key: String,
        /// When it was created.
        created_at: Timestamp,
        /// The SCIM resource, canonical, without `id`, `meta` and `members`.
        attributes: A,
    },
    /// The group is gone, and with it every membership.
    GroupGone {
        /// Which.
        id: ScimId,
    },
    /// The user is a member of the group.
    MemberAdded {
        /// Of this group.
        group: ScimId,
        /// This user.
        user: ScimId,
    },
    /// The user is not a member of the group any more.
    MemberRemoved {
        /// Of this group.
        group: ScimId,
        /// This user.
        user: ScimId,
    },
    /// The group has a member that is no user of the directory yet.
    PendingMemberAdded {
        /// Of this group.
        group: ScimId,
        /// What names the user, as the identity provider sent it.
        value: String,
        /// The value in the form in which user names are compared. Fixed here as that of a user is.
        name_key: String,
    },
    /// The group does not wait for this member any more.
    PendingMemberRemoved {
        /// Of this group.
        group: ScimId,
        /// What names the user, as it was added.
        value: String,
    },
    /// The identity provider has connected.
    DirectoryActivated,
    /// The directory is gone, with all that it held.
    DirectoryGone,
    /// The stream knows of this token.
    TokenMade {
        /// Which.
        id: TokenId,
    },
    /// The stream knows that this token is void.
    TokenRevoked {
        /// Which.
        id: TokenId,
    },
}

/// What apps are shown of a user where the user's attributes alone do not say it: what the rules made of
/// them that were in force when the record was written. Whoever reads the record asks no rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Apps are shown nothing: for them the user is deleted, because it is inactive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Since when apps are shown the user, if not since it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What an attribute map made of the attributes, if that is not what is made of them without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Box<Mapped>>,
    /// The roles of the user, the first of them first; none where no roles are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

/// The attributes of a user as an attribute map made them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mapped {
    /// The identity provider's own id.
    pub idp_id: String,
    /// The primary address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_title: Option<String>,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Those of the mapped attributes that have a value.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub custom_attributes: Attributes,
}

impl Change {
    /// The same as a store keeps it.
    #[must_use]
    pub fn stored(&self) -> StoredChange {
        let tree = |attributes| Ok::<_, Infallible>(StoredAttributes::Tree(attributes));
        let Ok(stored) = self.clone().with_attributes(tree);
        stored
    }
}

impl<A> Change<A> {
    /// The same with its attributes held otherwise.
    ///
    /// # Errors
    ///
    /// If they cannot be.
    pub fn with_attributes<B, E>(
        self,
        held: impl FnOnce(A) -> Result<B, E>,
    ) -> Result<Change<B>, E> {
        Ok(match self {
            Self::User { id, user_id, name_key, created_at, attributes, shown } => {
                let attributes = held(attributes)?;
                Change::User { id, user_id, name_key, created_at, attributes, shown }
            }
            Self::UserGone { id } => Change::UserGone { id },
            Self::Group { id, group_id, idp_id, name_key, created_at, attributes } => {
                let attributes = held(attributes)?;
                Change::Group { id, group_id, idp_id, name_key, created_at, attributes }
            }
            Self::GroupGone { id } => Change::GroupGone { id },
            Self::MemberAdded { group, user } => Change::MemberAdded { group, user },
            Self::MemberRemoved { group, user } => Change::MemberRemoved { group, user },
            Self::PendingMemberAdded { group, value, name_key } => {
                Change::PendingMemberAdded { group, value, name_key }
            }
            Self::PendingMemberRemoved { group, value } => {
                Change::PendingMemberRemoved { group, value }
            }
            Self::DirectoryActivated => Change::DirectoryActivated,
            Self::DirectoryGone => Change::DirectoryGone,
            Self::TokenMade { id } => Change::TokenMade { id },
            Self::TokenRevoked { id } => Change::TokenRevoked { id },
        })
    }

    /// What a user or a group has, if that is what it is about.
    pub const fn attributes(&self) -> Option<&A> {
        match self {
            Self::User { attributes, .. } | Self::Group { attributes, .. } => Some(attributes),
            Self::UserGone { .. }
            | Self::GroupGone { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::PendingMemberAdded { .. }
            | Self::PendingMemberRemoved { .. }
            | Self::DirectoryActivated
            | Self::DirectoryGone
            | Self::TokenMade { .. }
            | Self::TokenRevoked { .. } => None,
        }
    }
}

impl Shown {
    /// Whether the attributes alone say all.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
