//! `/setup`: the pages of an organization's administrators.
//!
//! ```text
//!  GET  /setup/{token}            the link, with a button: looking at it does not use it
//!  POST /setup/{token}            opens it: a session in a cookie, and on to
//!  GET  /setup                    the directories of the organization; where there is none, the choice of a provider
//!  GET  /setup/directories/{id}   a guide that ticks itself off, what has arrived, a check-up, the tokens
//! ```
//!
//! Programs that read mail follow links before people do, so only the button opens one. Who holds a session sees one
//! organization, since every call of a port has its reach. Under the host name of a customer only that customer's links
//! and sessions are known.
//!
//! ```text
//!  ports ──▶ facts ──▶ steps:   which are done, which is next        pure
//!                 └──▶ checkup: what is wrong, and how to mend it    pure, with the guide of the provider
//! ```
//!
//! Who comes is found out in `visitor`, what goes wrong leaves through `refusal`, `frame` is around every page. A guide
//! is data under `guides/`.

mod arrived;
mod checkup;
mod connection;
mod facts;
mod findings_page;
mod frame;
mod guide;
mod guide_page;
mod guides;
mod home;
mod map;
mod refusal;
mod remedy;
mod seats;
mod steps;
mod tokens;
mod visitor;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{
    HostNames, NewPortalSession, Opening, Organization, PortError, Portal, PortalLink, Reach,
    SESSION_LIFETIME, WhyVoid,
};
use api::{Intended, Underway, digest, ticket};
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use maud::html;
use schemas::host_name::path_of;
use schemas::{Action, Actor};

use crate::form::FORM_BYTES_MAX;
use crate::policy::{PERMISSIONS_POLICY, POLICY, UNUSED};
use crate::ports::Arrivals;
use crate::{Console, Ports, Routes, assets, parts, trail};
use refusal::Refusal;
use seats::Seats;
use visitor::{Admin, Pressed, SESSION_COOKIE, Visitor, from_here, of_link};

/// What every answer says to browsers. The addresses of links go nowhere else, and nothing is kept that shows a token.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (PERMISSIONS_POLICY, UNUSED),
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
];

/// What the setup pages are made of.
#[derive(Clone)]
pub struct Setup {
    /// Links and sessions.
    pub portal: Arc<dyn Portal>,
    /// Host names of customers.
    pub host_names: Arc<dyn HostNames>,
    /// What identity providers have sent.
    pub arrivals: Arc<dyn Arrivals>,
    /// What the console is made of, too.
    pub pages: Ports,
}

/// What the handlers share.
#[derive(Clone)]
struct Site {
    portal: Arc<dyn Portal>,
    host_names: Arc<dyn HostNames>,
    arrivals: Arc<dyn Arrivals>,
    seats: Arc<Seats>,
    /// With room of its own for pages that are kept up to date: whoever runs the server is not kept out by customers.
    console: Arc<Console>,
}

impl Deref for Site {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.console.ports
    }
}

impl Site {
    /// A path of ours as browsers see it.
    fn path(&self, path: &str) -> String {
        format!("{}/setup{path}", path_of(&self.public_url))
    }
}

/// The setup pages as a router. It answers `/setup` and all below it.
pub fn router(setup: Setup) -> Router {
    let Setup { portal, host_names, arrivals, pages } = setup;
    let (seats, console) = (Arc::default(), Arc::new(Console::new(pages)));
    let api = console.api.clone();
    let site = Site { portal, host_names, arrivals, seats, console };
    routes()
        .router
        .layer(middleware::from_fn_with_state(api, trail::conclude))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn_with_state(site.clone(), from_here))
        .layer(middleware::from_fn_with_state(site.clone(), finish))
        .with_state(site)
}

fn routes() -> Routes<Site> {
    let directory = "/setup/directories/{directory}";
    let under = |rest: &str| format!("{directory}{rest}");
    Routes::default()
        .route("/setup", get(home::show))
        // A link of which the end was left out.
        .route("/setup/", get(async || Refusal::Unknown))
        .route("/setup/new", get(home::choose).post(home::create))
        .route("/setup/session", get(session))
        .route("/setup/sign-out", post(sign_out))
        .route("/setup/assets/{name}", get(asset))
        .route("/setup/{token}", get(look).post(open))
        .route(directory, get(connection::show))
        .route(&under("/changes"), get(connection::changes))
        .route(&under("/email-from-user-name"), post(remedy::email_from_user_name))
        .route(&under("/map"), get(map::edit).post(map::update))
        .route(&under("/tokens"), post(tokens::make))
        .route(&under("/tokens/{token}/revoke"), get(tokens::confirm).post(tokens::revoke))
        .route(&under("/tokens/{token}/keep"), post(tokens::keep))
        .route("/setup/{token}/{*path}", get(async || Refusal::NoPage))
}

/// What every answer has in common.
async fn finish(State(site): State<Site>, request: Request, next: Next) -> Response {
    let mut response = refusal::shown(&site, next.run(request).await);
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The files of the console: it is not there under the host name of a customer.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refusal> {
    assets::named(&name, &headers).ok_or(Refusal::NoPage)
}

/// Says whether the session lives, for pages whose stream has ended.
async fn session(_: Admin) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Ends the session at once. What it opened stays used: whoever comes back asks for another link.
async fn sign_out(
    State(site): State<Site>,
    Pressed { admin, .. }: Pressed,
) -> Result<Response, Refusal> {
    site.portal.end(admin.digest).await?;
    let body = html! {
        p { "Nobody can go on from this browser. The connections work on." }
        @if let Some(url) = &admin.session.link.return_url { p { a.button.primary href=(url) { "Go back" } } }
    };
    let none = [(SET_COOKIE, cookie(&site, "", Duration::ZERO))];
    Ok((none, frame::plain(&site, "You are signed out", &body)).into_response())
}

/// Shows a link and a button. Nothing is changed.
async fn look(
    State(site): State<Site>,
    visitor: Visitor,
    token: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    // What is no text is no link of ours.
    let Path(token) = token.map_err(|_| Refusal::Unknown)?;
    let link = site.portal.link(digest(&token)).await?;
    let link = link.filter(|link| visitor.may_see(link.organization_id));
    let link = link.ok_or(Refusal::Unknown)?;
    match link.void(site.edge.now()) {
        None => {
            let reach = Reach::Organization(link.organization_id);
            let organization = site.organizations.get(reach, link.organization_id).await?;
            Ok(invitation(&site, &organization).into_response())
        }
        Some(WhyVoid::Used) if visitor.has_opened(link.id) => Ok(see_other(site.path(""))),
        Some(why) => Err(Refusal::Void(why, link.return_url)),
    }
}

/// Opens a link for this browser, and for no other.
async fn open(
    State(site): State<Site>,
    visitor: Visitor,
    token: Result<Path<String>, PathRejection>,
    Extension(underway): Extension<Underway>,
    request: Request,
) -> Result<Response, Refusal> {
    let Path(token) = token.map_err(|_| Refusal::Unknown)?;
    let (token, now) = (digest(&token), site.edge.now());
    // A link of others must not be used up by who may not see it.
    let link = site.portal.link(token).await?;
    let link = link.filter(|link| visitor.may_see(link.organization_id));
    let link = link.ok_or(Refusal::Unknown)?;
    // Whoever has a link that opens nothing any more does nothing.
    if link.void(now).is_none() {
        let by = api::sender(&request.into_parts().0);
        record_opening(&site, &underway, &link, by).await?;
    }
    let ticket = ticket(&*site.edge);
    let session =
        NewPortalSession { digest: ticket.digest, expires_at: now.after(SESSION_LIFETIME) };
    match site.portal.open(token, session, now).await? {
        Opening::Opened(_) => {
            let cookie = [(SET_COOKIE, cookie(&site, ticket.text.expose(), SESSION_LIFETIME))];
            Ok((cookie, see_other(site.path(""))).into_response())
        }
        // The button was pressed twice.
        Opening::Void(link, WhyVoid::Used) if visitor.has_opened(link.id) => {
            Ok(see_other(site.path("")))
        }
        Opening::Void(link, why) => Err(Refusal::Void(why, link.return_url)),
        Opening::Unknown => Err(Refusal::Unknown),
    }
}

async fn record_opening(
    site: &Site,
    underway: &Underway,
    link: &PortalLink,
    by: Actor,
) -> Result<(), PortError> {
    let intended = Intended {
        action: Action::PortalLinkOpened,
        actor: of_link(link.id, by),
        organization_id: Some(link.organization_id),
        targets: vec![link.id.to_string()],
        fields: Vec::new(),
    };
    site.api.begin_action(underway, intended).await
}

/// The cookie of a session: scripts do not see it, other sites do not send it, and it stays below `/setup`.
fn cookie(site: &Site, text: &str, lasting: Duration) -> String {
    let (path, age) = (site.path(""), lasting.as_secs());
    let secure = if site.public_url.starts_with("https:") { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={text}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

/// The next page, with GET (RFC 9110 §15.4.4).
fn see_other(path: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

/// A link before it is opened.
fn invitation(site: &Site, organization: &Organization) -> Html<String> {
    let body = html! {
        p { "You can connect the identity provider of " (parts::text(&organization.name)) " here, so that users and groups arrive by themselves." }
        p.hint { "This link works once, in this browser. From then on the page is open for you for eight hours." }
        form method="post" { button.button.primary type="submit" { "Open the setup page" } }
    };
    frame::plain(site, "Set up directory sync", &body)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_walk_through_all_pages_leaves_none_out() {
        let listed = include_str!("../../tests/it/setup_routes.txt");
        let listed: Vec<&str> = listed.lines().collect();
        assert_eq!(super::routes().paths, listed, "tests/it/setup_routes.txt lists them in order");
    }
}
