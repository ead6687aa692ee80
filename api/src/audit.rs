//! `/audit/…`: the history for auditors. Everything that was accepted, with its place in its stream, its
//! hash and who caused it, without age limit; and the walk that proves that nobody has changed it.

pub(crate) mod admin_events;
mod csv;
mod export;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use schemas::{DirectoryId, EventId, Hash, RequestId, Seq, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::auth::{Auditor, Caller};
use crate::error::Error;
use crate::events::read_types;
use crate::page::Query;
use crate::ports::{
    AuditEvent, AuditFilter, Audited, Cursor, Order, PageRequest, PortError, Verification,
};
use crate::router::Api;
use crate::{directories, groups, users};

/// `GET /audit/events`: a page of JSON, or all of it as NDJSON or CSV if `Accept` says so.
pub(crate) async fn list(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Ascending)?;
    let filter = read_filter(&query)?;
    if let Some(id) = filter.directory {
        must_exist(&api, caller, id).await?;
    }
    if let Some(format) = export::Format::wanted(&headers) {
        return export::stream(api, caller, paging.request, filter, format).await;
    }
    let Audited { page, looked_to } = api.audit.audit(paging.request, filter).await?;
    let mut metadata = paging.metadata(&page, |event| event.id);
    if let Some(id) = looked_to {
        paging.go_on_from(&mut metadata, id);
    }
    let data = page.items.iter().map(EventBody::of).collect();
    Ok(Json(List { object: "list", data, list_metadata: metadata }).into_response())
}

/// `GET /audit/verify`: walks the chain of one directory, or of all.
pub(crate) async fn verify(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    query: Query,
) -> Result<Json<VerificationBody>, Error> {
    let directory = directories::filter(&query)?;
    match directory {
        None => caller.unlimited()?,
        Some(id) => must_exist(&api, caller, id).await?,
    }
    let verification = api.verifier.verify(directory).await?.ok_or(Error::Verifying)?;
    if let (Some(asked), Verification::Broken { directory: Some(found), .. }) =
        (directory, &verification)
        && asked != *found
    {
        // Nothing of another directory is told here, whatever a walk has found.
        let why = "the walk of one directory has told of another".into();
        return Err(PortError::Unavailable(why).into());
    }
    Ok(Json(VerificationBody::of(directory, verification)))
}

/// From when to when.
fn range(query: &Query) -> Result<(Option<Timestamp>, Option<Timestamp>), Error> {
    let (from, to) = (query.parsed("range_start")?, query.parsed("range_end")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        let message = "range_end lies before range_start.".to_owned();
        return Err(Error::parameter("range_end", "invalid", message));
    }
    Ok((from, to))
}

fn read_filter(query: &Query) -> Result<AuditFilter, Error> {
    let (from, to) = range(query)?;
    Ok(AuditFilter {
        types: read_types(query, |_| true)?,
        organization: query.id("organization_id")?,
        directory: directories::filter(query)?,
        user: users::filter(query)?,
        group: groups::filter(query.one("group"))?,
        actor: query.text("actor"),
        request: query.parsed::<RequestId>("request_id")?,
        text: query.text("q"),
        from,
        to,
        in_front_of: None,
    })
}

/// A directory that is named and never was is a mistake worth telling.
async fn must_exist(api: &Api, caller: Caller, id: DirectoryId) -> Result<(), Error> {
    let there = api.audit.has_history(caller.reach, id).await?;
    if there { Ok(()) } else { Err(Error::about(directories::WHAT, id)(PortError::NotFound)) }
}

#[derive(Serialize)]
struct List<'a, M> {
    object: &'static str,
    data: Vec<EventBody<'a>>,
    list_metadata: M,
}

/// An event as auditors see it: what customer apps are told, and what proves it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub(crate) struct EventBody<'a> {
    object: &'static str,
    id: EventId,
    event: schemas::EventType,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    data: &'a RawValue,
    created_at: Timestamp,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    context: schemas::record::Context,
    directory_id: DirectoryId,
    #[schemars(with = "u64")]
    seq: Seq,
    #[schemars(with = "String")]
    hash: Hash,
    #[schemars(with = "String")]
    prev_hash: Hash,
    #[schemars(with = "schemas::Actor")]
    actor: &'a RawValue,
}

impl<'a> EventBody<'a> {
    fn of(event: &'a AuditEvent) -> Self {
        Self {
            object: "event",
            id: event.id,
            event: event.event,
            data: &event.data,
            created_at: event.created_at,
            context: schemas::record::Context {},
            directory_id: event.directory_id,
            seq: event.seq,
            hash: event.hash,
            prev_hash: event.prev_hash,
            actor: &event.actor,
        }
    }
}

/// What came of a walk. `difference` is there if the walk found one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Verification")]
pub(crate) struct VerificationBody {
    object: &'static str,
    directory_id: Option<DirectoryId>,
    verified: bool,
    events: Option<u64>,
    difference: Option<DifferenceBody>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Difference")]
pub(crate) struct DifferenceBody {
    directory_id: Option<DirectoryId>,
    #[schemars(with = "Option<u64>")]
    seq: Option<Seq>,
    message: String,
}

impl VerificationBody {
    fn of(asked: Option<DirectoryId>, verification: Verification) -> Self {
        let (events, difference) = match verification {
            Verification::Whole { events } => (Some(events), None),
            Verification::Broken { directory, seq, what } => {
                (None, Some(DifferenceBody { directory_id: directory, seq, message: what }))
            }
        };
        Self {
            object: "verification",
            directory_id: asked,
            verified: difference.is_none(),
            events,
            difference,
        }
    }
}

/// The page behind the one that ended with this event.
fn behind(request: PageRequest<EventId>, id: EventId) -> PageRequest<EventId> {
    PageRequest { cursor: Some(Cursor::After(id)), ..request }
}
