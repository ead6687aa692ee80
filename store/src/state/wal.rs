//! The write-ahead log of the state, moved into the database beside the commits.
//!
//! A commit of the state leaves its pages with the system, and a checkpoint has them flushed before it moves them. The log,
//! on which everybody waits who has written something, stands behind that. So little is moved at a time.
//!
//! It is begun anew when all of it has been moved, and under commits that never rest a checkpoint beside them never moves
//! the last ones. That is left to the thread that writes, at a moment when there is little to move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use crate::sqlite::Pool;

/// After how many accepted events a checkpoint is due: a megabyte under load, nine where each event has a commit of its own.
/// What comes in larger batches is moved once for each of them.
const CHECKPOINT_EVENTS: u64 = 64;

/// From so many pages on (32 MB) the write-ahead log is to be begun anew: some 2,000 events, so that the flushes that this
/// takes are rare, and half of what it may come to before SQLite makes the next commit wait for whatever is not moved.
const LONG_PAGES: i64 = 4_000;

/// What keeps the write-ahead log short, on a thread of its own.
#[derive(Debug)]
pub(super) struct Wal {
    thread: Pool,
    rest: Rest,
}

/// What checkpoints beside the commits leave behind, which whoever commits has to move.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    is_due: Arc<AtomicBool>,
}

impl Rest {
    /// Moves it if it is due, on the connection that commits. What is committed next begins the write-ahead log anew.
    pub(super) fn move_if_due(&self, connection: &Connection) {
        if self.is_due.swap(false, Ordering::SeqCst) {
            move_pages(connection);
        }
    }
}

impl Wal {
    /// Keeps that of the database to which this is a connection.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let thread = Pool::start("state-checkpoint", vec![connection])?;
        Ok(Self { thread, rest: Rest::default() })
    }

    /// Does something else before, unless the thread has something to do.
    pub(super) fn first(&self, job: impl FnOnce(&mut Connection) + Send + 'static) {
        self.thread.offer(job);
    }

    /// The feed has grown from one position to another.
    pub(super) fn grown(&self, before: u64, after: u64) {
        if before / CHECKPOINT_EVENTS == after / CHECKPOINT_EVENTS {
            return;
        }
        let rest = self.rest.clone();
        // Left out where one waits already, which moves this as well.
        self.thread.offer(move |connection| {
            let is_long = move_pages(connection) > LONG_PAGES;
            rest.is_due.store(is_long, Ordering::SeqCst);
        });
    }

    /// For the connection that commits.
    pub(super) fn rest(&self) -> Rest {
        self.rest.clone()
    }

    /// Ends the thread. Blocks; for shutdown.
    pub(super) fn close(&self) {
        self.thread.close();
    }
}

/// Passive: it takes what it can without making the writer wait. Returns how many pages the write-ahead log has, those that
/// have been moved among them.
fn move_pages(connection: &Connection) -> i64 {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "the state cannot be checkpointed");
        0
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;

    use log::{Durable, Partition};
    use projector::{Batch, Position};

    use super::*;
    use crate::sqlite::{Options, connect};
    use crate::state::State;

    /// A connection to the database in this folder.
    fn connected(folder: &Path) -> Connection {
        let options = Options { writable: true, synchronous: "NORMAL", cache_kib: 64 };
        let connection = connect(&folder.join("state.db"), options).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection
    }

    /// Keeps a database with something in its write-ahead log.
    fn started(folder: &Path) -> Wal {
        let connection = connected(folder);
        connection
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(99999))")
            .unwrap();
        Wal::start(connection).unwrap()
    }

    /// Commits a row of at least so many pages.
    fn commit(connection: &Connection, pages: i64) {
        connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [pages * 8_192]).unwrap();
    }

    /// That of the database itself, after what was asked for.
    async fn size(wal: &Wal) -> u64 {
        let size = |connection: &mut Connection| {
            Ok(std::fs::metadata(connection.path().unwrap()).unwrap().len())
        };
        wal.thread.run(size).await.unwrap()
    }

    #[tokio::test]
    async fn a_checkpoint_is_due_every_sixty_four_events_and_after_more_at_once() {
        for (before, after, is_due) in
            [(0, 63, false), (63, 64, true), (64, 127, false), (127, 128, true), (10, 5_000, true)]
        {
            let folder = tempfile::tempdir().unwrap();
            let wal = started(folder.path());
            wal.grown(before, after);
            let size = size(&wal).await;
            assert_eq!(size > 99_999, is_due, "from {before} to {after}: {size}");
        }
    }

    #[tokio::test]
    async fn a_checkpoint_that_waits_moves_what_is_committed_meanwhile_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let wal = started(folder.path());
        let busy = Arc::new(Barrier::new(2));
        let thread = Arc::clone(&busy);
        wal.first(move |_| {
            thread.wait();
            thread.wait();
        });
        busy.wait();
        wal.grown(63, 64);
        commit(&connected(folder.path()), 99);
        wal.grown(127, 128);
        busy.wait();
        assert!(size(&wal).await > 99 * 8_192);
    }

    #[tokio::test]
    async fn a_long_write_ahead_log_is_begun_anew_by_the_commit_after_the_rest_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let wal = started(folder.path());
        // A reader still needs what is there, as the end of a busy log is needed by the next commit.
        let reader = connected(folder.path());
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        let writer = connected(folder.path());
        commit(&writer, LONG_PAGES + 1);
        wal.grown(63, 64);
        size(&wal).await;
        reader.execute_batch("COMMIT").unwrap();
        commit(&writer, 1);
        wal.rest().move_if_due(&writer);
        commit(&writer, 1);
        let pages = move_pages(&writer);
        assert!((1..100).contains(&pages), "{pages}");
    }

    #[tokio::test]
    async fn a_short_write_ahead_log_is_nothing_that_a_commit_sees_to() {
        let folder = tempfile::tempdir().unwrap();
        let wal = started(folder.path());
        let writer = connected(folder.path());
        commit(&writer, 9);
        wal.grown(63, 64);
        let before = size(&wal).await;
        commit(&writer, 999);
        wal.rest().move_if_due(&writer);
        assert_eq!(size(&wal).await, before);
    }

    #[tokio::test]
    async fn who_commits_moves_the_rest_that_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).unwrap();
        state.wal.rest.is_due.store(true, Ordering::SeqCst);
        let (from, to) = (Position::default(), Position::default());
        let (batch, durable) = (Batch::default(), Durable::already());
        state.apply(Partition(0), from, to, batch, durable).await.unwrap();
        assert!(!state.wal.rest.is_due.load(Ordering::SeqCst));
    }
}
