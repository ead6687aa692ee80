//! The event log: the one place where what happened is kept for good.
//!
//! [`EventLog`] is the contract, `conformance` checks it, [`embedded::Embedded`] is the log on one
//! machine and `kafka::Kafka`, with the feature `kafka`, the one past it. The log knows bytes and order; what the bytes mean, and which of them count, is the
//! business of `schemas` and of who reads.
//!
//! Start with [`EventLog`].

mod ahead;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod contract;
pub mod embedded;
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;

pub use ahead::{Ahead, Coming, Durable};
pub use contract::{
    Append, AppendError, Entry, EventLog, Known, Offset, Partition, RECORD_BYTES_MAX, ReadError,
    ReadLimit, Source,
};
pub use embedded::Embedded;
#[cfg(feature = "kafka")]
pub use kafka::Kafka;
