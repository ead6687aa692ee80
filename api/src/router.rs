//! The routes, and what the handlers share.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use schemas::host_name::public_url_at;
use schemas::{Actor, DirectoryId, Edge, HostName};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::BODY_BYTES_MAX;
use crate::error::Error;
use crate::limits::Limits;
use crate::ports::{
    AdminEvents, Answers, Audit, Deliveries, Directories, Endpoints, HostNames, KeyPair, Keys,
    OauthClients, Organizations, PortalLinks, Reading, Streams, Trials, VerificationKeys, Verifier,
};
use crate::waiting::WaitingRoom;
use crate::{calls, openapi};

/// How long a write waits for the event stream to tell of it. The write itself has happened; a longer
/// wait would only make clients repeat it.
pub const RECONCILE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Says why webhooks must not go to a URL, in words for whoever typed it.
pub type CheckUrl = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Says why a chain of certificates and a key, in PEM form, cannot be used, in words for whoever sent them.
pub type CheckCertificate = Arc<dyn Fn(&str, &str) -> Result<(), String> + Send + Sync>;

/// The pair of keys that follows from 32 secret bytes.
pub type MakeKeyPair = Arc<dyn Fn(&[u8; 32]) -> KeyPair + Send + Sync>;

/// What the API is made of.
#[derive(Clone)]
pub struct Api {
    /// API keys.
    pub keys: Arc<dyn Keys>,
    /// Organizations.
    pub organizations: Arc<dyn Organizations>,
    /// Directories and their tokens.
    pub directories: Arc<dyn Directories>,
    /// The OAuth clients of directories.
    pub oauth_clients: Arc<dyn OauthClients>,
    /// Host names of organizations and directories.
    pub host_names: Arc<dyn HostNames>,
    /// Links to the setup pages of organizations.
    pub portal_links: Arc<dyn PortalLinks>,
    /// Webhook endpoints.
    pub endpoints: Arc<dyn Endpoints>,
    /// What webhook endpoints were sent.
    pub deliveries: Arc<dyn Deliveries>,
    /// What sends them a sample.
    pub trials: Arc<dyn Trials>,
    /// Users, groups, events.
    pub reading: Arc<dyn Reading>,
    /// The history, for auditors.
    pub audit: Arc<dyn Audit>,
    /// What people and keys do here.
    pub admin_events: Arc<dyn AdminEvents>,
    /// The walk through the log.
    pub verifier: Arc<dyn Verifier>,
    /// What tokens are checked with.
    pub verification_keys: Arc<dyn VerificationKeys>,
    /// The event streams.
    pub streams: Arc<dyn Streams>,
    /// How often a key may be used.
    pub limits: Arc<Limits>,
    /// Answers to requests that may come again.
    pub answers: Arc<dyn Answers>,
    /// Where what a request began is ended, also when its client has hung up.
    pub tasks: TaskTracker,
    /// Room for answers that wait.
    pub waiting: Arc<WaitingRoom>,
    /// Ends what waits: the server drains.
    pub end: CancellationToken,
    /// Clock and dice.
    pub edge: Arc<dyn Edge>,
    /// Judges the URLs of webhook endpoints.
    pub check_url: CheckUrl,
    /// Judges the certificates that are shown to them.
    pub check_certificate: CheckCertificate,
    /// Makes the keys that sign for them beside their secrets.
    pub make_key_pair: MakeKeyPair,
    /// Where the world reaches this installation, without a slash at the end.
    pub public_url: Arc<str>,
}

impl Api {
    /// Where a directory or an organization with this host name is reached.
    pub(crate) fn address(&self, host_name: Option<&HostName>) -> Cow<'_, str> {
        public_url_at(&self.public_url, host_name)
    }

    /// See [`reconcile_by`].
    pub(crate) async fn reconcile(&self, directory: DirectoryId, actor: Actor) {
        reconcile_by(&*self.streams, directory, actor).await;
    }
}

/// Lets the event stream of a directory tell what configuration says, which this actor has changed. A failure is not
/// theirs: what was asked for is done, and the stream catches up.
pub async fn reconcile_by(streams: &dyn Streams, directory: DirectoryId, actor: Actor) {
    let done = tokio::time::timeout(RECONCILE_WAIT_MAX, streams.reconcile(directory, actor));
    match done.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            directory.id = %directory,
            "event stream does not tell yet what configuration says"
        ),
        Err(_) => tracing::warn!(
            directory.id = %directory,
            "event stream takes long to tell what configuration says"
        ),
    }
}

/// The API as a router. Paths that it does not know are answered too, so it goes last where routers
/// are put together.
pub fn router(api: Api) -> Router {
    calls::sections()
        .into_iter()
        .flat_map(|section| section.calls)
        .fold(Router::new(), |router, call| call.route(router, &api))
        .route("/openapi.json", get(openapi::show))
        .route("/docs", get(openapi::page))
        .method_not_allowed_fallback(async || Error::NoMethod)
        .fallback(async || Error::NoRoute)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}
