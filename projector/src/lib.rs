//! Folds the log into the store.
//!
//! The projector reads each partition in order, judges every record by the chain alone
//! ([`judge`]), and writes what was accepted: state, feed, heads and position in one transaction.
//! It never asks the rules of `directory` and never writes to the log.
//!
//! [`run()`] is a loop around [`Projector::step`]. [`rebuild`] makes the state anew from the log;
//! [`verify`] walks the chain and compares.
//!
//! Start with [`judge`].

pub mod fold;
pub mod judge;
pub mod lag;
pub mod ports;
pub mod rebuild;
pub mod run;
pub mod share;
pub mod verify;

pub use ports::{Accepted, Batch, Position, ProjectionStore, StoreError, StoredHead};
pub use run::{Error, Projector, run};
pub use share::{Stopped, share};
