//! The audit trail of actions: nothing is changed without an entry.
//!
//! ```text
//!  call of the table ──▶ who is it ──▶ entry, durably ──▶ handler ──▶ what came of it, from the status
//! ```
//!
//! The entry comes first, so that no change is without one; what came of it is added when it is known. Calls of the
//! API come by here because their table says which action they are ([`record`]); the forms of the pages do so because
//! what reads a form asks for one.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use schemas::action::is_id;
use schemas::id::Kind;
use schemas::{
    Action, ActionOutcome, Actor, ActorKind, AdminEventId, ApiKeyId, DirectoryId, Edge, HostNameId,
    Id, OrganizationId, PortalLinkId,
};
use serde_json::{Map, Value};
use tracing::Instrument as _;

use crate::auth::{admit, sender};
use crate::body::whole;
use crate::error::Error;
use crate::ports::{
    ActionActor, AdminEvents, ApiKey, Conclusion, Cursor, NOTED_MAX, NewAdminEvent, Order,
    PageRequest, PortError, Reach,
};
use crate::router::Api;

/// An action that is about to be done, as far as the request tells.
#[derive(Clone, Debug)]
pub struct Intended {
    /// What is to be done.
    pub action: Action,
    /// Who does it.
    pub actor: ActionActor,
    /// The organization that it is about, where that is known.
    pub organization_id: Option<OrganizationId>,
    /// What it is about. What has not the form of an id is left out.
    pub targets: Vec<String>,
    /// The names of the fields that are set.
    pub fields: Vec<String>,
}

/// What a handler adds to what is known of its action, as an extension of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    made: Option<String>,
    organization_id: Option<OrganizationId>,
    fields: Option<Vec<String>>,
}

impl Told {
    /// That this was made.
    pub fn made<K: Kind>(id: Id<K>) -> Self {
        Self { made: Some(id.to_string()), ..Self::default() }
    }

    /// That it was about this organization.
    #[must_use]
    pub fn about(self, organization: OrganizationId) -> Self {
        Self { organization_id: Some(organization), ..self }
    }

    /// That these fields were changed.
    #[must_use]
    pub fn changed(fields: Vec<String>) -> Self {
        Self { fields: Some(fields), ..Self::default() }
    }
}

/// Which action has begun with a request, once one has.
#[derive(Clone, Debug, Default)]
pub struct Underway(Arc<OnceLock<AdminEventId>>);

/// Who acts, of an actor as events have it, and what people call them.
#[must_use]
pub fn action_actor(
    kind: ActorKind,
    id: Option<String>,
    name: Option<String>,
    by: Actor,
) -> ActionActor {
    let Actor { ip, user_agent, request_id, .. } = by;
    ActionActor { kind, id, name, ip, user_agent, request_id }
}

impl Intended {
    fn with(self, id: AdminEventId, outcome: Option<ActionOutcome>) -> NewAdminEvent {
        let Self { action, actor, organization_id, targets, fields } = self;
        let targets = targets.into_iter().filter(|target| is_id(target)).take(NOTED_MAX);
        NewAdminEvent {
            id,
            action,
            actor,
            organization_id,
            targets: targets.collect(),
            fields: fields.into_iter().take(NOTED_MAX).collect(),
            unrecorded: 0,
            outcome,
        }
    }
}

/// Does what the server does by itself at its start, and records it as any other action. The work says whether it was
/// done: another replica may have been faster.
///
/// # Errors
/// What the work says, or the store: then nothing was done.
pub async fn record_own(
    actions: &dyn AdminEvents,
    edge: &dyn Edge,
    intended: Intended,
    work: impl Future<Output = Result<bool, PortError>>,
) -> Result<bool, PortError> {
    let id = AdminEventId::from_bits(edge.id());
    actions.begin(intended.with(id, None)).await?;
    let done = work.await;
    let outcome = match &done {
        Ok(true) => ActionOutcome::Done,
        Ok(false) => ActionOutcome::Refused,
        Err(_) => ActionOutcome::Failed,
    };
    conclude(actions, id, Conclusion { outcome, ..failed() }).await;
    done
}

/// What was done stays done: that its end could not be kept is for the log alone.
async fn conclude(actions: &dyn AdminEvents, id: AdminEventId, conclusion: Conclusion) {
    if let Err(error) = actions.conclude(id, conclusion).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            admin_event.id = %id,
            "could not keep what came of an action"
        );
    }
}

impl Api {
    /// Keeps an action. When this has returned it may be done.
    ///
    /// # Errors
    /// What the store says: then it must not be done.
    pub async fn begin_action(
        &self,
        underway: &Underway,
        intended: Intended,
    ) -> Result<(), PortError> {
        let id = AdminEventId::from_bits(self.edge.id());
        let mut new = intended.with(id, None);
        if new.organization_id.is_none() {
            new.organization_id = self.organization_of(&new.targets).await?;
        }
        self.admin_events.begin(new).await?;
        // A request is one action.
        let _ = underway.0.set(id);
        Ok(())
    }

    /// Keeps an action that was refused before it could begin, and how many like it were not kept before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn refuse_action(
        &self,
        intended: Intended,
        unrecorded: u64,
    ) -> Result<(), PortError> {
        let id = AdminEventId::from_bits(self.edge.id());
        let refused = intended.with(id, Some(ActionOutcome::Refused));
        self.admin_events.begin(NewAdminEvent { unrecorded, ..refused }).await
    }

    /// Does what a request asks for, and adds what came of it to the action that has begun with it. On a task of its
    /// own: a client that hangs up does not hide what was done.
    pub async fn conclude_action<W>(&self, underway: Underway, work: W) -> Response
    where
        W: Future<Output = Response> + Send + 'static,
    {
        let api = self.clone();
        let work = async move {
            let done = AssertUnwindSafe(work).catch_unwind().await;
            let conclusion = match &done {
                Ok(response) => conclusion(response),
                Err(_) => failed(),
            };
            if let Some(id) = underway.0.get() {
                conclude(&*api.admin_events, *id, conclusion).await;
            }
            done
        };
        match self.tasks.spawn(work.in_current_span()).await {
            Ok(Ok(response)) => response,
            // Answered where all of them are.
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// Whose the first of these is that belongs to an organization.
    async fn organization_of(&self, ids: &[String]) -> Result<Option<OrganizationId>, PortError> {
        for id in ids {
            if let Some(organization) = self.owner_of(id).await? {
                return Ok(Some(organization));
            }
        }
        Ok(None)
    }

    async fn owner_of(&self, id: &str) -> Result<Option<OrganizationId>, PortError> {
        if let Ok(id) = id.parse::<OrganizationId>() {
            return Ok(Some(id));
        }
        if let Ok(id) = id.parse::<DirectoryId>() {
            let found = self.directories.get(Reach::Everything, id).await;
            return Ok(if_there(found)?.map(|directory| directory.organization_id));
        }
        if let Ok(id) = id.parse::<HostNameId>() {
            let found = if_there(self.host_names.get(Reach::Everything, id).await)?;
            return Ok(found.map(|host| host.organization_id));
        }
        if let Ok(id) = id.parse::<PortalLinkId>() {
            let page = self.portal_links.list(just(id), None).await?;
            let found = page.items.into_iter().find(|link| link.id == id);
            return Ok(found.map(|link| link.organization_id));
        }
        if let Ok(id) = id.parse::<ApiKeyId>() {
            let page = self.keys.list(just(id)).await?;
            let found = page.items.into_iter().find(|key| key.id == id);
            return Ok(found.and_then(|key| key.organization_id));
        }
        Ok(None)
    }
}

fn if_there<T>(found: Result<T, PortError>) -> Result<Option<T>, PortError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(PortError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A list that begins with this one.
fn just<K>(id: Id<K>) -> PageRequest<Id<K>> {
    let cursor = id.bits().checked_sub(1).map(Id::from_bits).map(Cursor::After);
    PageRequest { reach: Reach::Everything, limit: 1, order: Order::Ascending, cursor }
}

/// What an answer says of the action that it is the end of.
fn conclusion(response: &Response) -> Conclusion {
    let told = response.extensions().get::<Told>().cloned().unwrap_or_default();
    let outcome = outcome(response.status());
    Conclusion {
        outcome,
        organization_id: told.organization_id,
        made: told.made,
        fields: told.fields,
    }
}

fn outcome(status: StatusCode) -> ActionOutcome {
    if status.is_server_error() {
        ActionOutcome::Failed
    } else if status.is_client_error() {
        ActionOutcome::Refused
    } else {
        ActionOutcome::Done
    }
}

const fn failed() -> Conclusion {
    Conclusion { outcome: ActionOutcome::Failed, organization_id: None, made: None, fields: None }
}

/// A call that is an action.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) api: Api,
    pub(crate) action: Action,
    /// The names of the fields that the description knows: what else a body names is not kept.
    pub(crate) fields: Arc<BTreeSet<String>>,
}

/// Records the action that a call is. Whoever has no key is nobody, and is turned away before.
pub(crate) async fn record(
    State(recorded): State<Recorded>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let api = &recorded.api;
    let (mut parts, body) = request.into_parts();
    let key = admit(&mut parts, api).await?;
    let body = whole(body).await?;
    let given: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let path = path.iter().flatten().map(|(_, value)| value.to_owned());
    let named = ["organization_id", "organization", "directory_id"];
    let named = named.into_iter().filter_map(|name| given.get(name)?.as_str().map(str::to_owned));
    let intended = Intended {
        action: recorded.action,
        actor: actor_of(&key, sender(&parts)),
        // All that the key of an organization does, it does there.
        organization_id: key.organization_id,
        targets: path.chain(named).collect(),
        fields: given
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| recorded.fields.contains(name))
            .collect(),
    };
    let underway = Underway::default();
    api.begin_action(&underway, intended).await?;
    let request = Request::from_parts(parts, Body::from(body));
    Ok(api.conclude_action(underway, next.run(request)).await)
}

fn actor_of(key: &ApiKey, by: Actor) -> ActionActor {
    action_actor(ActorKind::ApiKey, Some(key.id.to_string()), Some(key.name.clone()), by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_an_action_is_what_its_answer_says() {
        for (status, expected) in [
            (200, ActionOutcome::Done),
            (303, ActionOutcome::Done),
            (403, ActionOutcome::Refused),
            (422, ActionOutcome::Refused),
            (503, ActionOutcome::Failed),
        ] {
            assert_eq!(outcome(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
