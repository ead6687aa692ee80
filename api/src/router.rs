//! The routes, and what the handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use schemas::{DirectoryId, Edge};

use crate::body::BODY_BYTES_MAX;
use crate::error::Error;
use crate::ports::{
    Directories, Endpoints, KeyPair, Keys, OauthClients, Organizations, Reading, Streams,
    VerificationKeys,
};
use crate::{
    api_keys, directories, endpoints, events, groups, jwks, oauth, organizations, outward,
    requests, scim_settings, tokens, users,
};

/// How long a write waits for the event stream to tell of it. The write itself has happened; a longer
/// wait would only make clients repeat it.
const RECONCILE_WAIT_MAX: Duration = Duration::from_secs(10);

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
    /// Webhook endpoints.
    pub endpoints: Arc<dyn Endpoints>,
    /// Users, groups, events.
    pub reading: Arc<dyn Reading>,
    /// What tokens are checked with.
    pub verification_keys: Arc<dyn VerificationKeys>,
    /// The event streams.
    pub streams: Arc<dyn Streams>,
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
    /// Lets the event stream of a directory tell what configuration says. A failure is not the
    /// caller's: what was asked for is done, and the stream catches up.
    pub(crate) async fn reconcile(&self, directory: DirectoryId) {
        let done = tokio::time::timeout(RECONCILE_WAIT_MAX, self.streams.reconcile(directory));
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
}

/// The API as a router. Paths that it does not know are answered too, so it goes last where routers
/// are put together.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/organizations", get(organizations::list).post(organizations::create))
        .route("/organizations/external_id/{external_id}", get(organizations::get_by_external_id))
        .route(
            "/organizations/{id}",
            get(organizations::get).put(organizations::update).delete(organizations::delete),
        )
        .route("/directories", get(directories::list).post(directories::create))
        .route("/directories/{id}", get(directories::get).delete(directories::delete))
        .route(
            "/directories/{id}/scim_settings",
            get(scim_settings::get).patch(scim_settings::update),
        )
        .route("/directories/{id}/requests", get(requests::list))
        .route("/directories/{id}/tokens", get(tokens::list).post(tokens::create))
        .route("/directories/{id}/tokens/{token_id}", delete(tokens::revoke))
        .route("/directories/{id}/oauth_client", get(oauth::show).patch(oauth::update))
        .route("/directories/{id}/oauth_client/secrets", post(oauth::create_secret))
        .route("/directories/{id}/oauth_client/secrets/{secret_id}", delete(oauth::revoke_secret))
        .route("/directory_users", get(users::list))
        .route("/directory_users/{id}", get(users::get))
        .route("/directory_groups", get(groups::list))
        .route("/directory_groups/{id}", get(groups::get))
        .route("/events", get(events::list))
        .route("/events/{id}", get(events::get))
        .route("/webhook_endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/webhook_endpoints/{id}",
            get(endpoints::get).patch(endpoints::update).delete(endpoints::delete),
        )
        .route("/webhook_endpoints/{id}/rotate_secret", post(outward::rotate_secret))
        .route("/.well-known/jwks.json", get(jwks::show))
        .route("/api_keys", get(api_keys::list).post(api_keys::create))
        .route("/api_keys/{id}", delete(api_keys::delete))
        .method_not_allowed_fallback(async || Error::NoMethod)
        .fallback(async || Error::NoRoute)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}
