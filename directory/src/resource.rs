//! What a directory holds, as the rules see it.

use schemas::scim::{Attributes, SharedAttributes, Value};
use schemas::wire::{DirectoryType, OrganizationDomain};
use serde::{Deserialize, Serialize};

use crate::normalise::Origin;
use crate::patch::NoMatch;
use crate::rules::AppRules;
use schemas::{
    DirectoryId, GroupId, OrganizationId, ScimId, Seq, Shown, Timestamp, TokenId, UserId,
};

/// A directory as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// Which.
    pub id: DirectoryId,
    /// Whose.
    pub organization_id: OrganizationId,
    /// An opaque key of older integrations.
    pub external_key: String,
    /// The identity provider.
    pub kind: DirectoryType,
    /// Its name.
    pub name: String,
    /// How its SCIM service behaves.
    pub scim: ScimSettings,
    /// What apps are shown of its users.
    pub apps: AppRules,
    /// The domains of the organization.
    pub domains: Vec<OrganizationDomain>,
    /// Every token that was ever made for it.
    pub tokens: Vec<DirectoryToken>,
    /// Whether its deletion was asked for.
    pub deleting: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its configuration last changed.
    pub updated_at: Timestamp,
}

impl Directory {
    /// What its users and groups say of their origin.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        Origin { directory_id: self.id, organization_id: self.organization_id }
    }
}

/// What of the SCIM service a directory can have otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScimSettings {
    /// What answers the PATCH of a group.
    pub patch_group_response: PatchGroupResponse,
    /// What becomes of a PATCH whose path selects no value.
    pub value_path_no_match: NoMatch,
    /// What becomes of schemas that the service does not know.
    pub unknown_schema: UnknownSchema,
    /// What becomes of members that are no users of the directory.
    pub unknown_member: UnknownMember,
}

/// What answers the PATCH of a group (RFC 7644 §3.5.2 allows either).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchGroupResponse {
    /// 204 without a body: a body with all members would make one more member of a large group cost as
    /// much as the group.
    #[default]
    #[serde(rename = "204")]
    NoContent,
    /// 200 with the group.
    #[serde(rename = "200")]
    Ok,
}

/// What becomes of a schema in `schemas` that the service does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownSchema {
    /// It is passed over: Entra ID sends one with every group.
    #[default]
    Ignore,
    /// The request is refused.
    Reject,
}

/// What becomes of a member of a group that is no user of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownMember {
    /// The request is refused. Members are named by the id of a user.
    #[default]
    Reject,
    /// It is kept until a user arrives that has it as id, `externalId` or `userName`. Members can be named
    /// by either, whoever comes first.
    Pending,
}

/// A bearer token as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryToken {
    /// Which. Not the secret.
    pub id: TokenId,
    /// Its last four characters.
    pub suffix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is void.
    pub revoked: bool,
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The id that the identity provider knows.
    pub id: ScimId,
    /// The id that customer apps know.
    pub user_id: UserId,
    /// The user name in the form that is compared; see [`name_key`].
    pub name_key: String,
    /// The SCIM resource, canonical, without `id`, `meta`, `groups` and `password`.
    pub attributes: SharedAttributes,
    /// What apps were last told of it.
    pub shown: Shown,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The place in the stream of the record that made it what it is.
    pub version: Seq,
}

/// A group. Its members are apart, so that a large one costs no more to touch than a small one.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The id that the identity provider knows.
    pub id: ScimId,
    /// The id that customer apps know.
    pub group_id: GroupId,
    /// The identity provider's own id: `externalId`, else the name it was created with. It stays
    /// when the group is renamed.
    pub idp_id: String,
    /// The display name in the form that is compared; see [`name_key`].
    pub name_key: String,
    /// The SCIM resource, canonical, without `id`, `meta` and `members`.
    pub attributes: SharedAttributes,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own attributes last changed.
    pub updated_at: Timestamp,
    /// When it or its members last changed.
    pub modified_at: Timestamp,
    /// The place in the stream of the record that last changed it or its members.
    pub version: Seq,
}

/// The form in which names that do not tell letter case apart are compared (RFC 7643 §2.2,
/// `caseExact` false). It is fixed in the record when a name is given.
#[must_use]
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// `schemas` says what is present, in no order (RFC 7643 §3): the list as it was, if the new one is another order of it.
pub(crate) fn schemas_as_before(before: &Attributes, after: &Attributes) -> Option<Vec<Value>> {
    let [old, new] = [before, after].map(|of| of.get("schemas").and_then(Value::as_list));
    let (old, new) = (old?, new?);
    let is_same = old.len() == new.len() && old.iter().all(|urn| new.contains(urn));
    (is_same && old != new).then(|| old.to_vec())
}

/// The text of a string attribute that is present and not empty.
#[must_use]
pub fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.as_str().filter(|text| !text.is_empty())
}
