//! The pages of dsync.
//!
//! So far one: `/console` says that the server runs and where its interfaces are. It is served from
//! the binary and loads nothing from elsewhere.

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing but the page itself and its own style: no script, no frame, no request to anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The pages as a router.
pub fn router() -> Router {
    Router::new().route("/console", get(console))
}

async fn console() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, include_str!("console.html"))
}
