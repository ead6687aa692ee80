//! Which address a request comes from, where proxies stand in between.
//!
//! ```text
//!  client ──▶ proxy ──▶ proxy ──▶ dsync          X-Forwarded-For: client, proxy
//!    3          2         1                      read from its end, as far as each hop is trusted
//! ```
//!
//! Every proxy adds whom it was called by. What stands in front of the first hop that is not trusted was written by
//! whoever calls, and says nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks of the operator's own proxies.
pub type Proxies = Arc<[IpNet]>;

/// Puts the address of the client in the place of its proxy's, so that whatever counts, limits or remembers
/// addresses has that one.
pub(super) fn tell_client(request: &mut Request, proxies: &[IpNet]) {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
    let Some(ConnectInfo(peer)) = peer else { return };
    let client = client_of(peer.ip(), request.headers(), proxies);
    if client != peer.ip() {
        // Nobody says which port it was.
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 0)));
    }
}

fn client_of(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| {
        let ip = ip.to_canonical();
        proxies.iter().any(|network| network.contains(&ip))
    };
    let mut client = peer;
    for hop in hops(headers).into_iter().rev() {
        if !is_trusted(client) {
            break;
        }
        // A hop that has no address hides who is behind it.
        let Some(hop) = hop else { break };
        client = hop;
    }
    client
}

/// Whom each proxy was called by, the last one last. A proxy that knows one of the two headers passes the other on as
/// it was sent, so just one is believed: the one that nearly every proxy writes.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = |name| headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or(""));
    if headers.contains_key(X_FORWARDED_FOR) {
        lines(X_FORWARDED_FOR).flat_map(|line| line.split(',')).map(address).collect()
    } else {
        lines(header::FORWARDED).flat_map(|line| line.split(',')).map(forwarded_for).collect()
    }
}

/// RFC 7239 §4: `for=192.0.2.60;proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

/// An address, alone or with a port, an IPv6 one with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = alone.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    ip.map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, lines: &[(&'static str, &'static str)]) -> IpAddr {
        let proxies: [IpNet; 2] =
            ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        client_of(ip(peer), &headers, &proxies)
    }

    #[test]
    fn a_proxy_that_is_trusted_says_who_calls() {
        let said = [("x-forwarded-for", "192.0.2.7")];
        assert_eq!(client("10.0.0.1", &said), ip("192.0.2.7"));
        assert_eq!(client("::ffff:10.0.0.1", &said), ip("192.0.2.7"), "on a socket for both");
        assert_eq!(client("2001:db8:1::1", &said), ip("192.0.2.7"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"), "it says nothing");
    }

    #[test]
    fn nobody_else_is_believed() {
        let said = [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")];
        assert_eq!(client("198.51.100.1", &said), ip("198.51.100.1"));
        assert_eq!(client("2001:db8:2::1", &said), ip("2001:db8:2::1"));
    }

    #[test]
    fn what_a_client_writes_itself_is_not_believed() {
        let spoofed = [("x-forwarded-for", "10.0.0.9, 203.0.113.1, 192.0.2.7")];
        assert_eq!(client("10.0.0.1", &spoofed), ip("192.0.2.7"));
        let two_lines = [("x-forwarded-for", "203.0.113.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(client("10.0.0.1", &two_lines), ip("192.0.2.7"));
        let other = [("forwarded", "for=203.0.113.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(client("10.0.0.1", &other), ip("192.0.2.7"), "the proxy wrote just one");
    }

    #[test]
    fn proxies_behind_proxies_are_followed_as_far_as_they_are_trusted() {
        let chain = [("x-forwarded-for", "192.0.2.7, 10.0.0.3, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &chain), ip("192.0.2.7"));
        let all_ours = [("x-forwarded-for", "10.0.0.3, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &all_ours), ip("10.0.0.3"));
        let hidden = [("x-forwarded-for", "192.0.2.7, unknown, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &hidden), ip("10.0.0.2"), "nobody knows who is behind it");
    }

    #[test]
    fn both_headers_are_read_with_ports_and_without() {
        for value in [
            "for=192.0.2.7",
            "For=\"192.0.2.7:4711\";proto=https;by=10.0.0.1",
            "for=203.0.113.1, proto=http; for=192.0.2.7",
        ] {
            assert_eq!(client("10.0.0.1", &[("forwarded", value)]), ip("192.0.2.7"), "{value}");
        }
        let v6 = [("forwarded", "for=\"[2001:db8::7]:4711\"")];
        assert_eq!(client("10.0.0.1", &v6), ip("2001:db8::7"));
        for value in ["192.0.2.7:4711", " 192.0.2.7 ", "::ffff:192.0.2.7"] {
            assert_eq!(
                client("10.0.0.1", &[("x-forwarded-for", value)]),
                ip("192.0.2.7"),
                "{value}"
            );
        }
        let v6 = [("x-forwarded-for", "[2001:db8::7]")];
        assert_eq!(client("10.0.0.1", &v6), ip("2001:db8::7"));
        assert_eq!(client("10.0.0.1", &[("forwarded", "for=_hidden")]), ip("10.0.0.1"));
    }
}
