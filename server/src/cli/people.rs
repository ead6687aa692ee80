//! `dsync user …` and `dsync group …`.

use clap::Subcommand;
use schemas::{DirectoryId, GroupId, UserId};

use super::Page;

/// `dsync user …`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// The users of a directory or of a group, newest first
    List {
        /// Those of this directory
        #[arg(long, value_name = "DIR", required_unless_present = "group")]
        directory: Option<DirectoryId>,
        /// The members of this group
        #[arg(long, value_name = "GROUP")]
        group: Option<GroupId>,
        /// The one with this id at the identity provider
        #[arg(long, value_name = "ID")]
        idp_id: Option<String>,
        /// Those with this primary address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// One user, with its groups
    Get {
        /// Its id
        user: UserId,
    },
}

/// `dsync group …`.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// The groups of a directory or of a user, newest first
    List {
        /// Those of this directory
        #[arg(long, value_name = "DIR", required_unless_present = "user")]
        directory: Option<DirectoryId>,
        /// Those that this user is a member of
        #[arg(long, value_name = "USER")]
        user: Option<UserId>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// One group
    Get {
        /// Its id
        group: GroupId,
    },
}
