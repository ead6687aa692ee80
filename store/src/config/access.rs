//! The access tokens in memory: every SCIM request asks for them.
//!
//! They change far more often than the rest of what is known, so they stand beside it. Whether the
//! secret is still live that a token was issued with is known there, not here.

use std::collections::BTreeMap;

use api::ports::Digest;
use schemas::{Timestamp, TokenId};

/// What an access token was issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccessToken {
    /// The secret that it was issued with; that tells the directory too.
    pub(crate) secret: TokenId,
    /// From when on it opens nothing.
    pub(crate) expires_at: Timestamp,
}

/// Those that are stored.
#[derive(Debug, Default)]
pub(crate) struct AccessTokens(BTreeMap<Digest, AccessToken>);

impl AccessTokens {
    pub(crate) fn get(&self, digest: &Digest) -> Option<AccessToken> {
        self.0.get(digest).copied()
    }

    pub(crate) fn insert(&mut self, digest: Digest, token: AccessToken) {
        self.0.insert(digest, token);
    }

    pub(crate) fn remove(&mut self, digests: &[Digest]) {
        for digest in digests {
            self.0.remove(digest);
        }
    }

    pub(crate) fn retain(&mut self, keeps: impl Fn(&AccessToken) -> bool) {
        self.0.retain(|_, token| keeps(token));
    }
}
