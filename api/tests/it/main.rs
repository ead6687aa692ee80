//! The API over HTTP, on ports in memory: exact answers of every call, and of every way it says no.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod audit;
mod configuration;
mod deliveries;
mod described;
mod endpoints;
mod fake;
mod host_names;
mod oauth;
mod outward;
mod portal_links;
mod reading;
mod refusals;
mod repeating;
mod world;
