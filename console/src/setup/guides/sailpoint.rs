//! SailPoint Identity Security Cloud, formerly IdentityNow.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "sailpoint",
    name: "SailPoint",
    kind: DirectoryType::SailPoint,
    needs: "You sign in to SailPoint Identity Security Cloud as an *Admin* or a *Source Admin*.",
    steps: &[
        Step {
            title: "Create a source",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Admin", "Connections", "Sources", "Create New"]),
                Part::Text(
                    "Search for *SCIM 2.0*, press *Configure*, and give it a name and an owner.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Connection Settings"]),
                Part::Fields(Fields {
                    endpoint: "Host URL",
                    token: "API Token",
                    choose: &[("Authentication Type", "API Token")],
                    press: "Test Connection",
                }),
                Part::Text(
                    "Press *Save* before you test. Some versions have the test under *Review and Test*.",
                ),
            ],
        },
        Step {
            title: "Discover the schema",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Import Data", "Account Schema", "Discover"]),
                Part::Text(
                    "Mark `id` as *Account ID* and `userName` as *Account Name*. Under *Correlation*, say which identities the accounts belong to.",
                ),
            ],
        },
        Step {
            title: "Say what new accounts are made of",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Accounts", "Create Account"]),
                Part::Mappings(&[
                    ("Work Email", "userName"),
                    ("Work Email", "emails.work.primary.value"),
                    ("First Name", "name.givenName"),
                    ("Last Name", "name.familyName"),
                ]),
            ],
        },
        Step {
            title: "Request access for people",
            done_when: Milestone::Users,
            parts: &[Part::Text(
                "Put the source into an *access profile* and a *role* and assign it. SailPoint creates an account for whoever gets one.",
            )],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Members,
            parts: &[
                Part::Menu(&["Import Data", "Entitlement Aggregation", "Start"]),
                Part::Text(
                    "SailPoint reads the groups that are here and changes who belongs to them; it creates none by itself.",
                ),
            ],
        },
    ],
    rhythm: "SailPoint reads with the schedule of its aggregation, and writes when access is given or taken.",
    quiet_max: days(3),
    mend_emails: "In SailPoint, open *Accounts*, *Create Account* of the source and fill the e-mail attribute from *Work Email*.",
    mend_groups: Some(
        "In SailPoint, give people an access profile with the entitlement that is this group.",
    ),
    mend_silence: "In SailPoint, see whether the source says that it is healthy, and whether *Account Aggregation* has a schedule.",
    good_to_know: &[
        "SailPoint asks for `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas` first. That counts as a test of the connection.",
        "Disabling an account makes the user inactive here.",
    ],
};
