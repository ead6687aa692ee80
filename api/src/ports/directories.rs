//! The configuration of directories and their tokens.

use std::time::Duration;

use async_trait::async_trait;
use directory::patch::NoMatch;
use directory::resource::{PatchGroupResponse, ScimSettings, UnknownMember, UnknownSchema};
use directory::{AppRules, AttributeMap, InactiveUsers, RoleMapping};
use schemas::wire::{DirectoryState, DirectoryType};
use schemas::{
    Brake, BrakeChoice, DirectoryId, HostName, OrganizationId, RequestId, Timestamp, TokenId,
    UserId,
};

#[cfg(doc)]
use super::LIVE_TOKENS_MAX;
use super::{Digest, Page, PageRequest, PortError, Reach};

/// How many users and groups a directory has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users that are active.
    pub active_users: u64,
    /// Users that are not.
    pub inactive_users: u64,
    /// Groups.
    pub groups: u64,
}

/// How far it has come that apps are shown what changed rules make of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether there are users left.
    pub running: bool,
    /// How many users were looked at.
    pub done: u64,
    /// How many there are in all.
    pub total: u64,
}

/// What is to be different about a directory; what is not given stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectoryChange {
    /// Its name.
    pub name: Option<String>,
    /// What becomes of attributes on the way to apps.
    pub attribute_map: Option<AttributeMap>,
    /// What becomes of users who turn inactive; with `None` inside, what the general rules say.
    pub inactive_users: Option<Option<InactiveUsers>>,
    /// Which roles users have by their groups.
    pub role_mapping: Option<RoleMapping>,
    /// Its brake.
    pub brake: Option<BrakeChoice>,
    /// The `updated_at` of what the change was made from. `Conflict(Changed)` if it is another by now;
    /// without it, the last who writes wins.
    pub made_from: Option<Timestamp>,
}

/// Whether what is held waits for its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// It does.
    Held,
    /// It goes out, and not every endpoint has it.
    Releasing,
}

/// What is held of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whether it waits.
    pub state: HoldState,
    /// When it began.
    pub since: Timestamp,
    /// How many users were removed, from the beginning of the window.
    pub users_removed: u64,
    /// The most that it had in the window.
    pub users: u64,
    /// How many memberships were removed, from the beginning of the window.
    pub memberships_removed: u64,
    /// The most that it had in the window.
    pub memberships: u64,
    /// How many events are held.
    pub events: u64,
}

/// One identity provider connection, as it is configured and as its stream has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// Which.
    pub id: DirectoryId,
    /// Whose.
    pub organization_id: OrganizationId,
    /// The unguessable last part of its SCIM address.
    pub endpoint_id: String,
    /// The host name that its addresses have, if it is not that of the installation.
    pub host_name: Option<HostName>,
    /// An opaque key of older integrations.
    pub external_key: String,
    /// The identity provider.
    pub kind: DirectoryType,
    /// `Deleting` once that was asked for; else `Active` if the stream says that the identity
    /// provider has connected, and `Inactive` until then.
    pub state: DirectoryState,
    /// Its name.
    pub name: String,
    /// The first domain of the organization.
    pub domain: Option<String>,
    /// Whether a gap in its stream has stopped it: nothing can be written until an operator has looked at it.
    pub stopped: bool,
    /// How many users and groups it has.
    pub counts: Counts,
    /// What apps are shown of its users.
    pub apps: AppRules,
    /// Whether its users follow these rules yet.
    pub refresh: Progress,
    /// How much of it may be removed at once.
    pub brake: Option<Brake>,
    /// What is held of it.
    pub hold: Option<Hold>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its configuration last changed.
    pub updated_at: Timestamp,
}

/// A directory to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDirectory {
    /// Which.
    pub id: DirectoryId,
    /// Whose.
    pub organization_id: OrganizationId,
    /// The unguessable last part of its SCIM address.
    pub endpoint_id: String,
    /// An opaque key of older integrations.
    pub external_key: String,
    /// The identity provider.
    pub kind: DirectoryType,
    /// Its name.
    pub name: String,
    /// How many directories its organization may have with it, without those that are being deleted. `None`: any
    /// number.
    pub among_max: Option<u32>,
    /// Its first token.
    pub token: NewToken,
    /// When it is created.
    pub created_at: Timestamp,
}

/// A token, or a client secret, to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Which. Not the secret.
    pub id: TokenId,
    /// The digest of its text.
    pub digest: Digest,
    /// Its last four characters.
    pub suffix: String,
    /// When it is made.
    pub created_at: Timestamp,
}

/// A live token or client secret of a directory, without what opens doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which. Not the secret.
    pub id: TokenId,
    /// Its last four characters.
    pub suffix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the identity provider last used it.
    pub last_used_at: Option<Timestamp>,
    /// When it is void by itself, if another has taken its place. A secret has no such end.
    pub expires_at: Option<Timestamp>,
}

/// Which directories a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryFilter {
    /// Those of this organization.
    pub organization: Option<OrganizationId>,
    /// Those whose name contains this, whatever the case.
    pub search: Option<String>,
    /// Those of an organization that has this domain.
    pub domain: Option<String>,
}

/// A SCIM request of a directory that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimRequest {
    /// Its id, which is also in the log and in what it caused.
    pub id: RequestId,
    /// When it was answered.
    pub at: Timestamp,
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The path behind the SCIM endpoint, without its query.
    pub path: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The kind of the error (RFC 7644 §3.12), if it was one and has a kind.
    pub scim_type: Option<String>,
    /// What the identity provider was told, if it was refused.
    pub detail: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// How many events it caused.
    pub events: u32,
    /// What of it was read as something else than the RFC says, by name.
    pub tolerated: Vec<String>,
    /// The beginning of its body without secrets, if it was kept.
    pub request_body: Option<String>,
    /// The same of the answer.
    pub response_body: Option<String>,
}

/// How the SCIM service of a directory behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScimService {
    /// Towards the identity provider.
    pub settings: ScimSettings,
    /// Until when bodies are kept with its requests, to look into what an identity provider does.
    pub debug_until: Option<Timestamp>,
}

/// What is to change of that. The rest stays as it is at that moment, whatever somebody has read of it before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the settings")]
pub struct ScimServiceChange {
    pub patch_group_response: Option<PatchGroupResponse>,
    pub value_path_no_match: Option<NoMatch>,
    pub unknown_schema: Option<UnknownSchema>,
    pub unknown_member: Option<UnknownMember>,
    /// Until when bodies are kept, or that none are any more.
    pub debug_until: Option<Option<Timestamp>>,
}

impl ScimServiceChange {
    /// What becomes of a service.
    #[must_use]
    pub fn of(self, before: ScimService) -> ScimService {
        let ScimService { settings, debug_until } = before;
        ScimService {
            settings: ScimSettings {
                patch_group_response: self
                    .patch_group_response
                    .unwrap_or(settings.patch_group_response),
                value_path_no_match: self
                    .value_path_no_match
                    .unwrap_or(settings.value_path_no_match),
                unknown_schema: self.unknown_schema.unwrap_or(settings.unknown_schema),
                unknown_member: self.unknown_member.unwrap_or(settings.unknown_member),
            },
            debug_until: self.debug_until.unwrap_or(debug_until),
        }
    }
}

/// The configuration of directories. A directory that is being deleted is shown until its stream has
/// recorded that; from then on it is not found.
#[async_trait]
pub trait Directories: Send + Sync {
    /// A page of them.
    async fn list(
        &self,
        page: PageRequest<DirectoryId>,
        filter: DirectoryFilter,
    ) -> Result<Page<Directory>, PortError>;

    /// One.
    async fn get(&self, reach: Reach, id: DirectoryId) -> Result<Directory, PortError>;

    /// Keeps one with its first token. `NotFound`: no such organization within reach. `Conflict(Changed)`: there is one
    /// with this id, or was. `Conflict(Directories)`: there would be more than [`NewDirectory::among_max`].
    async fn create(&self, reach: Reach, new: NewDirectory) -> Result<Directory, PortError>;

    /// Changes one. If its rules are others then, its users follow them one after the other.
    /// `Conflict(Deleting)` if it is being deleted.
    async fn update(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: DirectoryChange,
        at: Timestamp,
    ) -> Result<Directory, PortError>;

    /// Lets go what is held of one, a moment later. `Conflict(NotHeld)` if nothing is.
    async fn release(&self, reach: Reach, id: DirectoryId, at: Timestamp) -> Result<(), PortError>;

    /// Some users of one as the rules see them: these, as far as they are there, or the latest, of which there are fewer
    /// where they are so large that they would fill the memory.
    async fn sample(
        &self,
        reach: Reach,
        id: DirectoryId,
        users: Option<Vec<UserId>>,
        limit: u32,
    ) -> Result<Vec<directory::User>, PortError>;

    /// Marks one as being deleted; all of its tokens open nothing from then on. Marking it again
    /// succeeds and changes nothing.
    async fn delete(&self, reach: Reach, id: DirectoryId, at: Timestamp) -> Result<(), PortError>;

    /// How its SCIM service behaves.
    async fn scim_settings(&self, reach: Reach, id: DirectoryId) -> Result<ScimService, PortError>;

    /// Has its SCIM service behave otherwise from the next request on, and says how. Where bodies are not to be kept,
    /// those go that were kept.
    async fn change_scim_settings(
        &self,
        reach: Reach,
        id: DirectoryId,
        change: ScimServiceChange,
        at: Timestamp,
    ) -> Result<ScimService, PortError>;

    /// A page of the latest requests of its identity provider.
    async fn requests(
        &self,
        id: DirectoryId,
        page: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, PortError>;

    /// Its live tokens, newest first.
    async fn tokens(&self, reach: Reach, id: DirectoryId) -> Result<Vec<Token>, PortError>;

    /// Adds a token. Those that are live already are void from `others_until` on, if that is given and they do not end
    /// earlier. `Conflict(LiveTokens)` if there are [`LIVE_TOKENS_MAX`], `Conflict(Deleting)` if the directory is
    /// being deleted, `Conflict(Changed)` if there is a token with this id, or was.
    async fn add_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: NewToken,
        others_until: Option<Timestamp>,
    ) -> Result<Token, PortError>;

    /// Takes the end of a live token away: it works until it is revoked. `NotFound` if it is void.
    async fn keep_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
    ) -> Result<(), PortError>;

    /// Makes a live token void. `NotFound` also if it is void already.
    async fn revoke_token(
        &self,
        reach: Reach,
        id: DirectoryId,
        token: TokenId,
        at: Timestamp,
    ) -> Result<(), PortError>;
}
