//! Signing in and out.
//!
//! ```text
//!  form ──▶ same site, this browser? ──▶ brake ──▶ argon2id, on a thread that may block ──▶ session in the store ──▶ cookie
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::ports::PortError;
use api::{Intended, Underway, digest};
use axum::extract::{ConnectInfo, Extension, FromRequest as _, Request, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{Markup, html};
use schemas::{Action, Actor};

use crate::Console;
use crate::error::Error;
use crate::form::{Form, Query};
use crate::layout;
use crate::parts::form::hidden;
use crate::parts::notice;
use crate::password::{PASSWORD_BYTES_MAX, fits};
use crate::ports::{PasswordHash, Proof, Role, Session};
use crate::session::{
    CSRF_FIELD, FormOwner, SESSION_MAX, Signed, Viewer, cookie_name, same_origin,
};
use crate::trail;

/// The largest form that signs in: a password, of which each byte may be written with three, and the page to go on to,
/// which has an address of a few KiB. Strangers send it, so little of it is read.
pub(crate) const SIGN_IN_BYTES_MAX: usize = 16 * 1024;

/// How many passwords are checked at once: each takes 19 MiB and a core.
pub(crate) const CHECKS_MAX: usize = 2;

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Option<Viewer>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Error> {
    let next = next_page(&query);
    if viewer.is_some() {
        return Ok(to(&next));
    }
    let has_password =
        !console.password_sign_in || console.sessions.password(Role::Admin).await?.is_some();
    let page = Page { console: &console, owner: &FormOwner::of(&headers, &console), next: &next };
    Ok(page.show(StatusCode::OK, (!has_password).then_some(NO_PASSWORD)))
}

pub(crate) async fn sign_in(
    State(console): State<Arc<Console>>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
    Extension(underway): Extension<Underway>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let (headers, by) = (parts.headers.clone(), api::sender(&parts));
    same_origin(&headers, &console.public_url)?;
    let form = Form::from_request(Request::from_parts(parts, body), &console).await?;
    let (next, owner) = (next_page(&form), FormOwner::of(&headers, &console));
    let page = Page { console: &console, owner: &owner, next: &next };
    if !owner.made(&form) {
        return Ok(page.show(StatusCode::FORBIDDEN, Some(NOT_THIS_BROWSER)));
    }
    if !console.password_sign_in {
        return Ok(page.show(StatusCode::FORBIDDEN, Some(NO_PASSWORDS)));
    }
    let address = from(address);
    if let Err(wait) = console.brake.take(address) {
        tracing::warn!(client.address = %address, "attempts to sign in to the console are slowed down");
        return Ok(page.refused_for(wait));
    }
    let password = form.one("password").unwrap_or_default();
    let Some((role, checked_with)) = whose(&console, password).await? else {
        tracing::warn!(client.address = %address, "a wrong password for the console");
        console.failures.record(&console.api, None, by).await;
        return Ok(page.show(StatusCode::UNAUTHORIZED, Some(WRONG)));
    };
    let now = console.edge.now();
    let secret = URL_SAFE_NO_PAD.encode(console.edge.secret());
    let session = Session { role, person: None, created_at: now, last_used_at: now };
    let proof = Proof::Password(checked_with);
    entering(&console, &underway, &session, by).await?;
    match console.sessions.begin(digest(&secret), session, proof).await {
        Ok(()) => {}
        Err(PortError::NotFound) => return Ok(page.show(StatusCode::UNAUTHORIZED, Some(WRONG))),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(role = role.name(), client.address = %address, "signed in to the console");
    let mut response = to(&next);
    begin(&console, &mut response, &secret);
    Ok(response)
}

/// Records that somebody is about to be let in.
pub(crate) async fn entering(
    console: &Console,
    underway: &Underway,
    session: &Session,
    by: Actor,
) -> Result<(), PortError> {
    let intended = Intended {
        action: Action::ConsoleSignedIn,
        actor: trail::of_session(session, by),
        organization_id: None,
        targets: Vec::new(),
        fields: Vec::new(),
    };
    console.api.begin_action(underway, intended).await
}

/// Gives the browser the cookie of a session that has begun.
pub(crate) fn begin(console: &Console, response: &mut Response, secret: &str) {
    let line = set_cookie(console, secret, SESSION_MAX);
    response.headers_mut().append(SET_COOKIE, line);
}

/// Whose attempts are counted together.
pub(crate) fn from(address: Option<Extension<ConnectInfo<SocketAddr>>>) -> IpAddr {
    address
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(ConnectInfo(address))| address.ip())
}

pub(crate) async fn sign_out(
    State(console): State<Arc<Console>>,
    Signed { viewer }: Signed,
) -> Result<Response, Error> {
    console.sessions.end(viewer.digest).await?;
    let mut response = to("/console/sign-in");
    response.headers_mut().insert(SET_COOKIE, set_cookie(&console, "", Duration::ZERO));
    Ok(response)
}

const WRONG: &str = "That is not the password.";

const NOT_THIS_BROWSER: &str =
    "This form was made for another browser, or your browser keeps no cookies. Try again.";

const NO_PASSWORDS: &str = "Passwords are turned off here. Sign in with the identity provider.";

const NO_PASSWORD: &str =
    "No password is set. Set console_password (DSYNC_CONSOLE_PASSWORD) and start the server again.";

/// Whose password this is. Both are checked whatever comes of the first, so that the time tells nothing.
async fn whose(console: &Console, password: &str) -> Result<Option<(Role, PasswordHash)>, Error> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Ok(None);
    }
    let mut hashes = Vec::new();
    for role in Role::ALL {
        hashes.extend(console.sessions.password(role).await?.map(|hash| (role, hash)));
    }
    let _room = console.checks.acquire().await.expect("nobody closes it");
    let password = password.to_owned();
    let check = move || {
        let fitting: Vec<_> =
            hashes.into_iter().map(|(role, hash)| (fits(&password, &hash), role, hash)).collect();
        fitting.into_iter().find(|(fits, ..)| *fits).map(|(_, role, hash)| (role, hash))
    };
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(|error| PortError::Unavailable(error.into()).into())
}

/// The page that asks for the password.
struct Page<'a> {
    console: &'a Console,
    owner: &'a FormOwner,
    next: &'a str,
}

impl Page<'_> {
    /// A link: a browser that follows a form to another site would be held up by the policy of the page.
    fn by_provider(&self) -> Markup {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("next", self.next);
        let class = if self.console.password_sign_in { "button" } else { "button primary" };
        html! {
            p { a class=(class) href={ "/console/oidc/start?" (query.finish()) } { "Sign in with the identity provider" } }
            @if self.console.password_sign_in { p.faint { "Or with a password:" } }
        }
    }

    fn by_password(&self) -> Markup {
        html! {
            form.stack method="post" action="/console/sign-in" {
                (hidden(CSRF_FIELD, self.owner.token()))
                (hidden("next", self.next))
                div.field {
                    label for="password" { "Password" }
                    input #password type="password" name="password" required autofocus
                        autocomplete="current-password" aria-describedby="password-hint";
                    p #password-hint.hint {
                        "It is the setting " code { "console_password" }
                        ", or the one that the first start of the server printed. Auditors have one of their own."
                    }
                }
                button.button.primary type="submit" { "Sign in" }
            }
        }
    }

    fn show(&self, status: StatusCode, wrong: Option<&str>) -> Response {
        let body = html! {
            @if let Some(wrong) = wrong { (notice::wrong(wrong)) }
            @if self.console.oidc.is_some() { (self.by_provider()) }
            @if self.console.password_sign_in { (self.by_password()) }
        };
        let mut response = (status, layout::plain("Sign in", &body)).into_response();
        if let Some(line) = self.owner.line(self.console.is_secure) {
            let line = HeaderValue::from_str(&line).expect("names and secrets are plain ASCII");
            response.headers_mut().insert(SET_COOKIE, line);
        }
        response
    }

    fn refused_for(&self, wait: Duration) -> Response {
        let secs = wait.as_millis().div_ceil(1_000).max(1).to_string();
        let text = format!("Too many attempts. Try again in {secs} s.");
        let mut response = self.show(StatusCode::TOO_MANY_REQUESTS, Some(&text));
        let wait = HeaderValue::from_str(&secs).expect("digits");
        response.headers_mut().insert(RETRY_AFTER, wait);
        response
    }
}

/// Where to go after signing in: a page of ours, whatever the address says.
pub(crate) fn next_page(form: &Form) -> String {
    let wanted = form.text("next").unwrap_or_default();
    let is_ours = wanted == "/console"
        || wanted.strip_prefix("/console").is_some_and(|rest| rest.starts_with(['/', '?']));
    let is_plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = !wanted.starts_with("/console/sign-in");
    if is_ours && is_plain && is_page { wanted.to_owned() } else { "/console".to_owned() }
}

/// 303, so that a browser goes on with GET.
pub(crate) fn to(place: &str) -> Response {
    let place = HeaderValue::from_str(place).expect("places are plain ASCII");
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

fn set_cookie(console: &Console, secret: &str, age: Duration) -> HeaderValue {
    let line = cookie_line(console.is_secure, secret, age);
    HeaderValue::from_str(&line).expect("names and secrets are plain ASCII")
}

/// Where the world reaches us by TLS, the cookie is for this host and never travels without.
fn cookie_line(is_secure: bool, secret: &str, age: Duration) -> String {
    let (name, secure) = (cookie_name(is_secure), if is_secure { "; Secure" } else { "" });
    let age = age.as_secs();
    format!("{name}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_tls_the_cookie_never_travels_without_it() {
        let hour = Duration::from_secs(3_600);
        let with = cookie_line(true, "x", hour);
        assert_eq!(with, "__Host-dsync=x; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
        let without = cookie_line(false, "x", hour);
        assert_eq!(without, "dsync=x; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_way_back_leads_to_a_page_of_ours() {
        let next = |wanted: &str| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("next", wanted)
                .finish();
            next_page(&Form::parse(query.as_bytes()))
        };
        assert_eq!(next("/console/events?type=a"), "/console/events?type=a");
        for elsewhere in [
            "",
            "https://evil.example",
            "//evil.example",
            "/consolex",
            "/console\\evil",
            "/console/a\r\nset-cookie: b",
            "/console/sign-in?next=/console",
        ] {
            assert_eq!(next(elsewhere), "/console", "{elsewhere}");
        }
    }
}
