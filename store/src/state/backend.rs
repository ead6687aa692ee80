//! The state on SQLite, as the ports ask it.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::ports::{
    AuditEvent, AuditFilter, Audited, EventFilter, FeedEnd, GroupFilter, Page, PageRequest, Reach,
    Resource, StoredEvent, UserFilter,
};
use async_trait::async_trait;
use console::ports::{Arrived, Looks};
use directory::{Directory, Group, Needs, User};
use dispatcher::brake::Counts;
use dispatcher::ports::{FeedEvent, FeedPosition, Line, SeenPage};
use ingest::ports::{Gathered, ListQuery, Member, MemberPlace, ToRefresh, UserView};
use log::{Durable, Offset, Partition};
use projector::{Batch, Position, StoreError, StoredHead};
use schemas::wire::{DirectoryGroup, DirectoryUser, DirectoryUserWithGroups};
use schemas::{DirectoryId, EventId, EventType, GroupId, Head, ScimId, Timestamp, UserId};

use crate::config::Known;
use crate::error::DbError;

use super::places::{About, Counted};
use super::reading::{Standing, Table};
use super::{Progress, State, Told, snapshot};
use crate::backend::{Filtered, StateBackend};

#[async_trait]
impl StateBackend for State {
    fn progress(&self) -> &Progress {
        State::progress(self)
    }

    async fn ready(&self) -> Result<(), DbError> {
        State::ready(self).await
    }

    fn close(&self) {
        State::close(self)
    }

    async fn position(&self, partition: Partition) -> Result<Position, DbError> {
        self.read(move |connection| snapshot::position(connection, partition)).await
    }

    async fn heads(&self, partition: Partition) -> Result<Vec<StoredHead>, DbError> {
        self.read(move |connection| snapshot::heads(connection, partition)).await
    }

    async fn apply(
        &self,
        partition: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError> {
        State::apply(self, partition, from, to, batch, durable).await
    }

    async fn passed(&self, partition: Partition) -> Result<Offset, DbError> {
        Ok(*self.progress().passed(partition).borrow())
    }

    /// Nobody else has the file open, and whoever opens it next follows the partition before anything is appended.
    async fn stop(&self, partition: Partition, why: Option<String>) -> Result<(), DbError> {
        self.progress().stop(partition, why);
        Ok(())
    }

    async fn stopped(&self) -> Result<Vec<DirectoryId>, DbError> {
        self.read(snapshot::stopped).await
    }

    async fn sweep(&self, partition: Partition) -> Result<bool, DbError> {
        State::sweep(self, partition).await
    }

    async fn gather(&self, directory: Directory, needs: Needs) -> Result<Gathered, DbError> {
        State::gather(self, directory, needs).await
    }

    async fn accepted(
        &self,
        directory: DirectoryId,
        records: Vec<Head>,
    ) -> Result<Vec<bool>, DbError> {
        State::accepted(self, directory, records).await
    }

    async fn is_activated(&self, directory: DirectoryId) -> Result<bool, DbError> {
        State::is_activated(self, directory).await
    }

    async fn user(&self, directory: DirectoryId, id: ScimId) -> Result<Option<UserView>, DbError> {
        State::user(self, directory, id).await
    }

    async fn group(&self, directory: DirectoryId, id: ScimId) -> Result<Option<Group>, DbError> {
        State::group(self, directory, id).await
    }

    async fn members(
        &self,
        directory: DirectoryId,
        group: ScimId,
        after: Option<MemberPlace>,
        limit: u32,
    ) -> Result<Vec<Member>, DbError> {
        State::members(self, directory, group, after, limit).await
    }

    async fn list_users(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<UserView>, DbError> {
        State::list_users(self, directory, query).await
    }

    async fn list_groups(
        &self,
        directory: DirectoryId,
        query: ListQuery,
    ) -> Result<Filtered<Group>, DbError> {
        State::list_groups(self, directory, query).await
    }

    async fn count_users(&self, directory: DirectoryId) -> Result<u64, DbError> {
        State::count_users(self, directory).await
    }

    async fn users_to_refresh(
        &self,
        directory: DirectoryId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ToRefresh>, DbError> {
        State::users_to_refresh(self, directory, after, limit).await
    }

    async fn sample(
        &self,
        directory: DirectoryId,
        ids: Option<Vec<UserId>>,
        limit: u32,
    ) -> Result<Vec<User>, DbError> {
        State::sample(self, directory, ids, limit).await
    }

    async fn api_users(
        &self,
        known: Arc<Known>,
        request: PageRequest<UserId>,
        filter: UserFilter,
    ) -> Result<Page<DirectoryUserWithGroups>, DbError> {
        State::api_users(self, known, request, filter).await
    }

    async fn api_user(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: UserId,
    ) -> Result<Option<DirectoryUserWithGroups>, DbError> {
        State::api_user(self, known, reach, id).await
    }

    async fn api_groups(
        &self,
        known: Arc<Known>,
        request: PageRequest<GroupId>,
        filter: GroupFilter,
    ) -> Result<Page<DirectoryGroup>, DbError> {
        State::api_groups(self, known, request, filter).await
    }

    async fn api_group(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: GroupId,
    ) -> Result<Option<DirectoryGroup>, DbError> {
        State::api_group(self, known, reach, id).await
    }

    async fn api_events(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, DbError> {
        State::api_events(self, known, request, filter).await
    }

    async fn api_event(
        &self,
        known: Arc<Known>,
        reach: Reach,
        id: EventId,
    ) -> Result<Option<StoredEvent>, DbError> {
        State::api_event(self, known, reach, id).await
    }

    async fn audit(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: AuditFilter,
    ) -> Result<Audited, DbError> {
        State::audit(self, known, request, filter).await
    }

    async fn has_stream(&self, directory: DirectoryId) -> Result<bool, DbError> {
        State::has_stream(self, directory).await
    }

    async fn feed_end(&self) -> Result<FeedEnd, DbError> {
        State::feed_end(self).await
    }

    async fn directory_of(
        &self,
        table: Table,
        id: [u8; 16],
    ) -> Result<Option<DirectoryId>, DbError> {
        State::directory_of(self, table, id).await
    }

    async fn standings(&self, ids: Vec<DirectoryId>) -> Result<Vec<Standing>, DbError> {
        State::standings(self, ids).await
    }

    async fn told(&self) -> Result<Told, DbError> {
        State::told(self).await
    }

    async fn users_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryUser>, DbError> {
        State::users_like(self, known, directory, beginning, limit).await
    }

    async fn groups_like(
        &self,
        known: Arc<Known>,
        directory: DirectoryId,
        beginning: String,
        limit: u32,
    ) -> Result<Vec<DirectoryGroup>, DbError> {
        State::groups_like(self, known, directory, beginning, limit).await
    }

    async fn audit_event(&self, id: EventId) -> Result<Option<AuditEvent>, DbError> {
        State::audit_event(self, id).await
    }

    async fn arrived(&self, directory: DirectoryId, looks: Looks) -> Result<Arrived, DbError> {
        State::arrived(self, directory, looks).await
    }

    async fn census(&self, directory: DirectoryId) -> Result<(FeedPosition, Counts), DbError> {
        State::census(self, directory).await
    }

    async fn seen(
        &self,
        after: FeedPosition,
        limit: usize,
        watched: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, DbError> {
        State::seen(self, after, limit, watched).await
    }

    async fn at(&self, known: Arc<Known>, positions: Vec<u64>) -> Result<Vec<FeedEvent>, DbError> {
        State::at(self, known, positions).await
    }

    async fn feed(
        &self,
        known: Arc<Known>,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        State::feed(self, known, after, limit).await
    }

    async fn line(
        &self,
        known: Arc<Known>,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, DbError> {
        State::line(self, known, line, after, up_to, limit).await
    }

    async fn first_after(&self, after: FeedPosition) -> Result<Option<Timestamp>, DbError> {
        State::first_after(self, after).await
    }

    async fn position_of(&self, event: EventId) -> Result<Option<u64>, DbError> {
        State::position(self, event).await
    }

    async fn first_from(&self, time: Timestamp) -> Result<Option<u64>, DbError> {
        State::first_from(self, time).await
    }

    async fn last_until(&self, time: Timestamp) -> Result<u64, DbError> {
        State::last_until(self, time).await
    }

    async fn count(&self, counted: Counted) -> Result<u64, DbError> {
        State::count(self, counted).await
    }

    async fn about(
        &self,
        positions: Vec<u64>,
    ) -> Result<std::collections::BTreeMap<u64, About>, DbError> {
        State::about(self, positions).await
    }

    async fn events_of(
        &self,
        kind: Option<EventType>,
        resource: Option<Resource>,
        limit: usize,
    ) -> Result<Option<Vec<EventId>>, DbError> {
        State::events_of(self, kind, resource, limit).await
    }

    async fn fitting(
        &self,
        positions: Vec<u64>,
        kind: Option<EventType>,
        resource: Option<Resource>,
    ) -> Result<std::collections::BTreeSet<u64>, DbError> {
        State::fitting(self, positions, kind, resource).await
    }
}
