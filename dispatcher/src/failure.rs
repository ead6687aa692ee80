//! How an attempt fails, and what that says about the endpoint.

use std::fmt;
use std::str::FromStr;

/// Why an attempt counts as failed: the phase that failed, or the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The URL or the address behind it is one that we do not call.
    Refused,
    /// The name did not resolve.
    Dns,
    /// No connection came about.
    Connect,
    /// The operator's proxy was not there, or made no tunnel.
    Proxy,
    /// The TLS handshake failed, or the certificate did not convince.
    Tls,
    /// The deadline passed, in whatever phase.
    Timeout,
    /// The endpoint answered, but not with 2xx.
    Status(u16),
    /// The answer was not HTTP, or broke off.
    Protocol,
    /// Nothing was sent: the event as it is stored cannot be put into the endpoint's format.
    Unreadable,
    /// The brokers know no such topic.
    UnknownTopic,
    /// The brokers do not let us in, or not write to the topic.
    NotAuthorized,
    /// The topic takes no record of this size.
    TooLarge,
}

/// How long a failure is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The whole schedule.
    Long,
    /// A short one: the endpoint understood and said no.
    Short,
    /// Not at all: the endpoint is gone for good.
    Never,
}

impl Failure {
    /// How long to try again.
    #[must_use]
    pub const fn patience(self) -> Patience {
        match self {
            Self::Status(410) => Patience::Never,
            Self::Status(408 | 409 | 423 | 425 | 429) => Patience::Long,
            // Time alone heals none of them.
            Self::Status(400..=499) | Self::UnknownTopic | Self::NotAuthorized | Self::TooLarge => {
                Patience::Short
            }
            Self::Status(_)
            | Self::Refused
            | Self::Dns
            | Self::Connect
            | Self::Proxy
            | Self::Tls
            | Self::Timeout
            | Self::Protocol
            | Self::Unreadable => Patience::Long,
        }
    }

    /// Whether it speaks against the endpoint as a whole rather than against one event.
    #[must_use]
    pub const fn is_of_the_endpoint(self) -> bool {
        match self {
            Self::Status(status) => status == 429 || status >= 500,
            Self::Unreadable | Self::TooLarge => false,
            Self::Refused
            | Self::Dns
            | Self::Connect
            | Self::Proxy
            | Self::Tls
            | Self::Timeout
            | Self::Protocol
            | Self::UnknownTopic
            | Self::NotAuthorized => true,
        }
    }

    /// The status that the endpoint answered, if it did.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            Self::Refused
            | Self::Dns
            | Self::Connect
            | Self::Proxy
            | Self::Tls
            | Self::Timeout
            | Self::Protocol
            | Self::Unreadable
            | Self::UnknownTopic
            | Self::NotAuthorized
            | Self::TooLarge => None,
        }
    }

    /// Its name in the store, the API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Status(_) => "status",
            Self::Protocol => "protocol",
            Self::Unreadable => "unreadable",
            Self::UnknownTopic => "unknown_topic",
            Self::NotAuthorized => "not_authorized",
            Self::TooLarge => "too_large",
        }
    }
}

/// A text that names no failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown failure {0:?}")]
pub struct UnknownFailure(String);

impl FromStr for Failure {
    type Err = UnknownFailure;

    /// Reads what `Display` wrote.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = [
            Self::Refused,
            Self::Dns,
            Self::Connect,
            Self::Proxy,
            Self::Tls,
            Self::Timeout,
            Self::Protocol,
            Self::Unreadable,
            Self::UnknownTopic,
            Self::NotAuthorized,
            Self::TooLarge,
        ];
        let status = text.strip_prefix("status ").and_then(|rest| rest.parse().ok());
        let found = status.map(Self::Status);
        let found = found.or_else(|| plain.into_iter().find(|failure| failure.name() == text));
        found.ok_or_else(|| UnknownFailure(text.to_owned()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Refused
            | Self::Dns
            | Self::Connect
            | Self::Proxy
            | Self::Tls
            | Self::Timeout
            | Self::Protocol
            | Self::Unreadable
            | Self::UnknownTopic
            | Self::NotAuthorized
            | Self::TooLarge => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_text_form() {
        let some = [Failure::Refused, Failure::Proxy, Failure::Status(503), Failure::Unreadable];
        let of_topics = [Failure::UnknownTopic, Failure::NotAuthorized, Failure::TooLarge];
        for failure in some.into_iter().chain(of_topics) {
            assert_eq!(failure.to_string().parse(), Ok(failure));
        }
        assert!("status".parse::<Failure>().is_err());
    }

    #[test]
    fn what_only_people_can_mend_at_the_brokers_is_given_up_sooner() {
        for failure in [Failure::UnknownTopic, Failure::NotAuthorized, Failure::TooLarge] {
            assert_eq!(failure.patience(), Patience::Short);
        }
        // A topic that takes no record stands still; a record that is too large holds up nothing but its own lines.
        assert!(Failure::UnknownTopic.is_of_the_endpoint());
        assert!(Failure::NotAuthorized.is_of_the_endpoint());
        assert!(!Failure::TooLarge.is_of_the_endpoint());
    }
}
