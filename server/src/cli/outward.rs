//! `dsync endpoint …`, `dsync key …` and `dsync signing-key …`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use schemas::{ApiKeyId, EndpointId, EventType, Format, OrganizationId};

use super::Page;

/// `dsync endpoint …`.
#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Create a webhook endpoint; prints its signing secret
    Create {
        /// Where to post events
        url: String,
        /// The types of events to send, separated by commas [default: all]
        #[arg(long, value_delimiter = ',', value_name = "TYPES")]
        events: Vec<EventType>,
        /// What to send: webhooks, or Security Event Tokens with SCIM events (RFC 9967)
        #[arg(long, value_name = "FORMAT", default_value_t, value_parser = formats())]
        format: Format,
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
        /// Where to post events from now on
        #[arg(long)]
        url: Option<String>,
        /// The types of events to send from now on, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "TYPES")]
        events: Vec<EventType>,
        /// Whether anything is sent
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// What to send from now on
        #[arg(long, value_name = "FORMAT", value_parser = formats())]
        format: Option<Format>,
        /// What else it is told
        #[command(flatten)]
        outward: Outward,
    },
    /// Delete a webhook endpoint
    Delete {
        /// Its id
        endpoint: EndpointId,
    },
    /// Replace the signing secret; both sign during the overlap
    RotateSecret {
        /// The id of the endpoint
        endpoint: EndpointId,
        /// How long both sign [default: a day]
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
}

/// What an endpoint is told beside its address and its events.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Outward {
    /// How long one attempt may take, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Whether there is an Ed25519 signature as well
    #[arg(long, value_name = "true|false")]
    pub ed25519: Option<bool>,
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
