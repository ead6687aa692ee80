//! `/Groups`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use directory::{Answer, Command, patch};
use schemas::ScimId;
use schemas::scim::{GROUP, canonicalise, take_members};

use crate::auth::Call;
use crate::body::Scim;
use crate::error::Failure;
use crate::http::{Ingest, answer, created};
use crate::lists::members;
use crate::represent::{self, Shown};
use crate::users::submit;

const WHAT: &str = "Group";

pub(crate) async fn create(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(mut body): Scim,
) -> Result<Response, Failure> {
    let members = take_members(&mut body)?.unwrap_or_default();
    let command = Command::CreateGroup { attributes: canonicalise(&GROUP, body)?, members };
    let Answer::Group(group) = submit(&ingest, &call, command).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let location = represent::location(&call.base, WHAT, group.id);
    let shown = resource(&ingest, &call, group.id).await?;
    Ok(created(&location, &shown))
}

pub(crate) async fn get(State(ingest): State<Ingest>, call: Call) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    Ok(answer(StatusCode::OK, &resource(&ingest, &call, id).await?))
}

/// Members that are not mentioned are cleared, as every attribute is (RFC 7644 §3.5.1).
pub(crate) async fn replace(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(mut body): Scim,
) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    let members = take_members(&mut body)?.unwrap_or_default();
    let attributes = canonicalise(&GROUP, body)?;
    submit(&ingest, &call, Command::ReplaceGroup { id, attributes, members }).await?;
    Ok(answer(StatusCode::OK, &resource(&ingest, &call, id).await?))
}

/// Answers 204: a body with all members would make one more member in a large group cost as much as
/// the group. Who asks for attributes gets them (RFC 7644 §3.5.2).
pub(crate) async fn patch(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    let (operations, members) = patch::split_members(patch::parse_operations(&body)?)?;
    submit(&ingest, &call, Command::PatchGroup { id, operations, members }).await?;
    if call.query.projection.is_asked_for() {
        return Ok(answer(StatusCode::OK, &resource(&ingest, &call, id).await?));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn delete(State(ingest): State<Ingest>, call: Call) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    submit(&ingest, &call, Command::DeleteGroup { id }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn resource(ingest: &Ingest, call: &Call, id: ScimId) -> Result<Shown, Failure> {
    let view = ingest.replica.group(call.access.directory_id, id, members(&call.query)).await?;
    let view = view.ok_or_else(|| Failure::not_found(WHAT, &id.to_string()))?;
    Ok(represent::group(&call.base, view).shown(&call.query.projection))
}
