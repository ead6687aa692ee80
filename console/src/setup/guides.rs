//! The guides, one file a provider.

mod cyberark;
mod entra;
mod generic;
mod google;
mod jumpcloud;
mod okta;
mod onelogin;
mod pingfederate;
mod rippling;
mod sailpoint;

use super::guide::Guide;

/// The guide for clients that have none of their own.
pub(super) const ANY: &str = "scim";

/// All of them, in the order in which people choose from them.
pub(super) const ALL: [&Guide; 10] = [
    &entra::GUIDE,
    &okta::GUIDE,
    &google::GUIDE,
    &onelogin::GUIDE,
    &jumpcloud::GUIDE,
    &pingfederate::GUIDE,
    &cyberark::GUIDE,
    &rippling::GUIDE,
    &sailpoint::GUIDE,
    &generic::GUIDE,
];
