//! A partition of the log as if one directory alone were in it.

use log::ReadError;
use schemas::{DirectoryId, Record};

use crate::ports::BoxError;
use crate::rebuild::Scan;

/// The records of one directory. What cannot be read names none and is passed over: if it was of this one, the feed
/// has an event there that the log does not, and that is found.
pub(super) fn alone(scan: Scan<'_>, only: DirectoryId) -> Scan<'_> {
    Box::new(scan.filter(move |entry| match entry {
        Ok(entry) => Record::decode(&entry.value).is_ok_and(|record| record.directory_id == only),
        Err(error) => !is_damage(error),
    }))
}

fn is_damage(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(ReadError::Corrupt { .. }))
}
