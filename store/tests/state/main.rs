//! The state of a store, through the ports of the roles that write and read it.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod console;
mod deliveries;
mod delivery;
mod endpoints;
mod filters;
mod oauth;
mod projection;
mod reading;
mod rebuild;
mod replica;
mod requests;
mod verify;
mod world;
