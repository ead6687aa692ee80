//! Google Workspace, by the automatic provisioning of an app.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "google",
    name: "Google Workspace",
    kind: DirectoryType::Generic,
    needs: "You sign in to the Google Admin console as a *super administrator*. Google offers automatic provisioning for SAML apps from its catalog; not every edition and not every custom app has it.",
    steps: &[
        Step {
            title: "Open or add the SAML app",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Apps", "Web and mobile apps", "Add app"]),
                Part::Text(
                    "Open the SAML app of the product that you are setting up, or add it from the catalog with *Search for apps*. Look for a card named *Autoprovisioning*: if there is none, Google does not provision this app. Ask the company behind the product, which may connect Google in another way.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Autoprovisioning", "Configure autoprovisioning"]),
                Part::Fields(Fields {
                    endpoint: "Endpoint URL",
                    token: "Access token",
                    choose: &[],
                    press: "Continue",
                }),
            ],
        },
        Step {
            title: "Check the mappings",
            done_when: Milestone::Users,
            parts: &[
                Part::Mappings(&[
                    ("Primary email", "userName"),
                    ("Primary email", "emails.value"),
                    ("First name", "name.givenName"),
                    ("Last name", "name.familyName"),
                ]),
                Part::Text("Each attribute that is marked as required needs a source."),
            ],
        },
        Step {
            title: "Choose who is provisioned and turn it on",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Provisioning scope", "Deprovisioning", "Finish", "Active"]),
                Part::Text(
                    "Choose the groups whose members arrive, or leave it empty for everybody who has the app turned on under *User access*. Then choose after how many days somebody who lost access is suspended or deleted here, and switch *Autoprovisioning* to *Active*.",
                ),
            ],
        },
    ],
    rhythm: "Google sends every few hours.",
    quiet_max: days(2),
    mend_emails: "In the Google Admin console, open the app, *Autoprovisioning*, *Attribute mapping* and map *Primary email* to `emails.value`.",
    mend_groups: None,
    mend_silence: "In the Google Admin console, open the app and see whether *Autoprovisioning* is *Active*, and what its report says failed.",
    good_to_know: &[
        "Google sends no groups. A group there says who is in scope, and does not arrive itself.",
        "Who leaves the scope is suspended or deleted here after the days that you chose under *Deprovisioning*, and not at once.",
        "Archived users are not sent.",
    ],
};
