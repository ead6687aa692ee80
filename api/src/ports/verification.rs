//! What receivers check Security Event Tokens with.

use async_trait::async_trait;

use super::PortError;

/// The public half of an Ed25519 key, in the texts of a JWK (RFC 8037 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    /// What tokens name it by.
    pub kid: String,
    /// The key itself.
    pub x: String,
}

/// The public keys of the installation.
#[async_trait]
pub trait VerificationKeys: Send + Sync {
    /// Those that a token which is still on its way may be signed with. Never empty: where there is no
    /// key yet, one is made, so that who looks before the first token sees what will sign it.
    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, PortError>;
}
