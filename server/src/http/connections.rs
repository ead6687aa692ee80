//! Connections: how many there are at once, how long each may take to say what it wants, and how they end.
//!
//! ```text
//!  place free? ──▶ accept ──▶ head within HEAD_WITHIN ──▶ request ──▶ answer ──┐
//!                               ▲                                              │
//!                               └────────────── the next one ◀─────────────────┘
//! ```

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

/// How many connections there may be: at some 20 KB each they take 200 MB while they rest, and 1.3 GB at worst, if each
/// holds as much as [`HEAD_BYTES_MAX`] lets it. Whoever comes then waits in the queue of the operating system until one
/// of them ends.
const CONNECTIONS_MAX: usize = 10_000;

/// How large the head of a request may be, and how much of an answer is written ahead of who reads it: hyper has one
/// limit for both, and takes 400 KiB without. The longest heads are those of a filter: 4 KiB, in an address three times
/// as much, with attributes and a cursor beside it. Proxies hand on 32 KiB at most (nginx, Envoy 60 KiB).
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long the head of a request may take from its beginning on, and how long a connection may rest between two
/// requests. Proxies drop theirs after 60 s (AWS, nginx): whoever drops it first must be the one that sends.
const HEAD_WITHIN: Duration = Duration::from_secs(75);

/// How long an answer may lie there of which the other end takes nothing. Who reads slowly goes on, however long it takes; who
/// does not read at all would hold a place for ever.
const UNREAD_WITHIN: Duration = Duration::from_secs(60);

/// How long to wait before accepting again when the operating system has no more files to give.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many there may be at once.
    pub connections: usize,
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long nothing of an answer may be taken.
    pub unread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, head: HEAD_WITHIN, unread: UNREAD_WITHIN }
    }
}

/// Where a server takes connections.
#[derive(Debug)]
pub struct Serving {
    /// Where they come in.
    pub listener: TcpListener,
    /// What they may take.
    pub limits: Limits,
    /// Keeps each of them until it has ended.
    pub connections: TaskTracker,
    /// No more are taken, and those that there are end with the answer that they wait for.
    pub end: CancellationToken,
}

impl Serving {
    /// Takes connections until the end.
    pub async fn serve(self, routes: Router) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.limits.head);
        http.max_buf_size(HEAD_BYTES_MAX);
        let end = self.end.clone();
        while let Some((stream, peer, place)) =
            end.run_until_cancelled(accept(&self.listener, &places)).await
        {
            give_up_after(&stream, self.limits.unread);
            let talk = talk(http.clone(), stream, peer, routes.clone(), self.end.clone());
            self.connections.spawn(async move {
                talk.await;
                drop(place);
            });
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("nobody closes it");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; is the limit of open files too low?");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

/// Has the operating system end a connection whose other end takes nothing, or is gone without a word (RFC 5482). Where it
/// cannot, that end is the proxy's business.
fn give_up_after(stream: &TcpStream, unread: Duration) {
    let millis = u32::try_from(unread.as_millis()).unwrap_or(u32::MAX);
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, millis) {
        tracing::debug!(%error, "a connection waits for its reader without a limit");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, millis);
}

/// Whoever called has hung up already.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers what comes through a connection, one request after the other.
async fn talk(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    end: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was over before it began");
        return;
    }
    let service = service_fn(move |request| answer(routes.clone(), request, peer));
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that speaks no HTTP, says nothing, or goes away: that is its own business.
        tracing::debug!(%error, %peer, "a connection has ended early");
    }
}

async fn answer(
    mut routes: Router,
    request: http::Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    routes.call(request).await
}

/// Lets this process have as many open files as the operating system allows it: the usual limit is low for the sake of
/// programs that use `select`, and each connection is a file.
pub fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
#[path = "connections/tests.rs"]
mod tests;
