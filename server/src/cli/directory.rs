//! `dsync directory …`.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use schemas::brake::InvalidBrake;
use schemas::wire::DirectoryType;
use schemas::{BrakeChoice, DirectoryId, OrganizationId, TokenId, UserId};
use serde_json::Value;

use super::Page;

/// `dsync directory …`.
#[derive(Debug, Subcommand)]
pub enum DirectoryCommand {
    /// Create a directory; prints its SCIM endpoint and, this once, its bearer token
    Create {
        /// The organization it belongs to
        #[arg(long, value_name = "ORG")]
        organization: OrganizationId,
        /// The identity provider
        #[arg(long = "type", value_name = "TYPE", default_value = DirectoryType::Generic.slug())]
        #[arg(value_parser = directory_types())]
        kind: String,
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// The directories, newest first
    List {
        /// Those of this organization
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
        /// Those whose name contains this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Those of an organization with this domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// One directory
    Get {
        /// Its id
        directory: DirectoryId,
    },
    /// Change the name of a directory, or what apps are told of its users
    Update {
        /// Its id
        directory: DirectoryId,
        /// Its name from now on
        #[arg(long)]
        name: Option<String>,
        /// What apps are told of users who turn inactive: keep or delete
        #[arg(long, value_name = "keep|delete")]
        inactive_users: Option<String>,
        /// What becomes of attributes on the way to apps, as JSON
        #[arg(long, value_name = "JSON", value_parser = json)]
        attribute_map: Option<Value>,
        /// How much may be removed at once before what tells apps is held, as share, window and floor; off, or
        /// default for that of the settings
        #[arg(long, value_name = "20%,1h,10", value_parser = brake)]
        own_brake: Option<BrakeChoice>,
    },
    /// Let apps be told what is held of a directory because much of it was removed at once
    Release {
        /// Its id
        directory: DirectoryId,
    },
    /// What another attribute map would change, for up to 20 users
    Preview {
        /// The directory
        directory: DirectoryId,
        /// The map, as JSON
        #[arg(value_parser = json)]
        attribute_map: Value,
        /// Only these users, separated by commas [default: the latest]
        #[arg(long, value_delimiter = ',', value_name = "IDS")]
        users: Vec<UserId>,
    },
    /// Which roles users have by their groups; with --set, which they have from now on
    Roles {
        /// The directory
        directory: DirectoryId,
        /// The mapping, as JSON
        #[arg(long = "set", value_name = "JSON", value_parser = json)]
        mapping: Option<Value>,
    },
    /// Delete a directory; its users and groups go a little later
    Delete {
        /// Its id
        directory: DirectoryId,
    },
    /// The latest SCIM requests of a directory, with what was refused and why
    Requests {
        /// Its id
        directory: DirectoryId,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// How the SCIM service of a directory behaves; with --set, how it does from now on
    Settings {
        /// Its id
        directory: DirectoryId,
        /// A setting and its value, such as unknown_member=pending; may be repeated
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
        settings: Vec<(String, String)>,
    },
    /// The bearer tokens of a directory, two at most
    #[command(subcommand)]
    Token(TokenCommand),
    /// The OAuth client of a directory, for identity providers that take no bearer token
    #[command(subcommand)]
    Oauth(OauthCommand),
}

/// `dsync directory token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a bearer token; it is printed this once
    Create {
        /// The directory it opens
        directory: DirectoryId,
        /// How long the other token works on [default: until it is revoked]
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
    /// The live bearer tokens of a directory, by their last characters
    List {
        /// The directory they open
        directory: DirectoryId,
    },
    /// Revoke a bearer token
    Revoke {
        /// The directory it opens
        directory: DirectoryId,
        /// The id of the token, as `list` prints it
        token: TokenId,
    },
}

/// `dsync directory oauth …`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum OauthCommand {
    /// The client id, where it gets access tokens, and its secrets by their last characters
    Show {
        /// The directory of the client
        directory: DirectoryId,
    },
    /// Change how long its access tokens live
    Update {
        /// The directory of the client
        directory: DirectoryId,
        /// Seconds, from an hour to six
        #[arg(long, value_name = "SECONDS")]
        token_lifetime: u32,
    },
    /// The secrets of the client, two at most
    #[command(subcommand)]
    Secret(SecretCommand),
}

/// `dsync directory oauth secret …`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum SecretCommand {
    /// Create a client secret; it is printed this once
    Create {
        /// The directory of the client
        directory: DirectoryId,
    },
    /// Delete a client secret, and end the access tokens that were issued with it
    Delete {
        /// The directory of the client
        directory: DirectoryId,
        /// The id of the secret, as `show` prints it
        secret: TokenId,
    },
}

fn directory_types() -> PossibleValuesParser {
    let value = |kind: DirectoryType| {
        let slug = kind.slug();
        // `okta` is enough at a shell.
        let short = slug.split_once(" scim").map_or(slug, |(short, _)| short);
        clap::builder::PossibleValue::new(slug).alias(short)
    };
    PossibleValuesParser::new(DirectoryType::ALL.map(value))
}

fn brake(text: &str) -> Result<BrakeChoice, InvalidBrake> {
    match text {
        "off" => Ok(BrakeChoice::Off),
        "default" => Ok(BrakeChoice::General),
        _ => text.parse().map(BrakeChoice::Of),
    }
}

fn json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has to be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
