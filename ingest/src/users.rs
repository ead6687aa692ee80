//! `/Users`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use directory::{Answer, Command, patch};
use schemas::ScimId;
use schemas::scim::{USER, canonicalise};

use crate::auth::Call;
use crate::body::Scim;
use crate::error::Failure;
use crate::http::{Ingest, answer, created};
use crate::ports::UserView;
use crate::represent;

const WHAT: &str = "User";

pub(crate) async fn create(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let command = Command::CreateUser { attributes: canonicalise(&USER, body)?.into() };
    let Answer::User(user) = submit(&ingest, &call, command).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let location = represent::location(&call.base, WHAT, user.id);
    // A user who was just created is in no group yet.
    let view = UserView { user, groups: Vec::new() };
    let resource = represent::user(&call.base, view);
    Ok(created(&location, &resource.shown(&call.query.projection)))
}

pub(crate) async fn get(State(ingest): State<Ingest>, call: Call) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    show(&ingest, &call, id).await
}

pub(crate) async fn replace(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    let attributes = canonicalise(&USER, body)?.into();
    submit(&ingest, &call, Command::ReplaceUser { id, attributes }).await?;
    show(&ingest, &call, id).await
}

pub(crate) async fn patch(
    State(ingest): State<Ingest>,
    call: Call,
    Scim(body): Scim,
) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    let operations = patch::parse_operations(&body)?;
    submit(&ingest, &call, Command::PatchUser { id, operations }).await?;
    show(&ingest, &call, id).await
}

pub(crate) async fn delete(State(ingest): State<Ingest>, call: Call) -> Result<Response, Failure> {
    let id = call.id(WHAT)?;
    submit(&ingest, &call, Command::DeleteUser { id }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The user as it is now: whoever writes, reads their own writes.
async fn show(ingest: &Ingest, call: &Call, id: ScimId) -> Result<Response, Failure> {
    let view = ingest.replica.user(call.access.directory_id, id).await?;
    let view = view.ok_or_else(|| Failure::not_found(WHAT, call.name()))?;
    let resource = represent::user(&call.base, view);
    Ok(answer(StatusCode::OK, &resource.shown(&call.query.projection)))
}

/// Hands a command to the directory's writer.
pub(crate) async fn submit(
    ingest: &Ingest,
    call: &Call,
    command: Command,
) -> Result<Answer, Failure> {
    let access = &call.access;
    let submitted =
        ingest.writers.submit(access.directory_id, access.partition, command, call.actor.clone());
    Ok(submitted.await?)
}
