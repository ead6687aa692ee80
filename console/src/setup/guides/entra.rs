//! Microsoft Entra ID, formerly Azure AD.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, hours};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "entra",
    name: "Microsoft Entra ID",
    kind: DirectoryType::Azure,
    needs: "You sign in to the Microsoft Entra admin center as a *Cloud Application Administrator* or an *Application Administrator*.",
    steps: &[
        Step {
            title: "Create the application",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&[
                    "Enterprise applications",
                    "New application",
                    "Create your own application",
                ]),
                Part::Text(
                    "Give it a name, choose *Integrate any other application you don't find in the gallery (Non-gallery)* and press *Create*. If you have one for single sign-on already, open that one instead.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Provisioning", "Get started"]),
                Part::Text(
                    "Set *Provisioning Mode* to *Automatic* and open *Admin Credentials*. Newer pages have the same fields under *New configuration*.",
                ),
                Part::Fields(Fields {
                    endpoint: "Tenant URL",
                    token: "Secret Token",
                    choose: &[("Provisioning Mode", "Automatic")],
                    press: "Test Connection",
                }),
                Part::Text("When the test is well, press *Save* (or *Create*)."),
            ],
        },
        Step {
            title: "Check the mappings",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Provisioning", "Mappings", "Provision Microsoft Entra ID Users"]),
                Part::Mappings(&[
                    ("objectId", "externalId"),
                    ("userPrincipalName", "userName"),
                    ("mail", "emails[type eq \"work\"].value"),
                ]),
                Part::Text(
                    "Most defaults are right. Change `externalId`: Entra ID fills it from `mailNickname`, which changes with a name; `objectId` never does. Where people have no mailbox, `mail` is empty: map `userPrincipalName` to `emails[type eq \"work\"].value` instead. Leave *Provision Microsoft Entra ID Groups* on.",
                ),
            ],
        },
        Step {
            title: "Choose who is provisioned",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Users and groups", "Add user/group", "Select", "Assign"]),
                Part::Text(
                    "Only who is assigned arrives. Of an assigned group its direct members do, and those of groups within it do not.",
                ),
            ],
        },
        Step {
            title: "Turn provisioning on",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Provisioning", "Settings"]),
                Part::Text(
                    "Set *Scope* to *Sync only assigned users and groups* and *Provisioning Status* to *On*, then *Save*; newer pages have *Start provisioning* on the overview. The first cycle begins within minutes. To see somebody at once, use *Provision on demand*.",
                ),
            ],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Members,
            parts: &[Part::Text(
                "Nothing is to be done. Entra ID sends each assigned group empty, and its members afterwards.",
            )],
        },
    ],
    rhythm: "Entra ID sends in cycles, about every 40 minutes.",
    quiet_max: hours(3),
    mend_emails: "In Entra ID, open *Provisioning*, *Mappings*, *Provision Microsoft Entra ID Users* and map `userPrincipalName` to `emails[type eq \"work\"].value`. The source is `mail` by default, which is empty for people without an Exchange mailbox. The next cycle brings the addresses.",
    mend_groups: Some(
        "In Entra ID, check under *Users and groups* that people are direct members of the assigned groups, and that *Provision Microsoft Entra ID Groups* maps `members`. Members come after their group, in the same cycle.",
    ),
    mend_silence: "In Entra ID, open *Provisioning*: the status should be *On*, and no notice of *quarantine* should be there. In quarantine Entra ID tries once a day, and gives up after four weeks: mend what the notice names, then press *Restart provisioning*.",
    good_to_know: &[
        "A cycle takes about 40 minutes and cannot be hurried. *Provision on demand* sends one user, or a group with a few of its members, at once.",
        "Who is unassigned, disabled or deleted turns inactive here. A deleted user goes for good about 30 days later.",
        "Who was deleted and is restored comes back without groups, until you press *Restart provisioning*.",
        "A change right after somebody was created is normal: Entra ID sends the manager separately.",
        "Photos are not sent.",
    ],
};
