//! JumpCloud.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "jumpcloud",
    name: "JumpCloud",
    kind: DirectoryType::JumpCloud,
    needs: "You sign in to the JumpCloud Admin Portal as an *Administrator*.",
    steps: &[
        Step {
            title: "Add the application",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["SSO Applications", "Add New Application", "Custom Application"]),
                Part::Text(
                    "Tick *Export users to this app (Identity Management)*, give it a name, and press *Save Application* and *Configure Application*.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Identity Management", "Configuration settings"]),
                Part::Fields(Fields {
                    endpoint: "Base URL",
                    token: "Token Key",
                    choose: &[
                        ("API Type", "SCIM API"),
                        ("SCIM Version", "SCIM 2.0"),
                        ("Test User Email", "an address that nobody here has yet"),
                    ],
                    press: "Test Connection",
                }),
                Part::Text(
                    "Then press *Activate*. JumpCloud creates a user and a group to try it and deletes both again; the product may see them come and go.",
                ),
            ],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Users,
            parts: &[Part::Text(
                "Leave *Enable management of User Groups and Group Membership in this application* on, and press *Save*.",
            )],
        },
        Step {
            title: "Choose who is provisioned",
            done_when: Milestone::Members,
            parts: &[
                Part::Menu(&["User Groups", "tick each group", "Save"]),
                Part::Text("The members of these groups arrive, and the groups with them."),
            ],
        },
    ],
    rhythm: "JumpCloud sends each change within minutes, and nothing while nothing changes.",
    quiet_max: days(14),
    mend_emails: "In JumpCloud, see that users have a *Company Email*; it fills `emails`.",
    mend_groups: Some(
        "In JumpCloud, see that the group has members who are active, and that *Enable management of User Groups and Group Membership* is on under *Identity Management*.",
    ),
    mend_silence: "Nothing may have changed. If something did, see in JumpCloud whether *Identity Management* of the application is still active, and what *Directory Insights* says failed.",
    good_to_know: &[
        "The user and the group that come and go while you activate it belong to JumpCloud's test.",
        "Attributes of schemas of your own are not sent.",
    ],
};
