//! The ports of the roles, each in a file of its own, and how errors are told in their terms.

mod admin_events;
mod brake;
mod configuration;
mod console;
mod deliveries;
mod delivery;
mod host_names;
mod lag;
mod oauth;
pub(crate) mod paging;
mod portal_links;
mod projection;
mod reading;
mod refreshes;
mod replica;

use api::ports::{Conflict, PortError};
use rusqlite::ErrorCode;

use crate::error::DbError;

/// A refusal that passes through a job.
#[derive(Debug)]
enum Refusal {
    NotFound,
    Conflict(Conflict),
}

pub(crate) fn not_found() -> DbError {
    DbError::Refused(Box::new(Refusal::NotFound))
}

pub(crate) fn conflicted(conflict: Conflict) -> DbError {
    DbError::Refused(Box::new(Refusal::Conflict(conflict)))
}

/// A value that must be unique and is not, in the port's terms.
pub(crate) fn conflict(error: rusqlite::Error, conflict: Conflict) -> DbError {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        conflicted(conflict)
    } else {
        error.into()
    }
}

fn port_error(error: DbError) -> PortError {
    match error {
        error @ DbError::Unsure(_) => PortError::Unsure(Box::new(error)),
        DbError::Refused(refusal) => match refusal.downcast_ref::<Refusal>() {
            Some(Refusal::Conflict(conflict)) => PortError::Conflict(*conflict),
            Some(Refusal::NotFound) | None => PortError::NotFound,
        },
        error @ (DbError::Sqlite(_)
        | DbError::Postgres(_)
        | DbError::Pool(_)
        | DbError::Tls(_)
        | DbError::Silent
        | DbError::Unreadable { .. }
        | DbError::Closed) => {
            if error.is_full() {
                PortError::Full(Box::new(error))
            } else {
                PortError::Unavailable(Box::new(error))
            }
        }
    }
}
