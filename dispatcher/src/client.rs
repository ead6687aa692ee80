//! Sends one request to one endpoint, and touches nothing that it must not.
//!
//! Four ways lead inward, and all are shut here: an address written into the URL (judged on the
//! parsed host), a name that resolves to one (our resolver hands on only what was judged, and that
//! is what is dialled, so nothing can change in between), a redirect (none is followed), and a
//! proxy from the environment (none is used).

use std::error::Error as _;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore};
use schemas::Timestamp;
use tokio::time::timeout;
use url::Url;

use crate::address::{self, Policy, Refused};
use crate::failure::Failure;
use crate::ports::Outcome;
use crate::schedule;

/// How long a request may take in all, from the name to the last byte of the answer.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How much of an answer is read. The rest is of no use to us, and might have no end.
pub const ANSWER_MAX: usize = 16 * 1024;

/// How much of an answer is kept, for people to see why it was no success.
pub const EXCERPT_MAX: usize = 4 * 1024;

/// Connections that may stay open to one host without a use; more are closed after their answer.
const IDLE_PER_HOST: usize = 32;

/// How long a connection may stay open without a use: shorter than most servers' own limit, so that
/// we seldom write into one that is being closed.
const IDLE: Duration = Duration::from_secs(20);

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidClient {
    /// No HTTP client came about.
    #[error("cannot set up the HTTP client")]
    Http(#[source] reqwest::Error),
    /// The TLS library refuses its own defaults.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// One request, ready to go.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub url: Url,
    /// All headers, signatures among them.
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Delivered, or why not.
    pub outcome: Outcome,
    /// How long the endpoint asks us to wait.
    pub retry_after: Option<Duration>,
    /// How the body begins of an answer that is no success; `None` if there is none, or if it comes
    /// from an address inside our network, which may be allowed but is nobody's to read through us.
    pub excerpt: Option<Bytes>,
}

/// Something that can send a request: the [`Client`], or a test's stand-in.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends it once. `now` is for reading dates in the answer.
    async fn send(&self, request: Request, now: Timestamp) -> Answer;
}

/// The hardened HTTP client. See the module.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    policy: Policy,
    deadline: Duration,
}

impl Client {
    /// A client with the system's root certificates and the usual deadline.
    ///
    /// # Errors
    /// [`InvalidClient`] if TLS or HTTP cannot be set up.
    pub fn new(policy: Policy) -> Result<Self, InvalidClient> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(InvalidClient::Tls)?)
            .dns_resolver(Arc::new(Guard { policy }))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // Attempts are counted and recorded: nothing is sent twice behind our back.
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(InvalidClient::Http)?;
        Ok(Self { http, policy, deadline: DEADLINE })
    }

    /// The same client with another deadline.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn exchange(&self, request: Request, now: Timestamp) -> Answer {
        let answer = |outcome| Answer { outcome, retry_after: None, excerpt: None };
        if address::judge(&request.url, self.policy).is_err() {
            return answer(Outcome::Failed(Failure::Refused));
        }
        let Request { url, headers, body } = request;
        let sent = self.http.post(url).headers(headers).body(body).send().await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return answer(Outcome::Failed(classified(&error))),
        };
        let status = response.status().as_u16();
        let hint = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
        let retry_after = hint.and_then(|text| schedule::retry_after(text, now));
        let is_shown = response.remote_addr().is_some_and(|address| is_public(address.ip()));
        let body = match drain(&mut response).await {
            Ok(body) => body,
            Err(error) => {
                let outcome = Outcome::Failed(classified(&error));
                return Answer { outcome, retry_after, excerpt: None };
            }
        };
        if let 200..=299 = status {
            return Answer { outcome: Outcome::Delivered { status }, retry_after, excerpt: None };
        }
        let excerpt = (is_shown && !body.is_empty()).then_some(body);
        Answer { outcome: Outcome::Failed(Failure::Status(status)), retry_after, excerpt }
    }
}

#[async_trait]
impl Sender for Client {
    async fn send(&self, request: Request, now: Timestamp) -> Answer {
        // One limit around everything: a limit for each phase would let an endpoint drip.
        match timeout(self.deadline, self.exchange(request, now)).await {
            Ok(answer) => answer,
            Err(_) => {
                let outcome = Outcome::Failed(Failure::Timeout);
                Answer { outcome, retry_after: None, excerpt: None }
            }
        }
    }
}

/// Reads the answer to its end, so that the connection can be used again, or to the limit. Returns how
/// it begins.
async fn drain(response: &mut reqwest::Response) -> Result<Bytes, reqwest::Error> {
    let (mut read, mut begin) = (0, BytesMut::new());
    while read < ANSWER_MAX {
        let Some(chunk) = response.chunk().await? else { break };
        read += chunk.len();
        let room = EXCERPT_MAX - begin.len();
        begin.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(begin.freeze())
}

/// Whether an address is one that could be called without being allowed.
fn is_public(address: IpAddr) -> bool {
    address::permit(address, Policy { allow_private: false, allow_http: false }).is_ok()
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!("the system has no root certificates, so no https endpoint can be reached");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Resolves names and hands on only the addresses that may be called.
#[derive(Clone, Copy, Debug)]
struct Guard {
    policy: Policy,
}

impl Guard {
    async fn resolve(
        self,
        host: String,
    ) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(Unresolved)?;
        let mut permitted: Vec<SocketAddr> = Vec::new();
        let mut refused = None;
        for address in found {
            match address::permit(address.ip(), self.policy) {
                Ok(()) => permitted.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(refused) if permitted.is_empty() => Err(refused.into()),
            Some(_) | None => Ok(Box::new(permitted.into_iter())),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let resolving = Self::resolve(*self, name.as_str().to_owned());
        let resolving: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(resolving);
        resolving
    }
}

#[derive(Debug, thiserror::Error)]
#[error("name does not resolve")]
struct Unresolved(#[source] std::io::Error);

/// Which phase failed.
fn classified(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<Refused>() {
            return Failure::Refused;
        }
        if inner.is::<Unresolved>() {
            return Failure::Dns;
        }
        if is_tls(inner) {
            return Failure::Tls;
        }
        cause = inner.source();
    }
    if error.is_connect() { Failure::Connect } else { Failure::Protocol }
}

/// A TLS error travels inside I/O errors, whose `source` skips what they hold.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inner| is_tls(inner))
}
