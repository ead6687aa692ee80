//! Host names under which customers reach an installation, beside its own.
//!
//! A [`HostName`] is a name and never an IP address, in ASCII and lower case, as it stands in a certificate and in
//! the `Host` of a request, without a port. Whoever takes names from people turns them into ASCII first (IDNA).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// How long a name may be (RFC 1035 §2.3.4, without the root).
pub const HOST_NAME_MAX: usize = 253;

/// How long a part between dots may be (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// A host name of at least two labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// A text that is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name such as scim.example.com, without scheme, port and path")]
pub struct InvalidHostName;

impl HostName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in an authority (RFC 3986 §3.2) such as the `Host` of a request; its port does not count. `None` for
    /// IP addresses and for what has no dot in it, like `localhost`.
    #[must_use]
    pub fn of_authority(authority: &str) -> Option<Self> {
        authority_host(authority).parse().ok()
    }

    /// The name that a request came through, if it is none of the installation's own: the authority of its target comes
    /// before its `Host` (RFC 9112 §3.2.2). What a proxy in front says elsewhere is not believed.
    #[must_use]
    pub fn of_request(target: Option<&str>, host: Option<&str>, public_url: &str) -> Option<Self> {
        Self::of_authority(target.or(host)?).filter(|name| !name.is_of(public_url))
    }

    /// Whether this is the host of a URL.
    #[must_use]
    pub fn is_of(&self, url: &str) -> bool {
        let host = authority_host(split(url).1);
        host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(&self.0)
    }
}

/// The URL of an installation with this host for its own; scheme, port and path stay.
#[must_use]
pub fn public_url_at<'a>(public_url: &'a str, host: Option<&HostName>) -> Cow<'a, str> {
    let Some(host) = host else { return Cow::Borrowed(public_url) };
    let (scheme, authority, path) = split(public_url);
    let port = &authority[authority_host(authority).len()..];
    Cow::Owned(format!("{scheme}{}{port}{path}", host.0))
}

/// The path of a URL, empty if there is none.
#[must_use]
pub fn path_of(url: &str) -> &str {
    split(url).2
}

/// Scheme with its slashes, authority, and path.
fn split(url: &str) -> (&str, &str, &str) {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(begin);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (scheme, authority, path)
}

/// An authority without its port. The colons of an IPv6 address stand in brackets.
fn authority_host(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        Some(_) | None => authority,
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    /// Letters in any case; the dot of the root is left out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let last = name.rsplit_once('.').ok_or(InvalidHostName)?.1;
        // What ends in a number is an IP address to whoever resolves it.
        let is_address = last.bytes().all(|byte| byte.is_ascii_digit());
        if name.len() > HOST_NAME_MAX || is_address || !name.split('.').all(is_label) {
            return Err(InvalidHostName);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for HostName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(name("SCIM.Acme.Example.").as_str(), "scim.acme.example");
        assert_eq!(
            HostName::of_authority("Scim.acme.example:8443"),
            Some(name("scim.acme.example"))
        );
        assert_eq!(HostName::of_authority("scim.acme.example"), Some(name("scim.acme.example")));
    }

    #[test]
    fn what_is_no_name_with_a_domain_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "a.".repeat(124));
        for text in [
            "",
            ".",
            "localhost",
            "a..example",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a b.example",
            "10.0.0.1",
            "1.2",
            "*.acme.example",
            "ä.example",
            "a.example:443",
            "a.example/x",
            &long,
            &longer,
        ] {
            assert_eq!(text.parse::<HostName>(), Err(InvalidHostName), "{text}");
        }
        for authority in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "[::1]", ""] {
            assert_eq!(HostName::of_authority(authority), None, "{authority}");
        }
    }

    #[test]
    fn an_address_changes_its_host_and_nothing_else() {
        let host = name("scim.acme.example");
        let at = |url| public_url_at(url, Some(&host)).into_owned();
        assert_eq!(at("https://sync.example.com"), "https://scim.acme.example");
        assert_eq!(at("http://127.0.0.1:8080"), "http://scim.acme.example:8080");
        assert_eq!(at("http://[::1]:8080/x"), "http://scim.acme.example:8080/x");
        assert_eq!(at("http://[::1]/x"), "http://scim.acme.example/x");
        assert_eq!(public_url_at("https://sync.example.com/x", None), "https://sync.example.com/x");
        assert_eq!(path_of("https://sync.example.com/x"), "/x");
        assert_eq!(path_of("https://sync.example.com"), "");
    }

    #[test]
    fn the_target_of_a_request_comes_before_its_host_and_the_installation_has_no_customer() {
        let of = |target, host| HostName::of_request(target, host, "https://sync.example.com");
        assert_eq!(of(None, Some("a.test")), Some(name("a.test")));
        assert_eq!(of(Some("b.test:80"), Some("a.test")), Some(name("b.test")));
        assert_eq!(of(None, Some("sync.example.com:443")), None);
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn the_host_of_a_url_is_known_again() {
        assert!(name("sync.example.com").is_of("https://SYNC.example.com:8443/x"));
        assert!(!name("sync.example.com").is_of("https://async.example.com"));
        assert!(!name("sync.example.com").is_of("http://127.0.0.1:8080"));
    }
}
