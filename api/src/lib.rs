//! The customer and management API: JSON over HTTP, compatible with the WorkOS SDKs.
//!
//! An app reads here what its customers' directories hold and what happened to them; an operator
//! configures organizations, directories, tokens, webhook endpoints and API keys.
//!
//! ```text
//!  request ──▶ auth: who calls, what may they do, how far do they see
//!                │
//!                ▼
//!              page, body: text becomes types, or a 422 that names the field
//!                │
//!                ▼
//!              one file a resource ──▶ ports ──▶ JSON
//! ```
//!
//! It is *not* a second way to write directories. What the log made of them is only read here. The API
//! writes configuration, and where the event streams have to tell of that (a token made, a directory
//! deleted) it calls [`ports::Streams`], which appends what is missing.
//!
//! Start with [`router()`] for the routes, and [`ports`] for what has to be brought along. Everything
//! that goes wrong leaves through the private module `error`.

pub mod actions;
mod admin_events;
mod api_keys;
mod attribute_map;
mod audit;
mod auth;
mod body;
mod call;
mod calls;
mod deliveries;
mod directories;
mod endpoints;
mod error;
mod events;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod forgetful;
mod groups;
mod host_names;
mod idempotency;
mod jwks;
mod limits;
mod oauth;
mod openapi;
mod organizations;
mod outward;
mod page;
mod portal_links;
pub mod ports;
mod replays;
mod requests;
mod role_mapping;
mod router;
mod scim_settings;
pub mod secrets;
mod signing_keys;
mod tokens;
mod trials;
mod users;
mod waiting;

pub use admin_events::{Intended, Told, Underway, action_actor, record_own};
pub use api_keys::{FirstKey, NewKey, create_key, first_key};
pub use attribute_map::{AttributeMapPreview, ChangedUser, preview_attribute_map};
pub use auth::sender;
pub use host_names::{WrongHostName, read_host_name};
pub use limits::Limits;
pub use openapi::description;
pub use organizations::{EXTERNAL_ID_MAX, domains};
pub use router::{
    Api, CheckCertificate, CheckUrl, MakeKeyPair, RECONCILE_WAIT_MAX, reconcile_by, router,
};
pub use secrets::{Ticket, bearer_token, client_id, digest, ticket};
pub use waiting::WaitingRoom;
