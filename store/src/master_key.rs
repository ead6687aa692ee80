//! The key that encrypts what must be readable again. It lies beside the store, for its owner alone.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or written.
    #[error("the master key {} cannot be read or made", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not there, and what it has sealed is.
    #[error(
        "DSYNC-013: the master key {} is missing, and secrets of {} are sealed with it: put it back from your backup, or \
         give it as master_key (DSYNC_MASTER_KEY)",
        .path.display(), .store.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it has sealed.
        store: PathBuf,
    },
    /// It holds something else.
    #[error("the master key {} is not 32 bytes in base64", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("the master key {} can be read by others; run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

/// The key in this folder; where there is no store yet either, `random` becomes it.
///
/// # Errors
///
/// If the file cannot be used, or is missing beside a store. It is never overwritten.
pub fn load_or_create(folder: &Path, random: [u8; 32]) -> Result<[u8; 32], MasterKeyError> {
    let path = folder.join("master.key");
    let io = |source| MasterKeyError::Io { path: path.clone(), source };
    if !path.try_exists().map_err(io)? {
        let store = folder.join("store.db");
        if store.try_exists().map_err(io)? {
            return Err(MasterKeyError::Missing { path, store });
        }
        create(&path, random).map_err(io)?;
    }
    let mode = std::fs::metadata(&path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::Exposed { path });
    }
    let text = std::fs::read_to_string(&path).map_err(io)?;
    let key = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    key.ok_or(MasterKeyError::Malformed { path })
}

/// Written whole under another name first, so that a crash leaves no half key.
fn create(path: &Path, random: [u8; 32]) -> std::io::Result<()> {
    let draft = path.with_extension("key.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", STANDARD.encode(random))?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load_or_create(folder.path(), [1; 32]).unwrap(), [1; 32]);
        assert_eq!(load_or_create(folder.path(), [2; 32]).unwrap(), [1; 32]);
    }

    #[test]
    fn no_key_is_made_beside_a_store() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("store.db"), "").unwrap();
        let refused = load_or_create(folder.path(), [1; 32]).unwrap_err();
        assert!(refused.to_string().starts_with("DSYNC-013: "), "{refused}");
        assert!(!folder.path().join("master.key").exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        load_or_create(folder.path(), [1; 32]).unwrap();
        let path = folder.path().join("master.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = load_or_create(folder.path(), [2; 32]).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
}
