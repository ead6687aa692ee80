//! The token endpoint: access tokens for client credentials (RFC 6749 §4.4).
//!
//! An access token opens the SCIM endpoint of its directory as a bearer token does, until it expires.
//! How a request is read stands in `request`, everything that goes wrong in `refusal`; what is issued
//! to whom is decided behind the [`Clients`] port.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::Edge;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::auth;
use crate::body::collect;
use crate::ports::{Clients, Issue};
use refusal::Refusal;

mod refusal;
mod request;

/// Where the token endpoint is, below the public URL.
pub const TOKEN_PATH: &str = "/scim/oauth/token";

/// The largest request: twenty times what an identity provider sends.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// RFC 6749 §5.1: what may hold tokens is not kept on the way.
const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_TYPE, "application/json;charset=UTF-8"),
    (CACHE_CONTROL, "no-store"),
    (PRAGMA, "no-cache"),
];

/// What the token endpoint is made of.
#[derive(Clone)]
pub struct Oauth {
    /// The clients.
    pub clients: Arc<dyn Clients>,
    /// Where identity providers reach this installation, without a slash at the end.
    pub public_url: Arc<str>,
    /// The dice that tokens are made with.
    pub edge: Arc<dyn Edge>,
}

/// The token endpoint as a router. It answers [`TOKEN_PATH`] alone.
pub fn router(oauth: Oauth) -> Router {
    let route = post(token).fallback(async || Refusal::NoMethod);
    Router::new().route(TOKEN_PATH, route).with_state(oauth)
}

async fn token(State(oauth): State<Oauth>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let body = collect(body, BODY_BYTES_MAX).await?;
    let client = request::read(&parts.headers, &body)?;
    let host = auth::host(&parts, &oauth.public_url);
    let token = format!("dsync_access_{}", URL_SAFE_NO_PAD.encode(oauth.edge.secret()));
    let digest = Sha256::digest(&token).into();
    match oauth.clients.issue(&client.id, client.secret, digest, host.as_ref()).await? {
        Issue::Issued { lifetime } => {
            let expires_in = lifetime.as_secs();
            let issued = Issued { access_token: token, token_type: "Bearer", expires_in };
            Ok(answer(StatusCode::OK, &issued))
        }
        Issue::Unknown => Err(Refusal::Unauthenticated),
        Issue::TooMany { wait } => Err(Refusal::TooMany(wait)),
    }
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct Issued {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("texts and numbers are always JSON");
    (status, HEADERS, Body::from(bytes)).into_response()
}
