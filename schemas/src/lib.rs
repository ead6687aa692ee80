//! The vocabulary of dsync: what every other crate agrees on.
//!
//! Typed [ids](id), the [events](event) customers see, the [records](record) that the log holds, the
//! [chain] that decides which records count, and SCIM's own language ([`scim`]): attributes,
//! schemas, filters and paths.
//!
//! It is *not* the place of rules (`directory` has them) nor of any input or output: there is no
//! clock, no randomness and no runtime here. Both reach a role through [`Edge`].
//!
//! Start with [`chain`]: the rest of the system follows from its verdict.

pub mod action;
pub mod brake;
pub mod chain;
pub mod change;
pub mod cloud_event;
pub mod delivery;
pub mod edge;
pub mod event;
pub mod format;
pub mod host_name;
pub mod id;
pub mod rate;
pub mod record;
pub mod samples;
pub mod scim;
pub mod time;
pub mod waits;
pub mod wire;

pub use action::{Action, ActionOutcome, ActorKind};
pub use brake::{Brake, BrakeChoice, Share};
pub use chain::{Hash, Head, Seq};
pub use change::{Change, Mapped, Shown, StoredAttributes, StoredChange};
pub use delivery::{DeliveryOrder, EndpointKind, FAILS_AFTER, OperationalEvent};
pub use edge::Edge;
pub use event::{Event, EventType};
pub use format::Format;
pub use host_name::HostName;
pub use id::{
    AdminEventId, ApiKeyId, AttemptId, DirectoryId, EndpointId, EventId, GroupId, HostNameId, Id,
    OrganizationDomainId, OrganizationId, PortalLinkId, ReplayId, RequestId, ScimId, TokenId,
    UserId,
};
pub use rate::{Bucket, Buckets, RateLimit};
pub use record::{Actor, Record};
pub use time::Timestamp;
pub use waits::Waits;
