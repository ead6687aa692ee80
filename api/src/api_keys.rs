//! `/api_keys`: who may use this API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::{ApiKeyId, Edge, OrganizationId, Timestamp};
use serde::Serialize;

use crate::admin_events::Told;
use crate::auth::{Reader, Writer};
use crate::body::{Fields, NAME_MAX, Segments, path_id};
use crate::error::Error;
use crate::page::Query;
use crate::ports::{ApiKey, Keys, Order, Permission, PortError, Secret};
use crate::router::Api;
use crate::{organizations, secrets};

const WHAT: &str = "API key";

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Descending)?;
    let page = api.keys.list(paging.request).await?;
    Ok(paging.answer(page, |key| key.id, |key| KeyBody::of(key, None)))
}

/// A key that is limited to one organization must not make one that sees more.
pub(crate) async fn create(
    State(api): State<Api>,
    Writer(caller): Writer,
    mut fields: Fields,
) -> Result<Response, Error> {
    fields.require("scope");
    let name = fields.required_text("name", NAME_MAX);
    let permission = fields.word("scope", &["full", "read", "audit"], Permission::named);
    let organization_id = fields.id::<_>("organization_id");
    let (Some(name), Some(permission), []) = (name, permission, fields.errors()) else {
        return Err(Error::Invalid(fields.into_errors()));
    };
    match organization_id {
        None => caller.unlimited()?,
        Some(id) if !caller.reach.covers(id) => {
            return Err(Error::Missing { what: organizations::WHAT, id: id.to_string() });
        }
        Some(_) => {}
    }
    let id = ApiKeyId::from_bits(api.edge.id());
    let new = NewKey { id, name, permission, organization_id };
    let created = create_key(&*api.keys, &*api.edge, new).await;
    let (key, text) = created.map_err(|error| match organization_id {
        Some(id) => Error::about(organizations::WHAT, id)(error),
        None => error.into(),
    })?;
    let body = KeyBody::of(key, Some(text.expose().to_owned()));
    Ok((StatusCode::CREATED, Extension(Told::made(id)), Json(body)).into_response())
}

/// A key to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Which.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub permission: Permission,
    /// The organization that it is limited to.
    pub organization_id: Option<OrganizationId>,
}

/// Makes a key. Its text is to be shown this once.
///
/// # Errors
/// What the store says. `NotFound`: the organization that it would be limited to does not exist.
pub async fn create_key(
    keys: &dyn Keys,
    edge: &dyn Edge,
    new: NewKey,
) -> Result<(ApiKey, Secret), PortError> {
    let minted = secrets::api_key(edge);
    let NewKey { id, name, permission, organization_id } = new;
    let key = ApiKey { id, ..new_key(edge, name, permission, organization_id, minted.suffix) };
    keys.create(key.clone(), minted.digest).await?;
    Ok((key, Secret::new(minted.text)))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    let id = path_id(WHAT, &id)?;
    api.keys.delete(caller.reach, id).await.map_err(Error::about(WHAT, id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a start does about the key that everything else begins with.
#[derive(Clone, PartialEq, Eq)]
pub enum FirstKey {
    /// There are keys, or the operator brought one.
    Known,
    /// There was none: this one was made, and is to be shown this once.
    Made(String),
}

/// Sees to it that somebody can call the API at all: the key that the operator brought exists with
/// every right, or else, if there is no key, one is made.
///
/// # Errors
/// What the store says.
pub async fn first_key(
    keys: &dyn Keys,
    edge: &dyn Edge,
    brought: Option<&str>,
) -> Result<FirstKey, PortError> {
    if let Some(text) = brought {
        let minted = secrets::minted(text.to_owned());
        let key = new_key(edge, "configured".to_owned(), Permission::Full, None, minted.suffix);
        keys.create(key, minted.digest).await?;
        return Ok(FirstKey::Known);
    }
    if keys.any().await? {
        return Ok(FirstKey::Known);
    }
    let minted = secrets::api_key(edge);
    let key = new_key(edge, "first".to_owned(), Permission::Full, None, minted.suffix);
    let is_made = keys.create_first(key, minted.digest).await?;
    Ok(if is_made { FirstKey::Made(minted.text) } else { FirstKey::Known })
}

fn new_key(
    edge: &dyn Edge,
    name: String,
    permission: Permission,
    organization_id: Option<OrganizationId>,
    suffix: String,
) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_bits(edge.id()),
        name,
        permission,
        organization_id,
        suffix,
        created_at: edge.now(),
        last_used_at: None,
    }
}

/// A key as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(crate) struct KeyBody {
    object: &'static str,
    id: ApiKeyId,
    name: String,
    scope: &'static str,
    organization_id: Option<OrganizationId>,
    suffix: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    /// The text, in the answer to its making and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyBody {
    fn of(key: ApiKey, text: Option<String>) -> Self {
        Self {
            object: "api_key",
            id: key.id,
            name: key.name,
            scope: key.permission.name(),
            organization_id: key.organization_id,
            suffix: key.suffix,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            key: text,
        }
    }
}
