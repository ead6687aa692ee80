//! Looking whether what a page shows has changed.

use std::time::Duration;

use api::ports::{AuditFilter, Cursor, FeedEnd, Order, PageRequest, Progress, Reach};
use axum::response::sse::Event;
use schemas::{DirectoryId, EndpointId, RequestId};
use tokio::time::Instant;

use super::{Frames, NOTHING, Watch};
use crate::Console;
use crate::error::Error;
use crate::pages::{endpoints, first_few};

/// How often it is looked whether something changed that no feed tells of.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The same of an endpoint: one that is busy has always changed, and its page counts thousands of attempts.
const LOOK_AT_ENDPOINT_EVERY: Duration = Duration::from_secs(1);

/// What a page shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Numbers that move all the time.
    Pipeline,
    /// Anything that events tell.
    Feed,
    /// A directory with its requests.
    Directory(DirectoryId),
    /// What an endpoint is sent.
    Endpoint(EndpointId),
}

impl Of {
    fn look_every(self) -> Duration {
        match self {
            Self::Pipeline | Self::Feed | Self::Directory(_) => LOOK_EVERY,
            Self::Endpoint(_) => LOOK_AT_ENDPOINT_EVERY,
        }
    }
}

/// Looks whether something changed.
pub(super) struct Changes {
    watch: Watch,
    of: Of,
    /// What was seen last; nothing before the first look, so that whatever changed while the page was on
    /// its way is told at once.
    seen: Option<Seen>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    end: FeedEnd,
    request: Option<RequestId>,
    endpoint: Option<u64>,
    /// A job whose users stay as they are is told by no event.
    refresh: Progress,
}

impl Changes {
    pub(super) const fn of(watch: Watch, of: Of) -> Self {
        Self { watch, of, seen: None }
    }

    pub(super) async fn next(&mut self) -> Option<Frames> {
        match self.step().await {
            Ok(None) => None,
            Ok(Some(word)) => {
                self.watch.said();
                Some(Ok(vec![Event::default().event(word).data(NOTHING)]))
            }
            Err(error) => Some(Err(error)),
        }
    }

    async fn step(&mut self) -> Result<Option<&'static str>, Error> {
        while self.watch.goes_on().await? {
            if self.has_changed().await? {
                return Ok(Some("changed"));
            }
            if Instant::now() >= self.watch.beat_at() {
                // Of the pipeline there is always something to tell.
                return Ok(Some(if self.of == Of::Pipeline { "changed" } else { "beat" }));
            }
            tokio::select! {
                () = tokio::time::sleep(self.of.look_every()) => {}
                () = self.watch.console.end.cancelled() => {}
            }
        }
        Ok(None)
    }

    async fn has_changed(&mut self) -> Result<bool, Error> {
        let console = &self.watch.console;
        let end = match self.of {
            // What an endpoint has to get shows in how far it is behind.
            Of::Pipeline | Of::Endpoint(_) => FeedEnd::default(),
            Of::Feed | Of::Directory(_) => console.reading.feed_end().await?,
        };
        let (request, refresh) = match self.of {
            Of::Pipeline | Of::Feed | Of::Endpoint(_) => (None, Progress::default()),
            Of::Directory(id) => {
                let latest = console.directories.requests(id, first_few(1)).await;
                let directory = console.directories.get(Reach::Everything, id).await;
                (
                    latest.map_or(None, |page| page.items.first().map(|request| request.id)),
                    directory.map_or(Progress::default(), |directory| directory.refresh),
                )
            }
        };
        let endpoint = match self.of {
            Of::Pipeline | Of::Feed | Of::Directory(_) => None,
            // One that is gone changes no more; whoever asks for its page is told.
            Of::Endpoint(id) => endpoints::fingerprint(console, id).await.ok(),
        };
        let seen = Seen { end, request, refresh, endpoint };
        let Some(before) = self.seen.replace(seen) else { return Ok(true) };
        let rest = |seen: &Seen| (seen.request, seen.refresh, seen.endpoint);
        if rest(&before) != rest(&seen) {
            return Ok(true);
        }
        match self.of {
            Of::Directory(id) if before.end != end => has_events(console, id, before.end).await,
            Of::Pipeline | Of::Feed | Of::Directory(_) | Of::Endpoint(_) => Ok(before.end != end),
        }
    }
}

/// Whether a directory has events behind this. Where too many of others lie in between, yes: looking
/// through them all would cost more than a page that is made in vain.
async fn has_events(
    console: &Console,
    directory: DirectoryId,
    after: FeedEnd,
) -> Result<bool, Error> {
    let page = PageRequest {
        reach: Reach::Everything,
        limit: 1,
        order: Order::Ascending,
        cursor: after.event.map(Cursor::After),
    };
    let filter = AuditFilter { directory: Some(directory), ..AuditFilter::default() };
    let found = console.audit.audit(page, filter).await?.page;
    Ok(!found.items.is_empty() || found.has_after)
}
