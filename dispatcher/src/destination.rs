//! Where events of an endpoint go: a URL that they are posted to, or a topic of Kafka.
//!
//! What a URL may reach is judged by [`crate::address`], address by address. A Kafka client dials whatever address a
//! broker names, so there is nothing to judge: the operator names the brokers that they vouch for, and no others are
//! called.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::address::{self, InvalidEndpoint, Policy};

/// How the URL of a topic begins.
const SCHEME: &str = "kafka://";

/// Brokers that a URL may name. Any one of a cluster leads to the others; a few more are for when that one is away.
const BROKERS_MAX: usize = 8;

/// The longest name of a topic, and of a host.
const NAME_MAX: usize = 249;

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Events are posted there.
    Http(Url),
    /// Events are written to it.
    Topic(KafkaTopic),
}

/// Which brokers events may be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// None: this build speaks to none.
    NotBuilt,
    /// Those that the operator vouches for.
    Allowed(BTreeSet<Broker>),
}

impl Destination {
    /// Reads the URL of an endpoint, without a word on whether it may be called.
    ///
    /// # Errors
    /// [`InvalidEndpoint`], worded for whoever typed it.
    pub fn parse(url: &str) -> Result<Self, InvalidEndpoint> {
        if url.starts_with("kafka:") {
            return url.parse().map(Self::Topic);
        }
        Url::parse(url).map(Self::Http).map_err(|_| InvalidEndpoint::Malformed)
    }

    /// Whether `url` may be an endpoint's, and what it means.
    ///
    /// # Errors
    /// [`InvalidEndpoint`], worded for whoever typed it.
    pub fn check(url: &str, policy: &Policy, brokers: &Brokers) -> Result<Self, InvalidEndpoint> {
        if !url.starts_with("kafka:") {
            return address::check_url(url, policy).map(Self::Http);
        }
        let topic: KafkaTopic = url.parse()?;
        brokers.permit(&topic)?;
        Ok(Self::Topic(topic))
    }
}

impl Brokers {
    /// Whether events may be written to this topic.
    ///
    /// # Errors
    /// [`InvalidEndpoint`] names the first broker that is not allowed.
    pub fn permit(&self, topic: &KafkaTopic) -> Result<(), InvalidEndpoint> {
        match self {
            Self::NotBuilt => Err(InvalidEndpoint::NotBuilt),
            Self::Allowed(allowed) => {
                let stranger = topic.brokers.iter().find(|broker| !allowed.contains(broker));
                stranger.map_or(Ok(()), |broker| Err(InvalidEndpoint::Broker(broker.clone())))
            }
        }
    }
}

/// A topic of Kafka: `kafka://host:port,host:port/topic`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KafkaTopic {
    brokers: BTreeSet<Broker>,
    name: String,
}

impl KafkaTopic {
    /// Some brokers of its cluster, in an order that does not depend on how they were written down.
    #[must_use]
    pub const fn brokers(&self) -> &BTreeSet<Broker> {
        &self.brokers
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether Kafka takes this name for a topic (`org.apache.kafka.common.internals.Topic`).
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_sound = !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(plain);
        is_sound && ![".", ".."].contains(&text)
    }
}

impl FromStr for KafkaTopic {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let rest = text.strip_prefix(SCHEME).ok_or(InvalidEndpoint::Topic)?;
        if rest.contains('@') {
            return Err(InvalidEndpoint::UserInfo);
        }
        let (brokers, name) = rest.split_once('/').ok_or(InvalidEndpoint::Topic)?;
        if !Self::is_name(name) || brokers.split(',').count() > BROKERS_MAX {
            return Err(InvalidEndpoint::Topic);
        }
        let brokers = brokers.split(',').map(Broker::from_str).collect::<Result<_, _>>();
        let brokers = brokers.map_err(|_| InvalidEndpoint::Topic)?;
        Ok(Self { brokers, name: name.to_owned() })
    }
}

/// A broker: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broker {
    host: String,
    port: u16,
}

/// A text that names no broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host with its port, such as kafka.example.com:9092")]
pub struct InvalidBroker(String);

impl FromStr for Broker {
    type Err = InvalidBroker;

    fn from_str(text: &str) -> Result<Self, InvalidBroker> {
        let invalid = || InvalidBroker(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(invalid)?;
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_sound = match inside {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= NAME_MAX && host.chars().all(is_of_a_host),
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
        if is_sound { Ok(Self { host: host.to_ascii_lowercase(), port }) } else { Err(invalid()) }
    }
}

const fn is_of_a_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(brokers: &[&str]) -> Brokers {
        Brokers::Allowed(brokers.iter().map(|broker| broker.parse().unwrap()).collect())
    }

    fn check(url: &str, brokers: &Brokers) -> Result<Destination, InvalidEndpoint> {
        Destination::check(url, &Policy::default(), brokers)
    }

    #[test]
    fn a_topic_is_the_same_however_its_brokers_are_written() {
        let one: KafkaTopic = "kafka://B.example:9092,a.example:9092/dir.events".parse().unwrap();
        let other = "kafka://a.example:9092,b.example:9092,a.example:9092/dir.events".parse();
        assert_eq!(Ok(one.clone()), other);
        assert_eq!(one.name(), "dir.events");
        assert!("kafka://[::1]:9092/t".parse::<KafkaTopic>().is_ok());
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        let many = format!("kafka://{}/t", ["a:1"; 9].join(","));
        let long = format!("kafka://a:1/{}", "t".repeat(250));
        for url in [
            "kafka:",
            "kafka://",
            "kafka://a:9092",
            "kafka://a:9092/",
            "kafka://a/t",
            "kafka://:1/t",
            "kafka://a:0/t",
            "kafka://a:65536/t",
            "kafka://a:9092,/t",
            "kafka://a:9092/t/u",
            "kafka://a:9092/t?acks=0",
            "kafka://a:9092/t#x",
            "kafka://a:9092/..",
            "kafka://a b:1/t",
            "kafka://[::1:9092/t",
            "kafka://a%41:1/t",
            "kafka:a:9092/t",
            &many,
            &long,
        ] {
            assert_eq!(check(url, &allowed(&["a:9092"])), Err(InvalidEndpoint::Topic), "{url}");
        }
    }

    #[test]
    fn a_password_never_stands_in_a_url() {
        for url in ["kafka://me:hunter2@a:9092/t", "kafka://a:9092/t@x", "kafka://me@a:9092/t"] {
            assert_eq!(check(url, &allowed(&["a:9092"])), Err(InvalidEndpoint::UserInfo), "{url}");
        }
    }

    #[test]
    fn every_broker_has_to_be_one_that_the_operator_names() {
        let brokers = allowed(&["a.example:9092", "b.example:9092"]);
        assert!(check("kafka://A.example:9092,b.example:9092/t", &brokers).is_ok());
        let stranger = check("kafka://a.example:9092,c.example:9092/t", &brokers).unwrap_err();
        assert!(
            stranger.to_string().contains("c.example:9092 is not in the setting kafka_endpoints")
        );
        // Another port is another program.
        assert!(check("kafka://a.example:9093/t", &brokers).is_err());
        assert!(check("kafka://a.example:9092/t", &allowed(&[])).is_err());
        let unbuilt = check("kafka://a.example:9092/t", &Brokers::NotBuilt);
        assert_eq!(unbuilt, Err(InvalidEndpoint::NotBuilt));
    }

    #[test]
    fn everything_else_is_judged_as_ever() {
        let brokers = allowed(&["a:9092"]);
        assert_eq!(check("http://app.example/", &brokers), Err(InvalidEndpoint::Scheme));
        assert_eq!(check("kafkas://a:9092/t", &brokers), Err(InvalidEndpoint::Scheme));
        assert!(matches!(check("https://app.example/", &brokers), Ok(Destination::Http(_))));
    }
}
