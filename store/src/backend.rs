//! What a database has to do for the ports: a trait for each half of a store, with an implementation on SQLite and
//! one on PostgreSQL.
//!
//! The ports are implemented once, in `ports/`, on these. What they do with one another (which directory is known
//! to whom, which page follows) is the same everywhere; here is just what a database answers.

mod admin_events;
mod brake;
mod config;
mod console;
mod customer;

use std::collections::BTreeSet;
use std::sync::Arc;

use ::console::ports::{Arrived, Looks};
use api::ports::{
    AuditEvent, AuditFilter, Audited, EventFilter, FeedEnd, GroupFilter, Page, PageRequest, Reach,
    Resource, StoredEvent, UserFilter,
};
use async_trait::async_trait;
use directory::{Directory, Group, Needs, User};
use dispatcher::brake::Counts;
use dispatcher::ports::{FeedEvent, FeedPosition, Line, SeenPage};
use ingest::ports::{Gathered, ListQuery, Listed, Member, MemberPlace, ToRefresh, Turn, UserView};
use log::{Durable, Offset, Partition};
use projector::{Batch, Position, StoreError, StoredHead};
use schemas::scim::ScimError;
use schemas::wire::{DirectoryGroup, DirectoryUser, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, EventType, GroupId, Head, ScimId, Timestamp, UserId};

use crate::config::Known;
use crate::error::DbError;
use crate::state::places::{About, Counted};
use crate::state::reading::{Standing, Table};
use crate::state::{Progress, Told};

pub(crate) use admin_events::AdminEventsBackend;
pub(crate) use brake::BrakeBackend;
pub(crate) use config::ConfigBackend;
pub(crate) use console::ConsoleBackend;
pub(crate) use customer::{HostBackend, PortalBackend};

/// A SCIM list, or why it cannot be had.
pub(crate) type Filtered<T> = Result<Listed<T>, ScimError>;

/// What the log folds to.
#[async_trait]
pub(crate) trait StateBackend: std::fmt::Debug + Send + Sync {
    /// How far it has come.
    fn progress(&self) -> &Progress;

    async fn ready(&self) -> Result<(), DbError>;

    /// Finishes what was begun. Blocks.
    fn close(&self);

    // Written by the projector.

    async fn position(&self, partition: Partition) -> Result<Position, DbError>;

    async fn heads(&self, partition: Partition) -> Result<Vec<StoredHead>, DbError>;

    async fn apply(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError>;

    /// Every record before this one has been judged.
    async fn passed(&self, partition: Partition) -> Result<Offset, DbError>;

    /// Notes why a partition is not followed any further, or that it is.
    async fn stop(&self, partition: Partition, why: Option<String>) -> Result<(), DbError>;

    /// The directories that a gap has stopped.
    async fn stopped(&self) -> Result<Vec<DirectoryId>, DbError>;

    /// Removes a slice of what directories have left behind. Whether there may be more.
    async fn sweep(&self, partition: Partition) -> Result<bool, DbError>;

    // Read by ingest.

    async fn gather(&self, directory: Directory, needs: Needs) -> Result<Gathered, DbError>;

    /// Whether each of these records is in the stream.
    async fn accepted(
        &self,
        directory: DirectoryId,
        records: Vec<Head>,
    ) -> Result<Vec<bool>, DbError>;

    /// A turn at writing to a directory, where several processes do.
    async fn turn(&self, _directory: DirectoryId) -> Option<Box<dyn Turn>> {
        None
    }

    async fn is_activated(&self, directory: DirectoryId) -> Result<bool, DbError>;

    async fn user(&self, directory: DirectoryId, id: ScimId) -> Result<Option<UserView>, DbError>;

    async fn group(&self, directory: DirectoryId, id: ScimId) -> Result<Option<Group>, DbError>;

    async fn members(
        &self,
        directory: DirectoryId,
        group: ScimId,
        after: Option<MemberPlace>,
        limit: u32,
    ) -> Result<Vec<Member>, DbError>;

    async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<UserView>, DbError>;

    async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<Group>, DbError>;

    /// How many users there are, hidden ones too.
    async fn count_users(&self, directory: DirectoryId) -> Result<u64, DbError>;

    async fn users_to_refresh(
        &self,
        directory: DirectoryId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ToRefresh>, DbError>;

    // Read by the API.

    /// Users that apps are shown: these, or the latest, fewer where they are large.
    async fn sample(
        &self,
        directory: DirectoryId,
        ids: Option<Vec<UserId>>,
        limit: u32,
    ) -> Result<Vec<User>, DbError>;

    async fn api_users(
        &self,
        known: Arc<Known>,
        request: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, DbError>;

    async fn api_user(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryUserWithGroups>, DbError>;

    async fn api_groups(
        &self,
        known: Arc<Known>,
        request: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, DbError>;

    async fn api_group(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryGroup>, DbError>;

    async fn api_events(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, DbError>;

    async fn api_event(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: EventId,
    ) -> Result<Option<StoredEvent>, DbError>;

    async fn audit(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, DbError>;

    /// Whether there is a stream of this directory, also of one that is gone.
    async fn has_stream(&self, directory: DirectoryId) -> Result<bool, DbError>;

    async fn feed_end(&self) -> Result<FeedEnd, DbError>;

    /// The directory of the user with this id, or of the group.
    async fn directory_of(
        &self,
        table: Table,
        id: [u8; 16],
    ) -> Result<Option<DirectoryId>, DbError>;

    async fn standings(&self, ids: Vec<DirectoryId>) -> Result<Vec<Standing>, DbError>;

    /// What the streams say of directories, as far as configuration has to agree with it.
    async fn told(&self) -> Result<Told, DbError>;

    // Looked for in the console.

    async fn users_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryUser>, DbError>;

    async fn groups_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryGroup>, DbError>;

    async fn audit_event(&self, id: EventId) -> Result<Option<AuditEvent>, DbError>;

    // Looked at by the setup pages.

    async fn arrived(&self, directory: DirectoryId, looks: Looks) -> Result<Arrived, DbError>;

    // For the brake.

    /// How much a directory has, and as of where in the feed.
    async fn census(&self, directory: DirectoryId) -> Result<(FeedPosition, Counts), DbError>;

    /// What the brake looks at of the feed.
    async fn seen(
        &self,
        after: FeedPosition,
        limit: usize,
        watched: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, DbError>;

    /// The events at these positions, in order.
    async fn at(&self, known: Arc<Known>, positions: Vec<u64>) -> Result<Vec<FeedEvent>, DbError>;

    // The feed.

    async fn feed(
        &self,
        known: Arc<Known>,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError>;

    async fn line(
        &self,
        known: Arc<Known>,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError>;

    /// When the first event behind a position was decided.
    async fn first_after(&self, after: FeedPosition) -> Result<Option<Timestamp>, DbError>;

    /// Where an event stands.
    async fn position_of(&self, event: EventId) -> Result<Option<u64>, DbError>;

    /// The first event that was decided at this time or later, if there is one.
    async fn first_from(&self, time: Timestamp) -> Result<Option<u64>, DbError>;

    /// The last event that was decided at this time or before; 0 if there is none.
    async fn last_until(&self, time: Timestamp) -> Result<u64, DbError>;

    async fn count(&self, counted: Counted) -> Result<u64, DbError>;

    /// What the feed tells of the events at these positions.
    async fn about(
        &self,
        positions: Vec<u64>,
    ) -> Result<std::collections::BTreeMap<u64, About>, DbError>;

    /// The events of this type and of this resource, up to so many. `None` if no index leads to them.
    async fn events_of(
        &self,
        kind: Option<EventType>,
        resource: Option<Resource>,
        limit: usize,
    ) -> Result<Option<Vec<EventId>>, DbError>;

    /// At which of these positions there are events of this type and of this resource.
    async fn fitting(
        &self,
        positions: Vec<u64>,
        kind: Option<EventType>,
        resource: Option<Resource>,
    ) -> Result<std::collections::BTreeSet<u64>, DbError>;
}
