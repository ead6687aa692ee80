//! Rippling.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "rippling",
    name: "Rippling",
    kind: DirectoryType::Rippling,
    needs: "You sign in to Rippling as an administrator who may manage third-party access.",
    steps: &[
        Step {
            title: "Create a custom integration",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&[
                    "IT",
                    "Third-Party Access",
                    "Add Integration",
                    "Create New Custom Integration",
                ]),
                Part::Text(
                    "Give it a name, a category and a logo, tick *User Management via SCIM* and press *Continue*. Older pages call it *Custom App* and *SCIM Provisioning*.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Fields(Fields {
                    endpoint: "SCIM base URL",
                    token: "Bearer Token",
                    choose: &[
                        ("SCIM Version", "2.0"),
                        ("SCIM Authorization Method", "Bearer Token"),
                        (
                            "Supports",
                            "groups, pagination, create & delete groups, PATCH to edit groups",
                        ),
                    ],
                    press: "Continue",
                }),
                Part::Text(
                    "As *Supported SCIM Attributes* add `externalId`, `emails.primary`, `name.givenName` and `name.familyName`. The token is asked for when you press *Install now* and say that you are the administrator.",
                ),
            ],
        },
        Step {
            title: "Check the mappings",
            done_when: Milestone::Users,
            parts: &[
                Part::Mappings(&[
                    ("Work email", "emails.primary"),
                    ("First name", "name.givenName"),
                    ("Last name", "name.familyName"),
                ]),
                Part::Text(
                    "Set each of them to *On user creation and updates*, or later changes stay in Rippling.",
                ),
            ],
        },
        Step {
            title: "Choose who is provisioned",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["App Access Rules", "Provision Time", "Offboarding"]),
                Part::Text(
                    "Choose who gets the app and when, match the people who are here already, and finish the installation.",
                ),
            ],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Members,
            parts: &[
                Part::Menu(&["the app", "Settings", "Group management"]),
                Part::Text("Add a group and say by which attributes people belong to it."),
            ],
        },
    ],
    rhythm: "Rippling sends each change within minutes, and nothing while nothing changes.",
    quiet_max: days(14),
    mend_emails: "In Rippling, add `emails.primary` to *Supported SCIM Attributes* of the integration and map the work e-mail to it.",
    mend_groups: Some(
        "In Rippling, see that *Supports groups* is ticked, and that the rules of the group fit people who have the app.",
    ),
    mend_silence: "Nothing may have changed. If something did, see in Rippling whether the app still says *connected*, and whether its token was replaced.",
    good_to_know: &[
        "Rippling sends somebody again when it got no answer. That makes no second user here.",
        "Who is matched with nobody is created anew.",
    ],
};
