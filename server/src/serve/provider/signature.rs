//! Whether an ID token is signed by the provider: with a key that it publishes, by an algorithm with two keys. A token
//! that is signed with a shared secret, or not at all, is refused whatever it says.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, Validation, decode,
    decode_header,
};
use ring::signature as with;
use serde_json::Value;

use super::Said;

/// How many keys of a provider are looked at; real ones publish two or three.
const KEYS_MAX: usize = 50;

/// Why a token is not believed to be the provider's.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSigned {
    #[error("it is no token that can be read")]
    Unreadable(#[source] Error),
    #[error("it is signed by {0:?}, which proves nothing here")]
    Algorithm(Algorithm),
    #[error("none of the keys that the provider publishes has signed it")]
    NoKey,
    #[error("it does not say what an ID token has to")]
    NoIdToken(#[source] serde_json::Error),
}

/// The public keys of a provider.
#[derive(Clone)]
pub(super) struct Keys(Vec<(Option<String>, DecodingKey)>);

impl Keys {
    /// Those of a JWK set that are for signatures and can be read; others are passed over (RFC 7517 §5).
    pub(super) fn read(set: &Value) -> Self {
        let all = set["keys"].as_array().into_iter().flatten().take(KEYS_MAX);
        let read = |json: &Value| {
            let jwk: Jwk = serde_json::from_value(json.clone()).ok()?;
            let is_ours = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
            let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_ours)?;
            (key.family() != AlgorithmFamily::Hmac).then_some((jwk.common.key_id, key))
        };
        Self(all.filter_map(read).collect())
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|(own, _)| own.as_deref() == Some(id))
    }

    /// What a token says that one of them has signed: the one it names, or else any.
    pub(super) fn verified(&self, token: &str, id: Option<&str>) -> Result<Said, NotSigned> {
        let algorithm = decode_header(token).map_err(NotSigned::Unreadable)?.alg;
        if verification(algorithm).is_none() {
            return Err(NotSigned::Algorithm(algorithm));
        }
        let named = |own: &Option<String>| id.is_none() || own.as_deref() == id;
        let fitting =
            self.0.iter().filter(|(own, key)| named(own) && key.family() == algorithm.family());
        let validation = signature_alone(algorithm);
        let mut said = fitting.filter_map(|(_, key)| decode::<Value>(token, key, &validation).ok());
        let said = said.next().ok_or(NotSigned::NoKey)?.claims;
        serde_json::from_value(said).map_err(NotSigned::NoIdToken)
    }
}

/// The key that a token says it is signed with.
pub(super) fn key_id(token: &str) -> Result<Option<String>, NotSigned> {
    Ok(decode_header(token).map_err(NotSigned::Unreadable)?.kid)
}

/// The console judges the claims, by the clock that it was given.
fn signature_alone(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// How ring checks what is signed by this; none for what is not checked.
fn verification(algorithm: Algorithm) -> Option<Verification> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an algorithm that is not known proves nothing, and the enum is not ours"
    )]
    Some(match algorithm {
        Algorithm::RS256 => Verification::Rsa(&with::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Verification::Rsa(&with::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Verification::Rsa(&with::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Verification::Rsa(&with::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Verification::Rsa(&with::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Verification::Rsa(&with::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Verification::Other(&with::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Verification::Other(&with::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Verification::Other(&with::ED25519),
        _ => return None,
    })
}

enum Verification {
    Rsa(&'static with::RsaParameters),
    Other(&'static dyn with::VerificationAlgorithm),
}

/// Has the library check signatures with ring, and sign nothing.
pub(super) fn install() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // It fails where it was done before.
    let _ = RING.install_default();
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if verification(*algorithm).is_none() || key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Ring { algorithm: *algorithm, key: key.clone() }))
}

struct Ring {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let done = match (verification(self.algorithm), self.key.kind()) {
            (Some(Verification::Rsa(parameters)), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                with::RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            (Some(Verification::Other(algorithm)), DecodingKeyKind::SecretOrDer(point)) => {
                with::UnparsedPublicKey::new(algorithm, point).verify(message, signed)
            }
            (Some(_) | None, _) => return Err(signature::Error::new()),
        };
        done.map_err(|_| signature::Error::new())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    fn encoded(json: &Value) -> String {
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    fn claims(subject: &str) -> Value {
        json!({ "iss": "i", "aud": "a", "sub": subject, "exp": 2, "iat": 1 })
    }

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed makes one")
    }

    fn signed(header: &Value, claims: &Value, seed: u8) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = URL_SAFE_NO_PAD.encode(pair(seed).sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn published(keys: &[(&str, u8)]) -> Keys {
        install();
        let key = |(id, seed): &(&str, u8)| {
            let x = URL_SAFE_NO_PAD.encode(pair(*seed).public_key());
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": x })
        };
        let mut keys: Vec<Value> = keys.iter().map(key).collect();
        keys.push(json!({ "kty": "lattice", "kid": "unknown" }));
        keys.push(json!({ "kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode("secret") }));
        Keys::read(&json!({ "keys": keys }))
    }

    fn subject(keys: &Keys, token: &str) -> Result<String, String> {
        let id = key_id(token).map_err(|error| error.to_string())?;
        let said = keys.verified(token, id.as_deref());
        said.map(|said| said.sub).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_counts_that_the_key_it_names_has_signed() {
        let keys = published(&[("one", 1), ("two", 2)]);
        let header = json!({ "alg": "EdDSA", "kid": "two" });
        let token = signed(&header, &claims("ada"), 2);
        assert_eq!(subject(&keys, &token), Ok("ada".to_owned()));
        assert!(subject(&keys, &signed(&header, &claims("ada"), 1)).is_err(), "another key");
        let unnamed = signed(&json!({ "alg": "EdDSA" }), &claims("ada"), 2);
        assert_eq!(subject(&keys, &unnamed), Ok("ada".to_owned()));
        assert!(keys.has("two") && !keys.has("three") && !keys.has("shared"));
    }

    #[test]
    fn claims_are_read_in_the_forms_that_providers_write_them_in() {
        let keys = published(&[("one", 1)]);
        let said = |more: Value| {
            let mut all = claims("ada");
            let fields = more.as_object().expect("fields").clone();
            all.as_object_mut().expect("fields").extend(fields);
            let token = signed(&json!({ "alg": "EdDSA" }), &all, 1);
            keys.verified(&token, None)
        };
        let read = said(json!({ "groups": "a", "email_verified": "true" })).expect("it is one");
        assert_eq!((read.groups, read.email_verified), (vec!["a".to_owned()], true));
        let read =
            said(json!({ "groups": ["a", 7, "b"], "email_verified": 1 })).expect("it is one");
        assert_eq!((read.groups.len(), read.email_verified), (2, false));
        let wrong = said(json!({ "exp": "tomorrow" })).expect_err("it has no end");
        assert!(matches!(wrong, NotSigned::NoIdToken(_)), "{wrong}");
    }

    #[test]
    fn a_token_that_was_changed_is_refused() {
        let keys = published(&[("one", 1)]);
        let token = signed(&json!({ "alg": "EdDSA", "kid": "one" }), &claims("ada"), 1);
        let parts: Vec<&str> = token.split('.').collect();
        let changed = [parts[0], &encoded(&claims("eve")), parts[2]].join(".");
        assert!(subject(&keys, &changed).is_err());
        assert!(subject(&keys, &[parts[0], parts[1], ""].join(".")).is_err());
        assert!(subject(&keys, "nonsense").is_err());
    }

    #[test]
    fn a_token_that_nobody_or_a_shared_secret_signs_is_refused() {
        let keys = published(&[("one", 1)]);
        for (algorithm, id) in
            [("none", "one"), ("HS256", "shared"), ("HS256", "one"), ("RS256", "one")]
        {
            let token = signed(&json!({ "alg": algorithm, "kid": id }), &claims("ada"), 1);
            assert!(subject(&keys, &token).is_err(), "{algorithm} {id}");
        }
    }
}
