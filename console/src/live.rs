//! What open pages are told while they are open, as server-sent events.
//!
//! ```text
//!  feed goes on ──▶ Entries: each event as a line of the page, under its id     event: entry
//!       or a request arrives ──▶ Changes: that something changed, and no more   event: changed
//!       too much was missed  ──▶ Entries: that the rest is left out              event: skipped
//!       nothing for a while  ──▶ both: that the connection lives                event: beat
//! ```
//!
//! The id of the last event is the place in the feed where a page goes on after it lost the connection:
//! what it missed comes then, and nothing twice. A stream ends with the session that opened it.

use std::sync::Arc;
use std::time::Duration;

use api::ports::{AuditFilter, Digest, Portal};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use schemas::{DirectoryId, EventId};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::Console;
use crate::error::Error;
use crate::form::Query;
use crate::session::{self, Viewer};

mod changes;
mod entries;

use changes::{Changes, Of};
use entries::Entries;
pub(crate) use entries::entry;

/// How many pages may be kept up to date at once: each holds a connection.
pub(crate) const WATCHING_MAX: usize = 200;

/// How long nothing is said at most. Pages take a connection for lost after a bit more than twice that.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// How soon a page learns that its session has ended.
const SESSION_ASKED_EVERY: Duration = Duration::from_secs(10);

/// How soon the browser tries again by itself.
const RETRY: Duration = Duration::from_secs(1);

/// What an event says that says nothing: browsers pass over one without data.
const NOTHING: &str = ".";

/// How nginx is told not to.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

type Frames = Result<Vec<Event>, Error>;

/// Says whether the session lives, for pages whose stream has ended.
pub(crate) async fn session(_: Viewer) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Events as they come.
pub(crate) fn entries(
    console: &Arc<Console>,
    viewer: &Viewer,
    filter: AuditFilter,
    from: Option<EventId>,
) -> Result<Response, Error> {
    let watch = Watch::begin(console, Door::Console(viewer.digest))?;
    let entries = Entries::of(watch, filter, from);
    Ok(answer(stream::unfold(entries, |mut entries| async move {
        let frames = entries.next().await?;
        Some((frames, entries))
    })))
}

/// That something changed: in a directory, in the pipeline, or anywhere.
pub(crate) async fn changes(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let of = match (query.id("directory"), query.id("endpoint"), query.text("of")) {
        (Some(directory), _, _) => Of::Directory(directory),
        (None, Some(endpoint), _) => Of::Endpoint(endpoint),
        (None, None, Some("pipeline")) => Of::Pipeline,
        (None, None, _) => Of::Feed,
    };
    changes_of(&console, Door::Console(viewer.digest), of)
}

/// That something changed in a directory, for who has come in by this door.
pub(crate) fn directory_changes(
    console: &Arc<Console>,
    door: Door,
    directory: DirectoryId,
) -> Result<Response, Error> {
    changes_of(console, door, Of::Directory(directory))
}

fn changes_of(console: &Arc<Console>, door: Door, of: Of) -> Result<Response, Error> {
    let watch = Watch::begin(console, door)?;
    let changes = Changes::of(watch, of);
    Ok(answer(stream::unfold(changes, |mut changes| async move {
        let frames = changes.next().await?;
        Some((frames, changes))
    })))
}

/// A failure ends the stream; the page asks again by itself and is told what failed then.
fn answer(frames: impl Stream<Item = Frames> + Send + 'static) -> Response {
    let frames = frames.take_while(|frames| {
        if let Err(error) = frames {
            tracing::warn!(?error, "a page is not kept up to date any more");
        }
        std::future::ready(frames.is_ok())
    });
    let frames = frames.flat_map(|frames| stream::iter(frames.unwrap_or_default()));
    let first = stream::iter([Event::default().event("beat").retry(RETRY).data(NOTHING)]);
    let frames = first.chain(frames).map(Ok::<_, std::convert::Infallible>);
    // A proxy that gathers what it passes on would hold back what has just happened.
    ([(UNBUFFERED, "no")], Sse::new(frames)).into_response()
}

/// Which session a stream ends with.
pub(crate) enum Door {
    /// One of the console.
    Console(Digest),
    /// One of the setup pages, with a seat among those of its organization.
    Setup { portal: Arc<dyn Portal>, digest: Digest, _seat: OwnedSemaphorePermit },
}

impl Door {
    async fn is_open(&self, console: &Console) -> Result<bool, Error> {
        match self {
            Self::Console(digest) => Ok(session::live(console, *digest).await?.is_some()),
            Self::Setup { portal, digest, .. } => {
                Ok(portal.session(*digest, console.edge.now()).await?.is_some())
            }
        }
    }
}

/// What every stream has: room, a session, and a time by which it has to say something.
struct Watch {
    console: Arc<Console>,
    door: Door,
    asked: Instant,
    said: Instant,
    _room: OwnedSemaphorePermit,
}

impl Watch {
    fn begin(console: &Arc<Console>, door: Door) -> Result<Self, Error> {
        let room = Arc::clone(&console.watching).try_acquire_owned();
        let room = room.map_err(|_| Error::TooManyWatch)?;
        let now = Instant::now();
        Ok(Self { console: Arc::clone(console), door, asked: now, said: now, _room: room })
    }

    /// Whether the stream goes on: the server does, and the session.
    async fn goes_on(&mut self) -> Result<bool, Error> {
        if self.console.end.is_cancelled() {
            return Ok(false);
        }
        if self.asked.elapsed() < SESSION_ASKED_EVERY {
            return Ok(true);
        }
        self.asked = Instant::now();
        self.door.is_open(&self.console).await
    }

    fn said(&mut self) {
        self.said = Instant::now();
    }

    fn beat_at(&self) -> Instant {
        self.said + BEAT_EVERY
    }
}
