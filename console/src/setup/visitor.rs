//! Who comes to the setup page: through which host name, from which site, with which session.

use api::ports::{ActionActor, Digest, Host, PortalSession, Reach};
use api::{action_actor, digest};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use maud::Markup;
use schemas::{Actor, ActorKind, HostName, OrganizationId, PortalLinkId};
use subtle::ConstantTimeEq as _;

use super::Site;
use super::refusal::Refusal;
use crate::form::{Form, Query};
use crate::parts::form::hidden;
use crate::session::{CSRF_FIELD, cookie, csrf};
use crate::trail;

/// The cookie that a session is known by.
pub(super) const SESSION_COOKIE: &str = "dsync_setup";

/// Where a request comes from, as browsers say it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who comes.
pub(super) struct Visitor {
    /// The customer whose host name the request came through, if it was one's.
    host: Option<Host>,
    session: Option<Admin>,
}

/// An administrator who has opened a link.
pub(super) struct Admin {
    pub(super) session: PortalSession,
    /// What the store knows the session by.
    pub(super) digest: Digest,
    /// As whom the history has what they do.
    pub(super) actor: Actor,
    /// What every form of theirs carries.
    csrf: String,
}

/// A form of an administrator, sent from one of our pages.
pub(super) struct Pressed {
    pub(super) admin: Admin,
    pub(super) form: Form,
}

impl Admin {
    /// How far they see: their organization.
    pub(super) const fn reach(&self) -> Reach {
        Reach::Organization(self.session.link.organization_id)
    }

    /// What has to be in each form.
    pub(super) fn csrf_field(&self) -> Markup {
        hidden(CSRF_FIELD, &self.csrf)
    }
}

impl Visitor {
    /// Whether what belongs to this organization is known here.
    pub(super) fn may_see(&self, organization: OrganizationId) -> bool {
        self.host.as_ref().is_none_or(|host| host.organization_id == organization)
    }

    /// Whether it was this browser that has opened the link.
    pub(super) fn has_opened(&self, link: PortalLinkId) -> bool {
        self.session.as_ref().is_some_and(|admin| admin.session.link.id == link)
    }
}

impl FromRequestParts<Site> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refusal> {
        let target = parts.uri.authority().map(Authority::as_str);
        let name = HostName::of_request(target, text(&parts.headers, &HOST), &site.public_url);
        let host = name.and_then(|name| site.host_names.by_name(&name));
        let visitor = Self { host, session: None };
        let Some(secret) = cookie(&parts.headers, SESSION_COOKIE) else { return Ok(visitor) };
        let digest = digest(secret);
        let session = site.portal.session(digest, site.edge.now()).await?;
        let session = session.filter(|session| visitor.may_see(session.link.organization_id));
        let session = session.map(|session| {
            let actor = Actor { portal_link_id: Some(session.link.id), ..api::sender(parts) };
            Admin { session, digest, actor, csrf: csrf(secret) }
        });
        Ok(Self { session, ..visitor })
    }
}

impl FromRequestParts<Site> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Refusal> {
        let visitor = Visitor::from_request_parts(parts, site).await?;
        visitor.session.ok_or(Refusal::NoSession)
    }
}

impl FromRequestParts<Site> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Site) -> Result<Self, Refusal> {
        Ok(Self::of(parts)?)
    }
}

impl FromRequest<Site> for Pressed {
    type Rejection = Refusal;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let admin = Admin::from_request_parts(&mut parts, site).await?;
        let form = Form::from_request(Request::from_parts(parts.clone(), body), site).await;
        let form = form.map_err(|_| Refusal::Forged)?;
        let token = form.one(CSRF_FIELD).unwrap_or_default();
        if bool::from(token.as_bytes().ct_eq(admin.csrf.as_bytes())) {
            let organization = admin.session.link.organization_id;
            let actor = of_link(admin.session.link.id, admin.actor.clone());
            trail::intend(&site.api, &mut parts, actor, Some(organization), &form).await?;
            tracing::info!(
                portal.link.id = %admin.session.link.id,
                client.address = admin.actor.ip,
                "a form of a setup page is sent"
            );
            Ok(Self { admin, form })
        } else {
            Err(Refusal::Forged)
        }
    }
}

/// Whoever has opened this link.
pub(super) fn of_link(link: PortalLinkId, by: Actor) -> ActionActor {
    action_actor(ActorKind::PortalLink, Some(link.to_string()), None, by)
}

/// Refuses what another site has a browser send: what is pressed here is pressed on a page of ours.
pub(super) async fn from_here(State(site): State<Site>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !is_from_here(request.headers(), &site.public_url) {
        return Refusal::OtherSite.into_response();
    }
    next.run(request).await
}

/// Browsers say where a request comes from, the older ones by its origin alone. A program that says nothing is no
/// browser that somebody is signed in with.
fn is_from_here(headers: &HeaderMap, public_url: &str) -> bool {
    if let Some(site) = text(headers, &SEC_FETCH_SITE) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(headers, &ORIGIN) else { return !headers.contains_key(ORIGIN) };
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let is_host = text(headers, &HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority));
    // A proxy may not have handed the host on.
    let behind = public_url.strip_prefix(origin);
    is_host || behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("it is ASCII"));
        }
        headers
    }

    #[test]
    fn only_a_page_of_this_site_may_press_its_buttons() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let mut all = vec![("host", "sync.example:8443")];
            all.extend_from_slice(pairs);
            is_from_here(&headers(&all), "https://public.example/x")
        };
        for own in [
            &[("sec-fetch-site", "same-origin"), ("origin", "null")][..],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://SYNC.example:8443")],
            &[("origin", "https://public.example")],
            &[],
        ] {
            assert!(from(own), "{own:?}");
        }
        for other in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://sync.example:8443")],
            &[("origin", "https://sync.example")],
            &[("origin", "https://public.example.evil.test")],
            &[("origin", "https://public")],
            &[("origin", "null")],
        ] {
            assert!(!from(other), "{other:?}");
        }
    }
}
