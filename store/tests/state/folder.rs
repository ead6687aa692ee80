//! A store of one machine, in a folder of its own.

use std::path::Path;
use std::sync::Arc;

use schemas::Edge;
use store::Store;
use tempfile::TempDir;

pub(crate) const MASTER_KEY: [u8; 32] = [7; 32];

pub(crate) struct Folder(TempDir);

impl Folder {
    #[expect(clippy::unused_async, reason = "a server is waited for here")]
    pub(crate) async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    #[expect(clippy::unused_async, reason = "a server is waited for here")]
    pub(crate) async fn open(&self, edge: Arc<dyn Edge>) -> Store {
        Store::open(self.0.path(), MASTER_KEY, edge).unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}
