//! Whether a write failed because there is no room for it. SQLite tells only that it failed.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// More than one page, so that a block that is still half empty does not deceive.
const PROBE_BYTES: usize = 64 << 10;

/// Writes to a file of its own what the write-ahead log would have written next: as far in, so that a
/// limit of file size shows too.
pub(super) fn is_wanting(log: &Path) -> bool {
    let end = fs::metadata(beside(log, "-wal")).map_or(0, |wal| wal.len());
    let path = beside(log, "-room");
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = open.and_then(|mut probe| {
        probe.seek(SeekFrom::Start(end))?;
        probe.write_all(&[0; PROBE_BYTES])
    });
    // It is overwritten next time if it cannot be removed.
    let _ = fs::remove_file(&path);
    written.is_err_and(|error| {
        [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge]
            .contains(&error.kind())
    })
}

fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(suffix);
    name.into()
}
