//! Identifiers that remember what they identify.
//!
//! An [`Id`] is 128 bits shown as `<prefix>_<ULID>` (26 characters of Crockford's base 32), the form
//! that the WorkOS SDKs know. The kind is a phantom, so a [`UserId`] can never stand where a
//! [`GroupId`] is wanted. The first 48 bits are milliseconds, so ids sort by when they were made.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::Timestamp;

/// What an id identifies, and the prefix that says so in text.
pub trait Kind {
    /// The text before the underscore.
    const PREFIX: &'static str;
}

/// How long an id in text may be.
const TEXT_MAX: usize = 64;

/// A typed identifier.
pub struct Id<K> {
    bits: u128,
    kind: PhantomData<fn() -> K>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $id:ident, $kind:ident = $prefix:literal;)*) => {
        mod kind { $(pub enum $kind {} impl super::Kind for $kind { const PREFIX: &'static str = $prefix; })* }
        $($(#[$doc])* pub type $id = Id<kind::$kind>;)*
    };
}

kinds! {
    /// A customer of the app: `org_…`.
    OrganizationId, Organization = "org";
    /// A domain of an organization: `org_domain_…`.
    OrganizationDomainId, OrganizationDomain = "org_domain";
    /// One identity provider connection: `directory_…`.
    DirectoryId, Directory = "directory";
    /// A user as customer apps know it: `directory_user_…`.
    UserId, User = "directory_user";
    /// A group as customer apps know it: `directory_group_…`.
    GroupId, Group = "directory_group";
    /// A bearer token of a directory: `directory_token_…`. The id is not the secret.
    TokenId, Token = "directory_token";
    /// An event: `event_…`.
    EventId, Event = "event";
    /// A webhook endpoint: `we_…`.
    EndpointId, Endpoint = "we";
    /// One request to a webhook endpoint: `attempt_…`.
    AttemptId, Attempt = "attempt";
    /// A replay to a webhook endpoint: `replay_…`.
    ReplayId, Replay = "replay";
    /// An API key: `api_key_…`. The id is not the secret.
    ApiKeyId, ApiKey = "api_key";
    /// A host name of an organization or a directory: `host_name_…`.
    HostNameId, HostName = "host_name";
    /// A link to the setup page of an organization: `portal_link_…`. The id is not the secret.
    PortalLinkId, PortalLink = "portal_link";
    /// Something that people or keys did outside SCIM: `admin_event_…`.
    AdminEventId, AdminEvent = "admin_event";
    /// An HTTP request that reached us: `req_…`.
    RequestId, Request = "req";
}

impl<K> Id<K> {
    /// The id with these bits. Fresh bits come from [`crate::Edge::id`].
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self { bits, kind: PhantomData }
    }

    /// The bits, as a store keeps them.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.bits
    }

    /// The bits in the byte order in which comparing bytes compares ids.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.bits.to_be_bytes()
    }

    /// The id with these big-endian bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_bits(u128::from_be_bytes(bytes))
    }

    /// When the id was made, as its first 48 bits tell.
    #[must_use]
    pub fn made_at(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.bits >> 80).expect("48 bits fit in 63"))
    }
}

/// A text that is not an id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ followed by 26 characters")]
pub struct InvalidId {
    prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = InvalidId { prefix: K::PREFIX };
        let ulid = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_'));
        let ulid = ulid.ok_or_else(|| invalid.clone())?;
        // One id has one text: the lenient reading of lower case and overflow is refused.
        let bits = Ulid::from_string(ulid).map_err(|_| invalid.clone())?;
        if bits.array_to_str(&mut [0; ulid::ULID_LEN]) != ulid {
            return Err(invalid);
        }
        Ok(Self::from_bits(bits.0))
    }
}

impl<K: Kind> Id<K> {
    fn text<'t>(&self, out: &'t mut [u8; TEXT_MAX]) -> &'t str {
        const { assert!(K::PREFIX.len() + 1 + ulid::ULID_LEN <= TEXT_MAX) };
        let prefix = K::PREFIX.len();
        let (head, ulid) = out.split_at_mut(prefix + 1);
        head[..prefix].copy_from_slice(K::PREFIX.as_bytes());
        head[prefix] = b'_';
        let ulid = ulid.first_chunk_mut().expect("there is room for it");
        let end = prefix + 1 + Ulid(self.bits).array_to_str(ulid).len();
        std::str::from_utf8(&out[..end]).expect("prefixes and digits are ASCII")
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; TEXT_MAX]))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; TEXT_MAX]))
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> JsonSchema for Id<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}_id", K::PREFIX).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": format!("^{}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}$", K::PREFIX),
        })
    }
}

// By hand, so that no bound on the phantom kind leaks into every signature.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bits.cmp(&other.bits)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

/// The `id` of a SCIM resource, as the identity provider knows it: a UUID, never reused
/// (RFC 7643 §3.1). It is apart from [`UserId`], because a person who returns may be a new directory
/// user to the customer's app while the identity provider goes on with the same resource.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScimId(Uuid);

impl ScimId {
    /// The id with these bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }

    /// The bits in the byte order in which comparing bytes compares ids.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id with these big-endian bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for ScimId {
    type Err = InvalidScimId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| InvalidScimId)?;
        // One resource has one spelling of its id (RFC 7643 §3.1: caseExact), so that URLs compare.
        let spelling = &mut [0; Hyphenated::LENGTH];
        if uuid.hyphenated().encode_lower(spelling) == text {
            Ok(Self(uuid))
        } else {
            Err(InvalidScimId)
        }
    }
}

/// A text that cannot be the id of a resource of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a resource")]
pub struct InvalidScimId;

impl fmt::Display for ScimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for ScimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = UserId::from_bits(0x0198_7654_3210_7abc_8def_0123_4567_89ab);
        let text = id.to_string();
        assert!(text.starts_with("directory_user_") && text.len() == "directory_user_".len() + 26);
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let text = GroupId::from_bits(7).to_string();
        assert!(text.parse::<UserId>().is_err());
        assert!("directory_".parse::<DirectoryId>().is_err());
    }

    #[test]
    fn one_id_has_one_spelling() {
        let text = EventId::from_bits(0xabc).to_string();
        assert!(text.to_lowercase().parse::<EventId>().is_err());
        let id = ScimId::from_bits(0xabc);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<ScimId>().is_err());
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        let id = EventId::from_bits((1_772_446_530_123 << 80) | 99);
        assert_eq!(id.made_at(), Timestamp::from_millis(1_772_446_530_123));
    }
}
