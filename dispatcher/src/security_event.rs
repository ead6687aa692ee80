//! Security Event Tokens: an event as RFC 9967 says it, and the signature that makes it a token.
//!
//! [`claims()`] decides what is said, without a clock and without chance: an event gives the same token
//! on every attempt, so a `jti` never names two. [`SigningKey`] makes the token of it.
//!
//! It is *not* a second way to deliver. Lanes, retries and the webhook headers are those of every
//! endpoint; only the body differs.

mod claims;
mod key;

use std::sync::Arc;

use bytes::Bytes;

pub use claims::{Claims, Context, Unsayable, claims};
pub use key::{PublicKey, SigningKey};

use crate::ports::FeedEvent;

/// Makes the tokens for one endpoint.
#[derive(Debug)]
pub struct Issuer {
    /// Who issues them: where the world reaches this installation.
    pub url: Arc<str>,
    /// Whom they are for: the URL of the endpoint.
    pub audience: String,
}

impl Issuer {
    /// The token that tells of an event, in compact serialisation, signed with this key.
    ///
    /// # Errors
    /// [`Unsayable`] for an event that is not about a SCIM resource, or cannot be read.
    pub fn token(&self, event: &FeedEvent, key: &SigningKey) -> Result<Bytes, Unsayable> {
        let context = Context { issuer: &self.url, audience: &self.audience };
        claims(event, context).map(|claims| key.sign(&claims).into())
    }
}
