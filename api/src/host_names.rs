//! `/host_names`: under which names organizations and directories are reached.
//!
//! Who adds one must see everything: whether a name is free tells of others, and a name that is somebody's is served
//! to nobody else from then on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::{DirectoryId, HostName, HostNameId, OrganizationId, Timestamp};
use serde::Serialize;

use crate::admin_events::Told;
use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::error::Error;
use crate::page::Query;
use crate::ports::{Host, HostFilter, HostOwner, NewHost, Order};
use crate::router::Api;
use crate::{directories, organizations};

const WHAT: &str = "host name";

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Descending)?;
    let directory = directories::filter(&query)?;
    directories::must_exist(&api, caller, directory).await?;
    let organization = organizations::filter(&api, caller.reach, &query, "organization_id").await?;
    let page = api.host_names.list(paging.request, HostFilter { organization, directory }).await?;
    Ok(paging.answer(page, |host| host.id, HostNameBody::from))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<HostNameBody>, Error> {
    let id = path_id(WHAT, &id)?;
    let host = api.host_names.get(caller.reach, id).await;
    Ok(Json(host.map_err(Error::about(WHAT, id))?.into()))
}

pub(crate) async fn create(
    State(api): State<Api>,
    Writer(caller): Writer,
    fields: Fields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let new = read_new(&api, fields)?;
    let owner = new.owner;
    let host = api.host_names.add(caller.reach, new).await.map_err(|error| match owner {
        HostOwner::Organization(id) => Error::about(organizations::WHAT, id)(error),
        HostOwner::Directory(id) => Error::about(directories::WHAT, id)(error),
    })?;
    let told = Extension(Told::made(host.id));
    Ok((StatusCode::CREATED, told, Json(HostNameBody::from(host))).into_response())
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    let id = path_id(WHAT, &id)?;
    let removed = api.host_names.remove(caller.reach, id).await;
    removed.map_err(Error::about(WHAT, id))?;
    Ok(StatusCode::NO_CONTENT)
}

fn read_new(api: &Api, mut fields: Fields) -> Result<NewHost, Error> {
    let name = read_name(api, &mut fields);
    let organization = fields.id("organization_id").map(HostOwner::Organization);
    let directory = fields.id("directory_id").map(HostOwner::Directory);
    fields.refuse_others();
    let owner = match (organization, directory) {
        (Some(owner), None) | (None, Some(owner)) => Some(owner),
        (None, None) if !fields.errors().is_empty() => None,
        (None, None) | (Some(_), Some(_)) => {
            let code = if organization.is_none() { "required" } else { "invalid" };
            let message = "Give either organization_id or directory_id.".to_owned();
            fields.wrong("organization_id", code, message);
            None
        }
    };
    let (Some(name), Some(owner), []) = (name, owner, fields.errors()) else {
        return Err(Error::Invalid(fields.into_errors()));
    };
    let id = HostNameId::from_bits(api.edge.id());
    Ok(NewHost { id, name, owner, created_at: api.edge.now() })
}

fn read_name(api: &Api, fields: &mut Fields) -> Option<HostName> {
    fields.require("host_name");
    let value = fields.take("host_name")?;
    let read = read_host_name(value.as_str().unwrap_or_default(), &api.public_url);
    read.map_err(|wrong| fields.wrong("host_name", "invalid", format!("host_name {wrong}."))).ok()
}

/// Why a text is no host name that somebody can be given. Its message goes on from what the field is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongHostName {
    /// It is no name.
    #[error("must be a host name such as scim.example.com, without scheme, port and path")]
    NoName,
    /// It is that of the installation.
    #[error("is that of this installation, which serves everybody")]
    Ours,
}

/// A name in any spelling, also with letters that are not ASCII; not that of the installation itself.
///
/// # Errors
/// What is wrong about it.
pub fn read_host_name(text: &str, public_url: &str) -> Result<HostName, WrongHostName> {
    let name = ascii(text).ok_or(WrongHostName::NoName)?;
    if name.is_of(public_url) { Err(WrongHostName::Ours) } else { Ok(name) }
}

fn ascii(text: &str) -> Option<HostName> {
    match url::Host::parse(text.trim()).ok()? {
        url::Host::Domain(name) => name.parse().ok(),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

/// A host name as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HostName")]
pub(crate) struct HostNameBody {
    object: &'static str,
    id: HostNameId,
    #[schemars(with = "String")]
    host_name: HostName,
    organization_id: OrganizationId,
    /// The directory that it is for; `null` if it is for all of the organization.
    directory_id: Option<DirectoryId>,
    created_at: Timestamp,
}

impl From<Host> for HostNameBody {
    fn from(host: Host) -> Self {
        let Host { id, name, owner, organization_id, created_at } = host;
        let directory_id = match owner {
            HostOwner::Organization(_) => None,
            HostOwner::Directory(id) => Some(id),
        };
        Self { object: "host_name", id, host_name: name, organization_id, directory_id, created_at }
    }
}
