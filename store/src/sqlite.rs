//! SQLite on threads of its own: connections never block the runtime.
//!
//! A [`Pool`] is a few threads, each with one connection, that take jobs from one bounded queue. A
//! database has one pool of one thread for writing and another for reading.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use crate::error::DbError;
use crate::filter;

/// How many jobs may wait for a connection. Beyond it callers wait too, which is the back-pressure.
const QUEUE_MAX: usize = 1_024;

/// How many prepared statements a connection keeps: more than there are queries in this crate.
const STATEMENTS_MAX: usize = 128;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Threads with a connection each.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
        let (sender, receiver) = mpsc::channel::<Job>(QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::with_capacity(connections.len());
        for mut connection in connections {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                while let Some(job) = next(&receiver) {
                    job(&mut connection);
                }
            })?;
            threads.push(thread);
        }
        Ok(Self { jobs: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
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
        let sender = self.jobs.lock().expect("no job panics while holding it").clone();
        let sender = sender.ok_or(DbError::Closed)?;
        sender.send(job).await.map_err(|_| DbError::Closed)?;
        answered.await.map_err(|_| DbError::Closed)?
    }

    /// Runs a job sometime, unless others wait already: for work that can as well be done with the
    /// next.
    pub(crate) fn offer(&self, job: impl FnOnce(&mut Connection) + Send + 'static) {
        let sender = self.jobs.lock().expect("no job panics while holding it");
        if let Some(sender) = sender.as_ref().filter(|sender| sender.capacity() == QUEUE_MAX) {
            // If it is closed meanwhile, the work is done at the next opening.
            let _ = sender.try_send(Box::new(job));
        }
    }

    /// Lets the jobs that wait finish, then ends the threads. Blocks; for shutdown.
    pub(crate) fn close(&self) {
        drop(self.jobs.lock().expect("no job panics while holding it").take());
        let threads = std::mem::take(&mut *self.threads.lock().expect("only this function locks"));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a database thread has panicked");
            }
        }
    }
}

/// The lock is held while waiting for a job: the next idle thread waits for it instead of the queue.
fn next(receiver: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    receiver.lock().expect("no job runs while it is held").blocking_recv()
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
