//! How requests leave: through which door, whom they believe, and as whom they show themselves.
//!
//! Nothing here comes from the environment: `HTTPS_PROXY` and its like are for programs that call what
//! their user names, and this one calls what strangers name.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::address::Policy;
use crate::resolver::{Resolve, SystemResolver};

/// How long a request may take in all, from the name to the last byte of the answer, unless its
/// endpoint says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What may be said otherwise. Below, a busy receiver would fail for no fault; above, an endpoint that
/// hangs would hold its place among those in flight for too long.
pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=DEADLINE;

/// How many TLS sessions are remembered, so that the next connection to a host is cheaper.
const SESSIONS: usize = 4_096;

/// What the operator has set up for requests to endpoints.
#[derive(Clone, Debug)]
pub struct Egress {
    /// Which addresses may be called.
    pub policy: Policy,
    /// The proxy that all requests go through, if they do.
    pub proxy: Option<Proxy>,
    /// Certificate authorities that are believed beside those of the system.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// How long a request may take whose endpoint has no time of its own.
    pub deadline: Duration,
    /// Who knows the addresses of names.
    pub resolver: Arc<dyn Resolve>,
}

impl From<Policy> for Egress {
    /// Directly, with the system's roots, resolver and the usual deadline.
    fn from(policy: Policy) -> Self {
        Self {
            policy,
            proxy: None,
            extra_ca: Vec::new(),
            deadline: DEADLINE,
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// An HTTP proxy that is asked for tunnels (`CONNECT`), for every scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
    /// Whether it is asked for names, which it resolves by itself, and not for addresses.
    pub(crate) is_asked_for_names: bool,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    /// The same proxy, to be asked for tunnels to names. What it makes of them nobody here can judge: its own rules
    /// are what shuts the inside then.
    #[must_use]
    pub fn asked_for_names(self) -> Self {
        Self { is_asked_for_names: true, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("http://[{host}]:{port}")
        } else {
            format!("http://{host}:{port}")
        }
    }

    /// The value of `Proxy-Authorization`, which is a secret.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// A text that names no proxy. It may hold a password, so it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the URL of an HTTP proxy")]
pub struct InvalidProxy;

impl std::str::FromStr for Proxy {
    type Err = InvalidProxy;

    /// Reads `http://user:password@host:port`.
    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url = Url::parse(text).map_err(|_| InvalidProxy)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || !is_bare {
            return Err(InvalidProxy);
        }
        let host = url.host_str().ok_or(InvalidProxy)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or(InvalidProxy)?;
        let credentials = (!url.username().is_empty()).then(|| {
            let password = url.password().unwrap_or_default();
            let plain = [unescaped(url.username()), b":".to_vec(), unescaped(password)].concat();
            format!("Basic {}", STANDARD.encode(plain))
        });
        Ok(Self { host, port, authorization: credentials, is_asked_for_names: false })
    }
}

/// The bytes behind `%40` and its like, which a URL needs for some characters of a password.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|two| hex(two[0], two[1]));
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// A text that holds no certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no certificate in PEM form, or one that cannot be read")]
pub struct InvalidCertificates;

/// The certificates in a PEM text: one or more, and each readable.
///
/// # Errors
/// [`InvalidCertificates`].
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificates> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| InvalidCertificates)?;
    let mut roots = RootCertStore::empty();
    let are_readable = found.iter().all(|one| roots.add(one.clone()).is_ok());
    if found.is_empty() || !are_readable { Err(InvalidCertificates) } else { Ok(found) }
}

/// A certificate with its key, by which an endpoint knows who calls it.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl PartialEq for Identity {
    /// A certificate has one key.
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// Why a text is no identity. Nothing of it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// No certificate.
    #[error("it holds no certificate in PEM form")]
    Certificate,
    /// No key, or one of an unknown kind, or one with a passphrase.
    #[error("it holds no private key in PEM form that can be used (a passphrase is not supported)")]
    Key,
    /// They are not of each other.
    #[error("the private key is not that of the first certificate")]
    Mismatch,
}

impl Identity {
    /// Reads a chain of certificates, the endpoint's own first, and its private key, in PEM form.
    ///
    /// # Errors
    /// [`InvalidIdentity`].
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, InvalidIdentity> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or(InvalidIdentity::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|_| InvalidIdentity::Key)?;
        let provider = rustls::crypto::ring::default_provider();
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(identity) => Ok(Self(Arc::new(identity))),
            Err(rustls::Error::InconsistentKeys(_)) => Err(InvalidIdentity::Mismatch),
            Err(rustls::Error::InvalidCertificate(_)) => Err(InvalidIdentity::Certificate),
            Err(_) => Err(InvalidIdentity::Key),
        }
    }
}

/// The certificate authorities that are believed.
pub(crate) fn roots(extra: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() {
        tracing::warn!("the system has no root certificates, so no https endpoint can be reached");
    }
    roots
}

/// TLS for connections, with a certificate of our own for endpoints that ask for one.
pub(crate) fn tls(
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(Arc::clone(roots));
    let mut config = match identity {
        Some(Identity(key)) => {
            let only = rustls::sign::SingleCertAndKey::from(Arc::clone(key));
            builder.with_client_cert_resolver(Arc::new(only))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_its_credentials_and_shows_none() {
        let proxy: Proxy = "http://dsync:p%40ss@proxy.example:3128".parse().unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        assert_eq!(proxy.authorization.as_deref(), Some("Basic ZHN5bmM6cEBzcw=="));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
        let plain: Proxy = "http://[::1]:8080".parse().unwrap();
        assert_eq!((plain.host.as_str(), plain.authorization), ("::1", None));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        for text in ["", "proxy:3128", "https://a:1", "socks5://a:1", "http://a:1/x", "http://a/?x"]
        {
            assert_eq!(text.parse::<Proxy>(), Err(InvalidProxy), "{text}");
        }
    }

    #[test]
    fn what_holds_no_certificate_is_none() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(certificates(b"").is_err());
        assert!(certificates(broken.as_bytes()).is_err());
        assert_eq!(Identity::from_pem("", "").unwrap_err(), InvalidIdentity::Certificate);
    }
}
