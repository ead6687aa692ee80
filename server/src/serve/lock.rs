//! One process for one data directory.

use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// For the owner alone: there are people and keys in it.
const MODE: u32 = 0o700;

/// What lets everybody else in.
const OTHERS: u32 = 0o007;

/// A data directory that no other process writes while this is held. The system releases it with the
/// process, however that ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if there is none, for its owner alone, and locks it. One that is there is left as it is.
    ///
    /// # Errors
    /// When another process has it, or when it cannot be made.
    pub fn lock(path: &Path) -> anyhow::Result<Self> {
        let found = std::fs::metadata(path);
        anyhow::ensure!(
            found.as_ref().map_or(true, Metadata::is_dir),
            "the data directory {} is a file; choose a directory with --data-dir",
            path.display()
        );
        if let Ok(found) = found {
            warn_if_exposed(path, &found);
        }
        let made = DirBuilder::new().recursive(true).mode(MODE).create(path);
        made.with_context(|| format!("the data directory {} cannot be made", path.display()))?;
        let directory = File::open(path)
            .with_context(|| format!("the data directory {} cannot be opened", path.display()))?;
        match directory.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: directory }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "DSYNC-001: the data directory {} is in use by another dsync; stop it first, or choose another with --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error)
                .with_context(|| format!("the data directory {} cannot be locked", path.display())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Says where everybody on the machine may look into a directory, which may be meant so: it may be a mount.
fn warn_if_exposed(path: &Path, found: &Metadata) {
    if found.permissions().mode() & OTHERS != 0 {
        tracing::warn!(
            "the data directory {} can be entered by every user of this machine; run: chmod 700 {}",
            path.display(),
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::lock(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("is a file; choose a directory with --data-dir"), "{error}");
    }

    #[test]
    fn a_directory_is_made_for_its_owner_alone_and_one_that_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("srv/data");
        drop(DataDir::lock(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        drop(DataDir::lock(&path).unwrap());
        assert_eq!(mode(&path), 0o755);
    }
}
