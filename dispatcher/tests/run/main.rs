//! The whole dispatcher over a store in memory and an app that answers as it is told.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod brakes;
mod changes;
mod delivering;
mod leases;
mod store;
mod world;
