//! The hash chain of a stream, and the verdict that settles races.
//!
//! Kafka has no conditional append. Instead of locks or leaders, each record says what it follows,
//! and the order of the log decides: [`Stream::verdict`] is a pure function of the head and the
//! record. It never looks at users or rules, so a new version of the rules can never judge old
//! history differently.
//!
//! ```text
//!   log      a1  a2  b3  c3  b4(prev = b3)  d4(prev = c3)   …
//!   verdict  ✓   ✓   ✓   stale   ✓          stale: it builds on what lost
//! ```
//!
//! Numbers alone would not do: a writer that lost a race at 3 may have sent its 4 already, which has
//! the right number and the wrong past.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The place of a record in its stream: 1, 2, 3…; 0 is the place before the first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// SHA-256 of a record's value, byte for byte as the log stores it; 64 hexadecimal digits in text.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of a record's value. `sha256sum` says the same.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(Sha256::digest(value).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).expect("64 digits for 32 bytes");
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 hash in 64 hexadecimal digits")]
pub struct InvalidHash;

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        // What reads digits would take a prefix to them.
        if text.len() != 2 * bytes.len() {
            return Err(InvalidHash);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidHash)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The last accepted record of a stream. The default is the head of an empty stream: seq 0 and a
/// hash of zeros, which the first record names as its `prev`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its place.
    pub seq: Seq,
    /// Its hash.
    pub hash: Hash,
}

/// Which of how many records of one commit a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From 0.
    pub index: u32,
    /// At least 1; the commit counts when so many are there.
    pub len: u32,
}

/// What the verdict needs to know of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its place in the stream.
    pub seq: Seq,
    /// The hash of the record it follows.
    pub prev: Hash,
    /// Its own hash.
    pub hash: Hash,
    /// The place of the confirmed head that its writer decided on.
    pub base: Seq,
    /// Its place in its commit.
    pub commit: Place,
    /// Whether the stream begins anew with it, whatever it was before.
    pub anew: bool,
}

/// What the order of the log makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It continues the pending commit, or begins one on the head.
    Joins,
    /// It begins a commit on the head; the half commit that was pending is void.
    Restarts,
    /// The stream goes on with it, although what it follows may be lost: an operator has said so.
    Anew,
    /// It lost a race, came twice or belongs to an abandoned commit: inert, for every reader, for ever.
    Stale,
    /// It was decided on a head that this log does not lead to: something was lost or changed.
    Gap,
}

/// One stream as a reader follows it: its head, and the records of a commit not yet complete.
#[derive(Clone, Debug)]
pub struct Stream<T> {
    head: Head,
    pending: Vec<(Link, T)>,
}

/// What admitting a record led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted<T> {
    /// It waits for the rest of its commit.
    Pending,
    /// Its commit is complete: these records are accepted, in this order, and the last is the head.
    Complete(Vec<(Link, T)>),
    /// See [`Verdict::Stale`].
    Stale,
    /// See [`Verdict::Gap`]. The stream must not be followed any further, until it begins anew.
    Gap,
}

impl<T> Stream<T> {
    /// A stream followed from this head on.
    #[must_use]
    pub const fn at(head: Head) -> Self {
        Self { head, pending: Vec::new() }
    }

    /// The last accepted record.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The first record of the commit that is not complete, if there is one.
    #[must_use]
    pub fn first_pending(&self) -> Option<&T> {
        self.pending.first().map(|(_, payload)| payload)
    }

    /// Judges a record. The first rule that fits decides.
    #[must_use]
    pub fn verdict(&self, link: &Link) -> Verdict {
        let tail = self.pending.last().map_or(self.head, |(last, _)| last.as_head());
        let head = self.head;

        if link.anew {
            let is_new = link.seq > head.seq && link.commit == (Place { index: 0, len: 1 });
            return if is_new { Verdict::Anew } else { Verdict::Stale };
        }
        if follows(link, tail) && usize::try_from(link.commit.index) == Ok(self.pending.len()) {
            return Verdict::Joins;
        }
        if self.pending.iter().any(|(pending, _)| pending.hash == link.hash) {
            return Verdict::Stale;
        }
        if follows(link, head) && link.commit.index == 0 {
            return Verdict::Restarts;
        }
        let beyond = link.base > head.seq;
        let elsewhere =
            link.base == head.seq && link.seq == head.seq.next() && link.prev != head.hash;
        if beyond || elsewhere { Verdict::Gap } else { Verdict::Stale }
    }

    /// Judges a record and moves on.
    pub fn admit(&mut self, link: Link, payload: T) -> Admitted<T> {
        match self.verdict(&link) {
            Verdict::Joins => {}
            Verdict::Restarts | Verdict::Anew => self.pending.clear(),
            Verdict::Stale => return Admitted::Stale,
            Verdict::Gap => return Admitted::Gap,
        }
        self.pending.push((link, payload));
        if self.pending.len() < link.commit.len as usize {
            return Admitted::Pending;
        }
        self.head = link.as_head();
        Admitted::Complete(std::mem::take(&mut self.pending))
    }
}

impl Link {
    /// The head that the stream has once this record is the last accepted.
    #[must_use]
    pub const fn as_head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

fn follows(link: &Link, last: Head) -> bool {
    link.seq == last.seq.next() && link.prev == last.hash
}

#[cfg(test)]
mod tests;
