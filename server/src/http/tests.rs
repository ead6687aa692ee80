use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Extension;
use axum::body::Body;
use axum::routing::{get, post};
use schemas::Timestamp;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::telemetry::Telemetry;

#[derive(Default)]
struct Counting(AtomicU64);

impl Edge for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
    fn id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn secret(&self) -> [u8; 32] {
        [0; 32]
    }
    fn dice(&self) -> f64 {
        0.0
    }
}

async fn echo(Extension(id): Extension<RequestId>) -> String {
    id.to_string()
}

async fn breaks() -> String {
    panic!("on purpose")
}

fn server(readiness: Readiness) -> Router {
    let routes = Router::new()
        .route("/echo", get(echo))
        .route("/breaks", get(breaks))
        .route("/scim/breaks", get(breaks))
        .merge(operations(readiness, Telemetry::detached()));
    wrap(routes, passage(Ending::default()))
}

fn passage(ending: Ending) -> Passage {
    Passage { edge: Arc::new(Counting::default()), proxies: Proxies::default(), ending }
}

async fn ask(server: &Router, path: &str) -> (StatusCode, String, String, String) {
    let request = Request::get(path).header(X_REQUEST_ID, "mine").body(Body::empty()).unwrap();
    let response = server.clone().oneshot(request).await.unwrap();
    let text = |name: HeaderName| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let (id, kind) = (text(X_REQUEST_ID).unwrap(), text(header::CONTENT_TYPE).unwrap_or_default());
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, id, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_answer_carries_an_id_that_the_handler_knew_and_the_caller_did_not_choose() {
    let server = server(Readiness::default());
    let (status, id, _, body) = ask(&server, "/echo").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, id.as_str()));
    assert!(id.starts_with("req_"));
    let (status, other, _, _) = ask(&server, "/nowhere").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(other > id);
}

#[tokio::test]
async fn a_panic_is_an_answer_in_the_shape_of_its_caller() {
    let server = server(Readiness::default());
    let (status, id, kind, body) = ask(&server, "/breaks").await;
    assert_eq!((status, kind.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "application/json"));
    assert!(id.starts_with("req_") && !body.contains("on purpose"));
    let (_, _, kind, body) = ask(&server, "/scim/breaks").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((kind.as_str(), &body["status"]), ("application/scim+json", &json!("500")));
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let ready = Readiness::default().with("log", Weight::Told, || async { Ok(()) });
    let (status, _, _, body) = ask(&server(ready.clone()), "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, r#"{"checks":{"log":"ok"},"status":"ready"}"#);

    let not = ready.with("store", Weight::Needed, || async { Err("the disk is full".to_owned()) });
    let (status, _, _, body) = ask(&server(not), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["checks"], json!({"log": "ok", "store": "the disk is full"}));
}

#[tokio::test]
async fn what_can_be_done_without_is_told_and_takes_nobody_out() {
    let lame = Readiness::default().with("log", Weight::Told, || async { Err("away".to_owned()) });
    let (status, _, _, body) = ask(&server(lame), "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, r#"{"checks":{"log":"away"},"status":"degraded"}"#);
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_for_a_second_however_often_it_is_asked_for() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let ready = Readiness::default().with("log", Weight::Needed, move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    let server = server(ready);
    for _ in 0..20 {
        ask(&server, "/readyz").await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(std::time::Duration::from_millis(1_001)).await;
    ask(&server, "/readyz").await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_process_that_ends_says_so_before_it_does_and_leaves_no_request_unanswered() {
    let ending = Ending::default();
    let routes = operations(Readiness::until(ending.draining.clone()), Telemetry::detached());
    let routes = routes
        .route("/scim/slow", get(std::future::pending::<()>))
        .route("/quick", get(|| async {}));
    let server = wrap(routes, passage(ending.clone()));
    let call = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        server.clone().oneshot(request)
    };
    assert_eq!(call("/readyz").await.unwrap().status(), StatusCode::OK);
    ending.draining.cancel();
    assert_eq!(call("/readyz").await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let quick = call("/quick").await.unwrap();
    assert_eq!(quick.status(), StatusCode::OK, "it still serves");
    assert_eq!(quick.headers()["connection"], "close");
    let (slow, ()) = tokio::join!(call("/scim/slow"), async { ending.cut.cancel() });
    let slow = slow.unwrap();
    assert_eq!(slow.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(slow.headers().contains_key("retry-after"));
    assert_eq!(slow.headers()["content-type"], "application/scim+json");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_is_not_ready() {
    let stuck = Readiness::default().with("log", Weight::Needed, std::future::pending);
    let (status, _, _, body) = ask(&server(stuck), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("no answer within 2s"), "{body}");
}

#[tokio::test]
async fn health_needs_nothing_and_metrics_are_prometheus_text() {
    let server =
        server(Readiness::default().with("log", Weight::Needed, || async { Err(String::new()) }));
    assert_eq!(ask(&server, "/healthz").await.0, StatusCode::OK);
    let (status, _, kind, _) = ask(&server, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(kind.starts_with("text/plain; version=0.0.4"));
}

#[test]
fn requests_are_counted_by_route_and_not_by_path() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        let routes = Router::new().route("/users/{id}", get(|| async {}));
        let server = wrap(routes, passage(Ending::default()));
        runtime.block_on(async {
            ask(&server, "/users/1").await;
            ask(&server, "/users/2").await;
            ask(&server, "/wp-login.php").await;
        });
    });
    let text = handle.render();
    let line = |route, status, count| {
        format!(
            "http_requests_total{{method=\"GET\",route=\"{route}\",status=\"{status}\"}} {count}\n"
        )
    };
    assert!(text.contains(&line("/users/{id}", 200, 2)), "{text}");
    assert!(text.contains(&line("unmatched", 404, 1)), "{text}");
}

#[test]
fn the_token_of_a_setup_page_is_not_logged() {
    assert_eq!(loggable("/setup/abc"), "/setup/***");
    assert_eq!(loggable("/setup/abc/scim"), "/setup/***/scim");
    assert_eq!(loggable("/directories/directory_1"), "/directories/directory_1");
}

/// A body of which nothing comes.
async fn send_nothing(server: &Router, path: &str) -> Response {
    let nothing = futures_util::stream::pending::<Result<String, Infallible>>();
    let request = Request::post(path).body(Body::from_stream(nothing)).unwrap();
    server.clone().oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let read = async |body: Result<String, axum::extract::rejection::StringRejection>| match body {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    };
    let routes = Router::new().route("/scim/read", post(read)).route("/read", post(read));
    let server = wrap(routes, passage(Ending::default()));
    let began = tokio::time::Instant::now();
    let answer = send_nothing(&server, "/read").await;
    assert_eq!(began.elapsed(), timely::BODY_WITHIN);
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers()["connection"], "close", "the rest of it may still come");
    let answer = send_nothing(&server, "/scim/read").await;
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers()["content-type"], "application/scim+json");
    let request = Request::post("/read").body(Body::from("whole")).unwrap();
    let answer = server.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
