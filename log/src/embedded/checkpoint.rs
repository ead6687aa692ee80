//! Moves committed pages from the write-ahead log into the database, beside the commits.

use rusqlite::Connection;
use tokio::sync::mpsc;

/// Checkpoints whenever the write-ahead log has grown, and once more at the end.
pub(super) fn run(connection: &Connection, mut grown: mpsc::Receiver<()>) {
    while grown.blocking_recv().is_some() {
        // Passive: it takes what it can without making the writer wait.
        checkpoint(connection, "PASSIVE");
    }
    checkpoint(connection, "TRUNCATE");
}

fn checkpoint(connection: &Connection, mode: &str) {
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = done {
        // The write-ahead log grows until the next one succeeds; nothing is lost.
        tracing::warn!(%error, "the log cannot be checkpointed");
    }
}
