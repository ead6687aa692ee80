//! The writers: one task for each directory that is being written to.
//!
//! A writer takes all requests that wait, decides them one after the other on facts gathered in one
//! read, appends their commits together, and waits until the projector has passed the last of them.
//! What was accepted is answered. What was not, because another replica was first, is decided again.
//!
//! ```text
//!   requests ──▶ working copy ──▶ flight ──▶ flight ──▶ flight ──▶ answers
//!                decides ahead    to the log            verdict
//!                     ▲                                    │
//!                     └──── lost: what follows it too ◀────┘
//! ```
//!
//! A few batches are in flight per directory: the next is decided on what the last one leaves
//! (`copy`) while that one is on its way (`flight`). The chain makes this safe: if a commit is lost,
//! whatever was built on it is stale. What queues meanwhile goes into one batch: group commit.
//!
//! The writer of a directory is not a lock. Several replicas may have one each for the same
//! directory; the chain settles that, and fewer writers just waste fewer appends.

mod copy;
mod flight;
mod refusals;
mod task;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use directory::patch::Applied;
use directory::{Answer, Command, Rejection};
use log::{EventLog, Partition};
use schemas::{Actor, DirectoryId, Edge, ScimId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ports::{BoxError, Replica, ReplicaError};
use task::{Context, Stream, Task};

/// How many requests of one directory may wait. Identity providers send a few dozen at a time; who
/// sends more is told to come back later.
const MAILBOX_MAX: usize = 1_024;

/// Hands commands to the writers, and starts them when they are needed.
pub struct Writers {
    context: Arc<Context>,
    tracker: TaskTracker,
    /// A lock of the standard library: it is held for a look-up and a push, never over an await.
    mailboxes: Arc<Mailboxes>,
}

/// The senders of the running writers. A writer that ends takes its own out, under the same lock
/// under which requests are put in, so that none is put in after.
pub(crate) type Mailboxes = Mutex<BTreeMap<DirectoryId, mpsc::Sender<Request>>>;

/// A command that waits for its writer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) actor: Actor,
    /// What the resource that it creates is to be called, if that is known already.
    pub(crate) id: Option<ScimId>,
    /// When it came.
    pub(crate) arrived: Instant,
    /// How often it was decided in vain.
    pub(crate) attempts: u32,
    pub(crate) answer: oneshot::Sender<Result<Done, WriteError>>,
}

/// A command that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    /// What to answer.
    pub(crate) answer: Answer,
    /// How many events it caused.
    pub(crate) events: usize,
    /// What came of its operations, if it was a PATCH.
    pub(crate) applied: Applied,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It was refused, and nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There is no such directory.
    #[error("directory {0} does not exist")]
    NoSuchDirectory(DirectoryId),
    /// Too many requests wait, or this one has for too long. Nothing changed; come back later.
    #[error("too many requests wait for this directory")]
    Busy,
    /// Others were first too many times. Nothing changed; come back later.
    #[error("other writers were first too many times")]
    Contended,
    /// The stream has a gap, and nothing can be written until the operator has looked at it.
    #[error("DSYNC-003: this directory is stopped, because its log has lost or changed a record")]
    Stopped,
    /// The partition of the stream stands still, and nothing can be written until the operator has mended what stopped it.
    #[error("the partition of this directory stands still")]
    Halted(#[source] BoxError),
    /// The disk has no room. Nothing changed; it works again when there is room.
    #[error("the disk is full")]
    Full(#[source] BoxError),
    /// Something that is needed does not work. Nothing changed; come back later.
    #[error("the log or the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// It is in the log, and takes effect when the disk has room for the projection.
    #[error("the disk is full; what was asked for takes effect when there is room")]
    Delayed,
    /// It is not known whether it was carried out. Sending it again does no harm.
    #[error("the outcome is not known yet")]
    Unknown,
}

impl From<ReplicaError> for WriteError {
    fn from(error: ReplicaError) -> Self {
        match error {
            ReplicaError::Full(source) => Self::Full(source),
            ReplicaError::Halted(source) => Self::Halted(source),
            ReplicaError::Unavailable(source) => Self::Unavailable(source),
            ReplicaError::Filter(error) => Self::Rejected(error.into()),
        }
    }
}

impl Writers {
    /// Writers that append to this log and read from this replica.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        replica: Arc<dyn Replica>,
        edge: Arc<dyn Edge>,
        tracker: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        let context = Arc::new(Context { log, replica, edge, shutdown });
        Self { context, tracker, mailboxes: Arc::default() }
    }

    /// Carries out a command. When this returns `Ok`, what the command changed is durable, accepted,
    /// and seen by every read that follows.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]: all but [`WriteError::Delayed`] and [`WriteError::Unknown`] say that
    /// nothing changed.
    pub async fn submit(
        &self,
        directory: DirectoryId,
        partition: Partition,
        command: Command,
        actor: Actor,
    ) -> Result<Answer, WriteError> {
        Ok(self.submit_as(directory, partition, command, actor, None).await?.answer)
    }

    /// Like [`Self::submit`], for a resource whose id was promised to others before it exists.
    ///
    /// # Errors
    ///
    /// See [`Self::submit`].
    pub(crate) async fn submit_as(
        &self,
        directory: DirectoryId,
        partition: Partition,
        command: Command,
        actor: Actor,
        id: Option<ScimId>,
    ) -> Result<Done, WriteError> {
        let (answer, answered) = oneshot::channel();
        let arrived = Instant::now();
        let request = Request { command, actor, id, arrived, attempts: 0, answer };
        self.put(directory, partition, request)?;
        answered.await.map_err(|_| WriteError::Unknown)?
    }

    /// Fresh ids for resources that do not exist yet.
    pub(crate) fn promise_id(&self) -> ScimId {
        ScimId::from_bits(self.context.edge.id())
    }

    /// Makes a directory's stream say what its configuration says, which this actor has changed.
    ///
    /// # Errors
    ///
    /// See [`Self::submit`]. A directory that is gone has nothing left to say, which is no error.
    pub async fn reconcile(&self, directory: DirectoryId, actor: Actor) -> Result<(), WriteError> {
        let partition = self.context.replica.partition(directory).await?;
        let partition = partition.ok_or(WriteError::NoSuchDirectory(directory))?;
        let done = self.submit(directory, partition, Command::Reconcile, actor).await;
        match done {
            Ok(_) | Err(WriteError::Rejected(Rejection::DirectoryGone)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn put(
        &self,
        directory: DirectoryId,
        partition: Partition,
        request: Request,
    ) -> Result<(), WriteError> {
        let mut mailboxes = self.mailboxes.lock().expect("nothing panics while it is held");
        let ends = self.context.shutdown.is_cancelled();
        if !ends && mailboxes.get(&directory).is_some_and(mpsc::Sender::is_closed) {
            // Its writer has panicked, which is logged where it was. Another one may do better.
            mailboxes.remove(&directory);
        }
        let mailbox = mailboxes.entry(directory).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(MAILBOX_MAX);
            let context = Arc::clone(&self.context);
            let mailboxes = Arc::clone(&self.mailboxes);
            let stream = Stream { context, directory, partition };
            self.tracker.spawn(Task::new(stream, mailboxes, receiver).run());
            sender
        });
        mailbox.try_send(request).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => WriteError::Busy,
            mpsc::error::TrySendError::Closed(_) => {
                WriteError::Unavailable("the server is shutting down".into())
            }
        })
    }
}
