//! The pages of dsync: what those who run it look at.
//!
//! `/console` is for whoever runs the server. `/setup` is for the administrators of an organization: whoever holds a
//! link sees its directories there, with what an identity provider has to be told.
//!
//! ```text
//!  request ──▶ session: who is it, is the form theirs ──▶ page ──▶ ports of the API and [`ports`] ──▶ HTML
//!                                                          │
//!                        feed goes on ──▶ live: events and changes, pushed to open pages
//! ```
//!
//! Every page is HTML made here and works without a script: to read, and to send forms. With one, lists
//! follow what happens and searches answer as one types. Nothing is loaded from elsewhere.
//!
//! It is *not* a second API: it reads and changes through the same ports, and never calls itself.
//!
//! Start with [`router()`] and [`Ports`], or with [`setup::router`]. A page is a file of `pages/`, put together from the pieces of
//! `parts`, in the frame of `layout`. Everything that goes wrong leaves through `error`.

pub mod setup;

mod assets;
mod brake;
mod certificate;
mod error;
mod explain;
mod form;
mod layout;
mod live;
mod map;
pub mod oidc;
mod pages;
mod parts;
pub mod password;
mod place;
mod policy;
pub mod ports;
mod providers;
mod rated;
mod rotation;
mod session;
mod sign_in;
mod trail;

use std::ops::Deref;
use std::sync::Arc;

use api::ports::{
    Audit, Deliveries, Directories, Directory, Endpoints, HostNames, Keys, Organizations,
    PortalLinks, Reading, Streams,
};
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use schemas::{DirectoryId, Edge};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use brake::Brake;
use pages::{
    api_keys, attribute_map, audit, directories, directory, endpoints, events, groups, hold,
    host_names, organization_deletion, organizations, portal_links, requests, roles, settings,
    start, tokens, users,
};
use ports::{Installation, Lookups, Pipeline, Sessions};
use session::Viewer;

pub use session::{SESSION_IDLE_MAX, SESSION_MAX};

/// What the pages are made of.
#[derive(Clone)]
pub struct Ports {
    /// Passwords and sessions.
    pub sessions: Arc<dyn Sessions>,
    /// The identity provider that people sign in with, if there is one.
    pub oidc: Option<oidc::Oidc>,
    /// Whether they may sign in with a password.
    pub password_sign_in: bool,
    /// What people look for.
    pub lookups: Arc<dyn Lookups>,
    /// What passes through the server.
    pub pipeline: Arc<dyn Pipeline>,
    /// Organizations.
    pub organizations: Arc<dyn Organizations>,
    /// Directories and their tokens.
    pub directories: Arc<dyn Directories>,
    /// API keys.
    pub keys: Arc<dyn Keys>,
    /// Links to the setup pages of organizations.
    pub portal_links: Arc<dyn PortalLinks>,
    /// Host names of organizations and directories.
    pub host_names: Arc<dyn HostNames>,
    /// What the server runs with.
    pub installation: Arc<Installation>,
    /// Webhook endpoints.
    pub endpoints: Arc<dyn Endpoints>,
    /// What webhook endpoints were sent.
    pub deliveries: Arc<dyn Deliveries>,
    /// What is done about webhook endpoints, with the judgement of the API.
    pub api: api::Api,
    /// Users, groups, events.
    pub reading: Arc<dyn Reading>,
    /// The history.
    pub audit: Arc<dyn Audit>,
    /// The event streams, which tell of what is changed here.
    pub streams: Arc<dyn Streams>,
    /// Ends what waits: the server drains.
    pub end: CancellationToken,
    /// Clock and dice.
    pub edge: Arc<dyn Edge>,
    /// Where the world reaches this installation, without a slash at the end.
    pub public_url: Arc<str>,
}

/// What the handlers share.
struct Console {
    ports: Ports,
    brake: Brake,
    /// The same for codes of the identity provider, so that neither closes the other.
    provider_brake: Brake,
    /// The same for sign-ins that begin there: a provider that does not answer is asked again each time.
    start_brake: Brake,
    /// How many of those who were not let in are recorded.
    failures: trail::Failures,
    /// Room for passwords that are being checked.
    checks: Semaphore,
    /// Room for pages that are being kept up to date.
    watching: Arc<Semaphore>,
    /// Whether the world reaches us by TLS.
    is_secure: bool,
}

impl Deref for Console {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.ports
    }
}

impl Console {
    fn new(ports: Ports) -> Self {
        Self {
            brake: Brake::of_passwords(),
            provider_brake: Brake::of_codes(),
            start_brake: Brake::of_codes(),
            failures: trail::Failures::new(),
            checks: Semaphore::new(sign_in::CHECKS_MAX),
            watching: Arc::new(Semaphore::new(live::WATCHING_MAX)),
            is_secure: ports.public_url.starts_with("https://"),
            ports,
        }
    }

    /// Where the identity provider of a directory sends its requests.
    fn scim_endpoint(&self, directory: &Directory) -> String {
        let address =
            schemas::host_name::public_url_at(&self.public_url, directory.host_name.as_ref());
        format!("{address}/scim/v2.0/{}", directory.endpoint_id)
    }

    /// Lets the event stream of a directory tell what configuration says, which somebody has changed. A failure is
    /// not theirs: what was asked for is done, and the stream catches up.
    async fn reconcile(&self, directory: DirectoryId, viewer: &Viewer) {
        api::reconcile_by(&*self.streams, directory, viewer.actor.clone()).await;
    }
}

/// Routes, and which there are: so that a test can walk them all.
struct Routes<S = Arc<Console>> {
    router: Router<S>,
    paths: Vec<String>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    fn route(mut self, path: &str, answers: MethodRouter<S>) -> Self {
        self.paths.push(path.to_owned());
        self.router = self.router.route(path, answers);
        self
    }

    fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        self.router = self.router.merge(other.router);
        self
    }
}

/// The pages of whoever runs the server, as a router.
pub fn router(ports: Ports) -> Router {
    let prefix: Arc<str> = schemas::host_name::path_of(&ports.public_url).into();
    routes()
        .router
        .layer(middleware::from_fn_with_state(ports.api.clone(), trail::conclude))
        .layer(DefaultBodyLimit::max(form::FORM_BYTES_MAX))
        .layer(middleware::from_fn(policy::protect))
        .layer(middleware::from_fn_with_state(prefix, place::below))
        .with_state(Arc::new(Console::new(ports)))
}

fn routes() -> Routes {
    Routes::default()
        .route("/console", get(start::show))
        .route("/console/", get(async || sign_in::to("/console")))
        .route("/console/assets/{name}", get(assets::show))
        .route("/console/sign-in", signing_in())
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/oidc/start", get(oidc::start))
        .route(oidc::CALLBACK, get(oidc::callback))
        .route("/console/session", get(live::session))
        .route("/console/changes", get(live::changes))
        .merge(configuration())
        .merge(delivery())
        .merge(history())
        .merge(rules())
        .merge(access())
        .route("/console/{*path}", get(pages::nowhere))
}

fn signing_in() -> MethodRouter<Arc<Console>> {
    let limit = DefaultBodyLimit::max(sign_in::SIGN_IN_BYTES_MAX);
    get(sign_in::show).post(sign_in::sign_in).layer(limit)
}

fn configuration() -> Routes {
    let organization = "/console/organizations/{organization}";
    let directory = "/console/directories/{directory}";
    let under = |base: &str, rest: &str| format!("{base}{rest}");
    Routes::default()
        .route("/console/organizations", get(organizations::list))
        .route("/console/organizations/new", get(organizations::new).post(organizations::create))
        .route(organization, get(organizations::show))
        .route(&under(organization, "/edit"), get(organizations::edit).post(organizations::update))
        .route(
            &under(organization, "/directories/new"),
            get(directories::new).post(directories::create),
        )
        .route(directory, get(directory::show))
        .route(&under(directory, "/edit"), get(directories::edit).post(directories::update))
        .route(&under(directory, "/delete"), get(directories::confirm).post(directories::delete))
        .route(&under(directory, "/tokens/new"), get(tokens::new).post(tokens::create))
        .route(
            &under(directory, "/tokens/{token}/revoke"),
            get(tokens::confirm).post(tokens::revoke),
        )
        .route(&under(directory, "/tokens/{token}/keep"), post(tokens::keep))
}

fn delivery() -> Routes {
    let list = "/console/endpoints";
    let endpoint = "/console/endpoints/{endpoint}";
    let under = |rest: &str| format!("{endpoint}{rest}");
    Routes::default()
        .route(list, get(endpoints::list))
        .route("/console/endpoints/new", get(endpoints::new).post(endpoints::create))
        .route(endpoint, get(endpoints::show))
        .route(&under("/edit"), get(endpoints::edit).post(endpoints::update))
        .route(&under("/enable"), post(endpoints::enable))
        .route(&under("/disable"), post(endpoints::disable))
        .route(&under("/delete"), get(endpoints::confirm).post(endpoints::delete))
        .route(&under("/rotate"), get(endpoints::rotation).post(endpoints::rotate))
        .route(&under("/test"), get(endpoints::sample).post(endpoints::test))
        .route(&under("/attempts/{attempt}"), get(endpoints::attempt))
        .route(&under("/replay"), get(endpoints::replay_new).post(endpoints::replay))
        .route(&under("/replays/{replay}"), get(endpoints::replay_show))
        .route(&under("/replays/{replay}/cancel"), post(endpoints::replay_cancel))
        .route("/console/directories/{directory}/release", get(hold::confirm).post(hold::release))
}

fn history() -> Routes {
    Routes::default()
        .route("/console/directories/{directory}/users", get(users::list))
        .route("/console/directories/{directory}/groups", get(groups::list))
        .route("/console/directories/{directory}/requests", get(requests::list))
        .route("/console/directories/{directory}/requests/{request}", get(requests::show))
        .route("/console/users/{user}", get(users::show))
        .route("/console/groups/{group}", get(groups::show))
        .route("/console/events", get(events::list))
        .route("/console/events/stream", get(events::stream))
        .route("/console/events/further", get(events::further))
        .route("/console/events/{event}", get(events::show))
        .route("/console/events/{event}/detail", get(events::detail))
}

/// What a directory makes of its users on the way to apps.
fn rules() -> Routes {
    let map = "/console/directories/{directory}/map";
    Routes::default()
        .route(map, get(attribute_map::show))
        .route(&format!("{map}/edit"), get(attribute_map::edit).post(attribute_map::update))
        .route("/console/directories/{directory}/roles", get(roles::edit).post(roles::update))
}

/// Who gets in, by which name, and with what the server runs.
fn access() -> Routes {
    let organization = "/console/organizations/{organization}";
    let under = |rest: &str| format!("{organization}{rest}");
    Routes::default()
        .route("/console/api-keys", get(api_keys::list))
        .route("/console/api-keys/new", get(api_keys::new).post(api_keys::create))
        .route("/console/api-keys/{key}/revoke", get(api_keys::confirm).post(api_keys::revoke))
        .route("/console/settings", get(settings::show))
        .route("/console/audit", get(audit::list))
        .route(&under("/links/new"), get(portal_links::new).post(portal_links::create))
        .route(
            &under("/links/{link}/revoke"),
            get(portal_links::confirm).post(portal_links::revoke),
        )
        .route(&under("/host-names/new"), get(host_names::new).post(host_names::create))
        .route(
            &under("/host-names/{name}/remove"),
            get(host_names::confirm).post(host_names::remove),
        )
        .route(
            &under("/delete"),
            get(organization_deletion::confirm).post(organization_deletion::delete),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_through_all_pages_leaves_none_out() {
        let listed = include_str!("../../tests/it/console_routes.txt");
        let listed: Vec<&str> = listed.lines().collect();
        assert_eq!(routes().paths, listed, "tests/it/console_routes.txt lists them in order");
    }
}
