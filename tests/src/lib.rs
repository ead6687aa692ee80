//! What the black-box tests share: a server of its own for each test, a client for its interfaces,
//! a receiver that checks webhooks with code of its own, a PostgreSQL for whoever stores in one, and a Kafka.
//!
//! Nothing here knows the inside of dsync. The binary is started, spoken to over HTTP and killed.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a test fails by panicking, wherever that happens"
)]

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod load;
mod not_checked;
pub mod postgres;
pub mod receiver;
pub mod scim;
pub mod server;
pub mod sink;

#[cfg(feature = "kafka")]
pub use kafka::Kafka;
pub use not_checked::not_checked;
pub use postgres::Postgres;
pub use receiver::{Delivery, Receiver};
pub use scim::{Directory, Scim};
pub use server::{Api, Server};
pub use sink::Sink;
