//! Which addresses we call. Default deny: whatever is not plainly a public unicast address is
//! refused, because an endpoint's URL is written by somebody who must not see our network.
//!
//! Pure. [`permit`] judges an address, however it came about; [`check_url`] gives an early answer
//! when an endpoint is created. The client asks `permit` again for the very address that it dials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// The longest URL of an endpoint, as long as browsers and proxies carry without loss.
const URL_MAX: usize = 2048;

/// What the operator allows beyond the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Allows loopback and private addresses, as for demonstrations, tests and apps in the same
    /// network. What can be nobody's app (multicast, link-local with its metadata services,
    /// reserved ranges) stays refused.
    pub allow_private: bool,
    /// Allows `http:` beside `https:`.
    pub allow_http: bool,
}

/// The address is one that we do not call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address is in a {range} range, which is not called")]
pub struct Refused {
    range: &'static str,
}

/// Why a URL cannot be an endpoint's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not an absolute URL with a host, or it is too long.
    #[error("not an absolute URL")]
    Malformed,
    /// Only `https:` is taken, or also `http:` where the operator allows it.
    #[error("the URL must begin with https://")]
    Scheme,
    /// A user name or password in the URL would be sent in clear text and end up in logs.
    #[error("the URL must not hold a user name or a password")]
    UserInfo,
    /// Its host is an address that is not called.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Whether `ip` may be dialled. An IPv4 address inside an IPv6 one is judged as what it is.
///
/// # Errors
/// [`Refused`] names the kind of range.
pub fn permit(ip: IpAddr, policy: Policy) -> Result<(), Refused> {
    let found = match ip.to_canonical() {
        IpAddr::V4(ip) => find(V4, |range: &Ipv4Net| range.contains(&ip)),
        IpAddr::V6(ip) => find(V6, |range: &Ipv6Net| range.contains(&ip))
            .or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then_some(("reserved", Kind::Never))),
    };
    match found {
        None => Ok(()),
        Some((_, Kind::Private)) if policy.allow_private => Ok(()),
        Some((range, Kind::Private | Kind::Never)) => Err(Refused { range }),
    }
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
    judge(&url, *policy)?;
    Ok(url)
}

/// What [`check_url`] says of a URL that is already parsed; the client asks before every request.
pub(crate) fn judge(url: &Url, policy: Policy) -> Result<(), InvalidEndpoint> {
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
fn permit_name(name: &str, policy: Policy) -> Result<(), Refused> {
    let name = name.trim_end_matches('.');
    let loopback = name == "localhost" || name.ends_with(".localhost");
    if loopback && !policy.allow_private {
        return Err(Refused { range: "loopback" });
    }
    Ok(())
}

/// Whether the operator's setting opens a range.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Private,
    Never,
}

type Range<N> = (N, &'static str, Kind);

/// Everything that IANA has given out for public unicast. Beyond it nothing is called.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// After IANA's IPv4 Special-Purpose Address Registry (RFC 6890).
const V4: &[Range<Ipv4Net>] = &[
    (v4([0, 0, 0, 0], 8), "\"this network\"", Kind::Never),
    (v4([10, 0, 0, 0], 8), "private", Kind::Private),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT", Kind::Private),
    (v4([127, 0, 0, 0], 8), "loopback", Kind::Private),
    (v4([169, 254, 0, 0], 16), "link-local", Kind::Never),
    (v4([172, 16, 0, 0], 12), "private", Kind::Private),
    (v4([192, 0, 0, 0], 24), "protocol assignment", Kind::Never),
    (v4([192, 0, 2, 0], 24), "documentation", Kind::Never),
    (v4([192, 31, 196, 0], 24), "AS112", Kind::Never),
    (v4([192, 52, 193, 0], 24), "AMT", Kind::Never),
    (v4([192, 88, 99, 0], 24), "6to4 relay", Kind::Never),
    (v4([192, 168, 0, 0], 16), "private", Kind::Private),
    (v4([192, 175, 48, 0], 24), "AS112", Kind::Never),
    (v4([198, 18, 0, 0], 15), "benchmarking", Kind::Never),
    (v4([198, 51, 100, 0], 24), "documentation", Kind::Never),
    (v4([203, 0, 113, 0], 24), "documentation", Kind::Never),
    (v4([224, 0, 0, 0], 4), "multicast", Kind::Never),
    (v4([240, 0, 0, 0], 4), "reserved or broadcast", Kind::Never),
];

/// After IANA's IPv6 Special-Purpose Address Registry. The ranges that carry an IPv4 address inside
/// are refused whole: what they reach is not theirs to say.
const V6: &[Range<Ipv6Net>] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback", Kind::Private),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "unspecified or IPv4-compatible", Kind::Never),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64", Kind::Never),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "NAT64", Kind::Never),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discard", Kind::Never),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "protocol assignment or Teredo", Kind::Never),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation", Kind::Never),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4", Kind::Never),
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), "AS112", Kind::Never),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation", Kind::Never),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "segment routing", Kind::Never),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local", Kind::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local", Kind::Never),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local", Kind::Never),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast", Kind::Never),
];

fn find<N>(ranges: &[Range<N>], holds: impl Fn(&N) -> bool) -> Option<(&'static str, Kind)> {
    ranges.iter().find(|(range, ..)| holds(range)).map(|(_, name, kind)| (*name, *kind))
}

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy { allow_private: false, allow_http: false };
    const OPEN: Policy = Policy { allow_private: true, allow_http: true };

    #[test]
    fn public_addresses_are_called() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "2001:200::1",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(permit(ip.parse().unwrap(), STRICT), Ok(()), "{ip}");
        }
    }

    #[test]
    fn private_addresses_are_called_only_if_the_operator_says_so() {
        for ip in [
            "10.0.0.1",
            "10.255.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fdff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:192.168.1.1",
        ] {
            assert!(permit(ip.parse().unwrap(), STRICT).is_err(), "{ip}");
            assert_eq!(permit(ip.parse().unwrap(), OPEN), Ok(()), "{ip}");
        }
    }

    #[test]
    fn what_can_be_nobodys_app_is_never_called() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::7f00:1",
            "::808:808",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "::ffff:0:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
        ] {
            assert!(permit(ip.parse().unwrap(), OPEN).is_err(), "{ip}");
            assert!(permit(ip.parse().unwrap(), STRICT).is_err(), "{ip}");
        }
    }

    #[test]
    fn a_literal_is_judged_in_any_spelling() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0",
            "0x0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "app.localhost",
            "１２７.0.0.1",
            "127。0。0。1",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "%31%32%37.0.0.1",
        ] {
            let url = format!("https://{host}/hook");
            assert!(
                matches!(check_url(&url, &STRICT), Err(InvalidEndpoint::Refused(_))),
                "{host}: {:?}",
                check_url(&url, &STRICT),
            );
        }
    }

    #[test]
    fn a_url_is_https_without_user_info() {
        let table = [
            ("https://app.example.com/hook?x=1", Ok(())),
            ("https://8.8.8.8:8443/", Ok(())),
            ("http://app.example.com/", Err(InvalidEndpoint::Scheme)),
            ("ftp://app.example.com/", Err(InvalidEndpoint::Scheme)),
            ("file:///etc/passwd", Err(InvalidEndpoint::Scheme)),
            ("https://user@app.example.com/", Err(InvalidEndpoint::UserInfo)),
            ("https://:pw@app.example.com/", Err(InvalidEndpoint::UserInfo)),
            ("/hook", Err(InvalidEndpoint::Malformed)),
            ("https://", Err(InvalidEndpoint::Malformed)),
            ("", Err(InvalidEndpoint::Malformed)),
        ];
        for (url, expected) in table {
            assert_eq!(check_url(url, &STRICT).map(drop), expected, "{url}");
        }
        assert!(check_url("http://127.0.0.1:4000/hook", &OPEN).is_ok());
        assert!(check_url(&format!("https://a.example/{}", "x".repeat(2048)), &OPEN).is_err());
    }
}
