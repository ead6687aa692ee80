//! Whole requests.
//!
//! ```text
//! POST /Users
//! content-type: application/json
//!
//! {"userName":"ada"}
//! ```

use std::sync::Mutex;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::world::{ENDPOINT, TOKEN, World};

/// After how many requests a new world begins: lists of everything stay short, and each request is
/// fast.
const REQUESTS_MAX: usize = 2_000;

static WORLD: Mutex<Option<(World, usize)>> = Mutex::new(None);

/// Whatever comes, the answer is SCIM: a status that fits, an error body that says so too, and nothing
/// that is the service's own fault.
pub fn request(data: &[u8]) {
    let Some(request) = read(data) else { return };
    let told = format!("{} {}", request.method(), request.uri());
    let mut world = WORLD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if world.as_ref().is_none_or(|(_, requests)| *requests >= REQUESTS_MAX) {
        *world = Some((World::new(), 0));
    }
    let (world, requests) = world.as_mut().expect("it was just made");
    *requests += 1;
    let World { runtime, router, .. } = &*world;
    let is_head = request.method() == http::Method::HEAD;
    let names_json = names_json(&request);
    let (status, kind, body) = runtime.block_on(async {
        let answer = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        take_apart(answer).await
    });
    let fits = match kind.as_deref() {
        Some("application/scim+json") => true,
        Some("application/json") => names_json,
        Some(_) | None => false,
    };
    assert!(fits || body.is_empty(), "{told}: {status} as {kind:?}");
    check(&told, is_head, status, &body);
}

/// Whether the request asks for plain JSON by its name.
fn names_json(request: &Request<Body>) -> bool {
    let accepted = request.headers().get_all(http::header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("application/json"))
}

async fn take_apart(answer: Response<Body>) -> (StatusCode, Option<String>, Vec<u8>) {
    let kind = answer.headers().get(http::header::CONTENT_TYPE);
    let kind = kind.map(|kind| kind.to_str().expect("it is ASCII").to_owned());
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("the body ends");
    (status, kind, body.to_bytes().to_vec())
}

fn check(told: &str, is_head: bool, status: StatusCode, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    assert!(
        !status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED,
        "{told}: {status}: {text}"
    );
    if body.is_empty() {
        let may = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        assert!(may || is_head, "{told}: {status} without a body");
        return;
    }
    let body: Value = serde_json::from_slice(body).expect("JSON");
    if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED {
        let error = "urn:ietf:params:scim:api:messages:2.0:Error";
        assert_eq!(body["schemas"], serde_json::json!([error]), "{told}: {text}");
        assert_eq!(body["status"], status.as_u16().to_string(), "{told}: {text}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{told}: {text}");
    }
}

/// None if HTTP itself would not let it through.
fn read(data: &[u8]) -> Option<Request<Body>> {
    let split = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = split.map_or((data, &data[..0]), |at| (&data[..at], &data[at + 2..]));
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/scim/v2.0/{ENDPOINT}{path}"))
        .header("authorization", format!("Bearer {TOKEN}"));
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request
        .body(Body::from(body.to_vec()))
        .ok()
        .filter(|request| request.uri().path().starts_with("/scim/v2.0/"))
}
