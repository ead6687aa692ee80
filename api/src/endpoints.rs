//! `/webhook_endpoints`: where events are sent.
//!
//! An endpoint gets the events of all organizations, so a key that is limited to one has no business
//! here.

pub(crate) mod read;
mod show;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemas::EndpointId;

use crate::admin_events::Told;
use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::error::Error;
use crate::page::Query;
use crate::ports::Order;
use crate::router::Api;
pub(crate) use show::EndpointBody;
use show::HealthBody;

pub(crate) const WHAT: &str = "webhook endpoint";

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let paging = query.paging(caller.reach, Order::Descending)?;
    let page = api.endpoints.list(paging.request).await?;
    Ok(paging.answer(page, |endpoint| endpoint.id, EndpointBody::from))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<EndpointBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let now = api.edge.now();
    let endpoint = api.endpoints.get(id).await.map_err(Error::about(WHAT, id))?;
    let delivering = api.endpoints.delivering(id, now).await.map_err(Error::about(WHAT, id))?;
    let health = HealthBody::of(endpoint.enabled, delivering, now);
    Ok(Json(EndpointBody::from(endpoint).with(health)))
}

pub(crate) async fn create(
    State(api): State<Api>,
    Writer(caller): Writer,
    fields: Fields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let id = EndpointId::from_bits(api.edge.id());
    let made = api.endpoint_of(id, fields).await;
    let endpoint = made.map_err(|refused| refused.of_endpoint(WHAT, id))?;
    let told = Extension(Told::made(id));
    Ok((StatusCode::CREATED, told, Json(EndpointBody::from(endpoint))).into_response())
}

pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    fields: Fields,
) -> Result<Json<EndpointBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let changed = api.changed_endpoint(id, fields, None).await;
    let endpoint = changed.map_err(|refused| refused.of_endpoint(WHAT, id))?;
    Ok(Json(endpoint.into()))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    api.endpoints.delete(id).await.map_err(Error::about(WHAT, id))?;
    Ok(StatusCode::NO_CONTENT)
}
