//! `dsync org …`.

use clap::Subcommand;
use schemas::OrganizationId;

use super::Page;

/// `dsync org …`.
#[derive(Debug, Subcommand)]
pub enum OrgCommand {
    /// Create an organization
    Create {
        /// Its name
        name: String,
        /// The app's own id of it
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
        /// Its domains, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "DOMAINS")]
        domains: Vec<String>,
    },
    /// The organizations, newest first
    List {
        /// Those whose name contains this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Those with this domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// One organization
    #[command(arg_required_else_help = true)]
    Get {
        /// Its id
        #[arg(required_unless_present = "external_id", conflicts_with = "external_id")]
        organization: Option<OrganizationId>,
        /// The app's own id of it
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
    },
    /// Change an organization; what is not mentioned stays
    Update {
        /// Its id
        organization: OrganizationId,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        /// The app's new id of it
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
        /// Its domains from now on, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "DOMAINS")]
        domains: Vec<String>,
    },
    /// Delete an organization and, a little later, its directories
    Delete {
        /// Its id
        organization: OrganizationId,
    },
}
