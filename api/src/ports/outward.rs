//! How requests to an endpoint leave, and what they are signed with beside its secret.

use std::time::Duration;

use schemas::Timestamp;

use super::Secret;

/// How many secrets may sign at once: the current one and those whose overlap has not ended. Each is one
/// more signature in a header.
pub const SIGNING_SECRETS_MAX: i64 = 4;

/// How requests to an endpoint leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outward {
    /// How long one may take, if not as long as everywhere.
    pub timeout: Option<Duration>,
    /// What we show to the endpoint.
    pub client_certificate: Option<ClientCertificate>,
    /// What signs beside the secret, for apps that check with a public key.
    pub key_pair: Option<KeyPair>,
}

/// What an update changes of that. `None` leaves as it is; `Some(None)` takes it away.
#[expect(clippy::option_option, reason = "to leave and to take away are different wishes")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutwardChange {
    /// See [`Outward::timeout`].
    pub timeout: Option<Option<Duration>>,
    /// See [`Outward::client_certificate`].
    pub client_certificate: Option<Option<ClientCertificate>>,
    /// See [`Outward::key_pair`]. A pair that is there already stays: apps have its public key.
    pub key_pair: Option<Option<KeyPair>>,
}

impl OutwardChange {
    /// What comes of it.
    #[must_use]
    pub fn on(self, before: Outward) -> Outward {
        Outward {
            timeout: self.timeout.unwrap_or(before.timeout),
            client_certificate: self.client_certificate.unwrap_or(before.client_certificate),
            key_pair: match self.key_pair {
                None => before.key_pair,
                Some(wanted) => wanted.map(|new| before.key_pair.unwrap_or(new)),
            },
        }
    }
}

/// A certificate with its key, both in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, our own certificate first.
    pub chain: String,
    /// The key of the first.
    pub key: Secret,
}

/// A pair of keys in the form of Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// `whsk_…`
    pub private: Secret,
    /// `whpk_…`
    pub public: String,
}

/// A change of the signing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRotation {
    /// The secret from now on.
    pub secret: Secret,
    /// When.
    pub at: Timestamp,
    /// Until when the secrets before it sign too, each that does not end earlier.
    pub until: Timestamp,
    /// The `updated_at` of the endpoint that it was asked for. `Conflict(Changed)` if it is another by now.
    pub made_from: Option<Timestamp>,
}
