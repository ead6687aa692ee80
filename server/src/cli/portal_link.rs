//! `dsync portal-link …`.

use clap::Subcommand;
use schemas::{OrganizationId, PortalLinkId};

use super::Page;

/// `dsync portal-link …`.
#[derive(Debug, Subcommand)]
pub enum PortalLinkCommand {
    /// Make a link to the setup page of an organization; it is printed this once, and waits five minutes to be opened
    Create {
        /// The organization
        organization: OrganizationId,
        /// Where the page leads back to
        #[arg(long, value_name = "URL")]
        return_url: Option<String>,
        /// Where the page leads to when all is done
        #[arg(long, value_name = "URL")]
        success_url: Option<String>,
    },
    /// The latest links, newest first
    List {
        /// Those of this organization
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
        /// Which of them
        #[command(flatten)]
        page: Page,
    },
    /// Revoke a link, and end the session of who has opened it
    Revoke {
        /// Its id, as `list` prints it
        id: PortalLinkId,
    },
}
