//! Answers that are kept for who asks again.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::Timestamp;

use super::{Digest, PortError};

/// How long an answer is kept: who has not asked again within a day does not.
pub const ANSWERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many answers are kept; beyond it the oldest go. Clients make a key for every POST, and most are
/// never used again.
pub const ANSWERS_MAX: u64 = 100_000;

/// How long a request may have no answer yet. Whoever was to answer it has then gone: no request takes that
/// long.
pub const ANSWERING_MAX: Duration = Duration::from_secs(60);

/// What is kept of an answer. Its body may hold a secret that is shown once, so it is kept encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Its body, which is JSON.
    pub body: Bytes,
}

/// What became of a request with this key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first; the caller answers it and says so, one way or the other.
    First,
    /// It was answered.
    Answered(KeptAnswer),
    /// It is being answered.
    Answering,
    /// It was begun longer ago than [`ANSWERING_MAX`] and never answered: what came of it is not known. It is not
    /// done again, since it may have been done.
    Unresolved,
    /// The key was used for another request.
    OtherRequest,
}

/// Where answers are kept.
#[async_trait]
pub trait Answers: Send + Sync {
    /// Begins to answer the request with this digest under this key, which is a digest too: of who asks
    /// and of the text that was sent along.
    async fn begin(&self, key: Digest, request: Digest, now: Timestamp)
    -> Result<Begun, PortError>;

    /// Keeps the answer. `None`: there is none worth keeping, and the key is free again.
    async fn end(&self, key: Digest, answer: Option<KeptAnswer>) -> Result<(), PortError>;
}
