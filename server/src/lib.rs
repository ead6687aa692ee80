//! Everything that makes one program of the roles: settings, the command line, telemetry, the layers
//! around every HTTP request, and the client behind `dsync org create` and its like.
//!
//! It is *not* the place of rules: a role decides, and what it needs from outside is handed to it
//! here. Nothing depends on this crate but the binary and the tests of the whole.
//!
//! Start with [`cli`] for what the program can be told, and with [`settings`] for how it is told.

pub mod cli;
pub mod client;
mod data;
pub mod demo;
pub mod edge;
pub mod http;
pub mod offline;
pub mod print;
pub mod serve;
pub mod settings;
pub mod telemetry;
