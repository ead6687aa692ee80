//! The end of a process as its clients see it.
//!
//! ```text
//!  SIGTERM ──▶ draining: /readyz says 503, connections end with their answers
//!          ──▶ the listener closes
//!          ──▶ cut: what is not answered yet is told to come back
//! ```

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How many seconds whoever is sent away is to wait: another replica is there already.
const COME_BACK_AFTER: HeaderValue = HeaderValue::from_static("1");

const ENDING: &str = "this server is ending; whether the request was carried out is not known: look before you send \
    it again, or send it with the same Idempotency-Key";

/// A write of SCIM says what is to be, so a second one changes nothing or meets what the first has made.
const SCIM_ENDING: &str =
    "this server is ending; whether the request was carried out is not known: send it again";

/// When a process stops taking work, and when it stops answering.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// It is to end soon.
    pub draining: CancellationToken,
    /// It ends now.
    pub cut: CancellationToken,
}

/// Lets no request go without an answer when the process ends.
pub fn drain(routes: Router, ending: Ending) -> Router {
    routes.layer(middleware::from_fn_with_state(ending, answer))
}

async fn answer(State(ending): State<Ending>, request: Request, next: Next) -> Response {
    let scim = request.uri().path().starts_with("/scim/");
    let mut response = tokio::select! {
        biased;
        response = next.run(request) => response,
        () = ending.cut.cancelled() => told_to_come_back(scim),
    };
    if ending.draining.is_cancelled() {
        // The next request on this connection would meet a closed one.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn told_to_come_back(scim: bool) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let retry = (header::RETRY_AFTER, COME_BACK_AFTER);
    if scim {
        // RFC 7644 §3.12
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": "503", "detail": SCIM_ENDING,
        });
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/scim+json"));
        return (status, [kind, retry], body.to_string()).into_response();
    }
    let body = json!({"message": ENDING, "code": "service_unavailable"});
    (status, [retry], Json(body)).into_response()
}
