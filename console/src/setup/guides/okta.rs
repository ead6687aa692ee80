//! Okta.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "okta",
    name: "Okta",
    kind: DirectoryType::Okta,
    needs: "You sign in to the Okta Admin Console as a *Super Admin* or an *Application Admin*, and your Okta has *Lifecycle Management*.",
    steps: &[
        Step {
            title: "Add the application",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Applications", "Applications", "Browse App Catalog"]),
                Part::Text(
                    "Search for *SCIM 2.0 Test App (OAuth Bearer Token)* and press *Add Integration*. Give it a name, press *Next* and then *Done*. As *Application username format* choose *Email* if your Okta user names are no addresses.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&[
                    "Provisioning",
                    "Configure API Integration",
                    "Enable API integration",
                ]),
                Part::Fields(Fields {
                    endpoint: "SCIM 2.0 Base Url",
                    token: "OAuth Bearer Token",
                    choose: &[("Enable API integration", "ticked")],
                    press: "Test API Credentials",
                }),
                Part::Text("When the credentials were verified, press *Save*."),
            ],
        },
        Step {
            title: "Let Okta write",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Provisioning", "To App", "Edit"]),
                Part::Text(
                    "Tick *Create Users*, *Update User Attributes* and *Deactivate Users*, then *Save*. Nothing arrives without them.",
                ),
            ],
        },
        Step {
            title: "Assign people",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Assignments", "Assign", "Assign to People or Assign to Groups"]),
                Part::Text(
                    "They arrive within seconds. Assigning a group sends its people, and not the group.",
                ),
            ],
        },
        Step {
            title: "Push groups",
            done_when: Milestone::Members,
            parts: &[
                Part::Menu(&["Push Groups", "Push Groups", "Find groups by name"]),
                Part::Text(
                    "Choose a group, leave *Push group memberships immediately* ticked, and *Save*. Push other groups than those that people are assigned by: when somebody leaves a group that does both, Okta may not say so.",
                ),
            ],
        },
    ],
    rhythm: "Okta sends each change within seconds, and nothing while nothing changes.",
    quiet_max: days(14),
    mend_emails: "In Okta, open *Provisioning*, *To App*, *Attribute Mappings* and map `email` to the primary e-mail of the app; then press *Force Sync*.",
    mend_groups: Some(
        "In Okta, open *Push Groups* and choose *Push now* for the group. Only members who are assigned to the application arrive with it.",
    ),
    mend_silence: "Nothing may have changed. If something did, look in Okta under *Dashboard*, *Tasks* for what failed, and whether *Enable API integration* is still ticked.",
    good_to_know: &[
        "Suspending somebody in Okta sends nothing. Deactivating or unassigning makes them inactive here.",
        "Okta never deletes a user; who goes stays here as inactive.",
        "A group is known here by the name that it had when it was first pushed. Renaming it later changes what is shown alone.",
    ],
};
