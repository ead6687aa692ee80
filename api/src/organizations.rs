//! `/organizations`: the customers of the app.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::wire::DomainTag;
use schemas::{Edge, OrganizationDomainId, OrganizationId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::admin_events::Told;
use crate::auth::{Acting, Reader, Writer};
use crate::body::{Fields, MapLimits, NAME_MAX, Segments, path_id};
use crate::error::{Error, FieldError};
use crate::page::Query;
use crate::ports::{
    Conflict, Domain, DomainState, METADATA_MAX, Order, Organization, OrganizationChange,
    OrganizationFilter, PortError, Reach,
};
use crate::router::Api;

/// What an organization is called in errors.
pub(crate) const WHAT: &str = "organization";

/// How many domains an organization may have: many companies merged into one, and still a page.
const DOMAINS_MAX: usize = 100;

/// The limits that apps written for WorkOS keep to.
const METADATA: MapLimits = MapLimits { entries: METADATA_MAX, name_max: 40, value_max: 600 };

/// How long an app's own id may be: a URL as well as a UUID.
pub const EXTERNAL_ID_MAX: usize = 255;

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Descending)?;
    let domains = query.many("domains").unwrap_or_default();
    let filter = OrganizationFilter {
        domains: domains.into_iter().map(domain_key).collect(),
        search: query.text("search"),
    };
    let page = api.organizations.list(paging.request, filter).await?;
    Ok(paging.answer(page, |organization| organization.id, OrganizationBody::from))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<OrganizationBody>, Error> {
    let id = path_id(WHAT, &id)?;
    let organization = api.organizations.get(caller.reach, id).await;
    Ok(Json(organization.map_err(Error::about(WHAT, id))?.into()))
}

pub(crate) async fn get_by_external_id(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(external_id): Segments<String>,
) -> Result<Json<OrganizationBody>, Error> {
    let organization = api.organizations.by_external_id(caller.reach, &external_id).await;
    Ok(Json(organization.map_err(Error::about(WHAT, external_id))?.into()))
}

pub(crate) async fn create(
    State(api): State<Api>,
    Writer(caller): Writer,
    fields: Fields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let organization = read_new(&api, fields)?;
    api.organizations.create(organization.clone()).await?;
    let told = Extension(Told::made(organization.id).about(organization.id));
    Ok((StatusCode::CREATED, told, Json(OrganizationBody::from(organization))).into_response())
}

pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    fields: Fields,
) -> Result<Json<OrganizationBody>, Error> {
    let id = path_id(WHAT, &id)?;
    let change = read_change(&api, fields)?;
    if change.external_id.is_some() {
        // A conflict would tell a limited key what another organization is called.
        caller.unlimited()?;
    }
    match api.organizations.update(caller.reach, id, change).await {
        Ok(organization) => Ok(Json(organization.into())),
        Err(PortError::Conflict(Conflict::Metadata)) => Err(Error::Invalid(vec![too_much()])),
        Err(error) => Err(Error::about(WHAT, id)(error)),
    }
}

/// An update that adds to metadata that is full already.
fn too_much() -> FieldError {
    let message = format!(
        "metadata may have {METADATA_MAX} entries at most, with those that are there already. Set some to null to \
         remove them."
    );
    FieldError { code: "too_many", field: "metadata".to_owned(), message: Some(message) }
}

/// 202: the users and groups of its directories go a little later.
pub(crate) async fn delete(
    State(api): State<Api>,
    Acting(caller, actor): Acting,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    let id = path_id(WHAT, &id)?;
    let directories = api.organizations.delete(caller.reach, id, api.edge.now()).await;
    for directory in directories.map_err(Error::about(WHAT, id))? {
        api.reconcile(directory, actor.clone()).await;
    }
    Ok(StatusCode::ACCEPTED)
}

/// The organization that a list is limited to. One that is not there, and one of somebody else, get
/// the same 403.
pub(crate) async fn filter(
    api: &Api,
    reach: Reach,
    query: &Query,
    name: &str,
) -> Result<Option<OrganizationId>, Error> {
    let Some(id) = query.id(name)? else { return Ok(None) };
    match api.organizations.get(reach, id).await {
        Ok(_) => Ok(Some(id)),
        Err(PortError::NotFound) => Err(Error::ForeignOrganization(id.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn read_new(api: &Api, mut fields: Fields) -> Result<Organization, Error> {
    let now = api.edge.now();
    let name = fields.required_text("name", NAME_MAX);
    let external_id = fields.text("external_id", EXTERNAL_ID_MAX);
    let metadata = fields.text_map("metadata", METADATA);
    let domains = read_domains(api, &mut fields, now).unwrap_or_default();
    let (Some(name), []) = (name, fields.errors()) else {
        return Err(Error::Invalid(fields.into_errors()));
    };
    Ok(Organization {
        id: OrganizationId::from_bits(api.edge.id()),
        name,
        external_id,
        metadata: kept(metadata),
        domains,
        created_at: now,
        updated_at: now,
    })
}

fn read_change(api: &Api, mut fields: Fields) -> Result<OrganizationChange, Error> {
    let updated_at = api.edge.now();
    let forgotten = fields.is_null("external_id").then_some(None);
    let change = OrganizationChange {
        name: fields.text("name", NAME_MAX),
        external_id: forgotten.or_else(|| fields.text("external_id", EXTERNAL_ID_MAX).map(Some)),
        metadata: fields.text_map("metadata", METADATA),
        domains: read_domains(api, &mut fields, updated_at),
        updated_at,
        made_from: None,
    };
    if fields.errors().is_empty() { Ok(change) } else { Err(Error::Invalid(fields.into_errors())) }
}

fn kept(metadata: BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    metadata.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Domains that the operator vouches for, each once; `None` if one is none, or there are too many.
pub fn domains<'a>(
    names: impl IntoIterator<Item = &'a str>,
    edge: &dyn Edge,
) -> Option<Vec<Domain>> {
    let mut domains = Vec::<Domain>::new();
    for name in names {
        let (domain, state) = read_domain(&Value::from(name))?;
        if domains.iter().all(|known| known.domain != domain) {
            let (id, now) = (OrganizationDomainId::from_bits(edge.id()), edge.now());
            domains.push(Domain { id, domain, state, created_at: now, updated_at: now });
        }
    }
    (domains.len() <= DOMAINS_MAX).then_some(domains)
}

/// `domain_data`, or the older `domains`, a list of texts that the caller vouches for.
fn read_domains(api: &Api, fields: &mut Fields, now: Timestamp) -> Option<Vec<Domain>> {
    let old = fields.list("domains");
    let (name, list) = match fields.list("domain_data") {
        Some(list) => ("domain_data", list),
        None => ("domains", old?),
    };
    if list.len() > DOMAINS_MAX {
        fields.wrong(name, "invalid", format!("{name} may have {DOMAINS_MAX} entries at most."));
        return None;
    }
    let mut domains = Vec::<Domain>::new();
    for (index, value) in list.iter().enumerate() {
        let Some((domain, state)) = read_domain(value) else {
            let message = "This must be a domain such as example.com, and its state verified or \
                           pending."
                .to_owned();
            fields.wrong(format!("{name}[{index}]"), "invalid", message);
            continue;
        };
        if domains.iter().all(|known| known.domain != domain) {
            let id = OrganizationDomainId::from_bits(api.edge.id());
            domains.push(Domain { id, domain, state, created_at: now, updated_at: now });
        }
    }
    Some(domains)
}

/// A domain as it is kept, whichever way it is written.
pub(crate) fn domain_key(text: &str) -> String {
    url::Host::parse(text.trim()).map_or_else(|_| text.to_lowercase(), |host| host.to_string())
}

fn read_domain(value: &Value) -> Option<(String, DomainState)> {
    let state = match value.get("state") {
        None | Some(Value::Null) => DomainState::Verified,
        Some(state) => state.as_str().and_then(DomainState::named)?,
    };
    let text = value.get("domain").unwrap_or(value).as_str()?;
    let url::Host::Domain(domain) = url::Host::parse(text.trim()).ok()? else { return None };
    domain.contains('.').then_some((domain, state))
}

/// An organization as the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Organization")]
pub(crate) struct OrganizationBody {
    object: &'static str,
    id: OrganizationId,
    name: String,
    // An older Python SDK does not read an organization without it.
    allow_profiles_outside_organization: bool,
    domains: Vec<DomainBody>,
    metadata: BTreeMap<String, String>,
    external_id: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Domain")]
pub(crate) struct DomainBody {
    object: DomainTag,
    id: OrganizationDomainId,
    organization_id: OrganizationId,
    domain: String,
    state: &'static str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Organization> for OrganizationBody {
    fn from(organization: Organization) -> Self {
        let domain = |domain: Domain| DomainBody {
            object: DomainTag::Tag,
            id: domain.id,
            organization_id: organization.id,
            domain: domain.domain,
            state: domain.state.name(),
            created_at: domain.created_at,
            updated_at: domain.updated_at,
        };
        Self {
            object: "organization",
            id: organization.id,
            name: organization.name,
            allow_profiles_outside_organization: false,
            domains: organization.domains.into_iter().map(domain).collect(),
            metadata: organization.metadata,
            external_id: organization.external_id,
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}
