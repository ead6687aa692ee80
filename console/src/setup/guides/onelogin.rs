//! OneLogin.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "onelogin",
    name: "OneLogin",
    kind: DirectoryType::OneLogin,
    needs: "You sign in to the OneLogin administration as an *Account owner* or a *Super user*.",
    steps: &[
        Step {
            title: "Add the application",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Applications", "Applications", "Add App"]),
                Part::Text(
                    "Search for SCIM and choose *SCIM Provisioner with SAML (SCIM v2 Enterprise)*. Give it a name and press *Save*.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Configuration", "API Connection"]),
                Part::Fields(Fields {
                    endpoint: "SCIM Base URL",
                    token: "SCIM Bearer Token",
                    choose: &[],
                    press: "Enable",
                }),
                Part::Text("Press *Save* when *API Status* says *Enabled*."),
            ],
        },
        Step {
            title: "Turn provisioning on",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Provisioning", "Enable provisioning"]),
                Part::Text(
                    "Untick *Create user*, *Delete user* and *Update user* if nobody is to approve each change, and choose what becomes of users who are deleted in OneLogin: *Delete* or *Suspend*. Under *Parameters*, set *scimusername* to *Email*.",
                ),
            ],
        },
        Step {
            title: "Assign people",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Users", "a user", "Applications", "+"]),
                Part::Text(
                    "Or give the application to a role under *Access*. Under *Users* of the application, press whatever says *Pending* and approve it.",
                ),
            ],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Members,
            parts: &[
                Part::Menu(&["Parameters", "Groups", "Include in User Provisioning"]),
                Part::Text(
                    "Then add a rule under *Rules*: *Set Groups in* the application, for each *role* (or another attribute) with value that matches `.*`. Press *Reapply entitlement mappings* under *More actions* for those who are there already.",
                ),
            ],
        },
    ],
    rhythm: "OneLogin sends each change within minutes, and nothing while nothing changes.",
    quiet_max: days(14),
    mend_emails: "In OneLogin, see that users have an *Email*, and that *Parameters* of the application or its *SCIM JSON Template* fill `emails` with it.",
    mend_groups: Some(
        "In OneLogin, see that *Groups* is included under *Parameters* and that a rule sets it. Then press *Reapply entitlement mappings*.",
    ),
    mend_silence: "Nothing may have changed. If something did, look in OneLogin under *Users* of the application for what is *Pending* or failed, and whether *API Status* is *Enabled*.",
    good_to_know: &[
        "What says *Pending* waits for somebody to approve it, and nothing is sent before.",
        "Users, groups and memberships come in no fixed order; a group may be empty for a while.",
    ],
};
