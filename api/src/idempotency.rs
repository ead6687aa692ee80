//! `Idempotency-Key`: who sends a POST again, because the answer got lost, gets the same answer, and
//! nothing is done twice.
//!
//! A key is taken before the work begins and durably, so the work is done at most once: if the process dies
//! before the answer is kept, who asks again is told that nobody knows what came of it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use schemas::ApiKeyId;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::auth::{admit, bearer};
use crate::body::whole;
use crate::error::{Error, Unsure};
use crate::ports::{Answers, Begun, Digest, KeptAnswer};
use crate::router::Api;
use crate::secrets::digest;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer is one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long the text may be: longer than any UUID, and too short to fill a store with.
const KEY_MAX: usize = 255;

/// The largest answer that is kept as it is: twice what the largest organization takes. An endpoint and a directory
/// are smaller, but for a directory whose map is a megabyte of paths.
const KEPT_BYTES_MAX: usize = 512 * 1024;

/// How long to wait for the answer to the same request before it: longer than the slowest call takes, which
/// waits 10 seconds for an event stream, and less than the 25 seconds after which an SDK gives up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);

/// How long to wait before looking again whether it is there, at first and at most. Another machine may be answering,
/// so there is nobody to wake who waits.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Lets requests without a key pass, and answers those with one once. For calls that change something.
pub(crate) async fn once(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let Some(text) = request.headers().get(IDEMPOTENCY_KEY).cloned() else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    // Only who may ask is told what was answered, and being told counts as asking.
    let caller = admit(&mut parts, &api).await?.id;
    let who = bearer(&parts.headers).ok_or(Error::Unauthorized)?;
    if text.len() > KEY_MAX || text.is_empty() {
        let message = format!("Idempotency-Key must be a text of 1 to {KEY_MAX} characters.");
        return Err(Error::parameter("Idempotency-Key", "invalid", message));
    }
    let body = whole(body).await?;
    let (key, sent) = (key_of(who, &text), sent(&parts.uri, &body));
    match begin(&api, caller, key, sent).await? {
        Begun::First => {}
        Begun::Answered(kept) => return Ok(again(kept)),
        Begun::Answering => return Err(Error::StillAnswering),
        Begun::Unresolved => return Err(Error::NeverAnswered),
        Begun::OtherRequest => return Err(Error::OtherRequest),
    }
    // On a task of its own: a client that hangs up must not leave the key without an answer.
    let request = Request::from_parts(parts, Body::from(body));
    let tasks = api.tasks.clone();
    let work = async move {
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => Ok(answer(api, key, response).await),
            Err(panic) => {
                keep(&*api.answers, key, Some(unresolved().await)).await;
                Err(panic)
            }
        }
    };
    match tasks.spawn(work.in_current_span()).await {
        Ok(Ok(answered)) => Ok(answered),
        // Answered where those are answered that happen without a key.
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => Err(Error::NeverAnswered),
    }
}

/// Takes the key; if the same request is being answered, waits for that for a while.
async fn begin(api: &Api, caller: ApiKeyId, key: Digest, sent: Digest) -> Result<Begun, Error> {
    let deadline = Instant::now() + ANSWER_WAIT_MAX;
    // Without room for one more who waits, the client is told at once and asks again.
    let place = api.waiting.take(caller);
    let mut pause = PAUSE_MIN;
    loop {
        let begun = api.answers.begin(key, sent, api.edge.now()).await?;
        let waits = begun == Begun::Answering && place.is_some() && Instant::now() < deadline;
        if !waits {
            return Ok(begun);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = api.end.cancelled() => return Ok(begun),
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// The same text from another caller is another key.
fn key_of(who: &str, key: &HeaderValue) -> Digest {
    let mut hash = Sha256::new_with_prefix(digest(who));
    hash.update(key.as_bytes());
    hash.finalize().into()
}

/// The digest of all that makes a request.
fn sent(uri: &Uri, body: &[u8]) -> Digest {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let mut hash = Sha256::new_with_prefix(path);
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

/// Keeps the answer, unless the same request may well be answered otherwise later. Who asks again for what may have been
/// done is told that nobody knows: it is not done again.
async fn answer(api: Api, key: Digest, response: Response) -> Response {
    if response.extensions().get::<Unsure>().is_some() {
        keep(&*api.answers, key, Some(unresolved().await)).await;
        return response;
    }
    let (parts, body) = response.into_parts();
    // It lies in memory whole, as it would without a key.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_none_or(is_json);
    let lasts = is_json && !may_change(parts.status);
    let kept =
        lasts.then(|| KeptAnswer { status: parts.status.as_u16(), body: worth_keeping(&body) });
    keep(&*api.answers, key, kept).await;
    Response::from_parts(parts, Body::from(body))
}

/// What is answered to whoever asks again for what may have been done.
async fn unresolved() -> KeptAnswer {
    let (parts, body) = Error::NeverAnswered.into_response().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    KeptAnswer { status: parts.status.as_u16(), body }
}

/// Keeps an answer, or lets the key be used anew.
async fn keep(answers: &dyn Answers, key: Digest, answer: Option<KeptAnswer>) {
    if let Err(error) = answers.end(key, answer).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "could not keep the answer to an idempotent request"
        );
    }
}

/// The whole of an answer, or of one that is too large what leads to the object that it shows.
fn worth_keeping(body: &Bytes) -> Bytes {
    if body.len() <= KEPT_BYTES_MAX {
        return body.clone();
    }
    let mut shown: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    shown.retain(|name, _| matches!(name.as_str(), "object" | "id"));
    Value::Object(shown).to_string().into()
}

fn is_json(kind: &HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"application/json")
}

/// What is the server's fault, or a matter of when it was asked: what is missing or in the way today need not be
/// tomorrow.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_that_is_too_large_what_leads_to_its_object_is_kept() {
        let answer = |padding: usize| {
            let map = "x".repeat(padding);
            Bytes::from(format!(r#"{{"object":"directory","id":"directory_1","map":"{map}"}}"#))
        };
        let whole = answer(KEPT_BYTES_MAX - 50);
        assert_eq!(whole.len(), KEPT_BYTES_MAX);
        assert_eq!(worth_keeping(&whole), whole);
        let reference = worth_keeping(&answer(KEPT_BYTES_MAX - 49));
        let reference: Value = serde_json::from_slice(&reference).unwrap();
        assert_eq!(reference, serde_json::json!({ "object": "directory", "id": "directory_1" }));
    }
}
