//! Which server, and how it is reached.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How many connections a process holds at most if nobody says. A database does no more work at once than it has cores; what is
/// beyond it waits here instead of there.
const CONNECTIONS_MAX: usize = 16;

/// How long it may take to reach a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long what was sent may remain without a sign that it has arrived. A server that vanished without a word would
/// be waited for a quarter of an hour otherwise.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long without a word, how often and how many times a server is asked whether it is there: a connection
/// that only listens finds out after 25 s, and not after two hours.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVES_RETRIES: u32 = 3;

/// After how long the driver asks, which nobody means.
const DRIVERS_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// A server of PostgreSQL: a connection string as libpq reads it, as a URL or as `name=value` pairs.
///
/// `sslmode` differs: `require`, `verify-ca` and `verify-full` all verify the certificate and the name in it, against
/// the roots of the system or those in `sslrootcert`. Whoever asks for encryption wants to know to whom; anything
/// else connects in the clear.
#[derive(Clone)]
pub struct PostgresSettings {
    config: Config,
    roots: Option<Roots>,
    /// How many connections may be open at once, beside two that listen.
    pub connections_max: usize,
}

/// Whom to believe.
#[derive(Clone, Debug)]
pub(crate) enum Roots {
    System,
    File(PathBuf),
}

/// What is no connection string.
#[derive(Debug, thiserror::Error)]
#[error("this is no connection string of PostgreSQL: {0}")]
pub struct Invalid(String);

impl PostgresSettings {
    /// What the driver connects with.
    pub(crate) fn connection(&self) -> Config {
        self.config.clone()
    }

    /// Against which certificates the server is verified; `None` for a connection in the clear.
    pub(crate) const fn tls(&self) -> Option<&Roots> {
        self.roots.as_ref()
    }
}

impl From<Config> for PostgresSettings {
    fn from(config: Config) -> Self {
        let mut settings = Self { config, roots: None, connections_max: CONNECTIONS_MAX };
        if settings.config.get_ssl_mode() == SslMode::Require {
            settings.roots = Some(Roots::System);
        } else {
            settings.config.ssl_mode(SslMode::Disable);
        }
        if settings.config.get_application_name().is_none() {
            settings.config.application_name("dsync");
        }
        notices_silence(&mut settings.config);
        settings
    }
}

/// Sets what a connection string does not say of a server that has fallen silent.
fn notices_silence(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_keepalives_idle() == DRIVERS_IDLE {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVES_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVES_RETRIES);
    }
}

impl FromStr for PostgresSettings {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, root) = without(text, "sslrootcert");
        let (text, mode) = without(&text, "sslmode");
        // The driver's own words repeat values, and one of them is a password.
        let mut config: Config =
            text.parse().map_err(|_| Invalid("see libpq's \"Connection Strings\"".to_owned()))?;
        match mode.as_deref() {
            None | Some("disable" | "allow" | "prefer") => {}
            Some("require" | "verify-ca" | "verify-full") => {
                config.ssl_mode(SslMode::Require);
            }
            Some(_) => {
                return Err(Invalid("sslmode is one of disable, require, verify-full".into()));
            }
        }
        let mut settings = Self::from(config);
        if let (Some(roots), Some(root)) = (&mut settings.roots, root) {
            *roots = Roots::File(root.into());
        }
        Ok(settings)
    }
}

/// The connection string without a setting that the driver does not know, and that setting.
fn without(text: &str, name: &str) -> (String, Option<String>) {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let Some((before, query)) = (if is_url { text.split_once('?') } else { Some(("", text)) })
    else {
        return (text.to_owned(), None);
    };
    let separator = if is_url { '&' } else { ' ' };
    let mut value = None;
    let kept: Vec<&str> = (query.split(separator))
        .filter(|part| match part.split_once('=') {
            Some((is, found)) if is == name => {
                value = Some(found.trim_matches('\'').replace("%2F", "/").replace("%2f", "/"));
                false
            }
            Some(_) | None => true,
        })
        .collect();
    let kept = kept.join(&separator.to_string());
    (
        if is_url && !kept.is_empty() {
            format!("{before}?{kept}")
        } else {
            format!("{before}{kept}")
        },
        value,
    )
}

impl std::fmt::Display for PostgresSettings {
    /// Where the server is. No password, nor anything else that a log must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let database = self.config.get_dbname().unwrap_or("the default database");
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5_432);
            match host {
                Host::Tcp(name) => write!(f, "{name}:{port}, ")?,
                Host::Unix(path) => write!(f, "{}, ", path.display())?,
            }
        }
        f.write_str(database)
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresSettings({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PostgresSettings {
        text.parse().unwrap()
    }

    #[test]
    fn a_connection_string_says_whether_the_server_is_verified_and_against_what() {
        let url = "postgres://dsync:secret@db.example:6432/sync";
        assert!(read(url).tls().is_none());
        assert!(read(&format!("{url}?sslmode=prefer")).tls().is_none());
        for mode in ["require", "verify-ca", "verify-full"] {
            let text = format!("{url}?sslmode={mode}&connect_timeout=3");
            assert!(matches!(read(&text).tls(), Some(Roots::System)), "{mode}");
        }
        let text = format!("{url}?sslrootcert=/etc/ca.pem&sslmode=verify-full");
        assert!(matches!(read(&text).tls(), Some(Roots::File(path)) if path.ends_with("ca.pem")));
        let pairs =
            read("host=db.example user=dsync sslmode=verify-full sslrootcert='/etc/ca.pem'");
        assert!(matches!(pairs.tls(), Some(Roots::File(_))));
        assert!("postgres://x?sslmode=maybe".parse::<PostgresSettings>().is_err());
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_soon_unless_the_connection_string_says_otherwise() {
        let url = "postgres://dsync@db.example/sync";
        let config = read(url).connection();
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(5)));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(10)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(10));
        assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(5)));
        assert_eq!(config.get_keepalives_retries(), Some(3));
        let said = "connect_timeout=31&tcp_user_timeout=32000&keepalives_idle=33\
            &keepalives_interval=34&keepalives_retries=35";
        let config = read(&format!("{url}?{said}")).connection();
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(31)));
        assert!(config.get_tcp_user_timeout() > Some(&Duration::from_secs(31)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(33));
        assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(34)));
        assert_eq!(config.get_keepalives_retries(), Some(35));
    }

    #[test]
    fn a_server_is_shown_without_its_password() {
        let settings = read("postgres://dsync:secret@db.example:6432/sync?sslmode=require");
        assert_eq!(settings.to_string(), "db.example:6432, sync");
        assert_eq!(format!("{settings:?}"), "PostgresSettings(db.example:6432, sync)");
        let wrong = "postgres://dsync:secret@db.example:port/sync".parse::<PostgresSettings>();
        assert!(!wrong.unwrap_err().to_string().contains("secret"));
    }
}
