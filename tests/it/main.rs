//! Every test of the whole, in one binary, so that it is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, wherever that happens"
)]

mod admin_events;
mod architecture;
mod attributes;
mod audit;
mod backup;
mod bad_input;
mod browser;
mod bulk;
mod cluster;
mod conformance;
mod console;
mod corpus;
mod crash;
mod cycle;
mod data;
mod delivery;
mod deploy;
mod description;
mod disk;
mod egress;
mod entra;
mod events;
mod gaps;
mod host_names;
mod hostile;
mod inactive;
mod javascript;
#[cfg(feature = "kafka")]
mod kafka;
mod misbehaving;
mod oauth;
mod pending;
mod promises;
mod reach;
mod receivers;
mod repeating;
mod requests;
mod roles;
mod rotation;
mod scim;
mod sdks;
mod sets;
mod setup;
mod shell;
mod start;
mod tenants;
