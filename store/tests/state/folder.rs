//! A store of one machine, in a folder of its own.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use schemas::Edge;
use store::Store;
use tempfile::TempDir;
use tokio_postgres::Client;

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

    /// Changes the state behind the store's back. Returns how many rows.
    #[expect(clippy::unused_async, reason = "a server is waited for here")]
    pub(crate) async fn damage(&self, sql: &str) -> u64 {
        let state = Connection::open(self.0.path().join("state-1.db")).unwrap();
        state.execute(sql, []).unwrap() as u64
    }

    /// Whether a rebuild has left something behind.
    #[expect(clippy::unused_async, reason = "a server is waited for here")]
    pub(crate) async fn holds_another_generation(&self) -> bool {
        self.0.path().join("state-2.db").exists()
    }

    /// Everything that is kept.
    #[expect(clippy::unused_async, reason = "a server is waited for here")]
    pub(crate) async fn contents(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for file in std::fs::read_dir(self.0.path()).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                bytes.append(&mut std::fs::read(path).unwrap());
            }
        }
        bytes
    }

    /// A connection to a server, which there is none of.
    #[expect(clippy::unused_async, reason = "a server is waited for here")]
    pub(crate) async fn client(&self) -> Option<Client> {
        None
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}
