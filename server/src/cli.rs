//! The command line as data. What each command does stands elsewhere; the flags of the settings are
//! made from their table.
//!
//! Exit codes: 0 it worked, 1 it did not, 2 the command line or the settings are wrong.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use schemas::DirectoryId;

use crate::settings::{SETTINGS, Setting};

mod directory;
mod endpoint;
mod history;
mod host_name;
mod organization;
mod outward;
mod page;
mod people;
mod portal_link;

pub use directory::{DirectoryCommand, OauthCommand, SecretCommand, TokenCommand};
pub use endpoint::NewEndpoint;
pub use history::{
    ActionFilter, AuditCommand, AuditFilter, EventCommand, EventsCommand, ExportFormat,
    StreamFormat,
};
pub use host_name::HostNameCommand;
pub use organization::OrgCommand;
pub use outward::{
    EndpointCommand, KeyCommand, Outward, Pem, ReplayCommand, Scope, SigningKeyCommand, Status,
};
pub use page::Page;
pub use people::{GroupCommand, UserCommand};
pub use portal_link::PortalLinkCommand;

/// The commands that use every setting. The others, which talk to a server, show a few.
const WITH_EVERY_SETTING: &[&str] = &["serve", "verify", "rebuild", "config"];

/// What a command that talks to a server uses.
const CLIENT_SETTINGS: &[&str] = &["listen", "public_url", "api_key"];

/// What the demo takes from outside. All else is part of its story.
pub const DEMO_SETTINGS: &[&str] = &["listen", "log_format", "log_level"];

/// Directory sync: SCIM in, an event log you can check, signed webhooks out
#[derive(Debug, Parser)]
#[command(name = "dsync", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Every setting is a flag, an environment variable and a key of dsync.toml: \
    see `dsync config env`."
)]
pub struct Cli {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// The configuration file [default: dsync.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: every role in one process, or the named ones
    Serve(Serve),
    /// Run the server with an example: an organization, a directory and a receiver of webhooks
    Demo,
    /// Check the history and the state against each other; exit 1 at the first difference
    Verify {
        /// Only this directory
        #[arg(long, value_name = "DIR")]
        directory: Option<DirectoryId>,
    },
    /// Build the state anew from the log and swap it in
    Rebuild {
        /// Where the log lacks records for good: let the streams they are missing from begin anew
        #[arg(long)]
        accept_loss: bool,
    },
    /// Show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Organizations: the customers of the app
    #[command(subcommand)]
    Org(OrgCommand),
    /// Directories: the identity provider connections of organizations
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// Host names of customers, under which their directories are reached
    #[command(subcommand)]
    HostName(HostNameCommand),
    /// Links to the setup page of an organization, for its administrators
    #[command(subcommand)]
    PortalLink(PortalLinkCommand),
    /// Webhook endpoints
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Users of directories
    #[command(subcommand)]
    User(UserCommand),
    /// Groups of directories
    #[command(subcommand)]
    Group(GroupCommand),
    /// The events, in order
    #[command(subcommand)]
    Events(EventsCommand),
    /// One event
    #[command(subcommand)]
    Event(EventCommand),
    /// The history, for auditors
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The keys that Security Event Tokens are signed with
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
}

/// `dsync serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The roles to run in this process, separated by commas [default: all]
    #[arg(long = "role", value_name = "ROLES", value_delimiter = ',')]
    pub roles: Vec<Role>,
}

/// A part of the server that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Takes SCIM requests and appends to the log
    Ingest,
    /// Turns the log into the state and the feed
    Projector,
    /// Sends webhooks
    Dispatcher,
    /// Serves the API and the console
    Api,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Projector, Self::Dispatcher, Self::Api];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Projector => "projector",
            Self::Dispatcher => "dispatcher",
            Self::Api => "api",
        }
    }
}

/// `dsync config …`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// The effective configuration and the source of each value, secrets hidden
    Print,
    /// Every setting with its variable, its default and what it does
    Env,
}

/// A command line with the settings that its flags gave.
#[derive(Debug)]
pub struct Parsed {
    /// The command.
    pub cli: Cli,
    /// The text of each setting that was given as a flag, by key.
    pub flags: BTreeMap<&'static str, String>,
}

/// Reads a command line.
///
/// # Errors
/// What clap says, which covers `--help` and `--version` too: [`clap::Error::exit`] does the rest.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let flags = given(&matches);
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))?;
    if let Command::Demo = cli.command {
        must_suit_the_demo(&flags)?;
    }
    Ok(Parsed { cli, flags })
}

fn must_suit_the_demo(flags: &BTreeMap<&'static str, String>) -> Result<(), clap::Error> {
    let Some(other) = flags.keys().find(|key| !DEMO_SETTINGS.contains(key)) else { return Ok(()) };
    let flag = other.replace('_', "-");
    let why = format!("the demo has settings of its own, and takes no --{flag}; dsync serve does");
    Err(command().error(clap::error::ErrorKind::ArgumentConflict, why))
}

/// The whole command line definition, flags of the settings included.
#[must_use]
pub fn command() -> clap::Command {
    // On the top level the flags are known and not shown, so that they may stand before the command;
    // each command shows those that matter to it.
    let mut command = Cli::command().args(SETTINGS.iter().map(|setting| flag(setting).hide(true)));
    let names: Vec<String> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let every = WITH_EVERY_SETTING.contains(&name.as_str());
        let some = if name == "demo" { DEMO_SETTINGS } else { CLIENT_SETTINGS };
        let shown = SETTINGS.iter().filter(|s| every || some.contains(&s.key));
        let flags: Vec<Arg> = shown.map(flag).collect();
        command = command.mut_subcommand(name, |command| command.args(flags));
    }
    command
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .help(format!("{} [env: {}]", setting.help, setting.env()))
        .help_heading("Settings")
        .global(true)
        .value_name("VALUE");
    if setting.is_switch() {
        arg.num_args(0..=1).default_missing_value("true").value_name("true|false")
    } else {
        // A value such as `-1` is for the setting to judge, not for the parser of flags.
        arg.allow_hyphen_values(true)
    }
}

fn given(matches: &ArgMatches) -> BTreeMap<&'static str, String> {
    let text = |setting: &'static Setting| {
        let text = matches.get_one::<String>(setting.key)?;
        Some((setting.key, text.clone()))
    };
    SETTINGS.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> BTreeMap<&'static str, String> {
        parse(line.split(' ').map(OsString::from)).unwrap().flags
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_setting_may_stand_before_and_after_the_command() {
        let expected = BTreeMap::from([("listen", "a:1".to_owned())]);
        assert_eq!(flags("dsync --listen a:1 serve"), expected);
        assert_eq!(flags("dsync serve --listen a:1"), expected);
        assert_eq!(flags("dsync serve --listen=a:1"), expected);
        assert_eq!(flags("dsync org create Acme --listen a:1"), expected);
        assert_eq!(
            flags("dsync directory token --listen a:1 create directory_00000000000000000000000000"),
            expected
        );
    }

    #[test]
    fn a_client_command_takes_every_setting_too() {
        assert_eq!(flags("dsync events tail --log-level debug").get("log_level").unwrap(), "debug");
    }

    #[test]
    fn a_switch_needs_no_value() {
        assert_eq!(flags("dsync serve --allow-http").get("allow_http").unwrap(), "true");
        assert_eq!(flags("dsync serve --allow-http false").get("allow_http").unwrap(), "false");
        assert!(flags("dsync serve").is_empty());
    }

    #[test]
    fn the_demo_takes_no_setting_that_would_spoil_it() {
        assert_eq!(flags("dsync demo --listen a:1").get("listen").unwrap(), "a:1");
        let line = ["dsync", "--public-url", "https://a.example", "demo"].map(OsString::from);
        let refused = parse(line).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("takes no --public-url"), "{refused}");
    }

    #[test]
    fn roles_come_as_a_list() {
        let line = ["dsync", "serve", "--role", "ingest,api"].map(OsString::from);
        let Command::Serve(serve) = parse(line).unwrap().cli.command else { panic!("serve") };
        assert_eq!(serve.roles, [Role::Ingest, Role::Api]);
    }

    #[test]
    fn a_directory_type_may_be_short() {
        let line = "dsync directory create --organization org_00000000000000000000000000 --name N --type okta";
        assert!(parse(line.split(' ').map(OsString::from)).is_ok());
    }

    #[test]
    fn an_endpoint_gets_webhooks_unless_told_otherwise() {
        use schemas::Format;
        let format = |line: &str| {
            let parsed = parse(line.split(' ').map(OsString::from)).ok()?.cli.command;
            let Command::Endpoint(EndpointCommand::Create { new, .. }) = parsed else {
                panic!("endpoint")
            };
            Some(new.format)
        };
        let create = "dsync endpoint create https://app.example";
        assert_eq!(format(create), Some(Format::Webhook));
        assert_eq!(format(&format!("{create} --format scim_set")), Some(Format::ScimSet));
        assert_eq!(format(&format!("{create} --format set")), None);
    }
}
