//! Secrets that must be readable again, encrypted under the master key.
//!
//! XChaCha20-Poly1305: its nonce is long enough to be drawn at random. What a secret belongs to is
//! authenticated with it, so that no row can be given another's secret.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use schemas::Edge;

use crate::error::{DbError, unreadable};

const NONCE_BYTES: usize = 24;

/// What is sealed, where an owner has more than one: none may be put into the place of another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// The secret itself, or a seed.
    Secret,
    /// The key of the certificate that is shown to an endpoint.
    ClientKey,
    /// The key that signs for an endpoint beside its secret.
    PrivateKey,
}

impl What {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Secret => b"",
            Self::ClientKey => b"client key",
            Self::PrivateKey => b"private key",
        }
    }
}

pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    edge: Arc<dyn Edge>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// What is sealed to tell a wrong master key, and what it belongs to.
const CHECK: (&str, [u8; 16]) = ("dsync master key", [0; 16]);

impl Sealer {
    pub(crate) fn new(master_key: [u8; 32], edge: Arc<dyn Edge>) -> Self {
        Self { cipher: XChaCha20Poly1305::new(Key::from_slice(&master_key)), edge }
    }

    /// What only the right master key opens, to be kept beside what is sealed.
    pub(crate) fn check(&self) -> Vec<u8> {
        let (text, owner) = CHECK;
        self.seal(owner, text)
    }

    /// Whether such a check was made with this key.
    pub(crate) fn has_made(&self, check: &[u8]) -> bool {
        let (text, owner) = CHECK;
        self.open(owner, check).is_ok_and(|opened| opened == text)
    }

    /// The nonce, then the sealed secret.
    pub(crate) fn seal(&self, owner: [u8; 16], secret: &str) -> Vec<u8> {
        self.seal_as(What::Secret, owner, secret)
    }

    pub(crate) fn seal_as(&self, what: What, owner: [u8; 16], secret: &str) -> Vec<u8> {
        let nonce = &self.edge.secret()[..NONCE_BYTES];
        let aad = [&owner[..], what.label()].concat();
        let payload = Payload { msg: secret.as_bytes(), aad: &aad };
        let sealed = self.cipher.encrypt(XNonce::from_slice(nonce), payload);
        [nonce, &sealed.expect("a secret is far below the cipher's limit")].concat()
    }

    pub(crate) fn open(&self, owner: [u8; 16], sealed: &[u8]) -> Result<String, DbError> {
        self.open_as(What::Secret, owner, sealed)
    }

    pub(crate) fn open_as(
        &self,
        what: What,
        owner: [u8; 16],
        sealed: &[u8],
    ) -> Result<String, DbError> {
        let failed = || unreadable("secret")("it was sealed under another master key");
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(failed)?;
        let aad = [&owner[..], what.label()].concat();
        let payload = Payload { msg: sealed, aad: &aad };
        let opened = self.cipher.decrypt(XNonce::from_slice(nonce), payload);
        String::from_utf8(opened.map_err(|_| failed())?).map_err(unreadable("secret"))
    }
}
