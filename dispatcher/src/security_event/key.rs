//! The key of an installation, and the tokens that it makes: JWS (RFC 7515) with Ed25519 (RFC 8037).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The private key. It never shows itself.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    /// The first part of every token, encoded.
    header: String,
}

/// What receivers check signatures with, in the texts of a JWK (RFC 8037 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its thumbprint (RFC 7638), which tokens name as their `kid`.
    pub kid: String,
    /// The key itself.
    pub x: String,
}

impl SigningKey {
    /// The key that follows from 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
        let public = PublicKey::of(pair.public_key().as_ref());
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"secevent+jwt"}}"#, public.kid);
        Self { pair, public, header: URL_SAFE_NO_PAD.encode(header) }
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The token with these claims, in compact serialisation. The same claims give the same token.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> String {
        let claims = serde_json::to_vec(claims).expect("claims hold nothing that JSON cannot");
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.kid)
    }
}

impl PublicKey {
    fn of(bytes: &[u8]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(bytes);
        // The members that a thumbprint covers, in their order, without blanks: RFC 7638 §3.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self { kid: URL_SAFE_NO_PAD.encode(Sha256::digest(members)), x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8037 appendix A.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

    fn key() -> SigningKey {
        SigningKey::from_seed(&URL_SAFE_NO_PAD.decode(SEED).unwrap().try_into().unwrap())
    }

    #[test]
    fn the_public_half_and_its_thumbprint_are_those_of_the_rfc() {
        let key = key();
        assert_eq!(key.public().x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.public().kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_token_says_how_it_is_checked() {
        let token = key().sign(&serde_json::json!({ "jti": "e" }));
        let parts: Vec<&str> = token.split('.').collect();
        let part = |at: usize| URL_SAFE_NO_PAD.decode(parts[at]).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&part(0)).unwrap();
        let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        let expected = serde_json::json!({ "alg": "EdDSA", "kid": kid, "typ": "secevent+jwt" });
        assert_eq!(header, expected);
        assert_eq!(part(1), br#"{"jti":"e"}"#);
        assert_eq!((parts.len(), part(2).len()), (3, 64));
    }

    #[test]
    fn the_same_claims_give_the_same_token() {
        let claims = serde_json::json!({ "jti": "e" });
        assert_eq!(key().sign(&claims), key().sign(&claims));
    }

    #[test]
    fn a_key_does_not_show_its_private_half() {
        let shown = format!("{:?}", key());
        assert!(!shown.contains(SEED) && shown.contains(&key().public().kid), "{shown}");
    }
}
