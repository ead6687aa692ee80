//! The objects that customer apps see, in the form the WorkOS SDKs read.
//!
//! The traps are in the details: `groups` is an array on a user of the REST API and absent in
//! events; keys that hold nothing are `null`, not missing; a directory is `linked` over REST and
//! `active` in events.

mod shared_group;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scim::{Attributes, SharedAttributes};
use crate::{
    DirectoryId, GroupId, OrganizationDomainId, OrganizationId, ScimId, Timestamp, TokenId, UserId,
};
pub use shared_group::SharedGroup;

macro_rules! object_tags {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            /// The only value.
            #[default]
            #[serde(rename = $text)]
            Tag,
        }
    )* };
}

object_tags! {
    /// The `object` of a user.
    UserTag = "directory_user";
    /// The `object` of a group.
    GroupTag = "directory_group";
    /// The `object` of a directory.
    DirectoryTag = "directory";
    /// The `object` of an organization's domain.
    DomainTag = "organization_domain";
    /// The `object` of a token.
    TokenTag = "directory_token";
    /// The `object` of a directory's OAuth client.
    ClientTag = "oauth_client";
    /// The `object` of an event.
    EventTag = "event";
}

/// Whether a user may sign in. `suspended` exists in newer SDKs and is never sent: older ones refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// The identity provider says so, or says nothing.
    Active,
    /// The identity provider has deactivated the user.
    Inactive,
}

/// An e-mail address of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Email {
    /// Whether it is the main one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub primary: Option<bool>,
    /// `work`, `home` or what the identity provider says.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// The address as the identity provider sent it.
    pub value: Option<String>,
}

/// A role of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Role {
    /// Its name in the app.
    pub slug: String,
}

/// A user as events carry it: without groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryUser {
    /// `directory_user`.
    pub object: UserTag,
    /// `directory_user_…`.
    pub id: UserId,
    /// The directory it belongs to.
    pub directory_id: DirectoryId,
    /// The organization of the directory.
    pub organization_id: OrganizationId,
    /// The identity provider's own id: SCIM's `externalId`, else the `userName`.
    pub idp_id: String,
    /// The primary address.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// All addresses.
    pub emails: Vec<Email>,
    /// SCIM's `title`.
    pub job_title: Option<String>,
    /// SCIM's `userName`.
    pub username: Option<String>,
    /// Active or inactive.
    pub state: UserState,
    /// The SCIM resource as the identity provider sent it.
    pub raw_attributes: SharedAttributes,
    /// Attributes mapped by name.
    pub custom_attributes: Attributes,
    /// The role, where roles are configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// All roles, where several may be held.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub roles: Option<Vec<Role>>,
    /// When the directory first saw the user.
    pub created_at: Timestamp,
    /// When the user last changed. Memberships do not count.
    pub updated_at: Timestamp,
}

/// A user as the REST API answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryUserWithGroups {
    /// The user.
    #[serde(flatten)]
    pub user: DirectoryUser,
    /// The groups it is a member of. Always an array: SDKs map over it unasked.
    pub groups: Vec<SharedGroup>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryGroup {
    /// `directory_group`.
    pub object: GroupTag,
    /// `directory_group_…`.
    pub id: GroupId,
    /// The identity provider's own id: SCIM's `externalId`, else the name it was created with.
    pub idp_id: String,
    /// The directory it belongs to.
    pub directory_id: DirectoryId,
    /// The organization of the directory.
    pub organization_id: OrganizationId,
    /// SCIM's `displayName`.
    pub name: String,
    /// The SCIM resource as the identity provider sent it, without members.
    pub raw_attributes: SharedAttributes,
    /// When the directory first saw the group.
    pub created_at: Timestamp,
    /// When the group last changed. Memberships do not count.
    pub updated_at: Timestamp,
}

/// A domain of the directory's organization, as `dsync.activated` lists it.
///
/// `organization_id` is beyond the published form: an older Python SDK reads it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationDomain {
    /// `organization_domain`.
    pub object: DomainTag,
    /// `org_domain_…`.
    pub id: OrganizationDomainId,
    /// The domain.
    pub domain: String,
    /// Whose domain it is.
    pub organization_id: OrganizationId,
}

/// The identity provider behind a directory: one of the slugs the SDKs know.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum DirectoryType {
    /// Entra ID, formerly Azure AD.
    #[serde(rename = "azure scim v2.0")]
    Azure,
    /// Okta.
    #[serde(rename = "okta scim v2.0")]
    Okta,
    /// Any other SCIM 2.0 client.
    #[serde(rename = "generic scim v2.0")]
    Generic,
    /// OneLogin.
    #[serde(rename = "onelogin scim v2.0")]
    OneLogin,
    /// JumpCloud.
    #[serde(rename = "jump cloud scim v2.0")]
    JumpCloud,
    /// PingFederate.
    #[serde(rename = "pingfederate scim v2.0")]
    PingFederate,
    /// CyberArk.
    #[serde(rename = "cyberark scim v2.0")]
    CyberArk,
    /// Rippling.
    #[serde(rename = "rippling scim v2.0")]
    Rippling,
    /// SailPoint.
    #[serde(rename = "sailpoint scim v2.0")]
    SailPoint,
}

impl DirectoryType {
    /// Every type, in the order in which help texts list them.
    pub const ALL: [Self; 9] = [
        Self::Azure,
        Self::Okta,
        Self::Generic,
        Self::OneLogin,
        Self::JumpCloud,
        Self::PingFederate,
        Self::CyberArk,
        Self::Rippling,
        Self::SailPoint,
    ];

    /// The slug on the wire.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Azure => "azure scim v2.0",
            Self::Okta => "okta scim v2.0",
            Self::Generic => "generic scim v2.0",
            Self::OneLogin => "onelogin scim v2.0",
            Self::JumpCloud => "jump cloud scim v2.0",
            Self::PingFederate => "pingfederate scim v2.0",
            Self::CyberArk => "cyberark scim v2.0",
            Self::Rippling => "rippling scim v2.0",
            Self::SailPoint => "sailpoint scim v2.0",
        }
    }

    /// The type with this slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }
}

/// The state of a directory in events. Over REST the same thing has other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryState {
    /// Its identity provider has connected (REST: `linked`).
    Active,
    /// Its identity provider has never connected (REST: `unlinked`).
    Inactive,
    /// It is being deleted (REST: `deleting`).
    Deleting,
}

/// A directory as `dsync.activated` carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActivatedDirectory {
    /// `directory`.
    pub object: DirectoryTag,
    /// `directory_…`.
    pub id: DirectoryId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// An opaque key of older integrations.
    pub external_key: String,
    /// The identity provider.
    #[serde(rename = "type")]
    pub kind: DirectoryType,
    /// `active`.
    pub state: DirectoryState,
    /// Its name.
    pub name: String,
    /// The domains of the organization.
    pub domains: Vec<OrganizationDomain>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A directory as `dsync.deleted` carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedDirectory {
    /// `directory`.
    pub object: DirectoryTag,
    /// `directory_…`.
    pub id: DirectoryId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The identity provider.
    #[serde(rename = "type")]
    pub kind: DirectoryType,
    /// The state it had when it was deleted.
    pub state: DirectoryState,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A token of a directory. The secret itself is never here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryToken {
    /// `directory_token`.
    pub object: TokenTag,
    /// `directory_token_…`.
    pub id: TokenId,
    /// The directory it opens.
    pub directory_id: DirectoryId,
    /// The organization of the directory.
    pub organization_id: OrganizationId,
    /// Its last four characters, to tell tokens apart.
    pub token_suffix: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A user who joined or left a group, with that group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupMembership {
    /// The directory of both.
    pub directory_id: DirectoryId,
    /// The user.
    pub user: DirectoryUser,
    /// The group.
    pub group: DirectoryGroup,
}

/// A member of a group that is no user of its directory yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingMember {
    /// What names the user, as the identity provider sent it: a SCIM id, an `externalId` or a
    /// `userName`.
    pub value: String,
}

/// A member that a group waits for, or waits for no more, with that group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PendingMembership {
    /// The directory of the group.
    pub directory_id: DirectoryId,
    /// The group.
    pub group: DirectoryGroup,
    /// The member.
    pub member: PendingMember,
}

/// What happened to a user that apps have been told is deleted, because it is inactive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InactiveUser {
    /// The directory.
    pub directory_id: DirectoryId,
    /// The id that the identity provider knows. For apps the user has none.
    #[schemars(with = "String")]
    pub scim_id: ScimId,
    /// SCIM's `userName`.
    pub username: Option<String>,
    /// What happened.
    pub change: InactiveUserChange,
    /// The group that the user joined or left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<DirectoryGroup>,
}

/// What happened to an inactive user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InactiveUserChange {
    /// It was created inactive.
    Created,
    /// Its attributes changed.
    Updated,
    /// It was deleted.
    Deleted,
    /// It joined a group.
    Joined,
    /// It left a group.
    Left,
}

/// A user after a change, with what it was before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdatedUser {
    /// The user after the change.
    #[serde(flatten)]
    pub user: DirectoryUser,
    /// The old values of what changed, and of nothing else; `null` for what was not there.
    pub previous_attributes: Attributes,
}

/// A group after a change, with what it was before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdatedGroup {
    /// The group after the change.
    #[serde(flatten)]
    pub group: DirectoryGroup,
    /// The old values of what changed, and of nothing else; `null` for what was not there.
    pub previous_attributes: Attributes,
}
