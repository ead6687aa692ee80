//! The one place where connections are made. Whatever leads here (a literal, a name, a redirect that
//! somebody might follow one day), an address is judged, and that very address is dialled.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::link::{Link, Peer};
use crate::address::{self, Policy};
use crate::egress::Proxy;
use crate::failure::Failure;
use crate::resolver::Resolve;

/// How long each step towards a connection may take: far longer than any that will succeed. A request
/// has its own deadline over all of them; this one also ends a step whose request has gone already.
const STEP_MAX: Duration = Duration::from_secs(10);

/// How long one address may hold up the next one of the same name.
const ADDRESS_MAX: Duration = Duration::from_secs(3);

/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 8;

/// How much a proxy may say before the tunnel is there.
const PROXY_ANSWER_MAX: usize = 8 * 1024;

/// Why no connection came about: which step failed, in terms of an attempt.
#[derive(Debug, thiserror::Error)]
#[error("no connection: {0}")]
pub(super) struct Unconnected(pub(super) Failure);

type Stream = TokioIo<Link>;

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) policy: Policy,
    pub(super) proxy: Option<Proxy>,
    pub(super) resolver: Arc<dyn Resolve>,
}

/// Makes the connections of one pool.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) door: Arc<Door>,
    pub(super) tls: Arc<ClientConfig>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Unconnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Stream, Unconnected> {
        let is_secure = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or(Unconnected(Failure::Refused))?;
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = bare(host);
        let (tcp, peer) = match &self.door.proxy {
            None => self.door.directly(host, port).await?,
            Some(proxy) => self.door.tunnel(proxy, host, port).await?,
        };
        if !is_secure {
            return Ok(TokioIo::new(Link::new(tcp, peer)));
        }
        let failed = || Unconnected(Failure::Tls);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| failed())?;
        let handshake = TlsConnector::from(self.tls).connect(name, tcp);
        let stream = timeout(STEP_MAX, handshake).await.map_err(|_| failed())?;
        let stream = stream.map_err(|_| failed())?;
        Ok(TokioIo::new(Link::new(stream, peer)))
    }
}

impl Door {
    /// The addresses of a host that may be dialled. None: it has addresses, and all are refused.
    async fn permitted(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unconnected> {
        let found = self.addresses(host).await.map_err(|_| Unconnected(Failure::Dns))?;
        let is_permitted = |ip: &IpAddr| address::permit(*ip, &self.policy).is_ok();
        let permitted: Vec<SocketAddr> = found
            .iter()
            .filter(|ip| is_permitted(ip))
            .take(ADDRESSES_MAX)
            // As it was judged: one that is mapped into IPv6 is the one inside.
            .map(|ip| SocketAddr::new(ip.to_canonical(), port))
            .collect();
        match (permitted.is_empty(), found.is_empty()) {
            (false, _) => Ok(permitted),
            (true, false) => Err(Unconnected(Failure::Refused)),
            (true, true) => Err(Unconnected(Failure::Dns)),
        }
    }

    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host.parse::<IpAddr>() {
            Ok(literal) => Ok(vec![literal]),
            Err(_) => timeout(STEP_MAX, self.resolver.resolve(host)).await?,
        }
    }

    /// A connection to an address of a host that may be dialled.
    async fn directly(&self, host: &str, port: u16) -> Result<(TcpStream, Peer), Unconnected> {
        let permitted = self.permitted(host, port).await?;
        let (tcp, address) = dial(&permitted).await?;
        Ok((tcp, Peer::at(address.ip())))
    }

    /// A tunnel through the proxy to an address of a host that may be dialled. Names stay here: the proxy would
    /// resolve them anew, to whatever they mean by then and to whatever they mean there.
    async fn tunnel(
        &self,
        proxy: &Proxy,
        host: &str,
        port: u16,
    ) -> Result<(TcpStream, Peer), Unconnected> {
        let permitted = self.permitted(host, port).await;
        if proxy.is_asked_for_names && host.parse::<IpAddr>().is_err() {
            return self.tunnel_to_name(proxy, host, port, permitted).await;
        }
        let permitted = permitted?;
        for (address, patience) in with_patience(&permitted) {
            if let Some(tcp) = self.ask(proxy, &address.to_string(), patience).await? {
                return Ok((tcp, Peer::at(address.ip())));
            }
        }
        Err(Unconnected(Failure::Proxy))
    }

    /// The same to a name, for a proxy that wants names. What is known here of it is judged all the same; one that
    /// resolves only over there is left to the proxy.
    async fn tunnel_to_name(
        &self,
        proxy: &Proxy,
        name: &str,
        port: u16,
        permitted: Result<Vec<SocketAddr>, Unconnected>,
    ) -> Result<(TcpStream, Peer), Unconnected> {
        match permitted {
            Ok(_) | Err(Unconnected(Failure::Dns)) => {}
            Err(refused) => return Err(refused),
        }
        let tunnel = self.ask(proxy, &format!("{name}:{port}"), STEP_MAX).await?;
        Ok((tunnel.ok_or(Unconnected(Failure::Proxy))?, Peer::unknown()))
    }

    /// Asks the proxy for a tunnel, on a connection of its own. `None`: it is there and makes none.
    async fn ask(
        &self,
        proxy: &Proxy,
        target: &str,
        patience: Duration,
    ) -> Result<Option<TcpStream>, Unconnected> {
        let failed = |_| Unconnected(Failure::Proxy);
        let found = self.addresses(&proxy.host).await.map_err(failed)?;
        let at: Vec<SocketAddr> =
            found.into_iter().map(|ip| SocketAddr::new(ip, proxy.port)).collect();
        let (mut tcp, _) = dial(&at).await.map_err(|_| Unconnected(Failure::Proxy))?;
        let asked = timeout(patience, ask_for_tunnel(&mut tcp, proxy, target)).await;
        Ok(matches!(asked, Ok(Ok(true))).then_some(tcp))
    }
}

/// A host as it stands in a URL, without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Each address, and how long it may take. The last one holds up no other.
fn with_patience(addresses: &[SocketAddr]) -> impl Iterator<Item = (SocketAddr, Duration)> {
    let last = addresses.len().saturating_sub(1);
    let patience = move |index| if index == last { STEP_MAX } else { ADDRESS_MAX };
    addresses.iter().enumerate().map(move |(index, address)| (*address, patience(index)))
}

/// Connects to the first address that answers.
async fn dial(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Unconnected> {
    for (address, patience) in with_patience(addresses) {
        if let Ok(Ok(tcp)) = timeout(patience, TcpStream::connect(address)).await {
            // A request is written whole; to wait for more of it would only make it late.
            let _ = tcp.set_nodelay(true);
            return Ok((tcp, address));
        }
    }
    Err(Unconnected(Failure::Connect))
}

/// RFC 9110 §9.3.6. Whether the proxy has made the tunnel.
async fn ask_for_tunnel(tcp: &mut TcpStream, proxy: &Proxy, target: &str) -> io::Result<bool> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(credentials) = &proxy.authorization {
        request.push_str(&format!("Proxy-Authorization: {credentials}\r\n"));
    }
    request.push_str("\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(256);
    // Byte by byte: what follows the empty line is no longer the proxy's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == PROXY_ANSWER_MAX {
            return Ok(false);
        }
        answer.push(tcp.read_u8().await?);
    }
    Ok(answer.starts_with(b"HTTP/1.1 2") || answer.starts_with(b"HTTP/1.0 2"))
}
