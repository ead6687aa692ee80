//! The address ranges that are not public unicast, and what opens each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What opens a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A network that the operator allows, or all private ones.
    Private,
    /// The address by itself, or all private networks: programs on this very machine.
    Loopback,
    /// The address by itself: neighbours that trust whoever can reach them.
    Exact,
    /// Nothing.
    Never,
}

type Range<N> = (N, &'static str, Kind);

/// Everything that IANA has given out for public unicast. Beyond it nothing is called.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// After IANA's IPv4 Special-Purpose Address Registry (RFC 6890).
///
/// The first range that holds an address decides. Metadata services stand before what is around
/// them: they give credentials to whoever asks. (Link-local is the usual place of one.)
const V4: &[Range<Ipv4Net>] = &[
    // Alibaba Cloud, in carrier-grade NAT; Azure, among public addresses.
    (v4([100, 100, 100, 200], 32), "metadata service", Kind::Exact),
    (v4([168, 63, 129, 16], 32), "metadata service", Kind::Exact),
    (v4([0, 0, 0, 0], 8), "\"this network\"", Kind::Never),
    (v4([10, 0, 0, 0], 8), "private", Kind::Private),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT", Kind::Private),
    (v4([127, 0, 0, 0], 8), "loopback", Kind::Loopback),
    (v4([169, 254, 0, 0], 16), "link-local", Kind::Exact),
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
    // Amazon and Google, among unique local addresses.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), "metadata service", Kind::Exact),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), "metadata service", Kind::Exact),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback", Kind::Loopback),
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
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local", Kind::Exact),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local", Kind::Never),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast", Kind::Never),
];

/// The range of an address in canonical form; `None` for public unicast.
pub(super) fn kind_of(ip: IpAddr) -> Option<(&'static str, Kind)> {
    match ip {
        IpAddr::V4(ip) => find(V4, |range| range.contains(&ip)),
        IpAddr::V6(ip) => find(V6, |range| range.contains(&ip))
            .or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then_some(("reserved", Kind::Never))),
    }
}

/// The range that a whole network is in.
pub(super) fn around(net: &IpNet) -> Option<(&'static str, Kind)> {
    match net {
        IpNet::V4(net) => find(V4, |range| range.contains(net)),
        IpNet::V6(net) => find(V6, |range| range.contains(net)),
    }
}

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
