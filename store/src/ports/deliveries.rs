//! The API's port on what was sent and is to be sent once more.

use api::ports::{
    Attempt, AttemptFilter, Conflict, Cursor, Deliveries, Endpoint, NewReplay, Order, Page,
    PageRequest, Point, PortError, Range, Replay,
};
use async_trait::async_trait;
use bytes::Bytes;
use schemas::{AttemptId, EndpointId, EventId, Format, ReplayId};

use super::lag::types_of;
use super::{conflicted, port_error};
use crate::Store;
use crate::config::attempts::{Kept, Walk};
use crate::config::replays::Extent;
use crate::error::DbError;
use crate::state::places::Counted;

/// How much of a request is shown; of answers no more is kept.
const EXCERPT_MAX: usize = 4 * 1024;

/// How many attempts are read at a time while looking for those of a resource or a type.
const CHUNK: u32 = 500;

/// How many events are looked up instead.
const FEW: usize = 1_000;

#[async_trait]
impl Deliveries for Store {
    async fn attempts(
        &self,
        endpoint: EndpointId,
        page: PageRequest<AttemptId>,
        filter: AttemptFilter,
    ) -> Result<Page<Attempt>, PortError> {
        let format = self.config.endpoint(endpoint).await.map_err(port_error)?.format;
        let mut found = self.attempts_page(endpoint, &page, &filter).await.map_err(port_error)?;
        match format {
            Format::Webhook => {}
            // What was sent is a token, which nobody keeps.
            Format::ScimSet => found.items.iter_mut().for_each(|attempt| attempt.request = None),
        }
        Ok(found)
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Replay, PortError> {
        let endpoint = self.config.endpoint(new.endpoint).await.map_err(port_error)?;
        let extent = self.extent(&new, &endpoint).await.map_err(port_error)?;
        self.config.create_replay(new, extent).await.map_err(port_error)
    }

    async fn replays(
        &self,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, PortError> {
        self.config.replays(endpoint, page).await.map_err(port_error)
    }

    async fn replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<Replay, PortError> {
        self.config.replay(endpoint, id).await.map_err(port_error)
    }

    async fn cancel_replay(&self, endpoint: EndpointId, id: ReplayId) -> Result<(), PortError> {
        self.config.cancel_replay(endpoint, id).await.map_err(port_error)
    }
}

impl Store {
    async fn attempts_page(
        &self,
        endpoint: EndpointId,
        page: &PageRequest<AttemptId>,
        filter: &AttemptFilter,
    ) -> Result<Page<Attempt>, DbError> {
        let (bound, backwards) = match page.cursor {
            None => (None, false),
            Some(Cursor::After(id)) => (Some(id), false),
            Some(Cursor::Before(id)) => (Some(id), true),
        };
        let falling = (page.order == Order::Descending) != backwards;
        let limit = page.limit as usize;
        let events = self.few(filter).await?;
        let walk = Walk { endpoint, from: bound, falling, limit: page.limit + 1, events };
        let mut items = self.walk(walk, limit + 1, filter).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        if backwards {
            items.reverse();
        }
        let (has_before, has_after) =
            if backwards { (more, true) } else { (bound.is_some(), more) };
        Ok(Page { items, has_before, has_after })
    }

    /// The events that a filter asks for, if these are few: then their attempts are looked up. Those of many are
    /// met soon on a walk.
    async fn few(&self, filter: &AttemptFilter) -> Result<Option<Vec<EventId>>, DbError> {
        if let Some(event) = filter.event {
            return Ok(Some(vec![event]));
        }
        if filter.kind.is_none() && filter.resource.is_none() {
            return Ok(None);
        }
        let events = self.state.events_of(filter.kind, filter.resource, FEW + 1).await?;
        Ok(events.filter(|events| events.len() <= FEW))
    }

    /// Reads on until there are enough. What only the feed tells is looked up chunk by chunk.
    async fn walk(
        &self,
        mut walk: Walk,
        enough: usize,
        filter: &AttemptFilter,
    ) -> Result<Vec<Attempt>, DbError> {
        let is_of_feed = filter.kind.is_some() || filter.resource.is_some();
        if is_of_feed {
            walk.limit = CHUNK;
        }
        let mut found = Vec::new();
        loop {
            let rows = self.config.attempts(walk.clone(), filter.clone()).await?;
            let is_last = rows.len() < walk.limit as usize;
            walk.from = rows.last().map(Kept::id);
            let mut rows = if is_of_feed { self.fitting(rows, filter).await? } else { rows };
            rows.truncate(enough - found.len());
            let positions = rows.iter().map(|row| row.position).collect();
            let mut about = self.state.about(positions).await?;
            for row in rows {
                let told = if row.told.is_some() { None } else { about.get_mut(&row.position) };
                let told = told.map(|about| (about.event.clone(), about.body.clone()));
                found.push(attempt(row, told));
            }
            if found.len() >= enough {
                return Ok(found);
            }
            if is_last || !is_of_feed {
                return Ok(found);
            }
        }
    }

    /// Those whose events the filter lets through, as the feed tells of them.
    async fn fitting(&self, rows: Vec<Kept>, filter: &AttemptFilter) -> Result<Vec<Kept>, DbError> {
        // Operational events are in no feed.
        let of_feed = rows.into_iter().filter(|row| row.told.is_none());
        let mut rows: Vec<Kept> = of_feed.collect();
        let positions = rows.iter().map(|row| row.position).collect();
        let fitting = self.state.fitting(positions, filter.kind, filter.resource).await?;
        rows.retain(|row| fitting.contains(&row.position));
        Ok(rows)
    }

    async fn extent(&self, new: &NewReplay, endpoint: &Endpoint) -> Result<Extent, DbError> {
        let end = *self.state.progress().feed_end().borrow();
        let first = match new.range.from {
            Point::Event(id) => self.state.position_of(id).await?,
            Point::At(time) => self.state.first_from(time).await?,
        };
        let up_to = match new.range.to {
            None => end,
            Some(Point::Event(id)) => self.state.position_of(id).await?.unwrap_or(0),
            Some(Point::At(time)) => self.state.last_until(time).await?,
        };
        let first = first.unwrap_or(end + 1);
        if is_backwards(new.range, first, up_to) {
            return Err(conflicted(Conflict::Backwards));
        }
        let after = first.saturating_sub(1);
        let up_to = up_to.max(after);
        let directories = self.directories_of(endpoint, new.directory);
        let mut events = types_of(endpoint);
        events.retain(|event| new.events.is_empty() || new.events.contains(event));
        let total = self.state.count(Counted { after, up_to, directories, events }).await?;
        Ok(Extent { after, up_to, total })
    }
}

/// Whether a range with these first and last positions ends before it begins. Between two times there may be nothing; an
/// event that is named is there, and lies between both ends.
const fn is_backwards(range: Range, first: u64, last: u64) -> bool {
    match (range.from, range.to) {
        (_, None) | (Point::At(_), Some(Point::At(_))) => false,
        (Point::Event(_), Some(_)) | (Point::At(_), Some(Point::Event(_))) => first > last,
    }
}

pub(super) fn attempt(row: Kept, told: Option<(String, Bytes)>) -> Attempt {
    let (event, body) = told.unzip();
    let has_failed = row.failure.is_some();
    Attempt {
        id: row.id(),
        event_id: row.event_id,
        event: row.told.or(event),
        attempt: row.attempt,
        at: row.at,
        duration: row.duration,
        status: row.status,
        failure: row.failure,
        exhausted: row.exhausted,
        replay: row.replay,
        request: body.filter(|_| has_failed).map(|body| body.slice(..body.len().min(EXCERPT_MAX))),
        response: row.answer.map(Bytes::from),
    }
}
