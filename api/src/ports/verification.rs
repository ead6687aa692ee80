//! What receivers check Security Event Tokens with.

use async_trait::async_trait;
use schemas::Timestamp;

use super::PortError;

/// The public half of an Ed25519 key, in the texts of a JWK (RFC 8037 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    /// What tokens name it by.
    pub kid: String,
    /// The key itself.
    pub x: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// Until when it is shown, if another takes its place.
    pub shown_until: Option<Timestamp>,
}

/// How a new key takes the place of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When it is made, and shown from then on.
    pub at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// Until when the others are shown.
    pub shown_until: Timestamp,
}

/// The public keys of the installation.
#[async_trait]
pub trait VerificationKeys: Send + Sync {
    /// Those that a token which is still on its way may be signed with, and the one that signs next. Never
    /// empty: where there is no key yet, one is made, so that who looks before the first token sees what will
    /// sign it.
    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, PortError>;

    /// Makes a key that takes the place of the others. One that does not sign at once is refused while another
    /// waits for its turn.
    async fn rotate(&self, rotation: Rotation) -> Result<VerificationKey, PortError>;
}
