//! SQLite on threads of its own: connections never block the runtime.
//!
//! A [`Pool`] is a few threads, each with one connection, that take jobs from one bounded queue. A
//! database has one pool of one thread for writing and another for reading.

mod queue;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;

use crate::error::DbError;
use crate::filter;
use queue::{Queue, Taken};

/// How many jobs may wait for a connection. Beyond it callers wait too, which is the back-pressure.
const QUEUE_MAX: usize = 1_024;

/// How many prepared statements a connection keeps: more than there are queries in this crate.
const STATEMENTS_MAX: usize = 128;

/// After so long without a job a connection gives back its page cache. What it needs next comes from that of the system.
const REST_AFTER: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Threads with a connection each.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: Arc<Queue<Job>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What all threads of a pool hold. With the last of them it is gone, and nobody waits for an answer that cannot come.
struct Takers(Arc<Queue<Job>>);

impl Drop for Takers {
    fn drop(&mut self) {
        self.0.close();
        while let Taken::Job(job) = self.0.take(None) {
            drop(job);
        }
    }
}

/// How a connection is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Whether it may write.
    pub(crate) writable: bool,
    /// `FULL` survives power loss with every commit; `NORMAL` may lose the last ones.
    pub(crate) synchronous: &'static str,
    /// Page cache in KiB.
    pub(crate) cache_kib: u32,
}

/// Rows are 1 to 2 KB and indexes are written one page at a time: larger pages hold rows without waste
/// and make a rebuild cheap, smaller ones a commit that touches a dozen indexes. With 4 KiB a rebuild
/// takes a fifth longer, with 16 KiB a commit writes twice as much. Holds for new files.
const PAGE_BYTES: u32 = 8_192;

impl Pool {
    /// Starts as many threads as there are connections.
    pub(crate) fn start(name: &str, connections: Vec<Connection>) -> std::io::Result<Self> {
        let jobs = Arc::new(Queue::of(QUEUE_MAX));
        let takers = Arc::new(Takers(Arc::clone(&jobs)));
        // Those that are started end with it, should the next one not start.
        let mut pool = Self { jobs, threads: Mutex::default() };
        for connection in connections {
            let takers = Arc::clone(&takers);
            let thread = std::thread::Builder::new().name(name.to_owned());
            let thread = thread.spawn(move || work(&takers.0, connection, REST_AFTER))?;
            pool.threads.get_mut().expect("nobody else has it").push(thread);
        }
        Ok(pool)
    }

    /// Runs a job on the next free connection.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Who asked may have gone away; the work is done all the same.
            let _ = answer.send(job(connection));
        });
        self.jobs.put(job).await.map_err(|_| DbError::Closed)?;
        answered.await.map_err(|_| DbError::Closed)?
    }

    /// Runs a job sometime, unless others wait already: for work that can as well be done with the
    /// next. If the pool is closed meanwhile, it is done at the next opening.
    pub(crate) fn offer(&self, job: impl FnOnce(&mut Connection) + Send + 'static) {
        self.jobs.put_alone(Box::new(job));
    }

    /// Lets the jobs that wait finish, then ends the threads. Blocks; for shutdown.
    pub(crate) fn close(&self) {
        self.jobs.close();
        let threads = std::mem::take(&mut *self.threads.lock().expect("only this function locks"));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a database thread has panicked");
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// Runs jobs until the queue is closed and empty, and has the connection rest once whenever none comes for so long.
fn work(jobs: &Queue<Job>, mut connection: Connection, rest_after: Duration) {
    let mut rests = false;
    loop {
        match jobs.take((!rests).then_some(rest_after)) {
            Taken::Job(job) => {
                rests = false;
                job(&mut connection);
            }
            Taken::Nothing => {
                rests = true;
                if let Err(error) = connection.execute_batch("PRAGMA shrink_memory") {
                    tracing::warn!(%error, "a connection keeps its memory");
                }
            }
            Taken::Closed => return,
        }
    }
}

/// Opens a connection with the settings that all of ours have.
pub(crate) fn connect(path: &Path, options: Options) -> Result<Connection, rusqlite::Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    flags |= if options.writable {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    };
    if options.writable {
        log::file::make(path)?;
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    if options.writable {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    connection.pragma_update(None, "synchronous", options.synchronous)?;
    connection.pragma_update(None, "cache_size", -i64::from(options.cache_kib))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    filter::register(&connection)?;
    Ok(connection)
}

/// Whether the disk has no room, as SQLite puts it.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Brings a file to the schema that this version knows: migrations run in order, each once.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), crate::error::OpenError> {
    let failed = crate::error::OpenError::at(path);
    let found: i32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
    let known = i32::try_from(migrations.len()).expect("there are a handful");
    if found > known {
        return Err(crate::error::OpenError::Version { path: path.to_owned(), found, known });
    }
    for (migration, version) in migrations.iter().zip(1..).skip(found.unsigned_abs() as usize) {
        let transaction = connection.transaction().map_err(&failed)?;
        transaction.execute_batch(migration).map_err(&failed)?;
        transaction.pragma_update(None, "user_version", version).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
    }
    Ok(())
}

/// Numbers that are never negative are kept in SQLite's signed ones.
pub(crate) fn as_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The other way round.
pub(crate) const fn from_sql(number: i64) -> u64 {
    number.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pool() -> Pool {
        Pool::start("test", vec![Connection::open_in_memory().unwrap()]).unwrap()
    }

    #[tokio::test]
    async fn nobody_waits_for_a_connection_whose_thread_is_gone() {
        let pool = Arc::new(pool());
        let (goes_on, told) = std::sync::mpsc::sync_channel::<()>(1);
        let behind = Arc::clone(&pool);
        let panicking = pool.run::<(), _>(move |_| {
            told.recv().unwrap();
            panic!("as a test wants it");
        });
        let waits = async {
            let job = behind.run(|_| Ok(()));
            tokio::pin!(job);
            assert!(futures_util::poll!(&mut job).is_pending());
            goes_on.send(()).unwrap();
            job.await
        };
        let both = async { tokio::join!(panicking, waits) };
        let (panicked, waited) = tokio::time::timeout(LONG, both).await.expect("nobody waits");
        assert!(matches!(panicked, Err(DbError::Closed)));
        assert!(matches!(waited, Err(DbError::Closed)));
        assert!(matches!(pool.run(|_| Ok(())).await, Err(DbError::Closed)));
    }

    #[tokio::test]
    async fn a_connection_without_work_gives_its_memory_back_once_and_works_on() {
        static RESTS: AtomicUsize = AtomicUsize::new(0);
        let connection = Connection::open_in_memory().unwrap();
        connection.trace_v2(
            TraceEventCodes::SQLITE_TRACE_STMT,
            Some(|event| {
                if let TraceEvent::Stmt(_, "PRAGMA shrink_memory") = event {
                    RESTS.fetch_add(1, Ordering::SeqCst);
                }
            }),
        );
        let jobs: Arc<Queue<Job>> = Arc::new(Queue::of(1));
        let taken = Arc::clone(&jobs);
        let thread = std::thread::spawn(move || work(&taken, connection, Duration::ZERO));
        for rests in 1..=2 {
            let rested = async {
                while RESTS.load(Ordering::SeqCst) < rests {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LONG, rested).await.expect("it rests");
            // It rests no second time before it has worked.
            jobs.put(Box::new(move |_| assert_eq!(RESTS.load(Ordering::SeqCst), rests)))
                .await
                .unwrap();
        }
        jobs.close();
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn what_waits_when_a_pool_is_closed_is_still_done() {
        let pool = Arc::new(pool());
        let (goes_on, told) = std::sync::mpsc::sync_channel::<()>(1);
        let first = pool.run(move |_| {
            told.recv().unwrap();
            Ok(1)
        });
        let second = pool.run(|_| Ok(2));
        let closed = async {
            let pool = Arc::clone(&pool);
            let closing = tokio::task::spawn_blocking(move || pool.close());
            goes_on.send(()).unwrap();
            closing.await.unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, closed);
        assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
        assert!(matches!(pool.run(|_| Ok(())).await, Err(DbError::Closed)));
    }
}
