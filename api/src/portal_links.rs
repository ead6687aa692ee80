//! `/portal`: links to the setup page of an organization, which an app hands to its customer's administrator.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use schemas::{ApiKeyId, OrganizationId, PortalLinkId, Timestamp};
use serde::Serialize;

use crate::admin_events::Told;
use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::error::Error;
use crate::page::Query;
use crate::ports::{LINK_LIFETIME, NewPortalLink, Order, PortalLink, WhyVoid};
use crate::router::Api;
use crate::{organizations, secrets};

const WHAT: &str = "portal link";

/// How long a URL may be: as long as browsers and proxies carry.
const URL_MAX: usize = 2_048;

/// What a link may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// To set up directory sync.
    Dsync,
    /// Something that WorkOS has and that is not done here.
    Other,
}

/// What the SDKs know. All but one of them are about products that are not part of directory sync.
const INTENTS: [(&str, Intent); 7] = [
    ("sso", Intent::Other),
    ("dsync", Intent::Dsync),
    ("audit_logs", Intent::Other),
    ("log_streams", Intent::Other),
    ("domain_verification", Intent::Other),
    ("certificate_renewal", Intent::Other),
    ("bring_your_own_key", Intent::Other),
];

/// Every intent by its name.
pub(crate) fn intents() -> [&'static str; 7] {
    INTENTS.map(|(name, _)| name)
}

pub(crate) async fn generate(
    State(api): State<Api>,
    Writer(caller): Writer,
    fields: Fields,
) -> Result<Response, Error> {
    let ticket = secrets::ticket(&*api.edge);
    let new = read_new(&api, caller.key, &ticket, fields)?;
    let (organization, told) = (new.organization_id, Extension(Told::made(new.id)));
    let created = api.portal_links.create(caller.reach, new).await;
    created.map_err(Error::about(organizations::WHAT, organization))?;
    let host_name = api.host_names.of_organization(organization);
    let address = api.address(host_name.as_ref());
    let link = format!("{address}/setup/{}", ticket.text.expose());
    Ok((StatusCode::CREATED, told, Json(LinkBody { link })).into_response())
}

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    query: Query,
) -> Result<Response, Error> {
    let paging = query.paging(caller.reach, Order::Descending)?;
    let organization = organizations::filter(&api, caller.reach, &query, "organization").await?;
    let page = api.portal_links.list(paging.request, organization).await?;
    let now = api.edge.now();
    Ok(paging.answer(page, |link| link.id, |link| PortalLinkBody::of(link, now)))
}

pub(crate) async fn revoke(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Error> {
    let id = path_id(WHAT, &id)?;
    let revoked = api.portal_links.revoke(caller.reach, id, api.edge.now()).await;
    revoked.map_err(Error::about(WHAT, id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fields that other SDKs know beside these are ignored.
fn read_new(
    api: &Api,
    key: ApiKeyId,
    ticket: &secrets::Ticket,
    mut fields: Fields,
) -> Result<NewPortalLink, Error> {
    fields.require("organization");
    let organization_id = fields.id("organization");
    read_intent(&mut fields);
    let return_url = read_url(&mut fields, "return_url");
    let success_url = read_url(&mut fields, "success_url");
    let (Some(organization_id), []) = (organization_id, fields.errors()) else {
        return Err(Error::Invalid(fields.into_errors()));
    };
    let created_at = api.edge.now();
    Ok(NewPortalLink {
        id: PortalLinkId::from_bits(api.edge.id()),
        digest: ticket.digest,
        organization_id,
        return_url,
        success_url,
        created_by: Some(key),
        created_at,
        expires_at: created_at.after(LINK_LIFETIME),
    })
}

/// Without a word it is `dsync`.
fn read_intent(fields: &mut Fields) {
    let named = |name: &str| INTENTS.into_iter().find(|(known, _)| *known == name);
    let Some((name, intent)) = fields.word("intent", &intents(), named) else { return };
    match intent {
        Intent::Dsync => {}
        Intent::Other => {
            let message = format!("intent {name} is not supported here. Supported is dsync.");
            fields.wrong("intent", "unsupported", message);
        }
    }
}

/// A place that a browser may be led to.
fn read_url(fields: &mut Fields, name: &'static str) -> Option<String> {
    let text = fields.text(name, URL_MAX)?;
    let url = url::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if url.is_none() {
        fields.wrong(
            name,
            "invalid",
            format!("{name} must be a URL that begins with https:// or http://."),
        );
    }
    url.map(String::from)
}

/// What is handed to the administrator, this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GeneratedPortalLink")]
pub(crate) struct LinkBody {
    link: String,
}

/// A link, without what opens it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PortalLink")]
pub(crate) struct PortalLinkBody {
    object: &'static str,
    id: PortalLinkId,
    organization_id: OrganizationId,
    intent: &'static str,
    /// `live` until it is opened, then `used`; `expired` or `revoked` if that came first.
    state: &'static str,
    return_url: Option<String>,
    success_url: Option<String>,
    /// The API key that made it.
    created_by: Option<ApiKeyId>,
    created_at: Timestamp,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl PortalLinkBody {
    fn of(link: PortalLink, now: Timestamp) -> Self {
        Self {
            object: "portal_link",
            id: link.id,
            organization_id: link.organization_id,
            intent: "dsync",
            state: link.void(now).map_or("live", WhyVoid::name),
            return_url: link.return_url,
            success_url: link.success_url,
            created_by: link.created_by,
            created_at: link.created_at,
            expires_at: link.expires_at,
            used_at: link.used_at,
            revoked_at: link.revoked_at,
        }
    }
}
