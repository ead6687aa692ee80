//! Settings: one table, four sources, one typed result.
//!
//! ```text
//!  flags ──▶ DSYNC_… ──▶ dsync.toml ──▶ defaults        the first that has a value gives it
//!     └─────────┴───────────┴──────────────┴──▶ text of each setting ──▶ Settings
//! ```
//!
//! Every value goes through the same text form, so that a flag, a variable and a file can never read
//! it in different ways. [`resolve`] is pure; [`load`] reads the environment and the file for it.
//! All that is wrong is reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use directory::InactiveUsers;
use directory::rules::Emptied;
use dispatcher::egress::Proxy;
use dispatcher::{Broker, Schedule};
use ipnet::IpNet;
use schemas::{Brake, RateLimit};
use tracing_subscriber::filter::Targets;
use url::Url;

mod console;
mod error;
mod listing;
mod sources;
mod table;
mod value;

pub use console::{ConsoleSettings, OidcSettings};
pub use error::{Problem, SettingsError, Source};
pub use listing::{effective, listed, reference};
pub use table::{Default, SETTINGS, Setting};
pub use value::{KafkaTopic, LogFormat, LogSetting, MasterKey, Secret, StoreSetting};

use sources::{Given, KafkaTable};

/// The file that is read when `--config` names none, if it exists.
pub const DEFAULT_FILE: &str = "dsync.toml";

/// What the program was told, in types that cannot be wrong.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to accept connections. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the embedded log, the embedded store and the master key live.
    pub data_dir: PathBuf,
    /// How the outside reaches the server, if that differs from `listen`.
    pub public_url: Option<Url>,
    /// The proxies that say for whom they call.
    pub trusted_proxies: Vec<IpNet>,
    /// Which log.
    pub log: LogSetting,
    /// With how many partitions its topic is made.
    pub kafka_partitions: u16,
    /// On how many brokers each record is, if the topic is made.
    pub kafka_copies: u16,
    /// What librdkafka is told beside what we tell it.
    pub kafka: BTreeMap<String, Secret>,
    /// Which store.
    pub store: StoreSetting,
    /// How many connections to PostgreSQL there are at most, beside those that listen.
    pub store_connections: usize,
    /// A key with full scope that exists by being named here.
    pub api_key: Option<Secret>,
    /// How people sign in to the console.
    pub console: ConsoleSettings,
    /// Whether webhooks may go to private addresses.
    pub allow_private_endpoints: bool,
    /// Whether webhooks may go out without TLS.
    pub allow_http: bool,
    /// Networks that webhooks may go to although they are not public.
    pub allow_endpoint_networks: Vec<IpNet>,
    /// Brokers of Kafka to whose topics events may go.
    pub kafka_endpoints: BTreeSet<Broker>,
    /// What librdkafka is told of them beside what we tell it.
    pub endpoint_kafka: BTreeMap<String, Secret>,
    /// What webhooks go out through, if they do not go out directly.
    pub egress_proxy: Option<Proxy>,
    /// The file of further certificate authorities.
    pub extra_ca: Option<PathBuf>,
    /// How long a webhook may take.
    pub webhook_timeout: Duration,
    /// The waits between the attempts of a delivery.
    pub retry_schedule: Schedule,
    /// What becomes of users who turn inactive, where a directory does not say it itself.
    pub inactive_users: InactiveUsers,
    /// What is sent empty.
    pub emptied_fields: Emptied,
    /// How much of a directory may be removed at once, where a directory does not say it itself.
    pub brake: Option<Brake>,
    /// How many attempts of deliveries are remembered of each endpoint.
    pub attempts_kept: u32,
    /// For how long they are remembered.
    pub attempts_kept_for: Duration,
    /// SCIM requests for each directory; none is no limit.
    pub scim_rate_limit: Option<RateLimit>,
    /// Whether that holds for requests from this machine too: only if it was asked for.
    pub scim_limits_loopback: bool,
    /// API requests for each key; none is no limit.
    pub api_rate_limit: Option<RateLimit>,
    /// Whether that holds for requests from this machine too: only if it was asked for.
    pub api_limits_loopback: bool,
    /// What encrypts the secrets that must be readable again.
    pub master_key: Option<MasterKey>,
    /// The form of log lines; none is text on a terminal and JSON elsewhere.
    pub log_format: Option<LogFormat>,
    /// Which log lines to write.
    pub log_level: Targets,
}

impl Settings {
    /// The address that others are told, without a slash at its end.
    ///
    /// `bound` is where the listener ended up, which differs from `listen` for port 0.
    #[must_use]
    pub fn base_url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{bound}"),
        }
    }

    /// Where a command of the same machine reaches the server, without a slash at its end.
    #[must_use]
    pub fn client_url(&self) -> String {
        let mut address = self.listen;
        match address.ip() {
            // Listening on every address is no address to connect to.
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        self.base_url(address)
    }

    /// Refuses what this build cannot run.
    ///
    /// # Errors
    /// When `log` or `kafka_endpoints` asks for Kafka in a build without it.
    pub fn require_built(&self) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        if matches!(self.log, LogSetting::Kafka(_)) && !cfg!(feature = "kafka") {
            let instead = "set log to embedded";
            problems.push(Problem::WithoutKafka { setting: "log", instead });
        }
        if !self.kafka_endpoints.is_empty() && !cfg!(feature = "kafka") {
            let instead = "leave it out";
            problems.push(Problem::WithoutKafka { setting: "kafka_endpoints", instead });
        }
        SettingsError::of(problems)
    }
}

/// One setting with its value in words and where that came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value as text, a secret replaced by stars; none where nothing was set.
    pub shown: Option<String>,
    /// Who said so.
    pub source: Source,
}

/// Settings with the origin of each, in the order of the table.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The typed values.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Vec<Origin>,
    /// The settings of librdkafka.
    pub kafka: Vec<FromKafka>,
}

/// One setting of librdkafka.
#[derive(Clone, Debug)]
pub struct FromKafka {
    /// The table of the file in which it stands.
    pub table: &'static str,
    /// Its name.
    pub key: String,
    /// Its value as text, a secret replaced by stars.
    pub shown: String,
    /// Where it stands.
    pub source: Source,
}

impl Resolved {
    /// Whether a setting was given, rather than left at its default.
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        let given = |origin: &Origin| origin.setting.key == key && origin.source != Source::Default;
        self.origins.iter().any(given)
    }
}

/// A configuration file as it was read.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// What messages call it.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
}

/// Reads the environment and the file, and resolves them with the flags.
///
/// With `only`, environment and file say nothing but these settings.
///
/// # Errors
/// When the file cannot be read, or anything in the three sources is wrong.
pub fn load(
    flags: &BTreeMap<&'static str, String>,
    config: Option<&Path>,
    only: Option<&[&str]>,
) -> Result<Resolved, SettingsError> {
    let path = config.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if config.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let problem = Problem::UnreadableFile { path: path.to_owned(), why: error.to_string() };
            return Err(SettingsError { problems: vec![problem] });
        }
    };
    let file = text.as_deref().map(|text| File { path, text });
    resolve_only(flags, &std::env::vars_os().collect(), file, only)
}

/// Flags over environment over file over defaults.
///
/// An empty environment variable counts as not set: that is how compose files and unit files leave
/// one out.
///
/// # Errors
/// All that is wrong: unknown keys in the file, unknown `DSYNC_…` variables, and wrong values.
pub fn resolve(
    flags: &BTreeMap<&'static str, String>,
    env: &BTreeMap<OsString, OsString>,
    file: Option<File<'_>>,
) -> Result<Resolved, SettingsError> {
    resolve_only(flags, env, file, None)
}

/// The same where environment and file are asked for these settings alone, and may say of all others what they like.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_only(
    flags: &BTreeMap<&'static str, String>,
    env: &BTreeMap<OsString, OsString>,
    file: Option<File<'_>>,
    only: Option<&[&str]>,
) -> Result<Resolved, SettingsError> {
    let mut problems = Vec::new();
    let asked = |key: &str| only.is_none_or(|only| only.contains(&key));
    let given = Given::gather(flags, env, file, &asked, &mut problems);
    let settings = typed(&given, &mut problems);
    let settings = match (settings, SettingsError::of(problems)) {
        (Some(settings), Ok(())) => settings,
        (_, Err(error)) => return Err(error),
        (None, Ok(())) => unreachable!("a setting without a value has left a problem"),
    };
    Ok(Resolved { settings, origins: given.origins(), kafka: given.kafka_origins() })
}

fn typed(given: &Given, problems: &mut Vec<Problem>) -> Option<Settings> {
    // Each is read before the first `?`, so that every problem is found.
    let listen = given.required("listen", value::address, problems);
    let data_dir = given.required("data_dir", value::directory, problems);
    let public_url = given.optional("public_url", value::public_url, problems);
    let trusted_proxies = given.optional("trusted_proxies", value::proxies, problems);
    let log = given.required("log", value::log, problems);
    let kafka_partitions = given.required("kafka_partitions", value::partitions, problems);
    let kafka_copies = given.required("kafka_copies", value::copies, problems);
    let store = given.required("store", value::store, problems);
    let store_connections = given.required("store_connections", value::connections, problems);
    let api_key = given.optional("api_key", value::key, problems);
    let console = console::read(given, problems);
    let allow_private_endpoints = given.required("allow_private_endpoints", value::flag, problems);
    let allow_http = given.required("allow_http", value::flag, problems);
    let allow_endpoint_networks =
        given.optional("allow_endpoint_networks", value::networks, problems);
    let kafka_endpoints = given.optional("kafka_endpoints", value::brokers, problems);
    let egress_proxy = given.optional("egress_proxy", value::proxy, problems);
    let egress_proxy_names = given.required("egress_proxy_names", value::flag, problems);
    let extra_ca = given.optional("extra_ca", value::file, problems);
    let webhook_timeout = given.required("webhook_timeout", value::webhook_timeout, problems);
    let retry_schedule = given.required("retry_schedule", value::schedule, problems);
    let brake = given.required("brake", value::brake, problems);
    let inactive_users = given.required("inactive_users", value::inactive_users, problems);
    let emptied_fields = given.required("emptied_fields", value::emptied_fields, problems);
    let attempts_kept = given.required("attempts_kept", value::count, problems);
    let attempts_kept_for = given.required("attempts_kept_for", value::age, problems);
    let scim_rate_limit = given.required("scim_rate_limit", value::scim_rate, problems);
    let scim_limits_loopback = given.is_given("scim_rate_limit");
    let api_rate_limit = given.required("api_rate_limit", value::api_rate, problems);
    let api_limits_loopback = given.is_given("api_rate_limit");
    let master_key = given.optional("master_key", value::master_key, problems);
    let log_format = given.optional("log_format", value::log_format, problems);
    let log_level = given.required("log_level", value::log_level, problems);
    Some(Settings {
        listen: listen?,
        data_dir: data_dir?,
        public_url: public_url?,
        trusted_proxies: trusted_proxies?.unwrap_or_default(),
        log: log?,
        kafka_partitions: kafka_partitions?,
        kafka_copies: kafka_copies?,
        kafka: given.kafka(KafkaTable::Log),
        store: store?,
        store_connections: store_connections?,
        api_key: api_key?,
        console: console?,
        allow_private_endpoints: allow_private_endpoints?,
        allow_http: allow_http?,
        allow_endpoint_networks: allow_endpoint_networks?.unwrap_or_default(),
        kafka_endpoints: kafka_endpoints?.unwrap_or_default(),
        endpoint_kafka: given.kafka(KafkaTable::Endpoints),
        egress_proxy: asked(egress_proxy?, egress_proxy_names?),
        extra_ca: extra_ca?,
        webhook_timeout: webhook_timeout?,
        retry_schedule: retry_schedule?,
        brake: brake?,
        inactive_users: inactive_users?,
        emptied_fields: emptied_fields?,
        attempts_kept: attempts_kept?,
        attempts_kept_for: attempts_kept_for?,
        scim_rate_limit: scim_rate_limit?,
        scim_limits_loopback,
        api_rate_limit: api_rate_limit?,
        api_limits_loopback,
        master_key: master_key?,
        log_format: log_format?,
        log_level: log_level?,
    })
}

/// What the proxy is asked for: names or addresses.
fn asked(proxy: Option<Proxy>, for_names: bool) -> Option<Proxy> {
    if for_names { proxy.map(Proxy::asked_for_names) } else { proxy }
}

#[cfg(test)]
mod tests;
