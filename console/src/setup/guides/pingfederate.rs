//! PingFederate, by its SCIM connector.

use schemas::wire::DirectoryType;

use crate::setup::guide::{Fields, Guide, Part, Step, days};
use crate::setup::steps::Milestone;

pub(super) const GUIDE: Guide = Guide {
    slug: "pingfederate",
    name: "PingFederate",
    kind: DirectoryType::PingFederate,
    needs: "You administer PingFederate, outbound provisioning is on (`pf.provisioner.mode` in `run.properties`), and the files of the *SCIM Provisioner* are deployed.",
    steps: &[
        Step {
            title: "Add outbound provisioning to the connection",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Applications", "SP Connections", "Connection Type"]),
                Part::Text(
                    "Open the connection of the product or create one. Select *Outbound Provisioning* and, as *Type*, *SCIM Connector*.",
                ),
            ],
        },
        Step {
            title: "Enter the endpoint and the token",
            done_when: Milestone::Connected,
            parts: &[
                Part::Menu(&["Outbound Provisioning", "Configure Provisioning", "Target"]),
                Part::Fields(Fields {
                    endpoint: "SCIM URL",
                    token: "Access Token",
                    choose: &[
                        ("SCIM Version", "2.0"),
                        ("Authentication Method", "OAuth 2 Bearer Token"),
                        ("Unique User Identifier", "userName"),
                    ],
                    press: "Next",
                }),
                Part::Text(
                    "Decide on *Unique User Identifier* now: changing it later means deleting the connection and making a new one.",
                ),
            ],
        },
        Step {
            title: "Create a channel",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Manage Channels", "Create", "Source", "Source Location"]),
                Part::Text(
                    "Choose the data store and say where users are: a base DN, with a group DN or a filter such as `objectClass=user`. Fill the groups part too if groups are to arrive.",
                ),
            ],
        },
        Step {
            title: "Check the mappings",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Attribute Mapping"]),
                Part::Mappings(&[
                    ("userPrincipalName", "userName"),
                    ("mail", "workEmail"),
                    ("objectGUID", "externalId"),
                ]),
            ],
        },
        Step {
            title: "Turn it on",
            done_when: Milestone::Users,
            parts: &[
                Part::Menu(&["Activation & Summary", "Channel Status", "Active"]),
                Part::Text(
                    "Press *Done* and *Save*, and see that the connection itself is on as well.",
                ),
            ],
        },
        Step {
            title: "Let groups arrive",
            done_when: Milestone::Members,
            parts: &[Part::Text(
                "Nothing is to be done if the channel names groups: they follow with the next run of the provisioner.",
            )],
        },
    ],
    rhythm: "PingFederate looks for changes at the interval of its provisioner.",
    quiet_max: days(7),
    mend_emails: "In PingFederate, open the channel, *Attribute Mapping*, and map the attribute that holds the address to *workEmail*.",
    mend_groups: Some(
        "In PingFederate, see in the channel under *Source Location* that *Groups* has a DN or a filter, and that members of the groups are users of the channel as well.",
    ),
    mend_silence: "In PingFederate, see that the channel and the connection are active, and look into `provisioner.log`.",
    good_to_know: &[
        "What becomes of removed users is set by *Remove User Action*: disable or delete.",
        "PingOne has the same under *Integrations*, *Provisioning*, *New connection*, *SCIM Outbound*, with *SCIM base URL* and *OAuth Access Token*.",
    ],
};
