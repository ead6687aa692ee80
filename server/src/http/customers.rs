//! What answers under the host names of customers, and what does not.

use std::sync::Arc;

use api::ports::HostNames;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::uri::Authority;
use http::{StatusCode, header};
use schemas::HostName;
use serde_json::json;

/// Keeps routes away from the host names of customers, where they are answered as if they were not there: a customer's
/// name leads to its directories, not to the API and the pages of whoever runs the server.
pub fn not_for_customers(
    routes: Router,
    host_names: Arc<dyn HostNames>,
    public_url: Arc<str>,
) -> Router {
    routes.layer(middleware::from_fn_with_state((host_names, public_url), keep_away))
}

async fn keep_away(
    State((host_names, public_url)): State<(Arc<dyn HostNames>, Arc<str>)>,
    request: Request,
    next: Next,
) -> Response {
    let target = request.uri().authority().map(Authority::as_str);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = HostName::of_request(target, host, &public_url);
    if host.is_some_and(|host| host_names.by_name(&host).is_some()) {
        let body = json!({ "code": "not_found", "message": "There is no such path." });
        return (StatusCode::NOT_FOUND, Json(body)).into_response();
    }
    next.run(request).await
}
