//! What every SQLite file in a data directory has in common, those of the store as well: who may read it, and how it is
//! told what is wrong with it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

/// For the owner alone: there are people in it.
const MODE: u32 = 0o600;

/// Makes an empty file for its owner alone, where there is none. SQLite takes an empty file for a new database and gives
/// what it puts beside it the same mode, so this comes before the first opening.
///
/// # Errors
///
/// If there is none and none can be made; in the form that a failed opening has.
pub fn make(path: &Path) -> Result<(), rusqlite::Error> {
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let code = ffi::Error::new(ffi::SQLITE_CANTOPEN);
            Err(rusqlite::Error::SqliteFailure(code, Some(format!("it cannot be made: {error}"))))
        }
    }
}

/// What is wrong with a file, once and in words, with what to do about it where that is known.
#[must_use]
pub fn words(path: &Path, error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if !path.exists() && path.parent().is_some_and(Path::exists) => {
            "there is no such file".to_owned()
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) if path.exists() => {
            "this user may not open it; run the command as the user that dsync runs as".to_owned()
        }
        Some(ErrorCode::ReadOnly) => "this user may not write to it, which reading it takes as well while no server \
            runs; run the command as the user that dsync runs as"
            .to_owned(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "it is damaged, or is something else; keep a copy of it, and bring it back from a backup".to_owned()
        }
        Some(ErrorCode::DiskFull) => "DSYNC-004: there is no room on the disk".to_owned(),
        Some(_) | None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_made_for_its_owner_alone_and_one_that_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        make(&path).unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        make(&path).unwrap();
        assert_eq!(mode(), 0o640);
    }

    #[test]
    fn each_cause_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &Path| {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let opened = rusqlite::Connection::open_with_flags(path, flags);
            let read = |connection: rusqlite::Connection| {
                connection
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
            };
            words(path, &opened.and_then(read).unwrap_err())
        };
        assert_eq!(open(&folder.path().join("none.db")), "there is no such file");
        let damaged = folder.path().join("damaged.db");
        std::fs::write(&damaged, [b'x'; 4_096]).unwrap();
        assert!(open(&damaged).starts_with("it is damaged"), "{}", open(&damaged));
        let unwritable = rusqlite::Error::SqliteFailure(ffi::Error::new(1_544), None);
        assert!(words(&damaged, &unwritable).starts_with("this user may not write to it"));
        let nowhere = make(&folder.path().join("none/log.db")).unwrap_err();
        let told = words(&folder.path().join("none/log.db"), &nowhere);
        assert!(told.starts_with("it cannot be made: No such file"), "{told}");
    }
}
