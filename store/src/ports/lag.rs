//! How much waits for an endpoint, and since when.
//!
//! What counts are events that it subscribes to: behind its cursor, and before it in the lines that wait. Both are
//! bounded, so that a look at an endpoint that has been off for a year costs no more than another.

use std::collections::BTreeSet;

use api::ports::{Delivering, Endpoint, PortError};
use dispatcher::ports::{FeedPosition, LaneId, LaneState, Line, Topic};
use schemas::{DirectoryId, EndpointId, EndpointKind, EventType, Timestamp};

use super::port_error;
use crate::Store;
use crate::error::DbError;
use crate::state::places::Counted;

/// How much of the feed behind a cursor is looked through. What lies behind that is not counted, unless the endpoint
/// gets everything.
const LOOKED_THROUGH: u64 = 100_000;

/// How many events of lines of users and groups are counted one by one; of further lines just the first is.
const COUNTED_MAX: usize = 2_000;

/// How many events of one of them are.
const OF_LINE_MAX: usize = 200;

/// What waits.
struct Waiting {
    events: u64,
    /// The first of them.
    first: Option<u64>,
}

impl Store {
    /// How deliveries to an endpoint go; its attempts are looked at as of a time, if there is one.
    pub(super) async fn delivering_rated(
        &self,
        id: EndpointId,
        at: Option<Timestamp>,
    ) -> Result<Delivering, PortError> {
        let delivering = self.config.delivering(id, at).await.map_err(port_error)?;
        self.with_lag(id, delivering).await.map_err(port_error)
    }

    async fn with_lag(
        &self,
        id: EndpointId,
        delivering: Delivering,
    ) -> Result<Delivering, DbError> {
        let endpoint = self.config.endpoint(id).await?;
        match endpoint.kind {
            EndpointKind::Operational => return Ok(delivering),
            EndpointKind::Directory => {}
        }
        let lane = LaneId { endpoint: id, replay: None };
        let Some(stands) = self.config.lane(lane).await? else { return Ok(delivering) };
        let waiting = self.waiting(&endpoint, &stands).await?;
        let oldest_waiting = match waiting.first {
            Some(first) => self.state.first_after(FeedPosition(first.saturating_sub(1))).await?,
            None => None,
        };
        Ok(Delivering { lag_events: waiting.events, oldest_waiting, ..delivering })
    }

    async fn waiting(&self, endpoint: &Endpoint, stands: &LaneState) -> Result<Waiting, DbError> {
        let events = types_of(endpoint);
        let in_lines = self.waiting_in_lines(&events, stands).await?;
        let cursor = stands.cursor.0;
        let end = *self.state.progress().feed_end().borrow();
        let behind = Counted {
            after: cursor,
            up_to: end.min(cursor.saturating_add(LOOKED_THROUGH)),
            directories: self.directories_of(endpoint, None),
            events,
        };
        let found = self.state.count(behind.clone()).await?;
        let first = match in_lines.first {
            None if found > 0 => Some(self.first_of(behind.clone()).await?),
            first => first,
        };
        let gets_all = endpoint.events.is_empty() && behind.directories.is_none();
        let beyond = if gets_all { end.saturating_sub(behind.up_to) } else { 0 };
        let done = stands.done.len() as u64;
        Ok(Waiting { events: in_lines.events + found.saturating_sub(done) + beyond, first })
    }

    /// Up to the cursor.
    async fn waiting_in_lines(
        &self,
        types: &[EventType],
        stands: &LaneState,
    ) -> Result<Waiting, DbError> {
        let up_to = stands.cursor;
        let (mut streams, mut single) = (0, BTreeSet::new());
        for row in &stands.blocked {
            let after = row.from.before();
            match row.line {
                Line::Stream(id) | Line::HeldStream(id) => {
                    let (after, up_to, events) = (after.0, up_to.0, types.to_vec());
                    let directories = Some(vec![id]);
                    streams +=
                        self.state.count(Counted { after, up_to, directories, events }).await?;
                }
                line if single.len() < COUNTED_MAX => {
                    let found = self.events_of_line(line, after, up_to, OF_LINE_MAX).await?;
                    let is_wanted = |topic: Topic| match topic {
                        Topic::Directory(kind) => types.contains(&kind),
                        Topic::Operational(_) => false,
                    };
                    let wanted = found.iter().filter(|event| is_wanted(event.topic));
                    single.extend(wanted.map(|event| event.position));
                }
                Line::User(_)
                | Line::Group(_)
                | Line::Directory(_)
                | Line::Event(_)
                | Line::Held(_) => {
                    single.insert(row.from);
                }
            }
        }
        let first = stands.blocked.iter().map(|row| row.from.0).min();
        Ok(Waiting { events: streams + single.len() as u64, first })
    }

    /// The position of the first of some events, of which there is one.
    async fn first_of(&self, counted: Counted) -> Result<u64, DbError> {
        let (mut before, mut at) = (counted.after, counted.up_to);
        while before + 1 < at {
            let middle = before + (at - before) / 2;
            let part = Counted { after: before, up_to: middle, ..counted.clone() };
            if self.state.count(part).await? > 0 { at = middle } else { before = middle }
        }
        Ok(at)
    }

    /// The directories of which an endpoint gets events, or this one of them; `None` for all.
    pub(super) fn directories_of(
        &self,
        endpoint: &Endpoint,
        only: Option<DirectoryId>,
    ) -> Option<Vec<DirectoryId>> {
        let (organizations, directories) = (&endpoint.organizations, &endpoint.directories);
        if organizations.is_empty() && directories.is_empty() {
            return only.map(|id| vec![id]);
        }
        let known = self.config.known();
        let wanted = known.directories().filter(|directory| {
            (organizations.is_empty() || organizations.contains(&directory.organization_id))
                && (directories.is_empty() || directories.contains(&directory.id))
                && only.is_none_or(|id| id == directory.id)
        });
        Some(wanted.map(|directory| directory.id).collect())
    }
}

/// The types of which an endpoint gets events.
pub(super) fn types_of(endpoint: &Endpoint) -> Vec<EventType> {
    let wanted = |event: &EventType| {
        endpoint.format.carries(*event)
            && (endpoint.events.is_empty() || endpoint.events.contains(event))
    };
    EventType::ALL.iter().copied().filter(wanted).collect()
}
