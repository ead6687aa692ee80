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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{
    AuditEvent, AuditFilter, Cursor, Digest, FeedEnd, Order, PageRequest, Portal, Progress, Reach,
};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use maud::{Markup, html};
use schemas::{DirectoryId, EndpointId, EventId, RequestId};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::Console;
use crate::error::Error;
use crate::form::Query;
use crate::pages::{endpoints, first_few};
use crate::parts::{self, time};
use crate::session::{self, Viewer};

/// How many pages may be kept up to date at once: each holds a connection.
pub(crate) const WATCHING_MAX: usize = 200;

/// How long nothing is said at most. Pages take a connection for lost after a bit more than twice that.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// How soon a page learns that its session has ended.
const SESSION_ASKED_EVERY: Duration = Duration::from_secs(10);

/// How many events are sent before a breath, and how long it is: 2,000 a second is more than a page can
/// show, and little for the store.
const ENTRIES_AT_ONCE: u32 = 100;
const BREATH: Duration = Duration::from_millis(50);

/// How many lines a page keeps (`ENTRIES_MAX` in `console.js`): of more that it has missed it is told that they are
/// left out, and nothing else.
const ENTRIES_KEPT: u32 = 200;

/// How often it is looked whether something changed that no feed tells of.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The same of an endpoint: one that is busy has always changed, and its page counts thousands of attempts.
const LOOK_AT_ENDPOINT_EVERY: Duration = Duration::from_secs(1);

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
    let entries = Entries { watch, filter, from, names: BTreeMap::new(), has_begun: false };
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
    let changes = Changes { watch, of, seen: None };
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

/// What a stream does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Tells what was found.
    Send,
    /// Says that it lives, and where it is: whoever has to open it again goes on from there.
    Beat,
    /// Goes on looking, after a breath.
    LookOn,
    /// Waits for something to happen.
    Wait,
}

impl Turn {
    const fn of(is_empty: bool, has_more: bool, is_time: bool) -> Self {
        match (is_empty, has_more, is_time) {
            (false, ..) => Self::Send,
            (true, true, true) => Self::Beat,
            (true, true, false) => Self::LookOn,
            (true, false, _) => Self::Wait,
        }
    }
}

/// Follows the feed.
struct Entries {
    watch: Watch,
    filter: AuditFilter,
    /// Everything up to here was sent or does not fit.
    from: Option<EventId>,
    names: BTreeMap<DirectoryId, String>,
    /// Whether it was looked how much the page has missed.
    has_begun: bool,
}

impl Entries {
    async fn next(&mut self) -> Option<Frames> {
        match self.step().await {
            Ok(None) => None,
            Ok(Some(frames)) => {
                self.watch.said();
                Some(Ok(frames))
            }
            Err(error) => Some(Err(error)),
        }
    }

    async fn step(&mut self) -> Result<Option<Vec<Event>>, Error> {
        if !std::mem::replace(&mut self.has_begun, true) && self.skip().await? {
            return Ok(Some(vec![Event::default().event("skipped").data(NOTHING)]));
        }
        while self.watch.goes_on().await? {
            let console = Arc::clone(&self.watch.console);
            // Asked first: what comes after that is waited for, not missed.
            let end = console.reading.feed_end().await?;
            let page = PageRequest {
                reach: Reach::Everything,
                limit: ENTRIES_AT_ONCE,
                order: Order::Ascending,
                cursor: self.from.map(Cursor::After),
            };
            let found = console.audit.audit(page, self.filter.clone()).await?;
            let last = found.page.items.last().map(|event| event.id);
            self.from = found.looked_to.or(last).or(self.from);
            let is_time = Instant::now() >= self.watch.beat_at();
            match Turn::of(found.page.items.is_empty(), found.page.has_after, is_time) {
                Turn::Send => {
                    let frames = self.frames(&found.page.items).await?;
                    tokio::time::sleep(BREATH).await;
                    return Ok(Some(frames));
                }
                Turn::Beat => return Ok(Some(vec![self.beat()])),
                Turn::LookOn => tokio::time::sleep(BREATH).await,
                Turn::Wait => {
                    // Nothing up to here fits.
                    self.from = end.event.or(self.from);
                    if !self.wait(end).await? {
                        return Ok(Some(vec![self.beat()]));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Leaves out what a page would drop as soon as it came. True if there was any.
    async fn skip(&mut self) -> Result<bool, Error> {
        let console = &self.watch.console;
        let filter = AuditFilter { in_front_of: self.from, ..self.filter.clone() };
        let missed = console.audit.audit(first_few(ENTRIES_KEPT + 1), filter).await?.page.items;
        let is_too_much = missed.len() > ENTRIES_KEPT as usize;
        if is_too_much {
            self.from = missed.last().map(|event| event.id);
        }
        Ok(is_too_much)
    }

    /// Waits for the feed to go on; false if it is time to say that the connection lives.
    async fn wait(&self, end: FeedEnd) -> Result<bool, Error> {
        let console = &self.watch.console;
        tokio::select! {
            waited = console.reading.wait_feed(end) => waited?,
            () = tokio::time::sleep_until(self.watch.beat_at()) => return Ok(false),
            () = console.end.cancelled() => return Ok(true),
        }
        tokio::time::sleep(BREATH).await;
        Ok(true)
    }

    /// Carries the place as well, so that what did not fit is not looked through again.
    fn beat(&self) -> Event {
        let beat = Event::default().event("beat").data(NOTHING);
        match self.from {
            Some(id) => beat.id(id.to_string()),
            None => beat,
        }
    }

    async fn frames(&mut self, events: &[AuditEvent]) -> Result<Vec<Event>, Error> {
        let mut frames = Vec::with_capacity(events.len());
        for event in events {
            let id = event.directory_id;
            if !self.names.contains_key(&id) {
                let name = crate::pages::directory_name(&self.watch.console, id).await?;
                self.names.insert(id, name);
            }
            // A carriage return would end a line of the stream.
            let line = entry(event, &self.names[&id]).into_string().replace('\r', "&#13;");
            frames.push(Event::default().event("entry").id(event.id.to_string()).data(line));
        }
        Ok(frames)
    }
}

/// What a page shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
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
struct Changes {
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
    async fn next(&mut self) -> Option<Frames> {
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

/// An event as a line that opens to what is known of it.
pub(crate) fn entry(event: &AuditEvent, directory: &str) -> Markup {
    let path = format!("/console/events/{}", event.id);
    html! {
        li.entry #(event.id) hx-preserve="true" {
            details hx-get={ (path) "/detail" } hx-trigger="toggle once" hx-target="find .entry-detail" hx-swap="innerHTML" {
                summary {
                    (time(event.created_at))
                    span.entry-kind { (event.event.name()) }
                    span.entry-what {
                        @for (index, name) in what(event).iter().enumerate() { @if index > 0 { " · " } (parts::text(name)) }
                    }
                    span.entry-where { (parts::text(directory)) }
                }
                div.entry-detail { p { a href=(path) { "Open the event" } } }
            }
        }
    }
}

/// What an event is about: the user, the group, or both.
fn what(event: &AuditEvent) -> Vec<String> {
    let data: Value = serde_json::from_str(event.data.get()).unwrap_or_default();
    let named = |value: &Value| {
        let names = ["name", "username", "email", "value", "token_suffix", "id"];
        let found = names.iter().find_map(|name| value.get(name)?.as_str());
        found.filter(|name| !name.trim().is_empty()).map(str::to_owned)
    };
    let both = [&data["user"], &data["member"], &data["group"]];
    let parts: Vec<String> = both.into_iter().filter_map(named).collect();
    if parts.is_empty() { named(&data).into_iter().collect() } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_looks_through_much_says_in_between_that_it_lives() {
        assert_eq!(Turn::of(true, true, true), Turn::Beat);
        assert_eq!(Turn::of(true, true, false), Turn::LookOn);
        assert_eq!(Turn::of(true, false, true), Turn::Wait, "it beats when it has waited");
        for (has_more, is_time) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(Turn::of(false, has_more, is_time), Turn::Send);
        }
    }
}
