//! Who is signed in, and which forms are theirs.
//!
//! The cookie holds 256 bits of chance; the store knows its digest alone. The token in every form follows
//! from the cookie, so it needs no place of its own, and no other site can know it; the form that signs in has a
//! cookie of its own for that, [`FormOwner`]. A handler names what
//! it needs by what it extracts: [`Viewer`] for a page, [`Signed`] for a form that everybody may send,
//! [`Change`] for one that changes something. A handler without one of them would be open to the world.

use std::sync::Arc;
use std::time::Duration;

use api::digest;
use api::ports::Digest;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::header::{ACCEPT, COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::{Actor, Timestamp};
use subtle::ConstantTimeEq as _;

use crate::Console;
use crate::error::Error;
use crate::form::Form;
use crate::ports::{Role, Session};
use crate::trail;

/// How long a session lives without being used: a working day.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(8 * 60 * 60);

/// How long a session lives in any case: a week, so that a forgotten browser is no door for ever.
pub const SESSION_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How exact the last use of a session is: noting every page would make each read a write.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The name of the field that holds the token of a form.
pub(crate) const CSRF_FIELD: &str = "csrf";

/// How htmx names itself.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    /// As what.
    pub(crate) role: Role,
    /// What every form of theirs carries.
    pub(crate) csrf: String,
    /// What the store knows the session by.
    pub(crate) digest: Digest,
    /// As whom the history has what they do.
    pub(crate) actor: Actor,
    /// The address that an identity provider has vouched for, if one let them in.
    pub(crate) person: Option<String>,
}

impl Viewer {
    /// Whether they may change anything.
    pub(crate) fn is_admin(&self) -> bool {
        match self.role {
            Role::Admin => true,
            Role::Auditor => false,
        }
    }
}

/// A form of somebody who is signed in.
pub(crate) struct Signed {
    pub(crate) viewer: Viewer,
}

/// A form of an admin.
pub(crate) struct Change {
    pub(crate) viewer: Viewer,
    pub(crate) form: Form,
}

impl FromRequestParts<Arc<Console>> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Error> {
        let found = find(parts, console).await?;
        found.ok_or_else(|| Error::SignedOut(way_back(parts)))
    }
}

impl OptionalFromRequestParts<Arc<Console>> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Option<Self>, Error> {
        find(parts, console).await
    }
}

impl FromRequest<Arc<Console>> for Signed {
    type Rejection = Error;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Error> {
        let (viewer, _) = read(request, console, |_| true).await?;
        Ok(Self { viewer })
    }
}

impl FromRequest<Arc<Console>> for Change {
    type Rejection = Error;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Error> {
        let (viewer, form) = read(request, console, Viewer::is_admin).await?;
        // Not all that is changed here makes an event; the span has the path and the request.
        tracing::info!(
            console.role = viewer.role.name(),
            client.address = viewer.actor.ip,
            "a form of the console is sent"
        );
        Ok(Self { viewer, form })
    }
}

async fn read(
    request: Request,
    console: &Arc<Console>,
    may: impl Fn(&Viewer) -> bool,
) -> Result<(Viewer, Form), Error> {
    let (mut parts, body) = request.into_parts();
    let viewer =
        <Viewer as FromRequestParts<Arc<Console>>>::from_request_parts(&mut parts, console).await?;
    same_origin(&parts.headers, &console.public_url)?;
    if !may(&viewer) {
        return Err(Error::NotAllowed);
    }
    let sent = Request::from_parts(parts.clone(), body);
    let form = Form::from_request(sent, console).await?;
    let token = form.one(CSRF_FIELD).unwrap_or_default();
    if !bool::from(token.as_bytes().ct_eq(viewer.csrf.as_bytes())) {
        return Err(Error::Forged);
    }
    let actor = trail::of_role(viewer.role, viewer.person.clone(), viewer.actor.clone());
    trail::intend(&console.api, &mut parts, actor, None, &form).await?;
    Ok((viewer, form))
}

/// What ties the form that signs in to the browser that it was made for. Nobody has a session there, so a cookie of
/// its own takes the place: the form carries a digest of it, which no other site can know or set.
pub(crate) struct FormOwner {
    secret: String,
    is_new: bool,
}

impl FormOwner {
    /// The browser's, or a new one.
    pub(crate) fn of(headers: &HeaderMap, console: &Console) -> Self {
        match cookie(headers, form_cookie_name(console.is_secure)) {
            Some(secret) if secret.len() == FORM_SECRET_LEN => {
                Self { secret: secret.to_owned(), is_new: false }
            }
            Some(_) | None => {
                Self { secret: URL_SAFE_NO_PAD.encode(console.edge.secret()), is_new: true }
            }
        }
    }

    /// What the form carries.
    pub(crate) fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&format!("form to sign in of {}", self.secret)))
    }

    /// Whether a form was made for this browser.
    pub(crate) fn made(&self, form: &Form) -> bool {
        let token = form.one(CSRF_FIELD).unwrap_or_default();
        !self.is_new && bool::from(token.as_bytes().ct_eq(self.token().as_bytes()))
    }

    /// The cookie to set, if the browser has none yet. It lives as long as the browser runs.
    pub(crate) fn line(&self, is_secure: bool) -> Option<String> {
        let (name, secure) = (form_cookie_name(is_secure), if is_secure { "; Secure" } else { "" });
        let line = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.secret);
        self.is_new.then_some(line)
    }
}

/// How long the secret is as text: 256 bits.
const FORM_SECRET_LEN: usize = 43;

const fn form_cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-dsync-form" } else { "dsync-form" }
}

/// Refuses what a browser says comes from another site, before anything of it is read. A browser that
/// says nothing is judged by the token alone. A proxy may have put a host of its own into the request, so
/// the address that the settings name counts as well.
pub(crate) fn same_origin(headers: &HeaderMap, public_url: &str) -> Result<(), Error> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(HeaderName::from_static("sec-fetch-site")) {
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return Err(Error::Forged),
        None => {}
    }
    let (Some(origin), Some(host)) = (text(ORIGIN), text(HeaderName::from_static("host"))) else {
        return Ok(());
    };
    let from = origin.split_once("://").map_or(origin, |(_, host)| host);
    let is_public = public_url
        .strip_prefix(origin)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_public || from.eq_ignore_ascii_case(host) { Ok(()) } else { Err(Error::Forged) }
}

async fn find(parts: &Parts, console: &Console) -> Result<Option<Viewer>, Error> {
    let headers = &parts.headers;
    let Some(secret) = cookie(headers, cookie_name(console.is_secure)) else { return Ok(None) };
    for digest in digests(console, secret) {
        if let Some(session) = live(console, digest).await? {
            if is_use(headers) {
                note_use(console, digest, &session).await;
            }
            let role = Some(session.role.name().to_owned());
            let actor = Actor { console_role: role, ..api::sender(parts) };
            let Session { role, person, .. } = session;
            return Ok(Some(Viewer { role, csrf: csrf(secret), digest, actor, person }));
        }
    }
    Ok(None)
}

/// What the store may know a session by, for each way in that is open. One that was closed, or that leads elsewhere
/// by other settings, closes the sessions behind it too.
fn digests(console: &Console, secret: &str) -> impl Iterator<Item = Digest> {
    let by_password = console.password_sign_in.then(|| digest(secret));
    let by_provider =
        console.oidc.as_ref().map(|oidc| provider_digest(secret, &oidc.fingerprint()));
    by_password.into_iter().chain(by_provider)
}

/// What the store knows a session by that began with the identity provider of these settings.
pub(crate) fn provider_digest(secret: &str, fingerprint: &Digest) -> Digest {
    digest(&format!("session by {} of {secret}", hex::encode(fingerprint)))
}

/// The session, if it has not become too old.
pub(crate) async fn live(console: &Console, digest: Digest) -> Result<Option<Session>, Error> {
    let now = console.edge.now();
    let found = console.sessions.find(digest).await?;
    Ok(found.filter(|session| is_live(session, now)))
}

/// A session that was last used in the future was used before the clock was set back.
fn is_live(session: &Session, now: Timestamp) -> bool {
    now.since(session.last_used_at) < SESSION_IDLE_MAX
        && now.since(session.created_at) < SESSION_MAX
}

/// Whether somebody asks, rather than a page that keeps itself up to date: one that was left open must
/// not keep its session for ever.
fn is_use(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|kinds| kinds.contains("text/html")) && !headers.contains_key(HX_REQUEST)
}

/// A failure is no reason to turn somebody away.
async fn note_use(console: &Console, digest: Digest, session: &Session) {
    let now = console.edge.now();
    if now.since(session.last_used_at) < TOUCH_EVERY {
        return;
    }
    if let Err(error) = console.sessions.touch(digest, now).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "could not note the use of a session"
        );
    }
}

/// The token of the forms of whoever holds this cookie.
pub(crate) fn csrf(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&format!("form of {secret}")))
}

/// The prefix has browsers keep the cookie to this host and to TLS.
pub(crate) const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-dsync" } else { "dsync" }
}

/// A cookie of the request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// Where to come back to after signing in: the page, or the page that a part was asked for by.
fn way_back(parts: &Parts) -> String {
    let is_page = parts.method == Method::GET && !parts.headers.contains_key(HX_REQUEST);
    let path = parts.uri.path_and_query().map(axum::http::uri::PathAndQuery::as_str);
    path.filter(|_| is_page).unwrap_or("/console").to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn session(created_at: u64, last_used_at: u64) -> Session {
        let hours =
            |hours: u64| Timestamp::from_millis(0).after(Duration::from_secs(hours * 3_600));
        Session {
            role: Role::Admin,
            person: None,
            created_at: hours(created_at),
            last_used_at: hours(last_used_at),
        }
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_after_a_week_in_any_case() {
        let at = |hours: u64| Timestamp::from_millis(0).after(Duration::from_secs(hours * 3_600));
        assert!(is_live(&session(0, 0), at(7)));
        assert!(!is_live(&session(0, 0), at(8)));
        assert!(is_live(&session(0, 167), at(167)));
        assert!(!is_live(&session(0, 167), at(168)));
        assert!(is_live(&session(0, 20), at(19)), "the clock was set back");
    }

    #[test]
    fn a_cookie_is_found_among_others_and_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("xdsync=1; dsync=abc=; other=2"));
        assert_eq!(cookie(&headers, "dsync"), Some("abc="));
        assert_eq!(cookie(&headers, "sync"), None);
    }

    #[test]
    fn a_page_that_was_left_open_does_not_use_its_session() {
        let with = |pairs: &[(HeaderName, &'static str)]| {
            let pairs =
                pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            is_use(&pairs.collect())
        };
        let page = (ACCEPT, "text/html,application/xhtml+xml;q=0.9");
        assert!(with(std::slice::from_ref(&page)));
        assert!(!with(&[page, (HX_REQUEST, "true")]), "a part of a page");
        assert!(!with(&[(ACCEPT, "text/event-stream")]), "a stream");
        assert!(!with(&[(ACCEPT, "*/*")]), "asking whether the session lives");
    }

    #[test]
    fn a_form_from_another_site_is_refused() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            same_origin(&pairs.collect(), "https://dsync.example/sync").is_ok()
        };
        assert!(with(&[("sec-fetch-site", "same-origin")]));
        assert!(!with(&[("sec-fetch-site", "cross-site")]));
        assert!(!with(&[("sec-fetch-site", "same-site")]));
        assert!(with(&[("origin", "https://a.example"), ("host", "a.example")]));
        assert!(!with(&[("origin", "https://b.example"), ("host", "a.example")]));
        assert!(!with(&[("origin", "null"), ("host", "a.example")]));
        assert!(with(&[("origin", "https://dsync.example"), ("host", "127.0.0.1:8080")]));
        assert!(!with(&[("origin", "https://dsync.exam"), ("host", "127.0.0.1:8080")]));
        assert!(with(&[("host", "a.example")]), "a program; it cannot know the token");
    }

    #[test]
    fn a_form_to_sign_in_is_for_one_browser() {
        let owner = |secret: &str, is_new| FormOwner { secret: secret.to_owned(), is_new };
        let form = |token: &str| Form::parse(format!("{CSRF_FIELD}={token}").as_bytes());
        let (a, b) = (owner("a", false), owner("b", false));
        assert!(a.made(&form(&a.token())));
        assert!(!a.made(&form(&b.token())));
        assert!(!a.made(&form("")) && !a.made(&Form::default()));
        assert!(!owner("a", true).made(&form(&a.token())), "its browser has sent no cookie");
        assert_ne!(a.token(), csrf("a"), "it opens no form of a session");
    }

    #[test]
    fn the_token_of_forms_follows_from_the_cookie_and_does_not_tell_it() {
        assert_eq!(csrf("a"), csrf("a"));
        assert_ne!(csrf("a"), csrf("b"));
        assert_ne!(csrf("a"), URL_SAFE_NO_PAD.encode(digest("a")));
    }
}
