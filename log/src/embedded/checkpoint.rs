//! Moves committed pages from the write-ahead log into the database, beside the commits.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tokio::sync::mpsc;

/// From so many pages on (64 MB) the write-ahead log has to be begun anew, which SQLite does only when
/// all of it has been moved: under writers that never rest, the writer has to help.
const WAL_PAGES_MAX: i64 = 4_096;

/// After so many bytes of records without that, the writer sees to it by itself.
pub(super) const WAL_BYTES_MAX: usize = 96 << 20;

/// What the checkpoint thread tells the writer.
#[derive(Debug, Default)]
pub(super) struct Wal {
    long: AtomicBool,
    #[cfg(test)]
    page_limit: std::sync::atomic::AtomicU32,
}

impl Wal {
    /// Whether the write-ahead log was found too long since this was last asked.
    pub(super) fn take_long(&self) -> bool {
        self.long.swap(false, Ordering::Relaxed)
    }

    /// Stands for a disk that is full at so many pages.
    #[cfg(test)]
    pub(super) fn set_page_limit(&self, pages: u32) {
        self.page_limit.store(pages, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn limit_pages(&self, connection: &Connection) {
        let pages = self.page_limit.load(Ordering::SeqCst);
        if pages > 0 {
            let set = format!("PRAGMA max_page_count = {pages}");
            connection.query_row(&set, [], |_| Ok(())).expect("the limit is settable");
        }
    }
}

/// Checkpoints whenever the write-ahead log has grown, and once more at the end.
pub(super) fn run(connection: &Connection, mut grown: mpsc::Receiver<()>, wal: &Wal) {
    while grown.blocking_recv().is_some() {
        // Passive: it takes what it can without making the writer wait.
        if checkpoint(connection, "PASSIVE") > WAL_PAGES_MAX {
            wal.long.store(true, Ordering::Relaxed);
        }
    }
    checkpoint(connection, "TRUNCATE");
}

/// Moves everything and begins the write-ahead log anew; `false` if another checkpoint is under way.
pub(super) fn restart(connection: &Connection) -> bool {
    let busy =
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, bool>(0));
    !busy.unwrap_or(true)
}

/// Returns how many pages the write-ahead log holds, those that have been moved among them.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> i64 {
    let done =
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1));
    done.unwrap_or_else(|error| {
        // The write-ahead log grows until the next one succeeds; nothing is lost.
        tracing::warn!(%error, "the log cannot be checkpointed");
        0
    })
}
