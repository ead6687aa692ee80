//! Every test of the whole, in one binary, so that it is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, wherever that happens"
)]

mod architecture;
mod bad_input;
mod conformance;
mod corpus;
mod crash;
mod cycle;
mod disk;
mod egress;
mod entra;
mod hostile;
mod misbehaving;
mod oauth;
mod pending;
mod promises;
mod receivers;
mod rotation;
mod scim;
mod sets;
mod tenants;
