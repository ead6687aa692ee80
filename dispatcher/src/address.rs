//! Which addresses we call. Default deny: whatever is not plainly a public unicast address is
//! refused, because an endpoint's URL is written by somebody who must not see our network.
//!
//! Pure. [`permit`] judges an address, however it came about; [`check_url`] gives an early answer
//! when an endpoint is created. The client asks `permit` again for the very address that it dials.

mod ranges;

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use url::{Host, Url};

use crate::destination::Broker;
use ranges::{Kind, kind_of};

/// The longest URL of an endpoint, as long as browsers and proxies carry without loss.
const URL_MAX: usize = 2048;

/// What the operator allows beyond the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Allows loopback and private addresses, as for demonstrations, tests and apps in the same
    /// network. What can be nobody's app (multicast, link-local, metadata services, reserved
    /// ranges) stays refused.
    pub allow_private: bool,
    /// Allows `http:` beside `https:`.
    pub allow_http: bool,
    /// Allows these networks, each as [`network`] takes it. A private address may be in any of them;
    /// loopback, link-local addresses and metadata services have to be named one by one.
    pub allow_networks: Vec<IpNet>,
}

impl Policy {
    fn holds(&self, ip: IpAddr) -> bool {
        self.allow_networks.iter().any(|network| network.contains(&ip))
    }

    fn names(&self, ip: IpAddr) -> bool {
        self.allow_networks.contains(&IpNet::from(ip))
    }

    fn names_loopback(&self) -> bool {
        self.allow_networks.iter().any(|network| network.addr().is_loopback())
    }
}

/// A text that cannot stand in [`Policy::allow_networks`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// It is neither an address nor a network.
    #[error("{0:?} is neither an address nor a network such as 10.1.0.0/16")]
    Malformed(String),
    /// It is inside a range whose addresses have to be named one by one.
    #[error("{0} is in a {1} range, which opens only address by address")]
    NotAnAddress(IpNet, &'static str),
    /// It is inside a range that nothing opens.
    #[error("{0} is in a {1} range, which is never called")]
    Never(IpNet, &'static str),
}

/// Reads an address or a network that the operator allows. What could never take effect is refused,
/// so that nobody believes in it.
///
/// # Errors
/// [`InvalidNetwork`], worded for the operator.
pub fn network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let malformed = || InvalidNetwork::Malformed(text.to_owned());
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| malformed())?;
    // Addresses are judged in their canonical form, in which a mapped one never occurs.
    if net.addr().to_canonical() != net.addr() {
        return Err(malformed());
    }
    let is_address = net.prefix_len() == net.max_prefix_len();
    match ranges::around(&net) {
        Some((range, Kind::Never)) => Err(InvalidNetwork::Never(net, range)),
        Some((range, Kind::Loopback | Kind::Exact)) if !is_address => {
            Err(InvalidNetwork::NotAnAddress(net, range))
        }
        Some((_, Kind::Loopback | Kind::Exact | Kind::Private)) | None => Ok(net.trunc()),
    }
}

/// The address is one that we do not call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DSYNC-006: the address is in a {range} range, which is {}", way(*.kind))]
pub struct Refused {
    range: &'static str,
    kind: Kind,
}

/// What an operator can do about it.
const fn way(kind: Kind) -> &'static str {
    match kind {
        Kind::Private => "not called unless the setting allow_endpoint_networks names its network",
        Kind::Loopback | Kind::Exact => {
            "not called unless the setting allow_endpoint_networks names this very address"
        }
        Kind::Never => "never called",
    }
}

/// Why a URL cannot be an endpoint's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not an absolute URL with a host, or it is too long.
    #[error("not an absolute URL")]
    Malformed,
    /// Only `https:` is taken, or also `http:` where the operator allows it.
    #[error(
        "DSYNC-006: the URL must begin with https://, unless the setting allow_http allows http://"
    )]
    Scheme,
    /// A user name or password in the URL would be sent in clear text and end up in logs.
    #[error("the URL must not hold a user name or a password")]
    UserInfo,
    /// Its host is an address that is not called.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It begins like the URL of a topic of Kafka and is none.
    #[error("a topic of Kafka is named as kafka://host:port,host:port/topic")]
    Topic,
    /// A topic of Kafka, and this build cannot speak to one.
    #[error(
        "this dsync was built without Kafka, so no endpoint can be a topic; build it with `--features kafka`"
    )]
    NotBuilt,
    /// A topic of Kafka, with a broker that the operator has not named.
    #[error(
        "the broker {0} is not in the setting kafka_endpoints, which names the brokers that events may go to"
    )]
    Broker(Broker),
}

/// Whether `ip` may be dialled. An IPv4 address inside an IPv6 one is judged as what it is.
///
/// # Errors
/// [`Refused`] names the kind of range.
pub fn permit(ip: IpAddr, policy: &Policy) -> Result<(), Refused> {
    let ip = ip.to_canonical();
    let Some((range, kind)) = kind_of(ip) else { return Ok(()) };
    let is_allowed = match kind {
        Kind::Private => policy.allow_private || policy.holds(ip),
        Kind::Loopback => policy.allow_private || policy.names(ip),
        Kind::Exact => policy.names(ip),
        Kind::Never => false,
    };
    if is_allowed { Ok(()) } else { Err(Refused { range, kind }) }
}

/// Whether `url` may be an endpoint's, and what it means: [`Url`] has one spelling for each host, so
/// that `2130706433`, `0x7f.1` and `127.0.0.1` are the same address here.
///
/// # Errors
/// [`InvalidEndpoint`], worded for whoever typed the URL.
pub fn check_url(url: &str, policy: &Policy) -> Result<Url, InvalidEndpoint> {
    if url.len() > URL_MAX {
        return Err(InvalidEndpoint::Malformed);
    }
    let url = Url::parse(url).map_err(|_| InvalidEndpoint::Malformed)?;
    judge(&url, policy)?;
    // What the client cannot put into a request is better refused before there is one.
    Uri::try_from(url.as_str()).map_err(|_| InvalidEndpoint::Malformed)?;
    Ok(url)
}

/// What [`check_url`] says of a URL that is already parsed; the client asks before every request.
pub(crate) fn judge(url: &Url, policy: &Policy) -> Result<(), InvalidEndpoint> {
    if !(url.scheme() == "https" || policy.allow_http && url.scheme() == "http") {
        return Err(InvalidEndpoint::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidEndpoint::UserInfo);
    }
    match url.host().ok_or(InvalidEndpoint::Malformed)? {
        Host::Ipv4(ip) => permit(ip.into(), policy)?,
        Host::Ipv6(ip) => permit(ip.into(), policy)?,
        Host::Domain(name) => permit_name(name, policy)?,
    }
    Ok(())
}

/// `localhost` and all below it are loopback by definition (RFC 6761 §6.3), whatever a resolver says.
fn permit_name(name: &str, policy: &Policy) -> Result<(), Refused> {
    let name = name.trim_end_matches('.');
    let is_loopback = name == "localhost" || name.ends_with(".localhost");
    if is_loopback && !policy.allow_private && !policy.names_loopback() {
        return Err(Refused { range: "loopback", kind: Kind::Loopback });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
