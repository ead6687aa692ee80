//! One process for one data directory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A data directory that no other process writes while this is held. The system releases it with the
/// process, however that ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if there is none, and locks it.
    ///
    /// # Errors
    /// When another process has it, or when it cannot be made.
    pub fn lock(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("the data directory {} cannot be made", path.display()))?;
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
