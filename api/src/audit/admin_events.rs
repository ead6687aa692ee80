//! `/admin_events`: what people and keys did outside SCIM.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use schemars::JsonSchema;
use schemas::{Action, ActionOutcome, ActorKind, AdminEventId, OrganizationId, Timestamp};
use serde::Serialize;

use super::csv;
use super::export::{Format, further};
use crate::auth::{Auditor, Caller};
use crate::error::Error;
use crate::page::{Query, list};
use crate::ports::{
    AdminEvent, AdminEventFilter, Cursor, EXPORT_PAGE, FoundActions, Order, PageRequest, PortError,
};
use crate::router::Api;

/// `GET /admin_events`: a page of JSON, or all of it as NDJSON or CSV if `Accept` says so.
pub(crate) async fn show(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Descending)?;
    let (from, to) = super::range(&query)?;
    let filter = AdminEventFilter {
        actor: query.text("actor"),
        action: query.parsed("action")?,
        organization: query.id("organization_id")?,
        from,
        to,
    };
    if let Some(format) = Format::wanted(&headers) {
        return export(api, caller, paging.request, filter, format).await;
    }
    let FoundActions { page, looked_to } = api.admin_events.list(paging.request, filter).await?;
    let mut metadata = paging.metadata(&page, |action| action.id);
    if let Some(id) = looked_to {
        paging.go_on_from(&mut metadata, id);
    }
    Ok(list(page.items.iter().map(ActionBody::of).collect(), metadata))
}

/// What is left to send.
enum Rest {
    /// A page that was read, with what goes before it.
    Page(Vec<u8>, FoundActions),
    /// The actions behind this one.
    Behind(AdminEventId),
    /// Nothing.
    Nothing,
}

/// Sends everything from the page on. What goes wrong later breaks the answer off, so that nobody takes a part for the
/// whole.
async fn export(
    api: Api,
    caller: Caller,
    request: PageRequest<AdminEventId>,
    filter: AdminEventFilter,
    format: Format,
) -> Result<Response, Error> {
    if let Some(Cursor::Before(_)) = request.cursor {
        let message = "before leads to one page, and this is all of them. Use after.".to_owned();
        return Err(Error::parameter("before", "unsupported", message));
    }
    let request = PageRequest { limit: EXPORT_PAGE, ..request };
    let first = api.admin_events.list(request, filter.clone()).await?;
    let head = match format {
        Format::Ndjson => Vec::new(),
        Format::Csv => csv::actions_head(),
    };
    let pages = stream::try_unfold(Rest::Page(head, first), move |rest| {
        let (api, filter) = (api.clone(), filter.clone());
        async move { next(&api, caller, request, filter, format, rest).await }
    });
    let content_type = HeaderValue::from_static(format.content_type());
    Ok(([(header::CONTENT_TYPE, content_type)], Body::from_stream(pages)).into_response())
}

async fn next(
    api: &Api,
    caller: Caller,
    request: PageRequest<AdminEventId>,
    filter: AdminEventFilter,
    format: Format,
    rest: Rest,
) -> Result<Option<(Bytes, Rest)>, PortError> {
    let (mut out, found) = match rest {
        Rest::Nothing => return Ok(None),
        Rest::Page(head, found) => (head, found),
        Rest::Behind(id) => {
            let request = PageRequest { cursor: Some(Cursor::After(id)), ..request };
            let found = further(api, caller, api.admin_events.list(request, filter)).await?;
            (Vec::new(), found)
        }
    };
    match format {
        Format::Ndjson => found.page.items.iter().for_each(|action| {
            serde_json::to_writer(&mut out, &ActionBody::of(action))
                .expect("an action can always be written to memory");
            out.push(b'\n');
        }),
        Format::Csv => csv::actions(&found.page.items, &mut out),
    }
    let last = found.looked_to.or(found.page.items.last().map(|action| action.id));
    let rest = last.filter(|_| found.page.has_after).map_or(Rest::Nothing, Rest::Behind);
    Ok(Some((out.into(), rest)))
}

/// An action as auditors see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminEvent")]
pub(crate) struct ActionBody<'a> {
    object: &'static str,
    id: AdminEventId,
    action: Action,
    created_at: Timestamp,
    actor: ActorBody<'a>,
    organization_id: Option<OrganizationId>,
    /// The ids of what it was about, from the outside in.
    targets: &'a [String],
    /// The names of the fields that were set, never their values.
    fields: &'a [String],
    /// `null` while it is under way, and for ever if the server ended meanwhile: then it may have happened.
    outcome: Option<ActionOutcome>,
    /// How many like it were not recorded before it, because there were too many.
    unrecorded: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActionActor")]
struct ActorBody<'a> {
    #[serde(rename = "type")]
    kind: ActorKind,
    id: Option<&'a str>,
    name: Option<&'a str>,
    ip: Option<&'a str>,
    user_agent: Option<&'a str>,
    request_id: Option<&'a str>,
}

impl<'a> ActionBody<'a> {
    fn of(action: &'a AdminEvent) -> Self {
        let actor = &action.actor;
        Self {
            object: "admin_event",
            id: action.id,
            action: action.action,
            created_at: action.created_at(),
            actor: ActorBody {
                kind: actor.kind,
                id: actor.id.as_deref(),
                name: actor.name.as_deref(),
                ip: actor.ip.as_deref(),
                user_agent: actor.user_agent.as_deref(),
                request_id: actor.request_id.as_deref(),
            },
            organization_id: action.organization_id,
            targets: &action.targets,
            fields: &action.fields,
            outcome: action.outcome,
            unrecorded: action.unrecorded,
        }
    }
}
