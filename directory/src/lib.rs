//! The rules of a directory, pure.
//!
//! [`decide()`] turns a [`Command`] into events, given the [`Facts`] it needs. [`Facts`] is also the
//! working copy: what one command decided, the next one of the same batch sees. PATCH ([`patch`]) and
//! filter matching ([`matching`]) are one function each over the attribute tree and the schema tables.
//!
//! There is no clock, no chance and no store here: time and ids come in with the [`Stamp`], facts are
//! gathered by the caller as [`Needs`] says. A projector never asks these rules anything; what was
//! decided once is in the record.
//!
//! Start with [`decide()`].

pub mod attribute_map;
pub mod command;
pub mod decide;
pub mod diff;
pub mod facts;
pub mod matching;
pub mod normalise;
pub mod patch;
pub mod resource;
pub mod role_mapping;
pub mod rules;
pub mod sorting;

pub use attribute_map::AttributeMap;
pub use command::{Command, Rejection, Stamp};
pub use decide::{Answer, Decision, Undecided, decide};
pub use facts::{Facts, Missing, Needs};
pub use resource::{Directory, DirectoryToken, Group, User};
pub use role_mapping::RoleMapping;
pub use rules::{AppRules, InactiveUsers};
