//! `/directories/{id}/tokens`: what identity providers sign in with.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::wire::TokenTag;
use schemas::{DirectoryId, Timestamp, TokenId};
use serde::Serialize;
use serde_json::json;

use crate::admin_events::Told;
use crate::auth::{Acting, Reader};
use crate::body::{OptionalFields, Segments, path_id};
use crate::directories::{self, new_token};
use crate::error::Error;
use crate::outward::OVERLAP_SECONDS_MAX;
use crate::ports::Token;
use crate::router::Api;
use crate::secrets;

const WHAT: &str = "directory token";

/// All of them: there are two at most.
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Response, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let tokens = api.directories.tokens(caller.reach, id).await;
    let tokens = tokens.map_err(Error::about(directories::WHAT, id))?;
    let data = tokens.into_iter().map(|token| TokenBody::of(id, token, None)).collect::<Vec<_>>();
    let ends = json!({ "before": null, "after": null });
    Ok(Json(json!({ "object": "list", "data": data, "list_metadata": ends })).into_response())
}

pub(crate) async fn create(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    Segments(id): Segments<String>,
    OptionalFields(mut fields): OptionalFields,
) -> Result<Response, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let overlap = fields.number("overlap_seconds", 0..=OVERLAP_SECONDS_MAX);
    fields.refuse_others();
    if !fields.errors().is_empty() {
        return Err(Error::Invalid(fields.into_errors()));
    }
    let now = api.edge.now();
    let others_until = overlap.map(|seconds| now.after(Duration::from_secs(seconds.into())));
    let minted = secrets::token(&*api.edge);
    let new = new_token(&api, &minted, now);
    let token = api.directories.add_token(caller.reach, id, new, others_until).await;
    let token = token.map_err(Error::about(directories::WHAT, id))?;
    api.reconcile(id, actor).await;
    let told = Extension(Told::made(token.id));
    let body = TokenBody::of(id, token, Some(minted.text));
    Ok((StatusCode::CREATED, told, Json(body)).into_response())
}

pub(crate) async fn revoke(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    Segments((id, token)): Segments<(String, String)>,
) -> Result<StatusCode, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let token = path_id(WHAT, &token)?;
    let revoked = api.directories.revoke_token(caller.reach, id, token, api.edge.now()).await;
    revoked.map_err(Error::about(WHAT, token))?;
    api.reconcile(id, actor).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A token as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BearerToken")]
pub(crate) struct TokenBody {
    object: TokenTag,
    id: TokenId,
    directory_id: DirectoryId,
    suffix: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    /// When it is void by itself, if another has taken its place.
    expires_at: Option<Timestamp>,
    /// The text, in the answer to its making and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenBody {
    fn of(directory_id: DirectoryId, token: Token, text: Option<String>) -> Self {
        Self {
            object: TokenTag::Tag,
            id: token.id,
            directory_id,
            suffix: token.suffix,
            created_at: token.created_at,
            last_used_at: token.last_used_at,
            expires_at: token.expires_at,
            token: text,
        }
    }
}
