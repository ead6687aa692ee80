//! CyberArk Identity, formerly Idaptive.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "cyberark",
    name: "CyberArk Identity",
    kind: DirectoryType::CyberArk,
    needs: "You sign in to the CyberArk Identity Admin Portal with the right *Application Management*.",
    steps: &[
        Step {
            title: "Open or add the SAML app",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Apps & Widgets", "Web Apps", "Add Web Apps", "Custom", "SAML"]),
                Part::Text(
                    "CyberArk provisions through SAML apps. Open the one of the product, or add it first.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&[
                    "Provisioning",
                    "Enable provisioning for this application",
                    "Live Mode",
                ]),
                Part::Fields(Fields {
                    endpoint: "SCIM Service URL",
                    token: "Bearer Token",
                    choose: &[
                        ("Authorization Type", "Authorization Header"),
                        ("Header Type", "Bearer Token"),
                    ],
                    press: "Verify",
                }),
                Part::Text("In *Preview Mode* nothing is sent."),
            ],
        },
        Step {
            title: "Decide what becomes of who leaves",
            done_when: Milestone::Users,
            parts: &[Part::Text(
                "Under *Sync Options*, untick *Do not de-provision (deactivate or delete) users in target application*, or who leaves stays active here.",
            )],
        },
        Step {
            title: "Map roles to groups",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Role Mappings", "Add"]),
                Part::Text(
                    "Choose a role and, as *Destination Group*, the name that it has here. Give the same roles the app under *Permissions*. Press *Save*.",
                ),
            ],
        },
        Step {
            title: "Start the first synchronization",
            done_when: Milestone::Members,
            parts: &[
                Part::Menu(&["Settings", "Users", "Outbound Provisioning", "Start Sync"]),
                Part::Text(
                    "Later changes follow by themselves, and a full synchronization with the schedule that stands there.",
                ),
            ],
        },
    ],
    rhythm: "CyberArk sends changes as they happen, and all of it with its schedule.",
    quiet_max: days(7),
    mend_emails: "In CyberArk, open *Provisioning* of the app, *Provisioning Script* or the mappings, and see that `emails` is filled from the user's *Mail*.",
    mend_groups: Some(
        "In CyberArk, see under *Role Mappings* that the role has members, and that these have the app by *Permissions*. Then press *Start Sync*.",
    ),
    mend_silence: "In CyberArk, see that provisioning of the app is on and in *Live Mode*, and what *Job History* says failed.",
    good_to_know: &[
        "What arrives as groups are roles of CyberArk.",
        "A role that is mapped and has no permission for the app sends nobody.",
    ],
};
