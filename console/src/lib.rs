//! The pages of dsync.
//!
//! `/console` says that the server runs and where its interfaces are. `/setup` is for the administrators of an
//! organization: whoever holds a link sees its directories there, with what an identity provider has to be told. All
//! of it is served from the binary and loads nothing from elsewhere.
//!
//! It is *not* a second way to configure: it writes through the ports of the API, and little of that.
//!
//! Start with [`setup::router`].

pub mod setup;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing but the page itself and its own style: no script, no frame, no request to anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The pages of whoever runs the server, as a router.
pub fn router() -> Router {
    Router::new().route("/console", get(console))
}

async fn console() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, include_str!("console.html"))
}
