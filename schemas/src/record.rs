//! Records: events as the log stores them, and the one form of an event that leaves the house.
//!
//! A record's value is one JSON object. The fields `object id event data created_at context` are
//! public and leave as they are; the others are ours: `v`, `directory_id`, `seq`, `prev`, `base`,
//! `commit`, `actor` and `resource`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::{Hash, Link, Place, Seq};
use crate::wire::EventTag;
use crate::{
    ApiKeyId, Change, DirectoryId, Event, EventId, EventType, PortalLinkId, StoredAttributes,
    StoredChange, Timestamp,
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
    /// What it does to the state; a [`Change`], read when it is needed, without the attributes that are in `data`: see
    /// [`change_in`].
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
    /// See [`change_in`].
    pub fn change(&self) -> Result<StoredChange, DecodeError> {
        change_in(self.resource.get(), self.data.get())
    }
}

/// What a record with this `resource` and this `data` does to the state. Attributes that apps are told as they are, are
/// the `raw_attributes` of `data`, and not said again.
///
/// # Errors
///
/// If the `resource` is none that this version knows, or has no attributes, nor has `data`.
pub fn change_in(resource: &str, data: &str) -> Result<StoredChange, DecodeError> {
    let change: Change<Option<StoredAttributes>> = serde_json::from_str(resource)?;
    change.with_attributes(|attributes| match attributes {
        Some(attributes) => Ok(attributes),
        None => Ok(serde_json::from_str::<Told>(data)?.raw_attributes),
    })
}

/// What is looked for in `data`.
#[derive(Deserialize)]
struct Told {
    raw_attributes: StoredAttributes,
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

mod sealed;

pub use sealed::{Said, Sealed, seal, seal_anew};
