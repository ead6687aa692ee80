//! Any other client of SCIM 2.0.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: super::ANY,
    name: "Any other SCIM 2.0 client",
    kind: DirectoryType::Generic,
    needs: "Your identity provider speaks SCIM 2.0 (RFC 7644) with a bearer token, and you may change its settings.",
    steps: &[
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Text(
                    "Look for settings called SCIM, provisioning or user management, and choose SCIM 2.0 if there is a choice.",
                ),
                Part::Fields(Fields {
                    endpoint: "SCIM endpoint",
                    token: "Bearer token",
                    choose: &[],
                    press: "Test",
                }),
                Part::Text(
                    "Clients that ask for an address of users take the endpoint with `/Users` behind it.",
                ),
            ],
        },
        Step {
            title: "Check the mappings",
            done_when: Milestone::Users,
            parts: &[
                Part::Mappings(&[
                    ("an id that never changes", "externalId"),
                    ("user name", "userName"),
                    ("e-mail address", "emails[type eq \"work\"].value"),
                    ("first name", "name.givenName"),
                    ("last name", "name.familyName"),
                ]),
                Part::Text(
                    "`userName` is required and unique. Every other standard attribute is kept as it is sent.",
                ),
            ],
        },
        Step {
            title: "Choose who is provisioned and turn it on",
            done_when: Milestone::Users,
            parts: &[Part::Text(
                "Begin with one or two people, see them arrive here, then go on with everybody.",
            )],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Members,
            parts: &[Part::Text(
                "If your identity provider sends groups, choose which. Members are named by the ids that users have here.",
            )],
        },
    ],
    rhythm: "How often it sends depends on the identity provider.",
    quiet_max: days(14),
    mend_emails: "In the identity provider, map an attribute that holds an address to `emails[type eq \"work\"].value`.",
    mend_groups: Some(
        "In the identity provider, see that members of the groups are provisioned as well, and that memberships are sent.",
    ),
    mend_silence: "Nothing may have changed. If something did, look into the log of the identity provider for what failed.",
    good_to_know: &[
        "OAuth 2.0 client credentials are possible instead of a bearer token. Ask the company whose product you are setting up.",
        "What was refused is listed under *Check-up*, with what to do about it.",
    ],
};
