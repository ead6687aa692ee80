//! `dsync endpoint …`, `dsync key …` and `dsync signing-key …`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use schemas::{
    ApiKeyId, DirectoryId, EndpointId, EventId, Format, OrganizationId, ReplayId, Timestamp,
};

use super::history::time;
use super::{NewEndpoint, Page};

/// `dsync endpoint …`.
#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Create a webhook endpoint; prints its signing secret
    Create {
        /// Where to post what
        #[command(flatten)]
        new: NewEndpoint,
        /// What else it is told
        #[command(flatten)]
        outward: Outward,
    },
    /// The webhook endpoints, newest first
    List {
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// One webhook endpoint with its health
    Get {
        /// Its id
        endpoint: EndpointId,
    },
    /// Change a webhook endpoint; what is not mentioned stays
    Update {
        /// Its id
        endpoint: EndpointId,
        /// Where to send events from now on
        #[arg(long)]
        url: Option<String>,
        /// The types of events to send from now on, separated by commas; dsync.user.* stands for several
        #[arg(long, value_delimiter = ',', value_name = "TYPES")]
        events: Vec<String>,
        /// Whether anything is sent
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// What to send from now on
        #[arg(long, value_name = "FORMAT", value_parser = formats())]
        format: Option<Format>,
        /// Show no certificate to it any more
        #[arg(long, conflicts_with = "client_certificate")]
        no_client_certificate: bool,
        /// What else it is told
        #[command(flatten)]
        outward: Outward,
    },
    /// Delete a webhook endpoint
    Delete {
        /// Its id
        endpoint: EndpointId,
    },
    /// The attempts of an endpoint, newest first
    Deliveries {
        /// Its id
        endpoint: EndpointId,
        /// Those of events of this type, or of the event with this id
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
        /// Those that ended so: delivered, failed or exhausted
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Those of events about this user or group
        #[arg(long, value_name = "ID")]
        resource: Option<String>,
        /// Those made at this time or later
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<Timestamp>,
        /// Those made at this time or earlier
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Timestamp>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// Send a signed sample of an event, and show what came back
    Test {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// The type of the event
        #[arg(long, value_name = "TYPE", default_value = "dsync.user.created")]
        event: String,
    },
    /// Events that are sent once more
    #[command(subcommand)]
    Replay(ReplayCommand),
    /// Replace the signing secret; both sign during the overlap
    RotateSecret {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// How long both sign [default: a day]
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
}

/// `dsync endpoint replay …`.
#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Send a range of events once more, in order, or one event
    Start {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// One event
        #[arg(long = "event-id", value_name = "EVENT", conflicts_with_all = ["from", "to"])]
        event_id: Option<EventId>,
        /// From this time or event on
        #[arg(long, value_name = "TIME|EVENT")]
        from: Option<String>,
        /// Up to this time or event [default: now]
        #[arg(long, value_name = "TIME|EVENT")]
        to: Option<String>,
        /// Only events of this directory
        #[arg(long, value_name = "DIR")]
        directory: Option<DirectoryId>,
        /// Only events of these types, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "TYPES")]
        events: Vec<String>,
        /// How many a second at most
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
    },
    /// The replays of an endpoint, newest first
    List {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// How far a replay has come
    Get {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// The id of the replay
        replay: ReplayId,
    },
    /// End a replay
    Cancel {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// The id of the replay
        replay: ReplayId,
    },
}

/// What an endpoint is told beside its address and its events.
#[derive(Clone, Debug, Default, Args)]
pub struct Outward {
    /// How long one attempt may take, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Whether there is an Ed25519 signature as well
    #[arg(long, value_name = "true|false")]
    pub ed25519: Option<bool>,
    /// The certificate to show to the endpoint: a PEM file, with those that lead to its authority behind it
    #[arg(long, value_name = "FILE", value_parser = pem, requires = "client_key")]
    pub client_certificate: Option<Pem>,
    /// The private key of that certificate: a PEM file
    #[arg(long, value_name = "FILE", value_parser = pem, requires = "client_certificate")]
    pub client_key: Option<Pem>,
}

/// What a file in PEM form says. It may be a private key, so it does not show itself.
#[derive(Clone)]
pub struct Pem(String);

impl Pem {
    /// The text, for whoever it is sent to.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pem(…)")
    }
}

/// More than any certificate or key; the server takes half of it.
const PEM_MAX: u64 = 64 * 1024;

fn pem(path: &str) -> Result<Pem, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > PEM_MAX {
        return Err(format!("it has {size} bytes, which no certificate and no key has"));
    }
    std::fs::read_to_string(path).map(Pem).map_err(|error| error.to_string())
}

/// Whether an endpoint is sent anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Status {
    /// It is
    Enabled,
    /// It is not
    Disabled,
}

/// `dsync key …`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Create an API key; it is printed this once
    Create {
        /// What it is for
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "full")]
        scope: Scope,
        /// The only organization that it sees
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
    },
    /// The API keys, by their last characters
    List {
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// Delete an API key; it opens nothing any more
    Delete {
        /// Its id
        key: ApiKeyId,
    },
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// Everything
    Full,
    /// Read what customer apps read
    Read,
    /// Read the history, for auditors
    Audit,
}

/// `dsync signing-key …`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum SigningKeyCommand {
    /// The keys, with when they sign
    List,
    /// Replace the key that signs: in an hour, or at once if it is compromised
    Rotate {
        /// Whether somebody else may have it
        #[arg(long)]
        compromised: bool,
    },
    /// The public keys as receivers get them
    Jwks,
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse())
}
