//! `/directories/{id}/requests`: what the identity provider sent last, and what became of it.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use schemas::{RequestId, Timestamp};
use serde::Serialize;

use crate::auth::Reader;
use crate::body::{Segments, path_id};
use crate::directories;
use crate::error::Error;
use crate::page::Query;
use crate::ports::{Order, ScimRequest};
use crate::router::Api;

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
    query: Query,
) -> Result<Response, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let paging = query.paging(caller.reach, Order::Descending)?;
    let page = api.directories.requests(id, paging.request).await;
    let page = page.map_err(Error::about(directories::WHAT, id))?;
    Ok(paging.answer(page, |request| request.id, RequestBody::from))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ScimRequest")]
pub(crate) struct RequestBody {
    object: &'static str,
    id: RequestId,
    time: Timestamp,
    method: String,
    path: String,
    status: u16,
    #[serde(rename = "scimType")]
    scim_type: Option<String>,
    detail: Option<String>,
    duration_ms: f64,
    events: u32,
    tolerated: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<String>,
}

impl From<ScimRequest> for RequestBody {
    fn from(request: ScimRequest) -> Self {
        Self {
            object: "scim_request",
            id: request.id,
            time: request.at,
            method: request.method,
            path: request.path,
            status: request.status,
            scim_type: request.scim_type,
            detail: request.detail,
            duration_ms: request.duration.as_secs_f64() * 1_000.0,
            events: request.events,
            tolerated: request.tolerated,
            request_body: request.request_body,
            response_body: request.response_body,
        }
    }
}
