//! The forms in which an endpoint can get events.

use std::fmt;
use std::str::FromStr;

use crate::EventType;

/// What the body of a delivery is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The event as JSON, the same bytes for every endpoint.
    #[default]
    Webhook,
    /// A Security Event Token (RFC 8417) with the SCIM events of RFC 9967.
    ScimSet,
}

impl Format {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::ScimSet];

    /// Its name in the API and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ScimSet => "scim_set",
        }
    }

    /// Whether an event of this type can be said in it. SCIM events are about SCIM resources, and a
    /// directory or a token is none, nor a user who is not there yet.
    #[must_use]
    pub const fn carries(self, event: EventType) -> bool {
        match (self, event) {
            (Self::Webhook, event) => event.is_subscribable(),
            (
                Self::ScimSet,
                EventType::Activated
                | EventType::Deleted
                | EventType::GroupPendingMemberAdded
                | EventType::GroupPendingMemberRemoved
                | EventType::InactiveUserChanged
                | EventType::TokenCreated
                | EventType::TokenRevoked,
            ) => false,
            (
                Self::ScimSet,
                EventType::UserCreated
                | EventType::UserUpdated
                | EventType::UserDeleted
                | EventType::GroupCreated
                | EventType::GroupUpdated
                | EventType::GroupDeleted
                | EventType::GroupUserAdded
                | EventType::GroupUserRemoved,
            ) => true,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_survives_its_text_form() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("SCIM_SET".parse::<Format>().is_err());
    }

    #[test]
    fn what_no_webhook_carries_no_other_format_carries_either() {
        for event in EventType::ALL.iter().copied() {
            assert_eq!(Format::Webhook.carries(event), event.is_subscribable());
            assert!(event.is_subscribable() || !Format::ScimSet.carries(event));
        }
    }
}
