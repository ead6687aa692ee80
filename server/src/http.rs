//! What every HTTP request passes, whichever role answers it: a connection, an id, a span, a time for its body, a line in
//! the log, a count, a net under panics. And the three pages for those who run the server.
//!
//! ```text
//!  connection ──▶ request ──▶ client's address ──▶ Edge::id ──▶ span ──▶ net under panics ──▶ role
//!  X-Request-ID ◀── log line, count ◀── too late, ending, or broken? ◀────────────────────────┘
//! ```

use std::borrow::Cow;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::Route;
use axum::{Json, Router};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use schemas::{Edge, RequestId};
use serde_json::json;
use tower::layer::layer_fn;
use tower::{Service as _, service_fn};
use tracing::Instrument as _;

use counts::Counts;

mod connections;
mod counts;
mod customers;
mod drain;
mod forwarded;
mod operations;
mod timely;

pub use connections::{Limits, Serving, allow_open_files};
pub use customers::not_for_customers;
pub use drain::Ending;
pub use forwarded::Proxies;
pub use operations::{Readiness, Weight, operations};

/// The header that carries the id of a request back to who made it.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request has to do with.
#[derive(Clone)]
pub struct Passage {
    /// Gives each its id.
    pub edge: Arc<dyn Edge>,
    /// Who may say for whom a request comes.
    pub proxies: Proxies,
    /// When no more are taken, and when none is answered any more.
    pub ending: Ending,
}

/// What the layer around all routes has.
struct Around {
    passage: Passage,
    counts: Counts,
}

/// Puts the layers around the routes of all roles.
///
/// Every request gets a [`RequestId`] among its extensions. An `X-Request-ID` from outside is
/// ignored: the id stands in the log and in records, and nobody else may choose it.
pub fn wrap(routes: Router, passage: Passage) -> Router {
    let around = Arc::new(Around { passage, counts: Counts::default() });
    // By hand: `axum::middleware::from_fn` copies the routes once more for each request, and its futures keep room for the
    // request several times, which is memory that is not in the processor's cache.
    routes.layer(layer_fn(move |mut route: Route| {
        let around = Arc::clone(&around);
        service_fn(move |request| pass(&around, request, &mut route))
    }))
}

/// Marks the answer of a handler that panicked.
#[derive(Clone, Copy)]
struct Panicked;

fn pass(
    around: &Arc<Around>,
    mut request: Request,
    route: &mut Route,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let passage = &around.passage;
    forwarded::tell_client(&mut request, &passage.proxies);
    let id = RequestId::from_bits(passage.edge.id());
    request.extensions_mut().insert(id);
    let seen = Seen::of(&request);
    let path = loggable(request.uri().path());
    let span = tracing::info_span!("request", request.id = %id, http.method = seen.method, http.path = &*path);
    let started = tokio::time::Instant::now();
    let (request, late) = timely::within(request, timely::BODY_WITHIN);
    let answered = AssertUnwindSafe(route.call(request)).catch_unwind();
    let around = Arc::clone(around);
    async move {
        let answered = answered.map(|answered| match answered {
            Ok(Ok(response)) => response,
            Err(panic) => panicked(panic),
        });
        let mut response = around.passage.ending.answer(answered, seen.caller).await;
        if response.extensions_mut().remove::<Panicked>().is_some() {
            response = seen.caller.broken();
        } else if late.is_late() {
            response = seen.caller.too_late();
        }
        seen.report(&around.counts, response.status(), started.elapsed());
        let value = HeaderValue::from_str(&id.to_string()).expect("an id is plain ASCII");
        response.headers_mut().insert(X_REQUEST_ID, value);
        Ok(response)
    }
    .instrument(span)
}

/// What is told of a request after it has been answered.
struct Seen {
    method: &'static str,
    matched: Option<MatchedPath>,
    is_probe: bool,
    caller: Caller,
}

impl Seen {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        Self {
            method: method_label(request.method()),
            matched: request.extensions().get().cloned(),
            // They come every few seconds and say nothing that the metrics do not say.
            is_probe: matches!(path, "/healthz" | "/readyz" | "/metrics"),
            caller: Caller::of(path),
        }
    }

    fn report(&self, counts: &Counts, status: StatusCode, duration: Duration) {
        // The route, not the path: a label with an id in it would be a metric for each user.
        let route = self.matched.as_ref().map_or("unmatched", MatchedPath::as_str);
        counts.count(self.method, route, status, duration);
        let (status, duration_ms) = (status.as_u16(), duration.as_secs_f64() * 1_000.0);
        if self.is_probe {
            tracing::debug!(http.status = status, duration_ms, "answered {status}");
        } else {
            tracing::info!(http.status = status, duration_ms, "answered {status}");
        }
    }
}

/// In which shape a caller reads what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// RFC 7644 §3.12
    Scim,
    /// As the rest of the API says it.
    Api,
}

const INTERNAL: &str =
    "Internal server error. The log of the server has more under this request's id.";

const TOO_LATE: &str = "The body of the request has not come in time. Send it again, over a faster connection or with less \
    in it.";

impl Caller {
    fn of(path: &str) -> Self {
        if path.starts_with("/scim/") { Self::Scim } else { Self::Api }
    }

    fn refuse(self, status: StatusCode, code: &str, message: &str) -> Response {
        match self {
            Self::Scim => {
                let body = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
                    "status": status.as_str(), "detail": message,
                });
                let kind = (header::CONTENT_TYPE, "application/scim+json");
                (status, [kind], body.to_string()).into_response()
            }
            Self::Api => (status, Json(json!({"message": message, "code": code}))).into_response(),
        }
    }

    /// The handler panicked.
    fn broken(self) -> Response {
        self.refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", INTERNAL)
    }

    /// What is still to come of the body must not be taken for another request.
    fn too_late(self) -> Response {
        let mut response = self.refuse(StatusCode::REQUEST_TIMEOUT, "request_timeout", TOO_LATE);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// The panic itself is logged by the hook, in the span of the request.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Panicked);
    response
}

/// A method is free text on the wire; a label must not be.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The path as it may stand in a log line: whoever holds the link of a setup page may use it, so the
/// token in it is left out.
fn loggable(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("/setup/") {
        Some(rest) => match rest.split_once('/') {
            Some((_, page)) => format!("/setup/***/{page}").into(),
            None => "/setup/***".into(),
        },
        None => path.into(),
    }
}

#[cfg(test)]
mod tests;
