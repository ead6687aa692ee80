//! The latest SCIM requests of each directory, for whoever sets up an identity provider: what came, what
//! became of it, and why not.
//!
//! A request is noted when it has been answered and written a little later with others. When more come
//! than are kept anyway, the older ones are not written at all, so that noting costs a busy directory
//! nothing. What is noted holds no token and no query string, and a body only while the directory is being
//! looked into.

mod bodies;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::Route;
use http_body_util::{BodyExt, Collected};
use schemas::scim::ScimType;
use schemas::{DirectoryId, RequestId, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::layer::layer_fn;
use tower::{Service as _, service_fn};

use crate::http::{Ingest, behind_endpoint};
use crate::media::Accepts;
use crate::ports::BoxError;
use crate::tolerance::Rewrite;

/// How many requests are kept for each directory.
pub const KEPT: usize = 1_000;

/// How many of these may be requests that nobody was let in with. Whoever knows the endpoint can send them, so
/// they must not push out those of the identity provider.
pub const UNAUTHORIZED_KEPT: usize = 50;

/// How many may wait to be written. Beyond it they are not noted, which a counter tells.
const QUEUE_MAX: usize = 8_192;

/// How long a request waits for others before it is written.
const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// From so many at once on, writing them four times a second shows in what else a server does.
const BUSY: usize = 100;

/// How many times as long they wait then: those to come will push most of them out.
const PAUSES_WHEN_BUSY: usize = 4;

/// How much of a path is kept: ours are shorter, others' are noise.
const PATH_MAX: usize = 256;

/// How much of a detail is kept.
const DETAIL_MAX: usize = 1_024;

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Its id, which rises with time.
    pub id: RequestId,
    /// The directory whose token it carried, or at whose endpoint it was refused.
    pub directory: DirectoryId,
    /// When it was answered.
    pub at: Timestamp,
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The path behind the endpoint, without its query.
    pub path: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The kind of the error, if it was one and has a kind.
    pub scim_type: Option<ScimType>,
    /// What the client was told, if it was refused.
    pub detail: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// How many events it caused.
    pub events: u32,
    /// What of it was read as something else than the RFC says, by name.
    pub tolerated: Vec<&'static str>,
    /// The beginning of its body without secrets, if the directory has it so and it was read.
    pub request_body: Option<String>,
    /// The same of the answer.
    pub response_body: Option<String>,
}

impl Requested {
    /// Whether nobody was let in.
    #[must_use]
    pub const fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED.as_u16()
    }
}

/// Where requests are kept.
#[async_trait]
pub trait RequestStore: Send + Sync {
    /// Keeps these, which come in the order of their ids, and the latest [`KEPT`] of each directory in all,
    /// of those that are [unauthorized](Requested::is_unauthorized) the latest [`UNAUTHORIZED_KEPT`].
    async fn keep(&self, requests: Vec<Requested>) -> Result<(), BoxError>;
}

/// Notes requests.
#[derive(Clone, Debug)]
pub struct RequestLog {
    queue: mpsc::Sender<Requested>,
}

/// Writes what was noted.
#[derive(Debug)]
pub struct Keeper {
    queue: mpsc::Receiver<Requested>,
}

impl RequestLog {
    /// A log and what has to run for it.
    #[must_use]
    pub fn new() -> (Self, Keeper) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { queue: sender }, Keeper { queue: receiver })
    }

    fn note(&self, request: Requested) {
        if self.queue.try_send(request).is_err() {
            metrics::counter!("ingest_requests_not_noted_total").increment(1);
        }
    }
}

impl Keeper {
    /// Writes what is noted until shutdown, and then what is left.
    pub async fn run(mut self, store: Arc<dyn RequestStore>, shutdown: CancellationToken) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                tokio::select! {
                    taken = self.queue.recv_many(&mut waiting, QUEUE_MAX) => if taken == 0 { return },
                    () = shutdown.cancelled(), if !self.queue.is_closed() => {
                        self.queue.close();
                        continue;
                    }
                }
            }
            let kept = latest(std::mem::take(&mut waiting));
            let pauses = if kept.len() < BUSY { 1 } else { PAUSES_WHEN_BUSY };
            if let Err(error) = store.keep(kept).await {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "requests cannot be noted"
                );
            }
            for _ in 0..pauses {
                shutdown.run_until_cancelled(tokio::time::sleep(FLUSH_EVERY)).await;
                self.drain(&mut waiting);
            }
        }
    }

    /// Takes in what has come, and of that no more than will be written.
    fn drain(&mut self, waiting: &mut Vec<Requested>) {
        while let Ok(request) = self.queue.try_recv() {
            waiting.push(request);
        }
        if waiting.len() > KEPT {
            *waiting = latest(std::mem::take(waiting));
        }
    }
}

/// The last of each directory that are kept, in their order.
fn latest(requests: Vec<Requested>) -> Vec<Requested> {
    let mut seen = BTreeMap::<DirectoryId, (usize, usize)>::new();
    let mut kept: Vec<_> = requests
        .into_iter()
        .rev()
        .filter(|request| {
            let (all, unauthorized) = seen.entry(request.directory).or_default();
            if request.is_unauthorized() {
                *unauthorized += 1;
                if *unauthorized > UNAUTHORIZED_KEPT {
                    return false;
                }
            }
            *all += 1;
            *all <= KEPT
        })
        .collect();
    kept.sort_by_key(|request| request.id);
    kept
}

/// What handlers find out about a request, for its note.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Found>);

#[derive(Debug, Default)]
struct Found {
    directory: OnceLock<DirectoryId>,
    /// Why nobody was let in, if that is so.
    unauthorized: OnceLock<&'static str>,
    events: AtomicU32,
    /// A lock of the standard library: it is held for a push, never over an await.
    tolerated: Mutex<Vec<&'static str>>,
    keeps_bodies: AtomicBool,
    request_body: OnceLock<String>,
}

/// What the client was told, left with the answer for the note.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) scim_type: Option<ScimType>,
    pub(crate) detail: String,
}

impl Notes {
    pub(crate) fn of_directory(&self, directory: DirectoryId) {
        // There is one token in a request, so this is set once.
        let _ = self.0.directory.set(directory);
    }

    /// Who may enter this directory has come to the wrong door.
    pub(crate) fn elsewhere(&self, directory: DirectoryId, why: &'static str) {
        let _ = self.0.unauthorized.set(why);
        self.of_directory(directory);
    }

    /// Nobody was let in, at this directory if there is one at the endpoint.
    pub(crate) fn unauthorized(&self, at_endpoint: Option<DirectoryId>, why: &'static str) {
        let _ = self.0.unauthorized.set(why);
        if let Some(directory) = at_endpoint {
            self.of_directory(directory);
        }
    }

    /// Bodies are kept from here on.
    pub(crate) fn keep_bodies(&self) {
        self.0.keeps_bodies.store(true, Ordering::Relaxed);
    }

    /// Keeps the body of the request, if bodies are kept.
    pub(crate) fn body(&self, body: &[u8]) {
        if self.0.keeps_bodies.load(Ordering::Relaxed) {
            let _ = self.0.request_body.set(bodies::kept(body));
        }
    }

    /// Keeps the body of the answer, if bodies are kept. One that is sent in pieces is not waited for.
    async fn answer(&self, response: Response) -> (Response, Option<String>) {
        let is_whole = response.body().size_hint().exact().is_some_and(|length| length > 0);
        if !is_whole || !self.0.keeps_bodies.load(Ordering::Relaxed) {
            return (response, None);
        }
        let (parts, body) = response.into_parts();
        // What is whole is in memory already.
        let bytes = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let kept = bodies::kept(&bytes);
        (Response::from_parts(parts, Body::from(bytes)), Some(kept))
    }

    pub(crate) fn caused(&self, events: usize) {
        self.0.events.fetch_add(u32::try_from(events).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(crate) fn tolerated(&self, rewrite: Rewrite) {
        let name = rewrite.name();
        metrics::counter!("ingest_tolerated_total", "what" => name).increment(1);
        let mut tolerated = self.0.tolerated.lock().expect("nothing panics while it is held");
        if !tolerated.contains(&name) {
            tolerated.push(name);
        }
    }
}

/// Notes every request that comes to a directory by these routes, and answers as it accepts.
///
/// The layer is made by hand, as is the one around all roles: `axum::middleware::from_fn` copies the routes once more for each
/// request, and its futures keep room for the request several times, which is memory that is not in the processor's cache.
pub(crate) fn noted(routes: Router<Ingest>, ingest: Ingest) -> Router<Ingest> {
    routes.layer(layer_fn(move |mut route: Route| {
        let ingest = ingest.clone();
        service_fn(move |request| note(&ingest, request, &mut route))
    }))
}

fn note(
    ingest: &Ingest,
    mut request: Request,
    route: &mut Route,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let (ingest, asked, notes) = (ingest.clone(), Asked::of(&request), Notes::default());
    request.extensions_mut().insert(notes.clone());
    let answered = route.call(request);
    async move {
        let Ok(response) = answered.await;
        let (mut response, body) = notes.answer(response).await;
        asked.accepts.negotiate(&mut response);
        if let Some(id) = asked.id {
            let requested = asked.answered(id, ingest.edge.now(), &notes.0, &response, body);
            if notes.0.directory.get().is_some() {
                ingest.request_log.note(requested);
            }
        }
        Ok(response)
    }
}

/// What is known of a request before anybody has looked at it.
struct Asked {
    id: Option<RequestId>,
    method: Method,
    path: String,
    accepts: Accepts,
    begun: Instant,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            id: request.extensions().get().copied(),
            method: request.method().clone(),
            path: beginning(behind_endpoint(request.uri().path()), PATH_MAX),
            accepts: Accepts::of(request.headers()),
            begun: Instant::now(),
        }
    }

    /// It is made even where there is no directory to note it for, so that the time does not tell who asks at random
    /// whether there is one.
    fn answered(
        self,
        id: RequestId,
        at: Timestamp,
        found: &Found,
        response: &Response,
        response_body: Option<String>,
    ) -> Requested {
        let refused = response.extensions().get::<Refused>();
        let told = refused.map(|refused| refused.detail.as_str());
        let detail = found.unauthorized.get().copied().or(told);
        let tolerated = &found.tolerated;
        Requested {
            id,
            directory: found.directory.get().copied().unwrap_or(NOWHERE),
            at,
            method: self.method.as_str().to_owned(),
            path: self.path,
            status: response.status().as_u16(),
            scim_type: refused.and_then(|refused| refused.scim_type),
            detail: detail.map(|detail| beginning(detail, DETAIL_MAX)),
            duration: self.begun.elapsed(),
            events: found.events.load(Ordering::Relaxed),
            tolerated: std::mem::take(
                &mut *tolerated.lock().expect("nothing panics while it is held"),
            ),
            request_body: found.request_body.get().cloned(),
            response_body,
        }
    }
}

/// No directory has this id.
const NOWHERE: DirectoryId = DirectoryId::from_bits(0);

/// At most so many characters of a text.
pub(crate) fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
