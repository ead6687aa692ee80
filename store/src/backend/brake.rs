//! What the brake asks of configuration.

use std::collections::{BTreeMap, BTreeSet};

use api::ports::{Hold, Reach};
use async_trait::async_trait;
use dispatcher::ports::{Brakes, FeedPosition, Judgement, Kept};
use schemas::{Brake, BrakeChoice, DirectoryId, ScimId, Timestamp};

use crate::error::DbError;

/// Brakes, what directories that have one have come to, and what is held of them.
#[async_trait]
pub(crate) trait BrakeBackend: Send + Sync {
    /// The brake of directories that have none of their own.
    fn general_brake(&self) -> Option<Brake>;

    fn set_general_brake(&self, brake: Option<Brake>);

    /// The brake of a directory.
    fn brake_of(&self, own: BrakeChoice) -> Option<Brake> {
        own.effective(self.general_brake())
    }

    async fn wait_brakes_changed(&self, version: u64) -> Result<(), DbError>;

    async fn brakes(&self) -> Result<Brakes, DbError>;

    async fn kept_watches(&self) -> Result<Kept, DbError>;

    /// What is held of directories, and what was and is not with every endpoint.
    async fn holds(&self, ids: Vec<DirectoryId>) -> Result<BTreeMap<DirectoryId, Hold>, DbError>;

    /// Asks for the release of what is held of a directory.
    async fn release_hold(
        &self,
        reach: Reach,
        id: DirectoryId,
        at: Timestamp,
    ) -> Result<(), DbError>;

    async fn held_subjects(
        &self,
        directory: DirectoryId,
        subjects: BTreeSet<ScimId>,
    ) -> Result<BTreeSet<ScimId>, DbError>;

    /// All in one transaction; returns the revision. Nothing if it was made of another revision than the last.
    async fn judge(&self, judgement: Judgement) -> Result<Option<u64>, DbError>;

    /// The held events between two positions, with the hold of each.
    async fn holds_between(
        &self,
        first: FeedPosition,
        last: FeedPosition,
    ) -> Result<BTreeMap<FeedPosition, FeedPosition>, DbError>;

    /// The positions of a page of the held events of a directory.
    async fn held_positions(
        &self,
        directory: DirectoryId,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<u64>, DbError>;

    async fn is_drained(&self, directory: DirectoryId) -> Result<bool, DbError>;
}
