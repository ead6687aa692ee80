//! What opens doors: made here, shown once, and kept as a digest.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use schemas::{Edge, TokenId};
use sha2::{Digest as _, Sha256};

use crate::ports::{Digest, NewToken, Secret};

/// How much of a secret is shown afterwards, to tell one from another.
const SUFFIX_LEN: usize = 4;

/// How many bytes make the unguessable part of a SCIM address: 128 bits, as many as a UUID has, all of
/// them chance.
const ENDPOINT_ID_BYTES: usize = 16;

/// How many bytes make an external key: 16 characters in the form that older integrations know.
const EXTERNAL_KEY_BYTES: usize = 12;

/// The digest of a token or an API key, by which it is looked up. The texts are 256 bits of chance, so
/// a fast hash without salt is enough, and a comparison of digests tells nothing of the text.
#[must_use]
pub fn digest(text: &str) -> Digest {
    Sha256::digest(text).into()
}

/// A text that opens something. It never shows itself.
pub struct Minted {
    /// The text, to be shown this once.
    pub text: String,
    /// What is kept.
    pub digest: Digest,
    /// Its last characters.
    pub suffix: String,
}

/// Something that opens one thing for one browser: a link, a session.
#[derive(Debug)]
pub struct Ticket {
    /// The text, to be given away this once.
    pub text: Secret,
    /// What is kept.
    pub digest: Digest,
}

/// A fresh ticket.
#[must_use]
pub fn ticket(edge: &dyn Edge) -> Ticket {
    let text = URL_SAFE_NO_PAD.encode(edge.secret());
    Ticket { digest: digest(&text), text: Secret::new(text) }
}

/// A bearer token for an identity provider, made at this moment, and its text.
#[must_use]
pub fn bearer_token(edge: &dyn Edge) -> (NewToken, Secret) {
    let minted = token(edge);
    let id = TokenId::from_bits(edge.id());
    let (digest, suffix) = (minted.digest, minted.suffix);
    (NewToken { id, digest, suffix, created_at: edge.now() }, Secret::new(minted.text))
}

/// A token for an identity provider.
#[must_use]
pub fn token(edge: &dyn Edge) -> Minted {
    minted(format!("dsync_{}", URL_SAFE_NO_PAD.encode(edge.secret())))
}

/// A secret of a directory's OAuth client. No character of it changes when it is form-encoded, so a
/// client that leaves out that step of RFC 6749 §2.3.1 is understood too.
pub(crate) fn client_secret(edge: &dyn Edge) -> Minted {
    minted(format!("dsync_secret_{}", URL_SAFE_NO_PAD.encode(edge.secret())))
}

/// The id of the OAuth client of the directory at this SCIM address. It follows from the address, so
/// every directory has one; the address does not follow from it.
#[must_use]
pub fn client_id(endpoint_id: &str) -> String {
    let digest = digest(&format!("OAuth client of {endpoint_id}"));
    hex::encode(&digest[..ENDPOINT_ID_BYTES])
}

/// An API key.
pub(crate) fn api_key(edge: &dyn Edge) -> Minted {
    minted(format!("sk_{}", URL_SAFE_NO_PAD.encode(edge.secret())))
}

/// What is kept of a text that somebody chose.
pub(crate) fn minted(text: String) -> Minted {
    let suffix = text.chars().rev().take(SUFFIX_LEN).collect::<Vec<_>>();
    Minted { digest: digest(&text), suffix: suffix.into_iter().rev().collect(), text }
}

/// A signing secret for a webhook endpoint.
pub(crate) fn signing_secret(edge: &dyn Edge) -> Secret {
    Secret::new(format!("whsec_{}", STANDARD.encode(edge.secret())))
}

/// The last part of a SCIM address.
#[must_use]
pub fn endpoint_id(edge: &dyn Edge) -> String {
    hex::encode(&edge.secret()[..ENDPOINT_ID_BYTES])
}

/// An external key.
#[must_use]
pub fn external_key(edge: &dyn Edge) -> String {
    URL_SAFE_NO_PAD.encode(&edge.secret()[..EXTERNAL_KEY_BYTES])
}
