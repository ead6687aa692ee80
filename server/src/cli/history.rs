//! `dsync events …`, `dsync event …` and `dsync audit …`.

use clap::{Args, Subcommand};
use schemas::{
    Action, DirectoryId, EventId, EventType, GroupId, OrganizationId, Timestamp, UserId,
};

/// `dsync events …`.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// The latest events, a line each
    Tail {
        /// Go on with what comes
        #[arg(long, short)]
        follow: bool,
    },
    /// Events from the oldest to the newest, for another program
    Export {
        /// Only this directory
        #[arg(long, value_name = "DIR")]
        directory: Option<DirectoryId>,
        /// Only events from this time on, such as 2026-03-02T10:15:30Z or 2026-03-02
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<Timestamp>,
        /// One JSON object a line
        #[arg(long, value_enum, default_value = "ndjson")]
        format: ExportFormat,
    },
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line
    Ndjson,
}

/// `dsync event …`.
#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// One event
    Get {
        /// Its id
        event: EventId,
    },
}

/// `dsync audit …`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Everything that was accepted, with its hash and who caused it, oldest first
    Events {
        /// Which of it
        #[command(flatten)]
        filter: AuditFilter,
        /// The form
        #[arg(long, value_enum, default_value = "ndjson")]
        format: StreamFormat,
    },
    /// What people and keys did outside SCIM, oldest first
    AdminEvents {
        /// Which of it
        #[command(flatten)]
        filter: ActionFilter,
        /// The form
        #[arg(long, value_enum, default_value = "ndjson")]
        format: StreamFormat,
    },
    /// Walk the hash chain and compare the state with what it folds to; exit 1 at a difference
    Verify {
        /// Only this directory
        #[arg(long, value_name = "DIR")]
        directory: Option<DirectoryId>,
    },
}

/// What the history is narrowed to.
#[derive(Debug, Default, Args)]
pub struct AuditFilter {
    /// Only this directory
    #[arg(long, value_name = "DIR")]
    pub directory: Option<DirectoryId>,
    /// Only what is about this user, also when it is gone
    #[arg(long, value_name = "USER")]
    pub user: Option<UserId>,
    /// Only what is about this group, also when it is gone
    #[arg(long, value_name = "GROUP")]
    pub group: Option<GroupId>,
    /// Only what this token suffix, address, user agent, API key or role in the console caused
    #[arg(long, value_name = "WHO")]
    pub actor: Option<String>,
    /// Only what this request caused
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Only what contains this text
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Only these types, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    pub events: Vec<EventType>,
    /// Only from this time on, such as 2026-03-02T10:15:30Z or 2026-03-02
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
}

/// What the actions are narrowed to.
#[derive(Debug, Default, Args)]
pub struct ActionFilter {
    /// Only what this API key, portal link, address, or role in the console did
    #[arg(long, value_name = "WHO")]
    pub actor: Option<String>,
    /// Only this action, such as api_key.created
    #[arg(long, value_name = "NAME")]
    pub action: Option<Action>,
    /// Only what is about this organization
    #[arg(long, value_name = "ORG")]
    pub organization: Option<OrganizationId>,
    /// Only from this time on, such as 2026-03-02T10:15:30Z or 2026-03-02
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
}

/// The form of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StreamFormat {
    /// One JSON object a line
    Ndjson,
    /// A table for spreadsheets
    Csv,
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let midnight = format!("{text}T00:00:00Z");
    text.parse()
        .or_else(|_| midnight.parse())
        .map_err(|error: schemas::time::InvalidTimestamp| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_from_its_midnight() {
        assert_eq!(time("2026-03-02").unwrap().to_string(), "2026-03-02T00:00:00.000Z");
        assert!(time("yesterday").is_err());
    }
}
