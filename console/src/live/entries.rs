//! Events of the feed as lines of a page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{AuditEvent, AuditFilter, Cursor, FeedEnd, Order, PageRequest, Reach};
use axum::response::sse::Event;
use maud::{Markup, html};
use schemas::{DirectoryId, EventId};
use serde_json::Value;
use tokio::time::Instant;

use super::{Frames, NOTHING, Watch};
use crate::error::Error;
use crate::pages::first_few;
use crate::parts::{self, time};

/// How many events are sent before a breath, and how long it is: 2,000 a second is more than a page can
/// show, and little for the store.
const ENTRIES_AT_ONCE: u32 = 100;
const BREATH: Duration = Duration::from_millis(50);

/// How many lines a page keeps (`ENTRIES_MAX` in `console.js`): of more that it has missed it is told that they are
/// left out, and nothing else.
const ENTRIES_KEPT: u32 = 200;

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
pub(super) struct Entries {
    watch: Watch,
    filter: AuditFilter,
    /// Everything up to here was sent or does not fit.
    from: Option<EventId>,
    names: BTreeMap<DirectoryId, String>,
    /// Whether it was looked how much the page has missed.
    has_begun: bool,
}

impl Entries {
    pub(super) const fn of(watch: Watch, filter: AuditFilter, from: Option<EventId>) -> Self {
        Self { watch, filter, from, names: BTreeMap::new(), has_begun: false }
    }

    pub(super) async fn next(&mut self) -> Option<Frames> {
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
