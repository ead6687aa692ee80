//! The types of settings, and how each is read from text. An error says what is wrong with the
//! value; what would be right stands in the table.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use console::oidc::{InvalidMember, Member};
use directory::InactiveUsers;
use directory::rules::Emptied;
use dispatcher::address::network;
use dispatcher::destination::InvalidBroker;
use dispatcher::egress::{InvalidProxy, Proxy, TIMEOUTS};
use dispatcher::{Broker, Schedule};
use ipnet::IpNet;
use schemas::brake::InvalidBrake;
use schemas::{Brake, RateLimit};
use store::PostgresSettings;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

/// Seconds' worth of SCIM requests that may come at once: an identity provider sends a cycle in
/// bursts.
const SCIM_BURST_SECONDS: u32 = 5;

/// Seconds' worth of API requests that may come at once: what the SDKs' documentation promises is
/// counted by the minute.
const API_BURST_SECONDS: u32 = 60;

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// This text, from here on hidden.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. Whoever asks for it must not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// 32 bytes that encrypt other secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The bytes themselves. Whoever asks for them must not log them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// Which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSetting {
    /// The one in `data_dir`.
    Embedded,
    /// A topic of a Kafka cluster.
    Kafka(KafkaTopic),
}

/// A topic of a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Some of its brokers: `host:port,host:port`.
    pub brokers: String,
    /// The topic.
    pub topic: String,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSetting {
    /// The one in `data_dir`.
    Embedded,
    /// A PostgreSQL database, by its URL, which may hold a password.
    Postgres(Secret),
}

/// As it is written in the settings: nothing of it is secret.
impl fmt::Display for LogSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Kafka(KafkaTopic { brokers, topic }) => write!(f, "kafka://{brokers}/{topic}"),
        }
    }
}

/// Without user and password.
impl fmt::Display for StoreSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Postgres(url) => match url.expose().parse::<PostgresSettings>() {
                Ok(server) => write!(f, "postgres ({server})"),
                Err(_) => f.write_str("postgres"),
            },
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people; coloured on a terminal.
    Text,
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    // A name would need a resolver; this one means the same on every machine.
    let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
    numeric.parse().map_err(|_| format!("{text:?} is not an address with a port"))
}

pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {}: is neither http: nor https:", url.scheme()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a query or a fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a user name or a password".to_owned());
    }
    Ok(url)
}

pub(super) fn log(text: &str) -> Result<LogSetting, String> {
    if text == "embedded" {
        return Ok(LogSetting::Embedded);
    }
    let rest = text.strip_prefix("kafka://").ok_or_else(|| unknown_backend(text))?;
    if rest.contains('@') {
        return Err("it holds a user name or a password, which belong into [kafka]".to_owned());
    }
    let (brokers, topic) = rest.split_once('/').unwrap_or((rest, ""));
    if !brokers.split(',').all(is_broker) || topic.is_empty() {
        return Err("a host with its port, or the topic, is missing".to_owned());
    }
    if !dispatcher::KafkaTopic::is_name(topic) {
        return Err(format!("{topic:?} is no name of a topic"));
    }
    Ok(LogSetting::Kafka(KafkaTopic { brokers: brokers.to_owned(), topic: topic.to_owned() }))
}

fn is_broker(text: &str) -> bool {
    text.trim().rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// What would be one stands in the table.
fn no_such_number(text: &str) -> String {
    format!("{text:?} is no such number")
}

/// More partitions than a cluster is happy with.
const PARTITIONS_MAX: u16 = 1_024;

pub(super) fn partitions(text: &str) -> Result<u16, String> {
    let count = text.parse().ok().filter(|count| (1..=PARTITIONS_MAX).contains(count));
    count.ok_or_else(|| no_such_number(text))
}

/// More than anybody keeps.
const COPIES_MAX: u16 = 9;

pub(super) fn copies(text: &str) -> Result<u16, String> {
    let count = text.parse().ok().filter(|count| (1..=COPIES_MAX).contains(count));
    count.ok_or_else(|| no_such_number(text))
}

/// How many connections a process may hold. With fewer than these, those that take turns at writing leave none for
/// anything else; more than a database has cores many times over only make it slower.
const CONNECTIONS: RangeInclusive<usize> = 8..=256;

pub(super) fn connections(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| CONNECTIONS.contains(count));
    count.ok_or_else(|| no_such_number(text))
}

pub(super) fn store(text: &str) -> Result<StoreSetting, String> {
    if text == "embedded" {
        Ok(StoreSetting::Embedded)
    } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        // The URL may hold a password, so the cause alone is told.
        let read: Result<PostgresSettings, _> = text.parse();
        read.map_err(|error| error.to_string())?;
        Ok(StoreSetting::Postgres(Secret(text.to_owned())))
    } else {
        Err(unknown_backend(text))
    }
}

/// A connection string may hold a password wherever it went wrong, so only a plain word is repeated.
fn unknown_backend(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        format!("{text:?} is none of the choices")
    } else {
        "this is none of the choices".to_owned()
    }
}

pub(super) fn key(text: &str) -> Result<Secret, String> {
    // The key travels in a header: `token68` would be narrower still (RFC 6750 §2.1).
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(Secret(text.to_owned()))
    } else {
        Err("it is empty, or has spaces or characters beyond ASCII".to_owned())
    }
}

pub(super) fn password(text: &str) -> Result<Secret, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Secret(text.to_owned())) }
}

/// Its text stays as it is: tokens name it letter for letter.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL ({error})"))?;
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
        return Err("it is neither https: nor on this machine".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("it has a query, a fragment or a user name".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn client_id(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn members(text: &str) -> Result<Vec<Member>, String> {
    let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    members.map(|member| member.parse().map_err(|error: InvalidMember| error.to_string())).collect()
}

pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither of the two")),
    }
}

/// The most attempts of an endpoint that may be remembered: a gigabyte.
const ATTEMPTS_MAX: u32 = 10_000_000;

pub(super) fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=ATTEMPTS_MAX).contains(count));
    count.ok_or_else(|| no_such_number(text))
}

pub(super) fn age(text: &str) -> Result<Duration, String> {
    let hours = |number: &str, unit: u64| {
        let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
        Some(Duration::from_secs(u64::from(number) * unit * 3_600))
    };
    let age = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => hours(number, 1),
        (None, Some(number)) => hours(number, 24),
        (None, None) => None,
    };
    age.ok_or_else(|| format!("{text:?} is not a number of hours or days"))
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim);
    parts.map(|part| network(part).map_err(|error| error.to_string())).collect()
}

/// Whoever is trusted says who it is, so not everybody can be.
pub(super) fn proxies(text: &str) -> Result<Vec<IpNet>, String> {
    let read = |part: &str| {
        let net = part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
        let net = net.map_err(|_| format!("{part:?} is neither a network nor an address"))?;
        match net.prefix_len() {
            0 => Err(format!("{part} would believe everybody")),
            _ if net.addr().to_canonical() != net.addr() => {
                Err(format!("{part} is an IPv4 address in the form of IPv6"))
            }
            _ => Ok(net),
        }
    };
    text.split(',').map(str::trim).map(read).collect()
}

pub(super) fn brokers(text: &str) -> Result<BTreeSet<Broker>, String> {
    let parts = text.split(',').map(str::trim);
    parts.map(|part| part.parse().map_err(|error: InvalidBroker| error.to_string())).collect()
}

pub(super) fn proxy(text: &str) -> Result<Proxy, String> {
    text.parse().map_err(|error: InvalidProxy| error.to_string())
}

pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub(super) fn webhook_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').and_then(|number| number.parse().ok());
    let timeout = seconds.map(Duration::from_secs).filter(|time| TIMEOUTS.contains(time));
    timeout.ok_or_else(|| format!("{text:?} is no such time"))
}

pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    text.parse().map_err(|_| format!("{text:?} is not a list of waits"))
}

pub(super) fn brake(text: &str) -> Result<Option<Brake>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_: InvalidBrake| format!("{text:?} is no brake"))
}

pub(super) fn inactive_users(text: &str) -> Result<InactiveUsers, String> {
    InactiveUsers::named(text).ok_or_else(|| format!("{text:?} is none of the choices"))
}

pub(super) fn emptied_fields(text: &str) -> Result<Emptied, String> {
    let mut emptied = Emptied::default();
    for name in text.split(',').map(str::trim).filter(|name| !["", "none"].contains(name)) {
        if !emptied.empty(name) {
            return Err(format!("{name:?} is no such field"));
        }
    }
    Ok(emptied)
}

pub(super) fn scim_rate(text: &str) -> Result<Option<RateLimit>, String> {
    rate(text, SCIM_BURST_SECONDS)
}

pub(super) fn api_rate(text: &str) -> Result<Option<RateLimit>, String> {
    rate(text, API_BURST_SECONDS)
}

fn rate(text: &str, burst_seconds: u32) -> Result<Option<RateLimit>, String> {
    let number: u32 = text.parse().map_err(|_| no_such_number(text))?;
    Ok(NonZeroU32::new(number).map(|per_second| {
        let burst = per_second.saturating_mul(NonZeroU32::new(burst_seconds).expect("above zero"));
        RateLimit { per_second, burst }
    }))
}

pub(super) fn master_key(text: &str) -> Result<MasterKey, String> {
    let lenient = |alphabet: &alphabet::Alphabet| {
        let padding = DecodePaddingMode::Indifferent;
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(padding);
        GeneralPurpose::new(alphabet, config).decode(text.trim())
    };
    let bytes = lenient(&alphabet::STANDARD).or_else(|_| lenient(&alphabet::URL_SAFE));
    let bytes = bytes.map_err(|_| "it is not base64".to_owned())?;
    let length = bytes.len();
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| format!("it has {length} bytes"))?;
    Ok(MasterKey(bytes))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(format!("{text:?} is none of the choices")),
    }
}

pub(super) fn log_level(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim) {
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, part),
        };
        let filter: LevelFilter = level.parse().map_err(|_| format!("{level:?} is not a level"))?;
        targets = match target {
            Some(target) => targets.with_target(target, filter),
            None => targets.with_default(filter),
        };
    }
    Ok(targets)
}
