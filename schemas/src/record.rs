//! Records: events as the log stores them, and the one form of an event that leaves the house.
//!
//! A record's value is one JSON object. The fields `object id event data created_at context` are
//! public and leave as they are; the others are ours: `v`, `directory_id`, `seq`, `prev`, `base`,
//! `commit`, `actor` and `resource`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::{Hash, Head, Link, Place, Seq};
use crate::wire::EventTag;
use crate::{
    ApiKeyId, Change, DirectoryId, Event, EventId, EventType, PortalLinkId, StoredChange, Timestamp,
};

/// The version of the record format. A reader that meets another one stops: it must neither guess
/// nor skip.
pub const VERSION: u32 = 1;

/// Who caused an event, as far as the request tells. For auditors; of all this, customer apps are sent
/// no more than the id of the request, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// The last four characters of the token that was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_suffix: Option<String>,
    /// The address of the client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ip: Option<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_agent: Option<String>,
    /// The request, as its answer's `X-Request-ID` named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<String>,
    /// The key that a call of the API showed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub api_key_id: Option<ApiKeyId>,
    /// As what somebody was signed in to the console.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub console_role: Option<String>,
    /// By which link somebody came to the setup page of an organization.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub portal_link_id: Option<PortalLinkId>,
}

/// `{}`: the SDKs expect the key, and there is nothing to say in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {}

/// One record of the log, borrowed from its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record<'a> {
    /// `event`.
    pub object: EventTag,
    /// The id of the event.
    pub id: EventId,
    /// Its type.
    pub event: EventType,
    /// What customer apps are told, byte for byte.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// When it was decided.
    pub created_at: Timestamp,
    /// `{}`.
    pub context: Context,
    /// The version of the format.
    pub v: u32,
    /// Whose stream it belongs to.
    pub directory_id: DirectoryId,
    /// Its place in the stream.
    pub seq: Seq,
    /// The hash of the record before it.
    pub prev: Hash,
    /// The place of the confirmed head that its batch was decided on.
    pub base: Seq,
    /// Its place in its commit.
    pub commit: Place,
    /// Whether the stream begins anew with it; see [`seal_anew`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// Who caused it; an [`Actor`], for those who ask.
    #[serde(borrow)]
    pub actor: &'a RawValue,
    /// What it does to the state; a [`Change`], read when it is needed.
    #[serde(borrow)]
    pub resource: &'a RawValue,
}

/// A value that is not a record this version can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no text.
    #[error("the record is not text in UTF-8")]
    NotText(#[from] std::str::Utf8Error),
    /// The bytes are not a record.
    #[error("the record cannot be decoded")]
    Malformed(#[from] serde_json::Error),
    /// The record is of a later version than this program.
    #[error("the record has version {found}, this program reads {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// Its place in its commit is not one.
    #[error("the record is number {index} of {len} in its commit")]
    Place {
        /// From 0.
        index: u32,
        /// How many there should be.
        len: u32,
    },
}

/// Just the version: another version may have any other shape.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl<'a> Record<'a> {
    /// Reads a record's value.
    ///
    /// # Errors
    ///
    /// If the bytes are not a record of this version. Readers stop there and say where.
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        // One look at all of it costs less than one at each of its texts.
        Self::decode_text(std::str::from_utf8(value)?)
    }

    /// The same of a value that is known to be text.
    ///
    /// # Errors
    ///
    /// See [`Self::decode`].
    pub fn decode_text(value: &'a str) -> Result<Self, DecodeError> {
        let record: Self = match serde_json::from_str(value) {
            Ok(record) => record,
            Err(error) => {
                return Err(match serde_json::from_str::<Versioned>(value) {
                    Ok(Versioned { v }) if v != VERSION => DecodeError::Version { found: v },
                    Ok(Versioned { .. }) | Err(_) => DecodeError::Malformed(error),
                });
            }
        };
        if record.v != VERSION {
            return Err(DecodeError::Version { found: record.v });
        }
        let Place { index, len } = record.commit;
        if index >= len {
            return Err(DecodeError::Place { index, len });
        }
        Ok(record)
    }

    /// What the verdict needs; `hash` is that of the value this record was read from.
    #[must_use]
    pub const fn link(&self, hash: Hash) -> Link {
        let Self { seq, prev, base, commit, anew, .. } = *self;
        Link { seq, prev, hash, base, commit, anew }
    }

    /// What the record does to the state.
    ///
    /// # Errors
    ///
    /// If the `resource` is none that this version knows.
    pub fn change(&self) -> Result<StoredChange, DecodeError> {
        Ok(serde_json::from_str(self.resource.get())?)
    }
}

/// An event as it leaves the house: the body of a webhook, an item of the events API. The bytes are
/// the same wherever and whenever it is sent, since signatures cover them.
#[derive(Debug, Serialize, Deserialize)]
pub struct PublicEvent<'a> {
    /// `event`.
    pub object: EventTag,
    /// The id of the event.
    pub id: EventId,
    /// Its type.
    pub event: EventType,
    /// What happened.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// When it was decided.
    pub created_at: Timestamp,
    /// `{}`.
    pub context: Context,
}

impl PublicEvent<'_> {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("ids, times and checked JSON always serialise")
    }
}

/// An event that has been decided and is not yet a record: its place in the stream is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its id.
    pub id: EventId,
    /// When it was decided.
    pub at: Timestamp,
    /// What customer apps are told.
    pub event: Event,
    /// What it does to the state.
    pub change: Change,
}

/// A record ready to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The head that the stream has once it is accepted.
    pub head: Head,
    /// The bytes for the log.
    pub value: Vec<u8>,
}

/// Links the drafts of one commit to `tail` and to one another.
///
/// `base` is the confirmed head that the whole batch was decided on, which is `tail` for the first
/// commit of a batch and lies before it for the later ones.
#[must_use]
pub fn seal(
    drafts: &[Draft],
    directory_id: DirectoryId,
    actor: &Actor,
    base: Seq,
    tail: Head,
) -> Vec<Sealed> {
    let len = u32::try_from(drafts.len()).expect("a commit is bounded far below 2^32 records");
    let mut tail = tail;
    let mut sealed = Vec::with_capacity(drafts.len());
    for (index, draft) in (0..len).zip(drafts) {
        let commit = Place { index, len };
        let value = encode(draft, directory_id, actor, Linked { base, tail, commit, anew: false });
        tail = Head { seq: tail.seq.next(), hash: Hash::of(&value) };
        sealed.push(Sealed { head: tail, value });
    }
    sealed
}

/// A record with which a stream begins anew, at this place: what an operator appends when records before it are lost
/// for good. It follows nothing. Every reader goes on from it, whatever it has read or missed, as long as it has read
/// nothing that stands there or beyond.
#[must_use]
pub fn seal_anew(draft: &Draft, directory_id: DirectoryId, actor: &Actor, at: Seq) -> Sealed {
    let before = Seq(at.0.saturating_sub(1));
    let (tail, commit) = (Head { seq: before, hash: Hash::default() }, Place { index: 0, len: 1 });
    let linked = Linked { base: before, tail, commit, anew: true };
    let value = encode(draft, directory_id, actor, linked);
    Sealed { head: Head { seq: before.next(), hash: Hash::of(&value) }, value }
}

/// A record as it is written. It has the fields of [`Record`] in the same order; typed where that
/// one borrows, so that a value is serialised once.
#[derive(Serialize)]
struct Written<'a> {
    object: EventTag,
    id: EventId,
    #[serde(flatten)]
    event: &'a Event,
    created_at: Timestamp,
    context: Context,
    v: u32,
    directory_id: DirectoryId,
    seq: Seq,
    prev: Hash,
    base: Seq,
    commit: Place,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anew: bool,
    actor: &'a Actor,
    resource: &'a Change,
}

/// Where a record stands.
#[derive(Clone, Copy)]
struct Linked {
    base: Seq,
    tail: Head,
    commit: Place,
    anew: bool,
}

fn encode(draft: &Draft, directory_id: DirectoryId, actor: &Actor, linked: Linked) -> Vec<u8> {
    let Linked { base, tail, commit, anew } = linked;
    let written = Written {
        object: EventTag::Tag,
        id: draft.id,
        event: &draft.event,
        created_at: draft.at,
        context: Context {},
        v: VERSION,
        directory_id,
        seq: tail.seq.next(),
        prev: tail.hash,
        base,
        commit,
        anew,
        actor,
        resource: &draft.change,
    };
    serde_json::to_vec(&written).expect("events hold nothing that JSON cannot")
}
