//! Signing in with an identity provider: OpenID Connect, authorization code flow with PKCE.
//!
//! ```text
//!  start ──▶ cookie with 256 bits of chance ──▶ provider: state, nonce and code challenge follow from it
//!                                                  │
//!  callback ◀── code, state ───────────────────────┘
//!     ├─ state: of this browser?                    a code of somebody else's sign-in is refused
//!     ├─ code and verifier ──▶ port ──▶ ID token    its signature is checked behind the port
//!     ├─ claims: for us, from whom we asked, in time, with our nonce
//!     ├─ members: admin, auditor, or neither
//!     └─▶ session, as with a password
//! ```
//!
//! Nothing of a sign-in that has begun is kept here: all of it follows from the cookie. So it works with any number of
//! processes, and nobody can fill a memory by beginning.

mod claims;
mod members;
mod page;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::ports::Digest;
use api::{Underway, digest};
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

pub use members::{InvalidMember, Member, Members};

use crate::Console;
use crate::error::Error;
use crate::form::{Form, Query};
use crate::ports::{Claims, IdentityProvider, Proof, ProviderError, Redemption, Session};
use crate::session::{cookie, provider_digest};
use crate::sign_in::{begin, entering, from, next_page, to};
use claims::{Expected, check};
use page::refused;

/// How long somebody may take to sign in at the provider.
const SIGN_IN_MAX: Duration = Duration::from_secs(10 * 60);

/// How long a code may be; RFC 6749 names no limit, and providers keep to far less.
const CODE_BYTES_MAX: usize = 4 * 1024;

/// How long the way back to a page may be, which travels in the cookie: browsers keep 4 KiB of one.
const NEXT_BYTES_MAX: usize = 2 * 1024;

/// How long the address of a person may be to be kept: as long as one can be (RFC 5321 §4.5.3.1).
const PERSON_BYTES_MAX: usize = 320;

/// Where a provider sends browsers back to, below the address of the installation.
pub const CALLBACK: &str = "/console/oidc/callback";

/// An identity provider that people sign in with.
#[derive(Clone)]
pub struct Oidc {
    /// Who it is, exactly as its tokens say.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Who may sign in.
    pub members: Members,
    /// The provider itself.
    pub provider: Arc<dyn IdentityProvider>,
}

impl Oidc {
    /// Another one whenever the settings are others: sessions that began under those before end with it.
    pub(crate) fn fingerprint(&self) -> Digest {
        digest(&format!("{}\n{}\n{:?}", self.issuer, self.client_id, self.members))
    }
}

/// A sign-in that has begun.
struct Begun<'a> {
    secret: &'a str,
    next: &'a str,
}

impl<'a> Begun<'a> {
    /// The value of the cookie, and back.
    fn text(&self) -> String {
        format!("{}.{}", self.secret, URL_SAFE_NO_PAD.encode(self.next))
    }

    fn read(text: &'a str) -> Option<(&'a str, String)> {
        let (secret, next) = text.split_once('.')?;
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        (secret.len() >= 43).then_some((secret, next))
    }

    /// What follows from the secret, for one purpose: nobody gets from one to the other.
    fn derived(&self, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(digest(&format!("{purpose} of {}", self.secret)))
    }

    fn state(&self) -> String {
        self.derived("OpenID Connect state")
    }

    fn nonce(&self) -> String {
        self.derived("OpenID Connect nonce")
    }

    fn verifier(&self) -> String {
        self.derived("PKCE verifier")
    }

    /// RFC 7636 §4.2.
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()))
    }
}

/// Sends the browser to the provider.
pub(crate) async fn start(
    State(console): State<Arc<Console>>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
    Query(query): Query,
) -> Result<Response, Error> {
    let oidc = console.oidc.as_ref().ok_or(Error::Missing("page"))?;
    if console.start_brake.take(from(address)).is_err() {
        return Ok(too_many());
    }
    let provider = match oidc.provider.authorization().await {
        Ok(provider) => provider,
        Err(error) => return Ok(failed(&error)),
    };
    let secret = URL_SAFE_NO_PAD.encode(console.edge.secret());
    let next = Some(next_page(&query)).filter(|next| next.len() <= NEXT_BYTES_MAX);
    let next = next.unwrap_or_else(|| "/console".to_owned());
    let begun = Begun { secret: &secret, next: &next };
    let mut url = provider.endpoint;
    let asks_for_groups = provider.knows_groups_scope && oidc.members.have_groups();
    let scope = if asks_for_groups { "openid email groups" } else { "openid email" };
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &oidc.client_id)
        .append_pair("redirect_uri", &redirect_uri(&console))
        .append_pair("scope", scope)
        .append_pair("state", &begun.state())
        .append_pair("nonce", &begun.nonce())
        .append_pair("code_challenge", &begun.challenge())
        .append_pair("code_challenge_method", "S256");
    let place = HeaderValue::from_str(url.as_str()).expect("a URL is plain ASCII");
    let cookie = cookie_line(&console, &begun.text(), SIGN_IN_MAX);
    Ok((StatusCode::SEE_OTHER, [(LOCATION, place), (SET_COOKIE, cookie)]).into_response())
}

/// Takes back who comes from the provider. Whatever becomes of it, what had begun is over.
pub(crate) async fn callback(
    State(console): State<Arc<Console>>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
    Query(query): Query,
    request: Request,
) -> Result<Response, Error> {
    let oidc = console.oidc.as_ref().ok_or(Error::Missing("page"))?;
    let (parts, _) = request.into_parts();
    let mut response = signed_in(&console, oidc, from(address), &parts, &query).await?;
    response.headers_mut().append(SET_COOKIE, cookie_line(&console, "", Duration::ZERO));
    Ok(response)
}

async fn signed_in(
    console: &Arc<Console>,
    oidc: &Oidc,
    from: IpAddr,
    parts: &Parts,
    query: &Form,
) -> Result<Response, Error> {
    let begun = cookie(&parts.headers, cookie_name(console.is_secure)).and_then(Begun::read);
    let Some((secret, next)) = begun else { return Ok(not_begun()) };
    let begun = Begun { secret, next: &next };
    let state = query.one("state").unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(begun.state().as_bytes())) {
        tracing::warn!("a sign-in to the console came back with a state that is not its browser's");
        return Ok(not_begun());
    }
    // RFC 9207: an answer that another provider had a hand in.
    if query.one("iss").is_some_and(|issuer| issuer != oidc.issuer) {
        tracing::warn!("a sign-in to the console came back from another issuer");
        return Ok(not_verified());
    }
    if let Some(error) = query.text("error") {
        return Ok(page::declined(error));
    }
    let code = query.one("code").filter(|code| (1..=CODE_BYTES_MAX).contains(&code.len()));
    let Some(code) = code else { return Ok(not_verified()) };
    if console.provider_brake.take(from).is_err() {
        tracing::warn!(client.address = %from, "attempts to sign in with the identity provider are slowed down");
        return Ok(too_many());
    }
    let redemption =
        Redemption { code, verifier: &begun.verifier(), redirect_uri: &redirect_uri(console) };
    let claims = match oidc.provider.redeem(redemption).await {
        Ok(claims) => claims,
        Err(error) => return Ok(failed(&error)),
    };
    let (now, nonce) = (console.edge.now(), begun.nonce());
    let expected =
        Expected { issuer: &oidc.issuer, client_id: &oidc.client_id, nonce: &nonce, now };
    if let Err(why) = check(&claims, &expected) {
        tracing::warn!(error = &why as &dyn std::error::Error, "an ID token is refused");
        return Ok(not_verified());
    }
    let Some(role) = oidc.members.role(&claims) else {
        tracing::warn!(
            client.address = %from,
            "somebody whom the settings do not name has tried to sign in to the console"
        );
        console.failures.record(&console.api, person(&claims), api::sender(parts)).await;
        return Ok(page::no_member(&claims));
    };
    let session = Session { role, person: person(&claims), created_at: now, last_used_at: now };
    let underway = Underway::default();
    entering(console, &underway, &session, api::sender(parts)).await?;
    let (console, next) = (Arc::clone(console), begun.next.to_owned());
    let api = console.api.clone();
    let entered = async move { enter(&console, session, &next).await.into_response() };
    Ok(api.conclude_action(underway, entered).await)
}

/// The address, where the provider says that it is theirs.
fn person(claims: &Claims) -> Option<String> {
    let email = claims.email.clone().filter(|_| claims.email_verified);
    email.filter(|email| (1..=PERSON_BYTES_MAX).contains(&email.len()))
}

async fn enter(console: &Console, session: Session, next: &str) -> Result<Response, Error> {
    let role = session.role;
    let secret = URL_SAFE_NO_PAD.encode(console.edge.secret());
    let oidc = console.oidc.as_ref().ok_or(Error::Missing("page"))?;
    let digest = provider_digest(&secret, &oidc.fingerprint());
    console.sessions.begin(digest, session, Proof::Provider).await?;
    tracing::info!(role = role.name(), "signed in to the console with the identity provider");
    // The cookie was written before the browser left, and it is the browser's own: the place is judged again.
    let wanted = Form::pairs([("next", &next.to_owned())]);
    let mut response = to(&next_page(&wanted));
    begin(console, &mut response, &secret);
    Ok(response)
}

fn not_begun() -> Response {
    refused(
        StatusCode::FORBIDDEN,
        "This sign-in is not yours, or is over",
        "It began in another browser, was used already, or took longer than ten minutes. Nobody was signed in.",
    )
}

fn too_many() -> Response {
    refused(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many attempts",
        "Wait a minute and sign in again. Nobody was signed in.",
    )
}

fn not_verified() -> Response {
    refused(
        StatusCode::FORBIDDEN,
        "The identity provider's answer cannot be trusted",
        "What it says about you did not pass the checks, so nobody was signed in. The log of the server says which.",
    )
}

/// Logs the cause of what only the operator can mend.
fn failed(error: &ProviderError) -> Response {
    tracing::warn!(error = error as &dyn std::error::Error, "signing in with the provider failed");
    match error {
        ProviderError::Unavailable(_) => refused(
            StatusCode::BAD_GATEWAY,
            "The identity provider does not answer",
            "Try again in a moment. The log of the server says more.",
        ),
        ProviderError::Refused(_) => refused(
            StatusCode::FORBIDDEN,
            "The identity provider did not confirm this sign-in",
            "It was used already, or took too long. Nobody was signed in. The log of the server says more.",
        ),
        ProviderError::Untrusted(_) => not_verified(),
    }
}

/// Where the provider sends the browser back to.
fn redirect_uri(console: &Console) -> String {
    format!("{}{CALLBACK}", console.public_url)
}

const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-dsync-oidc" } else { "dsync-oidc" }
}

/// The provider sends the browser here from another site, so the cookie is not `Strict`.
fn cookie_line(console: &Console, value: &str, age: Duration) -> HeaderValue {
    let (name, age) = (cookie_name(console.is_secure), age.as_secs());
    let secure = if console.is_secure { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&line).expect("names and values are plain ASCII")
}

/// Where a provider asks people who they are.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The address.
    pub endpoint: Url,
    /// Whether it says that it knows the scope `groups`. Some refuse what they do not know.
    pub knows_groups_scope: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_sign_in_follows_from_its_cookie() {
        let secret = "x".repeat(43);
        let begun = Begun { secret: &secret, next: "/console/events?type=ä" };
        let text = begun.text();
        let (read, next) = Begun::read(&text).expect("it is one");
        let again = Begun { secret: read, next: &next };
        assert_eq!((again.state(), again.next), (begun.state(), begun.next));
        let all = [begun.state(), begun.nonce(), begun.verifier(), begun.challenge()];
        assert!(all.iter().all(|text| text.len() == 43), "{all:?}");
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one), "{all:?}");
        }
        assert!(Begun::read("short.eA").is_none() && Begun::read(&secret).is_none());
    }

    #[test]
    fn the_challenge_is_the_hash_of_the_verifier() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
