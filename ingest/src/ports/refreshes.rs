//! Users who have to be shown what other rules make of them.

use async_trait::async_trait;
use log::Partition;
use schemas::{DirectoryId, ScimId, UserId};
use tokio::sync::watch;

use super::BoxError;

/// A job: the rules of a directory have changed, and its users follow one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The directory.
    pub directory: DirectoryId,
    /// Where its stream lies.
    pub partition: Partition,
    /// Which of the changes of its rules.
    pub version: u64,
    /// How far the job has come.
    pub progress: RefreshProgress,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshProgress {
    /// Everyone up to this one, in the order of their ids, was looked at; nobody if there is none.
    pub after: Option<UserId>,
    /// How many that are.
    pub done: u64,
    /// How many there were when it began.
    pub total: u64,
    /// Whether nobody is left.
    pub finished: bool,
}

/// A user whom a job comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToRefresh {
    /// Which.
    pub id: ScimId,
    /// Its place in the job's order.
    pub at: UserId,
    /// How many events it may cause at most.
    pub events: u64,
}

/// The jobs, durable beside the rules, and whom they come to.
#[async_trait]
pub trait Refreshes: Send + Sync {
    /// The jobs that are not finished.
    async fn open(&self) -> Result<Vec<Refresh>, BoxError>;

    /// How many users a directory has.
    async fn count(&self, directory: DirectoryId) -> Result<u64, BoxError>;

    /// At most so many users of a directory behind this one, in the order of their ids for apps. Whoever
    /// gets a new id meanwhile is behind all others, and may come twice.
    async fn users(
        &self,
        directory: DirectoryId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ToRefresh>, BoxError>;

    /// Notes how far a job has come. If the rules have changed since it was read, nothing is noted: the
    /// job has begun anew.
    async fn moved(&self, refresh: Refresh) -> Result<(), BoxError>;

    /// Changes when there may be new jobs.
    fn changes(&self) -> watch::Receiver<u64>;
}
