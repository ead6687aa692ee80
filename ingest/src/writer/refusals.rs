//! Telling those who wait why their command is not carried out.

use log::AppendError;

use super::{Request, WriteError};
use crate::ports::BoxError;

pub(super) fn fail(requests: Vec<Request>, error: impl Fn() -> WriteError) {
    for request in requests {
        let _ = request.answer.send(Err(error()));
    }
}

/// Tells everyone of an error that came once.
pub(super) fn refuse(requests: Vec<Request>, error: WriteError) {
    let words = error.to_string();
    let source = || BoxError::from(words.clone());
    if let WriteError::Unavailable(cause) | WriteError::Halted(cause) = &error {
        tracing::warn!(error = &**cause as &dyn std::error::Error, "a batch cannot be written");
    }
    match error {
        WriteError::Full(_) => fail(requests, || WriteError::Full(source())),
        WriteError::Unavailable(_) => fail(requests, || WriteError::Unavailable(source())),
        WriteError::Halted(_) => fail(requests, || WriteError::Halted(source())),
        WriteError::NoSuchDirectory(id) => fail(requests, || WriteError::NoSuchDirectory(id)),
        WriteError::Stopped => fail(requests, || WriteError::Stopped),
        WriteError::Busy => fail(requests, || WriteError::Busy),
        WriteError::Contended => fail(requests, || WriteError::Contended),
        WriteError::Delayed => fail(requests, || WriteError::Delayed),
        WriteError::Unknown => fail(requests, || WriteError::Unknown),
        WriteError::Rejected(rejection) => {
            fail(requests, || WriteError::Rejected(rejection.clone()));
        }
    }
}

/// The rules refuse an event that is too large, and say why. What stands around it in a record, with what a
/// client calls itself, takes a few hundred bytes.
const _: () = assert!(directory::decide::EVENT_BYTES_MAX + 8 * 1024 <= log::RECORD_BYTES_MAX);

/// The same for the log's refusal.
pub(super) fn refusal(error: AppendError) -> WriteError {
    match error {
        AppendError::Full(source) => WriteError::Full(source),
        AppendError::Unavailable(source) => WriteError::Unavailable(source),
        AppendError::Indeterminate(_) => WriteError::Unknown,
        AppendError::TooLarge { bytes, limit } => {
            let detail =
                format!("one event would take {bytes} bytes, more than {limit}; send less at once");
            let error = schemas::scim::ScimError::with_status(413, detail);
            WriteError::Rejected(error.into())
        }
    }
}
