//! SCIM 2.0 for identity providers: the only way into the log.
//!
//! A request is authenticated (`auth`), parsed into a [`directory::Command`], handed to the
//! directory's [writer], and answered with the resource as it is afterwards
//! (`represent`). Reads go to the projection through the [`ports::Replica`] port.
//!
//! It is *not* the place of rules: what a command changes is decided in `directory`, and what a
//! request may look like in `schemas::scim`.
//!
//! Beside SCIM stands the [token endpoint](oauth), where identity providers get access tokens.
//!
//! Start with [`http`] for the routes and with [`writer`] for the way into the log.

pub mod anew;
mod auth;
mod body;
mod bulk;
mod cursor;
mod discovery;
mod error;
mod form;
pub mod http;
mod limits;
mod lists;
mod media;
pub mod oauth;
pub mod ports;
mod projection;
mod query;
mod quirks;
pub mod refresh;
mod represent;
pub mod request_log;
mod resources;
mod respond;
mod tolerance;
mod version;
pub mod writer;

pub use http::{Wiring, router};
pub use limits::Limits;
pub use writer::{WriteError, Writers};
