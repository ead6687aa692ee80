//! `/webhook_endpoints`: where events are sent.
//!
//! An endpoint gets the events of all organizations, so a key that is limited to one has no business
//! here.

mod read;
mod show;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemas::EndpointId;

use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::error::Error;
use crate::outward;
use crate::page::Query;
use crate::ports::{Endpoint, EndpointChange, Order, Outward};
use crate::router::Api;
use crate::secrets;
use read::Given;
pub(crate) use read::events;
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
    mut fields: Fields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    fields.require("endpoint_url");
    let given = Given::read(&mut fields);
    let (kind, start) = read::creation(&mut fields, &given);
    given.must_exist(&api, &mut fields).await?;
    let outward = outward::read(&api, &mut fields);
    let (Some(url), []) = (given.url, fields.errors()) else {
        return Err(Error::InvalidEndpoint(fields.into_errors()));
    };
    (api.check_url)(&url).map_err(Error::InvalidUrl)?;
    let now = api.edge.now();
    let endpoint = Endpoint {
        id: EndpointId::from_bits(api.edge.id()),
        url,
        secret: secrets::signing_secret(&*api.edge),
        kind,
        enabled: true,
        events: given.events.unwrap_or_else(read::subscribable),
        organizations: given.organizations.unwrap_or_default(),
        directories: given.directories.unwrap_or_default(),
        order: given.order.unwrap_or_default(),
        retry_schedule: given.retry_schedule.flatten(),
        format: given.format.unwrap_or_default(),
        created_at: now,
        updated_at: now,
        outward: outward.on(Outward::default()),
        previous_secret_until: None,
    };
    api.endpoints.create(endpoint.clone(), start).await?;
    Ok((StatusCode::CREATED, Json(EndpointBody::from(endpoint))).into_response())
}

pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    mut fields: Fields,
) -> Result<Json<EndpointBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let enabled = fields.word("status", &["enabled", "disabled"], read::enabled);
    let given = Given::read(&mut fields);
    read::refuse_creation_only(&mut fields);
    let before = api.endpoints.get(id).await.map_err(Error::about(WHAT, id))?;
    given.must_suit(before.kind, &mut fields);
    given.must_exist(&api, &mut fields).await?;
    let outward = outward::read(&api, &mut fields);
    if !fields.errors().is_empty() {
        return Err(Error::InvalidEndpoint(fields.into_errors()));
    }
    let change = EndpointChange {
        url: given.url,
        enabled,
        events: given.events,
        organizations: given.organizations,
        directories: given.directories,
        order: given.order,
        retry_schedule: given.retry_schedule,
        format: given.format,
        updated_at: api.edge.now(),
        outward,
    };
    change.url.as_deref().map_or(Ok(()), &*api.check_url).map_err(Error::InvalidUrl)?;
    let endpoint = api.endpoints.update(id, change).await.map_err(Error::about(WHAT, id))?;
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
