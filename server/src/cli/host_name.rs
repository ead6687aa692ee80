//! `dsync host-name …`.

use clap::Subcommand;
use schemas::{DirectoryId, HostNameId, OrganizationId};

use super::Page;

/// `dsync host-name …`.
#[derive(Debug, Subcommand)]
pub enum HostNameCommand {
    /// Have an organization, or one directory, reached under a host name of its own
    Create {
        /// The host name, such as scim.acme.example
        host_name: String,
        /// For all directories of this organization
        #[arg(long, value_name = "ORG", required_unless_present = "directory")]
        #[arg(conflicts_with = "directory")]
        organization: Option<OrganizationId>,
        /// For this directory alone
        #[arg(long, value_name = "DIR")]
        directory: Option<DirectoryId>,
    },
    /// The host names, newest first
    List {
        /// Those of this organization and its directories
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
        /// Those of this directory alone
        #[arg(long, value_name = "DIR")]
        directory: Option<DirectoryId>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// One host name
    Get {
        /// Its id
        id: HostNameId,
    },
    /// Remove a host name; its owner is reached under it no more
    Delete {
        /// Its id
        id: HostNameId,
    },
}
