//! The write-ahead log of the state, flushed and moved beside the commits.
//!
//! A commit of the state leaves its pages with the system, and a checkpoint has them flushed before it moves them. Were it
//! alone in that, megabytes would go to the disk at once, and the log, on which everybody waits who has written something,
//! would stand behind them. So they are flushed a little at a time.
//!
//! It is begun anew when all of it has been moved, and under commits that never rest a checkpoint beside them never moves
//! the last ones. That is left to the thread that writes, at a moment when there is little to move.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use crate::sqlite::Pool;

/// After how many accepted events a checkpoint is due: some 6 MB of write-ahead log.
const CHECKPOINT_EVENTS: u64 = 500;

/// After how many accepted events a flush is due: half a megabyte, which holds up others for less than a millisecond. What
/// is written in larger batches is flushed once for each of them.
const FLUSH_EVENTS: u64 = 50;

/// From so many pages on (32 MB) the write-ahead log is to be begun anew: some 2,000 events, so that the flushes that this
/// takes are rare, and half of what it may come to before SQLite makes the next commit wait for whatever is not moved.
const LONG_PAGES: i64 = 4_000;

/// What keeps the write-ahead log short, on a thread of its own.
#[derive(Debug)]
pub(super) struct Wal {
    thread: Pool,
    path: PathBuf,
    flush: fn(&Path) -> io::Result<()>,
    /// A checkpoint is due that nobody has begun.
    checkpoint: Arc<AtomicBool>,
    /// The last flush failed, which was told.
    failing: Arc<AtomicBool>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Flush,
    Checkpoint,
}

impl Wal {
    /// Keeps that of the database at this path, with a connection to it.
    pub(super) fn start(database: &Path, connection: Connection) -> io::Result<Self> {
        let thread = Pool::start("state-checkpoint", vec![connection])?;
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        let (checkpoint, failing) = (Arc::default(), Arc::default());
        Ok(Self { thread, path: path.into(), flush, checkpoint, failing, rest: Rest::default() })
    }

    /// Does something else before, unless the thread has something to do.
    pub(super) fn first(&self, job: impl FnOnce(&mut Connection) + Send + 'static) {
        self.thread.offer(job);
    }

    /// The feed has grown from one position to another.
    pub(super) fn grown(&self, before: u64, after: u64) {
        match due(before, after) {
            None => return,
            Some(Due::Flush) => {}
            Some(Due::Checkpoint) => self.checkpoint.store(true, Ordering::SeqCst),
        }
        let (checkpoint, failing) = (Arc::clone(&self.checkpoint), Arc::clone(&self.failing));
        let (path, flush, rest) = (self.path.clone(), self.flush, self.rest.clone());
        // Left out where one waits already: a checkpoint that is due is made by the next that has its turn.
        self.thread.offer(move |connection| {
            if checkpoint.swap(false, Ordering::SeqCst) {
                let is_long = move_pages(connection) > LONG_PAGES;
                rest.is_due.store(is_long, Ordering::SeqCst);
            } else {
                tell(flush(&path), &failing);
            }
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

const fn due(before: u64, after: u64) -> Option<Due> {
    if before / CHECKPOINT_EVENTS != after / CHECKPOINT_EVENTS {
        Some(Due::Checkpoint)
    } else if before / FLUSH_EVENTS != after / FLUSH_EVENTS {
        Some(Due::Flush)
    } else {
        None
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

/// Says that flushes fail when they begin to. A checkpoint flushes too, and says every time what comes of it.
fn tell(flushed: io::Result<()>, failing: &AtomicBool) {
    let failed = failing.swap(flushed.is_err(), Ordering::SeqCst);
    if let Err(error) = flushed
        && !failed
    {
        tracing::warn!(%error, "the write-ahead log of the state cannot be flushed");
    }
}

/// Opened anew each time and beside SQLite, whose locks a process loses with any descriptor of the file that it closes:
/// they are on the database and its shared memory, and never on this one.
fn flush(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_data()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use log::Partition;
    use projector::{Batch, Position};

    use super::*;
    use crate::sqlite::{Options, connect};
    use crate::state::State;

    /// A database with something in its write-ahead log, which notes its flushes in a file.
    fn noting(folder: &Path) -> Wal {
        let options = Options { writable: true, synchronous: "NORMAL", cache_kib: 64 };
        let path = folder.join("state.db");
        let connection = connect(&path, options).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(99999))")
            .unwrap();
        let note = |path: &Path| File::create(path.with_extension("flushed")).map(drop);
        Wal { flush: note, ..Wal::start(&path, connection).unwrap() }
    }

    /// Another connection to it, which commits.
    fn committing(wal: &Wal) -> Connection {
        let options = Options { writable: true, synchronous: "NORMAL", cache_kib: 64 };
        let connection = connect(&wal.path.with_file_name("state.db"), options).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection
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

    #[test]
    fn a_flush_is_due_every_fifty_events_and_a_checkpoint_every_five_hundred() {
        assert_eq!(due(0, 49), None);
        assert_eq!(due(49, 50), Some(Due::Flush));
        assert_eq!(due(50, 99), None);
        assert_eq!(due(99, 499), Some(Due::Flush));
        assert_eq!(due(499, 500), Some(Due::Checkpoint));
        assert_eq!(due(10, 5_000), Some(Due::Checkpoint));
    }

    #[tokio::test]
    async fn what_was_committed_is_flushed_before_a_checkpoint_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let wal = noting(folder.path());
        wal.grown(0, 50);
        let size = size(&wal).await;
        assert!(folder.path().join("state.flushed").exists());
        assert!(size < 99_999, "nothing is moved yet: {size}");
    }

    #[tokio::test]
    async fn a_checkpoint_that_falls_due_while_a_flush_waits_is_done_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let wal = noting(folder.path());
        let busy = Arc::new(Barrier::new(2));
        let thread = Arc::clone(&busy);
        wal.first(move |_| {
            thread.wait();
            thread.wait();
        });
        busy.wait();
        wal.grown(449, 450);
        wal.grown(499, 500);
        busy.wait();
        assert!(size(&wal).await > 99_999);
        assert!(!folder.path().join("state.flushed").exists());
        wal.grown(549, 550);
        size(&wal).await;
        assert!(folder.path().join("state.flushed").exists());
    }

    #[test]
    fn a_write_ahead_log_is_flushed_where_sqlite_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let wal = noting(folder.path());
        flush(&wal.path).unwrap();
        assert!(flush(&folder.path().join("absent")).is_err());
    }

    #[tokio::test]
    async fn a_long_write_ahead_log_is_begun_anew_by_the_commit_after_the_rest_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let wal = noting(folder.path());
        // A reader still needs what is there, as the end of a busy log is needed by the next commit.
        let reader = committing(&wal);
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        let writer = committing(&wal);
        commit(&writer, LONG_PAGES + 1);
        wal.grown(499, 500);
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
        let wal = noting(folder.path());
        let writer = committing(&wal);
        commit(&writer, 9);
        wal.grown(499, 500);
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
        state.apply(Partition(0), from, to, Batch::default()).await.unwrap();
        assert!(!state.wal.rest.is_due.load(Ordering::SeqCst));
    }
}
