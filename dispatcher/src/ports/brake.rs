//! What the brake needs from the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use schemas::{Brake, DirectoryId, ScimId, Timestamp};

use super::{FeedPosition, StoreError};
use crate::brake::{Counts, Hold, Seen, Watch};

/// A directory that is not gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Braked {
    /// Which.
    pub directory: DirectoryId,
    /// Its brake; with none, nothing more is held.
    pub rule: Option<Brake>,
    /// Whether the operator has asked to release what is held.
    pub release: bool,
}

/// All brakes at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brakes {
    /// Grows with every change of what a brake says or of what is asked of it.
    pub version: u64,
    /// The directories that have a brake, and those of which something is to be released.
    pub list: Vec<Braked>,
}

/// A part of the feed, as the brake sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenPage {
    /// The events of the directories that are watched, in order.
    pub events: Vec<(DirectoryId, Seen)>,
    /// How far the feed was looked through. What was asked for, if there is nothing more.
    pub read_to: FeedPosition,
}

/// What was kept of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which judgement was the last. It counts up.
    pub revision: u64,
    /// Whether other processes judge in the same store. Then nothing passes that is not written: they may have
    /// come to something else.
    pub is_shared: bool,
    /// How far all of the feed was judged.
    pub judged: FeedPosition,
    /// What each directory that was ever watched had come to by then.
    pub watches: Vec<(DirectoryId, Watch)>,
}

/// An event that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEvent {
    /// Of which directory.
    pub directory: DirectoryId,
    /// Which.
    pub position: FeedPosition,
    /// By which hold.
    pub hold: FeedPosition,
    /// The users and groups that it is about.
    pub subjects: Vec<ScimId>,
}

/// What the operator is told of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrakeNotice {
    /// It is held.
    Held {
        /// By this rule.
        rule: Brake,
    },
    /// What was held goes out.
    Released {
        /// When that was decided.
        at: Timestamp,
    },
}

/// What there is to write. The store writes all of it in one transaction or none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Of which kept revision it was made.
    pub revision: u64,
    /// How far all of the feed is judged with it.
    pub judged: FeedPosition,
    /// What directories have come to that changed.
    pub watches: Vec<(DirectoryId, Watch)>,
    /// What is held of what was judged.
    pub held: Vec<HeldEvent>,
    /// Directories whose held events every endpoint has: nothing more is known of them afterwards.
    pub closed: Vec<DirectoryId>,
    /// Directories for which nobody asks any more to release them.
    pub answered: Vec<DirectoryId>,
    /// What the operator is told.
    pub notices: Vec<(DirectoryId, Hold, BrakeNotice)>,
}

/// The store, as the brake needs it. One task of each process alone calls it.
#[async_trait]
pub trait BrakeStore: Send + Sync {
    /// All brakes, and the version that the answer reflects.
    async fn brakes(&self) -> Result<Brakes, StoreError>;

    /// Returns once the version differs from `version`, at once if it already does. Safe to drop.
    async fn wait_brakes_changed(&self, version: u64) -> Result<(), StoreError>;

    /// What was kept by the last [`judge`](Self::judge).
    async fn kept(&self) -> Result<Kept, StoreError>;

    /// What a directory has, and the last position of the feed that this includes.
    async fn census(&self, directory: DirectoryId) -> Result<(FeedPosition, Counts), StoreError>;

    /// Looks through up to `limit` events after `after`. Never waits.
    async fn seen(
        &self,
        after: FeedPosition,
        limit: usize,
        watched: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, StoreError>;

    /// Which of these users and groups an event of the directory is held of.
    async fn held_subjects(
        &self,
        directory: DirectoryId,
        subjects: BTreeSet<ScimId>,
    ) -> Result<BTreeSet<ScimId>, StoreError>;

    /// Writes, and returns the revision that this is; what [`kept`](Self::kept) and lanes see then includes it.
    /// `None`: another process has judged since the revision that it was made of, or this very judgement was
    /// written already. Then nothing is written, and the caller looks again at what is kept. It need not survive a
    /// power loss as long as no flush survives that was written later.
    async fn judge(&self, judgement: Judgement) -> Result<Option<u64>, StoreError>;

    /// Whether no lane has held events of a directory before it: each that follows the feed for an
    /// endpoint that is on has passed the last of them, and none keeps a row of them.
    async fn is_drained(&self, directory: DirectoryId) -> Result<bool, StoreError>;
}
