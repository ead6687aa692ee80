//! Follows what other replicas change: on a thread and a connection of its own, so that neither a busy pool nor a busy
//! runtime makes this process forget what is void.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::{AsyncMessage, Client, Notification};

use super::memory::Memory;
use crate::error::DbError;
use crate::postgres::{CHANNEL, Postgres};

/// How often it is asked what has changed, should no notification come.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an answer may take before the connection counts as broken: a network that swallows packets says nothing.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// How long nothing may have been heard before all other connections of the process count as broken too. More than
/// one connection has been tried by then.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long to wait before the next connection.
const CONNECT_AGAIN: Duration = Duration::from_millis(500);

/// What a notification says.
pub(super) const CHANGED: &str = "changed";

/// What it says when lanes are to be had.
pub(super) const MOVED: &str = "moved";

/// See the module.
pub(super) struct Watcher {
    end: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watcher {
    pub(super) fn start(db: &Postgres, memory: Arc<Memory>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let db = db.clone();
        let thread = std::thread::Builder::new().name("config-watch".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = follow(&db, &memory) => {}
                }
            });
        })?;
        Ok(Self { end: Mutex::new(Some(end)), thread: Mutex::new(Some(thread)) })
    }

    /// Ends it. Blocks for as long as that takes, which is not long.
    pub(super) fn end(&self) {
        drop(self.end.lock().expect("nothing panics while it is held").take());
        let thread = self.thread.lock().expect("nothing panics while it is held").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("following the configuration has panicked");
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end();
    }
}

/// Never returns.
async fn follow(db: &Postgres, memory: &Memory) {
    let mut cut_at = Instant::now();
    loop {
        if let Err(error) = listen(db, memory).await {
            let is_silent = matches!(error, DbError::Silent);
            if is_silent && !memory.is_confirmed(SILENCE_MAX) && cut_at.elapsed() > SILENCE_MAX {
                cut_at = Instant::now();
                db.cut();
            }
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the configuration in PostgreSQL cannot be followed, trying again"
            );
        }
        tokio::time::sleep(CONNECT_AGAIN).await;
    }
}

async fn listen(db: &Postgres, memory: &Memory) -> Result<(), DbError> {
    let connecting = tokio::time::timeout(ANSWER_MAX, db.connect());
    let (client, mut connection) = connecting.await.map_err(|_| DbError::Silent)??;
    let mut looking = std::pin::pin!(look(client, memory));
    loop {
        tokio::select! {
            ended = &mut looking => return ended,
            message = std::future::poll_fn(|context| connection.poll_message(context)) => {
                match message {
                    Some(Ok(AsyncMessage::Notification(told))) => hear(db, memory, &told),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(DbError::Closed),
                }
            }
        }
    }
}

/// Looks now and then, and when it is told to.
async fn look(mut client: Client, memory: &Memory) -> Result<(), DbError> {
    let begin = format!("LISTEN {CHANNEL}");
    let begun = tokio::time::timeout(ANSWER_MAX, client.batch_execute(&begin)).await;
    begun.map_err(|_| DbError::Silent)??;
    let looked = tokio::time::timeout(ANSWER_MAX, memory.look_anew(&mut client)).await;
    looked.map_err(|_| DbError::Silent)??;
    loop {
        tokio::select! {
            () = memory.called.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let looked = tokio::time::timeout(ANSWER_MAX, memory.look(&mut client)).await;
        looked.map_err(|_| DbError::Silent)??;
    }
}

fn hear(db: &Postgres, memory: &Memory, told: &Notification) {
    // Others may have a store in the same database.
    match told.payload().split_once(' ') {
        Some((CHANGED, schema)) if schema == db.schema() => memory.called.notify_one(),
        Some((MOVED, schema)) if schema == db.schema() => {
            memory.moves.send_modify(|moves| *moves += 1);
        }
        Some(_) | None => {}
    }
}
