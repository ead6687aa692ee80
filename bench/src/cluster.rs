//! Past one machine: one real broker, a PostgreSQL, every role and the load on the same two cores.

mod bare;
mod creates;
mod projection;
mod topic;
mod world;

pub(crate) use bare::{COMMAND as LIMIT, serve as serve_limit};
pub(crate) use creates::run as creates;
pub(crate) use projection::run as projection;
