//! `Idempotency-Key`: who sends a POST again, because the answer got lost, gets the same answer, and
//! nothing is done twice.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::auth::bearer;
use crate::body::BODY_BYTES_MAX;
use crate::error::Error;
use crate::ports::{Begun, Digest, KeptAnswer};
use crate::router::Api;
use crate::secrets::digest;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer is one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long the text may be: longer than any UUID, and too short to fill a store with.
const KEY_MAX: usize = 255;

/// The largest answer that is kept. What a POST answers is one object.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Lets requests without a key pass, and answers those with one once.
pub(crate) async fn once(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let (key, who) = (request.headers().get(IDEMPOTENCY_KEY), bearer(request.headers()));
    let (&Method::POST, Some(key), Some(who)) = (request.method(), key, who) else {
        return Ok(next.run(request).await);
    };
    if key.len() > KEY_MAX || key.is_empty() {
        let message = format!("Idempotency-Key must be a text of 1 to {KEY_MAX} characters.");
        return Err(Error::parameter("Idempotency-Key", "invalid", message));
    }
    // Only who may ask is told what was answered.
    if api.keys.by_digest(digest(who)).await?.is_none() {
        return Err(Error::Unauthorized);
    }
    let key = key_of(who, key);
    let (request, sent) = read(request).await?;
    match api.answers.begin(key, sent, api.edge.now()).await? {
        Begun::First => {}
        Begun::Answered(kept) => return Ok(again(kept)),
        Begun::Answering => return Err(Error::StillAnswering),
        Begun::OtherRequest => return Err(Error::OtherRequest),
    }
    // On a task of its own: a client that hangs up must not leave the key without an answer.
    let tasks = api.tasks.clone();
    let answered = tasks.spawn(async move { answer(api, key, next.run(request).await).await });
    Ok(answered.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
}

/// The same text from another caller is another key.
fn key_of(who: &str, key: &HeaderValue) -> Digest {
    let mut hash = Sha256::new_with_prefix(digest(who));
    hash.update(key.as_bytes());
    hash.finalize().into()
}

/// The request, and the digest of all that makes it.
async fn read(request: Request) -> Result<(Request, Digest), Error> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Error::TooLarge)?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let mut hash = Sha256::new_with_prefix(path);
    hash.update([0]);
    hash.update(&body);
    Ok((Request::from_parts(parts, Body::from(body)), hash.finalize().into()))
}

/// Keeps the answer, unless the same request may well be answered otherwise later.
async fn answer(api: Api, key: Digest, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_none_or(is_json);
    let (body, is_whole) = match to_bytes(body, ANSWER_BYTES_MAX).await {
        Ok(body) => (body, true),
        Err(_) => (Bytes::new(), false),
    };
    if !is_whole {
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    let lasts = is_json && is_whole && !may_change(parts.status);
    let kept = lasts.then(|| KeptAnswer { status: parts.status.as_u16(), body: body.clone() });
    if let Err(error) = api.answers.end(key, kept).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "could not keep the answer to an idempotent request"
        );
    }
    Response::from_parts(parts, Body::from(body))
}

fn is_json(kind: &HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"application/json")
}

/// What is the server's fault, or a matter of when it was asked.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        )
}

fn again(kept: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let replayed = (REPLAYED, HeaderValue::from_static("true"));
    if kept.body.is_empty() {
        return (status, [replayed]).into_response();
    }
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [json, replayed], kept.body).into_response()
}
