//! What a record does to the state: all that is needed to rebuild it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::scim::Attributes;
use crate::{GroupId, ScimId, Timestamp, TokenId, UserId};

/// A change whose attributes stay the text they are in the record: what a store keeps, byte for byte.
pub type StoredChange = Change<Box<RawValue>>;

/// The `resource` of a record: the part of the directory that the event leaves behind.
///
/// The version of a user or group is the `seq` of the record, and the time of its last change the
/// record's `created_at`; neither is said twice.
///
/// `A` is how the attributes are held: as a tree, or as the text they are in the record, see
/// [`StoredChange`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<A = Arc<Attributes>> {
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
