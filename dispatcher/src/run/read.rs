//! Where the events of a lane come from.

use std::sync::Arc;

use schemas::{DirectoryId, EndpointKind};

use super::{Shared, persist};
use crate::lane::{Input, LineRead};
use crate::ports::{Endpoint, FeedEvent, FeedPosition, Line, Replay};

/// What a lane reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The feed.
    Feed,
    /// The stream of one directory, for a replay that wants no other.
    Stream(DirectoryId),
    /// What the operator is told.
    Operational,
}

impl Source {
    pub(super) fn of(endpoint: &Endpoint, replay: Option<&Replay>) -> Self {
        match (endpoint.kind, replay.map(|replay| &*replay.filter.directories)) {
            (EndpointKind::Operational, _) => Self::Operational,
            (EndpointKind::Directory, Some([directory])) => Self::Stream(*directory),
            (EndpointKind::Directory, Some(_) | None) => Self::Feed,
        }
    }
}

pub(super) async fn read_feed(
    shared: Arc<Shared>,
    source: Source,
    after: FeedPosition,
    up_to: Option<FeedPosition>,
    limit: usize,
) -> Option<Input> {
    let Some(up_to) = up_to else {
        return Some(Input::Fed(follow(&shared, source, after, limit).await));
    };
    let mut page = page(&shared, source, after, up_to, limit).await;
    let is_full = page.len() >= limit;
    page.retain(|event| event.position <= up_to);
    let is_last = !is_full || page.len() < limit;
    Some(if is_last { Input::FedLast(page) } else { Input::Fed(page) })
}

/// Events as they come; waits until there is one.
async fn follow(
    shared: &Shared,
    source: Source,
    after: FeedPosition,
    limit: usize,
) -> Vec<FeedEvent> {
    match source {
        Source::Feed | Source::Stream(_) => shared.tail.read(after, limit).await,
        Source::Operational => loop {
            let read = || shared.store.operational(after, limit);
            let events = persist("cannot read operational events", read).await;
            if !events.is_empty() {
                return events;
            }
            // The store returns at once if one has come since; none is missed in between.
            let wait = || shared.store.wait_operational(after);
            persist("cannot wait for operational events", wait).await;
        },
    }
}

async fn page(
    shared: &Shared,
    source: Source,
    after: FeedPosition,
    up_to: FeedPosition,
    limit: usize,
) -> Vec<FeedEvent> {
    let store = &shared.store;
    match source {
        Source::Feed => persist("cannot read the feed", || store.feed(after, limit)).await,
        Source::Stream(id) => {
            let read = || store.line(Line::Stream(id), after, up_to, limit);
            persist("cannot read the feed", read).await
        }
        Source::Operational => {
            let read = || store.operational(after, limit);
            persist("cannot read operational events", read).await
        }
    }
}

pub(super) async fn read_line(
    shared: Arc<Shared>,
    source: Source,
    read: LineRead,
) -> Option<Input> {
    let (line, after, up_to) = (read.line(), read.after(), read.up_to());
    let events = match source {
        Source::Feed | Source::Stream(_) => {
            let page = || shared.store.line(line, after, up_to, LineRead::LIMIT);
            persist("cannot read a line", page).await
        }
        // They are all one line.
        Source::Operational => {
            let mut events = page(&shared, source, after, up_to, LineRead::LIMIT).await;
            events.retain(|event| event.position <= up_to);
            events
        }
    };
    Some(Input::LineRead(read, events))
}
