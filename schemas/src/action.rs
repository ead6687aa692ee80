//! What people and keys do outside SCIM: the names of the actions in the audit trail.
//!
//! They are only ever added, as those of events are: what was recorded under a name is read for ever.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($variant:ident = $name:literal;)*) => {
        /// What was done, or was to be done.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        pub enum Action { $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)* }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name on the wire and in the store.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

actions! {
    OrganizationCreated = "organization.created";
    OrganizationUpdated = "organization.updated";
    OrganizationDeleted = "organization.deleted";
    DirectoryCreated = "directory.created";
    DirectoryUpdated = "directory.updated";
    DirectoryDeleted = "directory.deleted";
    DirectoryRoleMappingUpdated = "directory.role_mapping_updated";
    DirectoryScimSettingsUpdated = "directory.scim_settings_updated";
    DirectoryTokenCreated = "directory.token_created";
    DirectoryTokenRevoked = "directory.token_revoked";
    DirectoryTokenKept = "directory.token_kept";
    DirectoryOauthClientUpdated = "directory.oauth_client_updated";
    DirectoryClientSecretCreated = "directory.client_secret_created";
    DirectoryClientSecretDeleted = "directory.client_secret_deleted";
    BrakeReleased = "brake.released";
    HostNameCreated = "host_name.created";
    HostNameDeleted = "host_name.deleted";
    PortalLinkCreated = "portal_link.created";
    PortalLinkRevoked = "portal_link.revoked";
    PortalLinkOpened = "portal_link.opened";
    PortalLinkSignedOut = "portal_link.signed_out";
    WebhookEndpointCreated = "webhook_endpoint.created";
    WebhookEndpointUpdated = "webhook_endpoint.updated";
    WebhookEndpointDeleted = "webhook_endpoint.deleted";
    WebhookEndpointSecretRotated = "webhook_endpoint.secret_rotated";
    WebhookEndpointTested = "webhook_endpoint.tested";
    ReplayCreated = "replay.created";
    ReplayCancelled = "replay.cancelled";
    SigningKeyRotated = "signing_key.rotated";
    ApiKeyCreated = "api_key.created";
    ApiKeyDeleted = "api_key.deleted";
    ConsoleSignedIn = "console.signed_in";
    ConsoleSignedOut = "console.signed_out";
    ConsoleSignInFailed = "console.sign_in_failed";
    ConsolePasswordChanged = "console.password_changed";
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an action: {0:?}")]
pub struct UnknownAction(pub String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|action| action.name() == text);
        found.ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$of])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name on the wire and in the store.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

words! {
    /// What came of an action.
    ActionOutcome {
        /// It was done.
        Done = "done",
        /// It was not done: something about it was wrong, or not allowed.
        Refused = "refused",
        /// The server could not do it, or not say that it has: it may have happened.
        Failed = "failed",
    }
}

words! {
    /// As what somebody acts.
    ActorKind {
        /// A program with an API key.
        ApiKey = "api_key",
        /// Somebody who has signed in to the console.
        Console = "console",
        /// Somebody who has opened a link to a setup page.
        PortalLink = "portal_link",
        /// The server itself at its start, by its settings.
        Settings = "settings",
        /// Somebody who has not said who they are, or said it wrong.
        Anonymous = "anonymous",
    }
}

/// Whether a text has the form of an id: what is no id may be a secret, and is not recorded.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let Some((prefix, ulid)) = text.rsplit_once('_') else { return false };
    let is_prefix = !prefix.is_empty()
        && prefix.len() <= PREFIX_MAX
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_prefix && ulid::Ulid::from_string(ulid).is_ok_and(|read| read.to_string() == ulid)
}

/// How long the prefix of an id is at most: longer than any of ours.
const PREFIX_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_read_by_its_name_and_names_what_it_is_about_first() {
        for action in Action::ALL {
            assert_eq!(action.name().parse(), Ok(*action));
            let (about, done) = action.name().split_once('.').unwrap();
            assert!(!about.is_empty() && done.ends_with(['d', 't', 'n']), "{action}");
        }
        assert!("directory".parse::<Action>().is_err());
    }

    #[test]
    fn what_is_no_id_is_told_from_one() {
        let id = crate::TokenId::from_bits(u128::MAX >> 3).to_string();
        assert!(is_id(&id));
        for other in ["", "_", "sk_live_abc", &id.to_lowercase(), &id[1..].replace('_', ""), "a_b"]
        {
            assert!(!is_id(other), "{other}");
        }
        assert!(!is_id(&format!("whsec_{}", "A".repeat(27))));
    }
}
