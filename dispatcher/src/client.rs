//! Sends one request to one endpoint, and touches nothing that it must not.
//!
//! Four ways lead inward, and all are shut here: an address written into the URL (judged on the
//! parsed host, and again when it is dialled), a name that resolves to one (what was judged is what is
//! dialled, so nothing can change in between), a redirect (none is followed), and a proxy from the
//! environment (none is used).
//!
//! Connections are kept for the next request to the same host. One of an endpoint with a certificate of
//! ours is in a pool of its own: no other endpoint speaks under its name.

mod connector;
mod link;

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, Method, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use rustls::RootCertStore;
use schemas::Timestamp;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::address;
use crate::destination::KafkaTopic;
use crate::egress::{self, Egress, Identity};
use crate::failure::Failure;
use crate::ports::Outcome;
use crate::schedule;
use connector::{Connector, Door, Unconnected};
use link::{Peer, is_tls};

/// How much of an answer's body is read. The rest is of no use to us, and might have no end.
pub const ANSWER_MAX: usize = 16 * 1024;

/// How long the head of an answer may be. Also what a connection holds in memory at most, beside the
/// request.
const HEAD_MAX: usize = 16 * 1024;

/// How much of an answer is kept, for people to see why it was no success.
pub const EXCERPT_MAX: usize = 4 * 1024;

/// Connections that may stay open to one host without a use; more are closed after their answer.
const IDLE_PER_HOST: usize = 32;

/// How long a connection may stay open without a use: a little less than the 5 s after which Node, Apache
/// and Uvicorn close theirs, so that we seldom write into one that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// The client cannot be made: the TLS library refuses its own defaults.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS")]
pub struct InvalidClient(#[source] rustls::Error);

/// One request, ready to go: an HTTP request, or a record for a topic.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub to: To,
    /// All headers, signatures among them.
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
    /// How long it may take in all; else as long as the client lets every request.
    pub timeout: Option<Duration>,
}

/// Where a request goes, and by what.
#[derive(Clone, Debug)]
pub enum To {
    /// It is posted.
    Url {
        /// There.
        url: Url,
        /// As whom to show ourselves, if the endpoint wants to know.
        caller: Option<Caller>,
    },
    /// It is a record.
    Topic {
        /// Of this topic.
        topic: KafkaTopic,
        /// Records with the same key stay in order: those of one directory have the same.
        key: String,
    },
}

/// A certificate of ours with the connections that were made with it, which last as long as some clone of
/// it. Whoever sends to an endpoint keeps one for all requests.
#[derive(Clone, Debug)]
pub struct Caller(Arc<(Identity, OnceLock<Http>)>);

impl Caller {
    /// A caller with this certificate.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new((identity, OnceLock::new())))
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Delivered, or why not.
    pub outcome: Outcome,
    /// How long the endpoint asks us to wait.
    pub retry_after: Option<Duration>,
    /// How the body begins of an answer that is no success, or what brokers said; `None` if there is none, or if it
    /// comes from an address inside our network, which may be allowed but is nobody's to read through us.
    pub excerpt: Option<Bytes>,
}

impl Answer {
    /// Nothing came back.
    #[must_use]
    pub const fn failed(failure: Failure) -> Self {
        Self { outcome: Outcome::Failed(failure), retry_after: None, excerpt: None }
    }
}

/// Something that can send a request: the [`Client`] for URLs, something else for topics, or a test's stand-in.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends it once. `now` is for reading dates in the answer.
    async fn send(&self, request: Request, now: Timestamp) -> Answer;
}

type Http = legacy::Client<Connector, Full<Bytes>>;

/// The hardened HTTP client. See the module.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
    door: Arc<Door>,
    roots: Arc<RootCertStore>,
    deadline: Duration,
}

impl Client {
    /// A client for what the operator has set up.
    ///
    /// # Errors
    /// [`InvalidClient`] if TLS cannot be set up.
    pub fn new(egress: Egress) -> Result<Self, InvalidClient> {
        let Egress { policy, proxy, extra_ca, deadline, resolver } = egress;
        let door = Arc::new(Door { policy, proxy, resolver });
        let roots = Arc::new(egress::roots(&extra_ca));
        let http = http(&door, &roots, None).map_err(InvalidClient)?;
        Ok(Self { http, door, roots, deadline })
    }

    /// The connections of a caller, or those of everybody.
    fn http(&self, caller: Option<&Caller>) -> Result<Http, Failure> {
        let Some(Caller(caller)) = caller else { return Ok(self.http.clone()) };
        let (identity, pool) = &**caller;
        if let Some(http) = pool.get() {
            return Ok(http.clone());
        }
        let made = http(&self.door, &self.roots, Some(identity)).map_err(|_| Failure::Tls)?;
        Ok(pool.get_or_init(|| made).clone())
    }

    async fn exchange(&self, request: Request, now: Timestamp) -> Answer {
        let To::Url { url, caller } = request.to else { return Answer::failed(Failure::Refused) };
        if address::judge(&url, &self.door.policy).is_err() {
            return Answer::failed(Failure::Refused);
        }
        let Ok(uri) = Uri::try_from(url.as_str()) else {
            return Answer::failed(Failure::Refused);
        };
        let http = match self.http(caller.as_ref()) {
            Ok(http) => http,
            Err(failure) => return Answer::failed(failure),
        };
        let mut outgoing = http::Request::new(Full::new(request.body));
        *outgoing.method_mut() = Method::POST;
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = request.headers;
        match http.request(outgoing).await {
            Ok(response) => read(response, now).await,
            Err(error) => Answer::failed(unsent(&error)),
        }
    }
}

#[async_trait]
impl Sender for Client {
    async fn send(&self, request: Request, now: Timestamp) -> Answer {
        // One limit around everything: a limit for each phase would let an endpoint drip.
        let limit = request.timeout.unwrap_or(self.deadline);
        let exchange = timeout(limit, self.exchange(request, now));
        exchange.await.unwrap_or(Answer::failed(Failure::Timeout))
    }
}

fn http(
    door: &Arc<Door>,
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<Http, rustls::Error> {
    let connector = Connector { door: Arc::clone(door), tls: egress::tls(roots, identity)? };
    // A request that was handed to a connection which closed before it took a byte goes to the next
    // one. That is the only repeat that there is: what was sent is counted and recorded.
    Ok(legacy::Client::builder(Connections(TaskTracker::new()))
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(HEAD_MAX)
        .build(connector))
}

/// Runs what drives the connections. Each ends with its connection, and that with the client.
#[derive(Clone)]
struct Connections(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Connections {
    fn execute(&self, connection: F) {
        self.0.spawn(connection);
    }
}

/// Reads an answer to its end, so that the connection can be used again, or to the limit, at which it
/// is dropped with its connection. Nothing is unpacked: we ask for no compression, and do not care what
/// is inside.
async fn read(response: http::Response<Incoming>, now: Timestamp) -> Answer {
    let (head, mut body) = response.into_parts();
    let hint = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = hint.and_then(|text| schedule::retry_after(text, now));
    let begin = match drain(&mut body).await {
        Ok(begin) => begin,
        Err(error) => return Answer { retry_after, ..Answer::failed(broken(&error)) },
    };
    if let status @ 200..=299 = head.status.as_u16() {
        return Answer {
            outcome: Outcome::Delivered { status: Some(status) },
            retry_after,
            excerpt: None,
        };
    }
    let is_shown = head.extensions.get::<Peer>().is_some_and(|peer| peer.is_public);
    let excerpt = (is_shown && !begin.is_empty()).then_some(begin);
    let failure = Failure::Status(head.status.as_u16());
    Answer { outcome: Outcome::Failed(failure), retry_after, excerpt }
}

/// Returns how the body begins.
async fn drain(body: &mut Incoming) -> Result<Bytes, hyper::Error> {
    let (mut read, mut begin) = (0, BytesMut::new());
    while read < ANSWER_MAX {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame?.into_data() else { continue };
        read += data.len();
        let room = EXCERPT_MAX - begin.len();
        begin.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(begin.freeze())
}

/// Why a request found no answer.
fn unsent(error: &legacy::Error) -> Failure {
    let cause = error.source();
    if let Some(Unconnected(failure)) = cause.and_then(|cause| cause.downcast_ref()) {
        return *failure;
    }
    let mut of_connection = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut of_connection);
    }
    if of_connection.get::<Peer>().is_some_and(Peer::was_ended_by_tls) {
        return Failure::Tls;
    }
    cause.map_or(Failure::Protocol, broken)
}

/// Why a connection that was there did not do. TLS 1.3 tells only then that it does not like our
/// certificate.
fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if is_tls(inner) {
            return Failure::Tls;
        }
        cause = inner.source();
    }
    Failure::Protocol
}
