//! The table of all settings. Flags, variables, keys of the file, help texts and `dsync config env`
//! are all made from it.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the file; flag and variable follow from it.
    pub key: &'static str,
    /// What holds when nobody says anything.
    pub default: Default,
    /// What it does, as one sentence without a full stop.
    pub help: &'static str,
    /// What a right value looks like.
    pub expects: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This value, read like any other.
    Value(&'static str),
    /// No value; this is what happens then.
    Absent(&'static str),
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.to_ascii_uppercase())
    }

    /// The flag without its two dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether the flag alone, without a value, means yes.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.expects == SWITCH
    }

    /// The setting with this key.
    #[must_use]
    pub fn named(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// Every variable of ours starts like this, and whatever starts like this must be one of ours.
pub(super) const ENV_PREFIX: &str = "DSYNC_";

const SWITCH: &str = "true or false";
const RATE: &str = "a whole number of requests a second, 0 for no limit";

/// Every setting, in the order in which lists show them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        default: Default::Value("127.0.0.1:8080"),
        help: "Address and port to accept connections on; port 0 takes a free one",
        expects: "an address and a port such as 127.0.0.1:8080",
        secret: false,
    },
    Setting {
        key: "data_dir",
        default: Default::Value("./data"),
        help: "Directory of the embedded log, the embedded store and the master key",
        expects: "the path of a directory",
        secret: false,
    },
    Setting {
        key: "public_url",
        default: Default::Absent("http://{listen}"),
        help: "Address at which identity providers and apps reach the server",
        expects: "a URL such as https://dsync.example.com, without query or fragment",
        secret: false,
    },
    Setting {
        key: "trusted_proxies",
        default: Default::Absent("no proxy is believed"),
        help: "Networks of your own reverse proxies: from them alone X-Forwarded-For (or Forwarded) is believed, and names the client of a request for limits and history",
        expects: "networks and addresses separated by commas, such as 10.1.0.0/16,127.0.0.1",
        secret: false,
    },
    Setting {
        key: "log",
        default: Default::Value("embedded"),
        help: "The log: embedded, or kafka://host:port,host:port/topic",
        expects: "embedded, or kafka://host:port,host:port/topic",
        secret: false,
    },
    Setting {
        key: "kafka_partitions",
        default: Default::Value("1"),
        help: "Partitions with which the topic of the log is made if it is missing; one that is there keeps its own",
        expects: "a whole number from 1 to 1024",
        secret: false,
    },
    Setting {
        key: "kafka_copies",
        default: Default::Value("3"),
        help: "Brokers that have a copy of each record, if the topic of the log has to be made; 1 where there is one broker",
        expects: "a whole number from 1 to 9",
        secret: false,
    },
    Setting {
        key: "store",
        default: Default::Value("embedded"),
        help: "The store: embedded, or postgres://user:password@host/database",
        expects: "embedded, or postgres://user:password@host/database",
        secret: false,
    },
    Setting {
        key: "store_connections",
        default: Default::Value("16"),
        help: "Connections to PostgreSQL that this process holds at most, beside two that listen",
        expects: "a whole number from 8 to 256",
        secret: false,
    },
    Setting {
        key: "api_key",
        default: Default::Absent("a key is made and printed once, if there is none at all"),
        help: "API key that exists with full scope; the client commands send it",
        expects: "printable ASCII characters without spaces, such as sk_live_7f3a",
        secret: true,
    },
    Setting {
        key: "console_password",
        default: Default::Absent("made and printed once at the first start"),
        help: "Password of the console",
        expects: "at least one character",
        secret: true,
    },
    Setting {
        key: "console_auditor_password",
        default: Default::Absent("no auditor can sign in"),
        help: "Password of the console for auditors, who read everything and change nothing",
        expects: "at least one character",
        secret: true,
    },
    Setting {
        key: "console_password_sign_in",
        default: Default::Value("true"),
        help: "Let people sign in to the console with a password; turn it off only where they can with an identity provider",
        expects: SWITCH,
        secret: false,
    },
    Setting {
        key: "console_oidc_issuer",
        default: Default::Absent("nobody signs in to the console with an identity provider"),
        help: "Identity provider of the console, by OpenID Connect: the issuer exactly as its tokens name it",
        expects: "a URL such as https://login.example.com, with https unless it is on this machine",
        secret: false,
    },
    Setting {
        key: "console_oidc_client_id",
        default: Default::Absent("nobody signs in to the console with an identity provider"),
        help: "What the console is called at the identity provider",
        expects: "at least one character",
        secret: false,
    },
    Setting {
        key: "console_oidc_client_secret",
        default: Default::Absent(
            "the console is a public client, which has the proof of its codes alone",
        ),
        help: "Secret of the console at the identity provider",
        expects: "at least one character",
        secret: true,
    },
    Setting {
        key: "console_oidc_admins",
        default: Default::Absent("nobody is an admin by the identity provider"),
        help: "Who signs in as an admin with the identity provider: verified e-mail addresses and values of the claim groups",
        expects: "a list such as ada@example.com,groups:platform",
        secret: false,
    },
    Setting {
        key: "console_oidc_auditors",
        default: Default::Absent("nobody is an auditor by the identity provider"),
        help: "The same for auditors, who read everything and change nothing",
        expects: "a list such as audit@example.com,groups:audit",
        secret: false,
    },
    Setting {
        key: "allow_private_endpoints",
        default: Default::Value("false"),
        help: "Let webhooks go to private and local addresses",
        expects: SWITCH,
        secret: false,
    },
    Setting {
        key: "allow_http",
        default: Default::Value("false"),
        help: "Let webhooks go out without TLS",
        expects: SWITCH,
        secret: false,
    },
    Setting {
        key: "allow_endpoint_networks",
        default: Default::Absent("none"),
        help: "Private networks that webhooks may go to; loopback, link-local and metadata addresses one by one",
        expects: "networks and addresses separated by commas, such as 10.1.0.0/16,127.0.0.1",
        secret: false,
    },
    Setting {
        key: "kafka_endpoints",
        default: Default::Absent("no endpoint can be a topic of Kafka"),
        help: "Brokers of Kafka to whose topics events may go, as endpoints kafka://host:port/topic; whatever address a broker names for itself or others is called, so name those that you vouch for. TLS and SASL for all of them stand in the table [endpoint_kafka] of the file",
        expects: "brokers separated by commas, such as kafka-1.example.com:9092,kafka-2.example.com:9092",
        secret: false,
    },
    Setting {
        key: "egress_proxy",
        default: Default::Absent(
            "webhooks go out directly; the proxy variables of the environment are not read",
        ),
        help: "HTTP proxy that webhooks go out through: it is asked, by CONNECT, for the addresses that their names have here",
        expects: "a URL such as http://proxy.example.com:3128, with user name and password where it wants them",
        secret: true,
    },
    Setting {
        key: "egress_proxy_names",
        default: Default::Value("false"),
        help: "Ask the egress proxy for the names of webhooks and let it resolve them, where it takes no addresses or names have none here; its own rules must shut your network then",
        expects: SWITCH,
        secret: false,
    },
    Setting {
        key: "extra_ca",
        default: Default::Absent("the certificate authorities of the system alone"),
        help: "PEM file of certificate authorities that endpoints of webhooks may have beside those of the system",
        expects: "the path of a file",
        secret: false,
    },
    Setting {
        key: "webhook_timeout",
        default: Default::Value("30s"),
        help: "How long a webhook may take in all, from the name to the last byte of the answer, unless its endpoint says otherwise",
        expects: "1s to 30s",
        secret: false,
    },
    Setting {
        key: "retry_schedule",
        default: Default::Value("5s,30s,2m,10m,30m,1h,3h,6h,12h,24h,24h"),
        help: "Waits between the attempts of a webhook, before jitter; one attempt more than waits",
        expects: "waits separated by commas, each a whole number with ms, s, m, h or d, such as 5s,30s,2m",
        secret: false,
    },
    Setting {
        key: "inactive_users",
        default: Default::Value("keep"),
        help: "What apps are told of a user who turns inactive, where a directory does not say it itself: keep shows it as inactive, delete tells that it is deleted",
        expects: "keep or delete",
        secret: false,
    },
    Setting {
        key: "emptied_fields",
        default: Default::Value("none"),
        help: "Fields of users and groups that are sent empty, as WorkOS sends them since 2026: none, or a list of raw_attributes, emails, username, job_title and groups",
        expects: "none, or a list such as raw_attributes,emails,username,job_title,groups",
        secret: false,
    },
    Setting {
        key: "brake",
        default: Default::Value("off"),
        help: "How much of a directory's users or memberships may be removed within a window before what tells apps of it is held for the operator, where a directory does not say it itself",
        expects: "off, or a share, a window and how many never hold anything, such as 20%,1h,10",
        secret: false,
    },
    Setting {
        key: "attempts_kept",
        default: Default::Value("10000"),
        help: "How many attempts of deliveries are remembered of each endpoint; a thousand or a tenth more may be",
        expects: "a whole number from 1 to 10000000",
        secret: false,
    },
    Setting {
        key: "attempts_kept_for",
        default: Default::Value("30d"),
        help: "How long attempts of deliveries are remembered, with what endpoints answered to those that failed",
        expects: "a whole number from 1 with h or d, such as 30d",
        secret: false,
    },
    Setting {
        key: "scim_rate_limit",
        default: Default::Value("200"),
        help: "SCIM requests a second for each directory, in bursts of 5 times as many; 0 is no limit. Unless it is set, programs on this machine are not limited",
        expects: RATE,
        secret: false,
    },
    Setting {
        key: "api_rate_limit",
        default: Default::Value("100"),
        help: "API requests a second for each key, in bursts of 60 times as many; 0 is no limit. Unless it is set, programs on this machine are not limited",
        expects: RATE,
        secret: false,
    },
    Setting {
        key: "master_key",
        default: Default::Absent("made under data_dir with mode 0600 on the embedded store"),
        help: "Key that encrypts what must be readable again: secrets and client keys of webhooks, keys that sign, kept answers",
        expects: "32 bytes in base64, as `openssl rand -base64 32` prints them",
        secret: true,
    },
    Setting {
        key: "log_format",
        default: Default::Absent("text on a terminal, json elsewhere"),
        help: "Form of the log lines on standard error: json or text",
        expects: "json or text",
        secret: false,
    },
    Setting {
        key: "log_level",
        default: Default::Value("info"),
        help: "Which log lines to write: a level, or levels by crate such as info,dispatcher=debug",
        expects: "error, warn, info, debug, trace or off, or a list such as info,dispatcher=debug",
        secret: false,
    },
];
