//! What people and keys do outside SCIM.

use async_trait::async_trait;
use schemas::{Action, ActionOutcome, ActorKind, AdminEventId, OrganizationId, Timestamp};

use super::{Page, PageRequest, PortError};

/// How many actions a page looks at, at most, of those that an index leads to: what a list is narrowed to beside that is
/// looked for among them. That takes a few milliseconds, and whoever pages goes on behind them.
pub const ACTIONS_LOOKED_AT_MAX: u32 = 4_000;

/// How many ids and names of fields are kept of one action: more than any call has, and too few to fill a store with.
pub const NOTED_MAX: usize = 32;

/// Who acts, as far as the request tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionActor {
    /// As what.
    pub kind: ActorKind,
    /// Who: the id of the key or the link, the address that an identity provider has vouched for, or the role that
    /// signed in with a password. What `actor` finds.
    pub id: Option<String>,
    /// What people call it: the name of the key, the role in the console.
    pub name: Option<String>,
    /// The address of the client.
    pub ip: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The request, as its answer's `X-Request-ID` named it.
    pub request_id: Option<String>,
}

/// An action that is about to be done. There is no room for values, so that none of a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAdminEvent {
    /// Which. It says when, too.
    pub id: AdminEventId,
    /// What is to be done.
    pub action: Action,
    /// Who does it.
    pub actor: ActionActor,
    /// The organization that it is about, if it is about one.
    pub organization_id: Option<OrganizationId>,
    /// The ids of what it is about, from the outside in.
    pub targets: Vec<String>,
    /// The names of the fields that are set.
    pub fields: Vec<String>,
    /// How many like it were not recorded before it, because there were too many.
    pub unrecorded: u64,
    /// What came of it, if that is known already.
    pub outcome: Option<ActionOutcome>,
}

/// What came of an action. What is here takes the place of what was known before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// What came of it.
    pub outcome: ActionOutcome,
    /// The organization that it was about.
    pub organization_id: Option<OrganizationId>,
    /// What was made, which is one more target.
    pub made: Option<String>,
    /// The fields that were changed indeed.
    pub fields: Option<Vec<String>>,
}

/// An action as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminEvent {
    /// Which.
    pub id: AdminEventId,
    /// What was done.
    pub action: Action,
    /// Who did it.
    pub actor: ActionActor,
    /// The organization that it was about, if it was about one.
    pub organization_id: Option<OrganizationId>,
    /// The ids of what it was about, from the outside in.
    pub targets: Vec<String>,
    /// The names of the fields that were set.
    pub fields: Vec<String>,
    /// How many like it were not recorded before it, because there were too many.
    pub unrecorded: u64,
    /// What came of it. `None`: it is under way, or the process that did it has ended before it could say.
    pub outcome: Option<ActionOutcome>,
}

impl AdminEvent {
    /// When it was begun.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.made_at()
    }
}

/// Which actions are asked for: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminEventFilter {
    /// Those of this actor, compared as a whole with its id.
    pub actor: Option<String>,
    /// Those of this name.
    pub action: Option<Action>,
    /// Those about this organization.
    pub organization: Option<OrganizationId>,
    /// Those begun at this time or later.
    pub from: Option<Timestamp>,
    /// Those begun at this time or earlier.
    pub to: Option<Timestamp>,
}

/// A page of what was looked through.
#[derive(Clone, Debug)]
pub struct FoundActions {
    /// The actions that fit. If fewer than asked for do although more follow, `has_after` or `has_before` is set.
    pub page: Page<AdminEvent>,
    /// The last action that was looked at, where that is not the last of the page: the cursor to go on from.
    pub looked_to: Option<AdminEventId>,
}

/// The audit trail of actions. It is added to, and never taken from.
#[async_trait]
pub trait AdminEvents: Send + Sync {
    /// Keeps an action, durably: once this has returned, what it is about may be done.
    async fn begin(&self, action: NewAdminEvent) -> Result<(), PortError>;

    /// Adds what came of it, once; what was said before stays. May be lost in a crash.
    async fn conclude(&self, id: AdminEventId, conclusion: Conclusion) -> Result<(), PortError>;

    /// A page of the actions. One about no organization is only within [`Reach::Everything`](super::Reach).
    async fn list(
        &self,
        page: PageRequest<AdminEventId>,
        filter: AdminEventFilter,
    ) -> Result<FoundActions, PortError>;
}
