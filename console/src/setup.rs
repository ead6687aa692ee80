//! `/setup`: the page of an organization's administrators.
//!
//! ```text
//!  GET  /setup/{token}   the link, with a button: looking at it does not use it
//!  POST /setup/{token}   opens it: a session in a cookie, and on to
//!  GET  /setup           the directories, with their SCIM endpoints and tokens
//!  POST /setup/…         makes and revokes tokens
//! ```
//!
//! Programs that read mail follow links before people do, so only the button opens one. Who holds a session sees one
//! organization, since every call of a port has its reach. Under the host name of a customer only that customer's links
//! and sessions are known.
//!
//! Who comes is found out in `visitor`, what goes wrong leaves through `refusal`, and `page` is what is shown.

mod page;
mod refusal;
mod visitor;

use std::sync::Arc;

use api::ports::{
    Conflict, Directories, Directory, DirectoryFilter, HostNames, NewPortalSession, Opening, Order,
    Organization, Organizations, PageRequest, PortError, Portal, PortalSession, Reach,
    SESSION_LIFETIME, Secret, Streams, Token, WhyVoid,
};
use api::{bearer_token, digest, ticket};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use schemas::host_name::{path_of, public_url_at};
use schemas::{DirectoryId, Edge, Id};

use refusal::Refusal;
use visitor::{SESSION_COOKIE, Visitor, from_here};

/// How many directories are shown: far more than an organization has identity providers.
const DIRECTORIES_MAX: u32 = 100;

/// Nothing but the page, its own style, and forms that come back here.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// What every answer says to browsers. The addresses of links go nowhere else, and nothing is kept that shows a token.
const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
];

/// What the setup page is made of.
#[derive(Clone)]
pub struct Setup {
    /// Links and sessions.
    pub portal: Arc<dyn Portal>,
    /// Organizations.
    pub organizations: Arc<dyn Organizations>,
    /// Directories and their tokens.
    pub directories: Arc<dyn Directories>,
    /// Host names of customers.
    pub host_names: Arc<dyn HostNames>,
    /// The event streams.
    pub streams: Arc<dyn Streams>,
    /// Clock and dice.
    pub edge: Arc<dyn Edge>,
    /// Where the world reaches this installation, without a slash at the end.
    pub public_url: Arc<str>,
}

impl Setup {
    /// A path of ours as browsers see it.
    fn path(&self, path: &str) -> String {
        format!("{}/setup{path}", path_of(&self.public_url))
    }
}

/// The setup page as a router. It answers `/setup` and all below it.
pub fn router(setup: Setup) -> Router {
    Router::new()
        .route("/setup", get(home))
        .route("/setup/style.css", get(style))
        .route("/setup/{token}", get(look).post(open))
        .route("/setup/directories/{id}/tokens", post(make_token))
        .route("/setup/directories/{id}/tokens/{token}/revoke", post(revoke_token))
        .layer(middleware::from_fn_with_state(setup.clone(), from_here))
        .layer(middleware::from_fn_with_state(setup.clone(), finish))
        .with_state(setup)
}

/// What every answer has in common.
async fn finish(State(setup): State<Setup>, request: Request, next: Next) -> Response {
    let mut response = refusal::shown(&setup, next.run(request).await);
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn style() -> Response {
    // The same for everybody, and small; an hour old it may be.
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("setup/style.css")).into_response()
}

/// Shows a link and a button. Nothing is changed.
async fn look(
    State(setup): State<Setup>,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Result<Response, Refusal> {
    let link = setup.portal.link(digest(&token)).await?;
    let link = link.filter(|link| visitor.may_see(link.organization_id));
    let link = link.ok_or(Refusal::Unknown)?;
    match link.void(setup.edge.now()) {
        None => {
            let reach = Reach::Organization(link.organization_id);
            let organization = setup.organizations.get(reach, link.organization_id).await?;
            Ok(Html(page::invitation(&setup, &organization)).into_response())
        }
        Some(WhyVoid::Used) if visitor.has_opened(link.id) => Ok(see_other(setup.path(""))),
        Some(why) => Err(Refusal::Void(why, link.return_url)),
    }
}

/// Opens a link for this browser, and for no other.
async fn open(
    State(setup): State<Setup>,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Result<Response, Refusal> {
    let (token, now) = (digest(&token), setup.edge.now());
    // A link of others must not be used up by who may not see it.
    let link = setup.portal.link(token).await?;
    link.filter(|link| visitor.may_see(link.organization_id)).ok_or(Refusal::Unknown)?;
    let ticket = ticket(&*setup.edge);
    let session =
        NewPortalSession { digest: ticket.digest, expires_at: now.after(SESSION_LIFETIME) };
    match setup.portal.open(token, session, now).await? {
        Opening::Opened(_) => {
            let cookie = [(SET_COOKIE, cookie(&setup, &ticket.text))];
            Ok((cookie, see_other(setup.path(""))).into_response())
        }
        // The button was pressed twice.
        Opening::Void(link, WhyVoid::Used) if visitor.has_opened(link.id) => {
            Ok(see_other(setup.path("")))
        }
        Opening::Void(link, why) => Err(Refusal::Void(why, link.return_url)),
        Opening::Unknown => Err(Refusal::Unknown),
    }
}

/// The cookie of a session: scripts do not see it, other sites do not send it, and it stays below `/setup`.
fn cookie(setup: &Setup, text: &Secret) -> String {
    let (path, age) = (setup.path(""), SESSION_LIFETIME.as_secs());
    let secure = if setup.public_url.starts_with("https:") { "; Secure" } else { "" };
    let text = text.expose();
    format!("{SESSION_COOKIE}={text}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

/// The next page, with GET (RFC 9110 §15.4.4).
fn see_other(path: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

async fn home(State(setup): State<Setup>, visitor: Visitor) -> Result<Response, Refusal> {
    let session = visitor.session()?;
    let overview = overview(&setup, session).await?;
    Ok(Html(page::home(&setup, &overview, None)).into_response())
}

/// What an administrator sees.
struct Overview {
    organization: Organization,
    directories: Vec<Connection>,
    session: PortalSession,
}

/// A directory with what its identity provider is told.
struct Connection {
    directory: Directory,
    endpoint: String,
    tokens: Vec<Token>,
}

async fn overview(setup: &Setup, session: PortalSession) -> Result<Overview, Refusal> {
    let id = session.link.organization_id;
    let reach = Reach::Organization(id);
    let organization = setup.organizations.get(reach, id).await?;
    let request =
        PageRequest { reach, limit: DIRECTORIES_MAX, order: Order::Ascending, cursor: None };
    let filter = DirectoryFilter { organization: Some(id), ..DirectoryFilter::default() };
    let mut directories = Vec::new();
    for directory in setup.directories.list(request, filter).await?.items {
        let address = public_url_at(&setup.public_url, directory.host_name.as_ref());
        let endpoint = format!("{address}/scim/v2.0/{}", directory.endpoint_id);
        let tokens = setup.directories.tokens(reach, directory.id).await?;
        directories.push(Connection { directory, endpoint, tokens });
    }
    Ok(Overview { organization, directories, session })
}

/// Shows the token this once. It is the answer itself, so that it stands in no address and no cookie.
async fn make_token(
    State(setup): State<Setup>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let session = visitor.session()?;
    let id: DirectoryId = named(&id)?;
    let (new, text) = bearer_token(&*setup.edge);
    let reach = Reach::Organization(session.link.organization_id);
    match setup.directories.add_token(reach, id, new).await {
        Ok(_) => {}
        Err(PortError::Conflict(Conflict::LiveTokens)) => return Err(Refusal::TwoTokens),
        Err(PortError::NotFound) => return Err(Refusal::NoDirectory),
        Err(error) => return Err(error.into()),
    }
    api::reconcile(&*setup.streams, id).await;
    let overview = overview(&setup, session).await?;
    let made = page::Made { directory: id, token: &text };
    Ok((StatusCode::CREATED, Html(page::home(&setup, &overview, Some(&made)))).into_response())
}

async fn revoke_token(
    State(setup): State<Setup>,
    visitor: Visitor,
    Path((id, token)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let session = visitor.session()?;
    let id: DirectoryId = named(&id)?;
    let reach = Reach::Organization(session.link.organization_id);
    let revoked = setup.directories.revoke_token(reach, id, named(&token)?, setup.edge.now());
    match revoked.await {
        // It is void already: somebody was faster.
        Ok(()) | Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    api::reconcile(&*setup.streams, id).await;
    Ok(see_other(setup.path("")))
}

fn named<K: schemas::id::Kind>(text: &str) -> Result<Id<K>, Refusal> {
    text.parse().map_err(|_| Refusal::NoDirectory)
}
