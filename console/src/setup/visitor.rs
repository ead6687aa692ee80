//! Who comes to the setup page: through which host name, from which site, with which session.

use api::digest;
use api::ports::{Host, PortalSession};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use schemas::{HostName, OrganizationId, PortalLinkId};

use super::Setup;
use super::refusal::Refusal;

/// The cookie that a session is known by.
pub(super) const SESSION_COOKIE: &str = "dsync_setup";

/// Where a request comes from, as browsers say it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who comes.
pub(super) struct Visitor {
    /// The customer whose host name the request came through, if it was one's.
    host: Option<Host>,
    session: Option<PortalSession>,
}

impl Visitor {
    /// Whether what belongs to this organization is known here.
    pub(super) fn may_see(&self, organization: OrganizationId) -> bool {
        self.host.as_ref().is_none_or(|host| host.organization_id == organization)
    }

    /// Whether it was this browser that has opened the link.
    pub(super) fn has_opened(&self, link: PortalLinkId) -> bool {
        self.session.as_ref().is_some_and(|session| session.link.id == link)
    }

    /// The session, which has to be there.
    pub(super) fn session(self) -> Result<PortalSession, Refusal> {
        self.session.ok_or(Refusal::NoSession)
    }
}

impl FromRequestParts<Setup> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, setup: &Setup) -> Result<Self, Refusal> {
        let target = parts.uri.authority().map(Authority::as_str);
        let name = HostName::of_request(target, text(&parts.headers, &HOST), &setup.public_url);
        let host = name.and_then(|name| setup.host_names.by_name(&name));
        let session = match cookie(&parts.headers, SESSION_COOKIE) {
            Some(text) => setup.portal.session(digest(text), setup.edge.now()).await?,
            None => None,
        };
        let visitor = Self { host, session: None };
        let session = session.filter(|session| visitor.may_see(session.link.organization_id));
        Ok(Self { session, ..visitor })
    }
}

/// Refuses what another site has a browser send: what is pressed here is pressed on a page of ours.
pub(super) async fn from_here(
    State(setup): State<Setup>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !is_from_here(request.headers(), &setup.public_url) {
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

/// The value of a cookie (RFC 6265 §5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
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
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; dsync_setup=x=y ;b=2"), ("cookie", "c=3")]);
        assert_eq!(cookie(&headers, "dsync_setup"), Some("x=y"));
        assert_eq!(cookie(&headers, "c"), Some("3"));
        assert_eq!(cookie(&headers, "setup"), None);
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
