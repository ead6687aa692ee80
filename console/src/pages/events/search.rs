//! A search through history, part by part: each request looks for a moment, and an open page asks for the next by itself.
//!
//! ```text
//!  the page:  latest ◀─────────────┤ looked back to here, and shown what was found
//!   further:                       ├────────┤ found more, which joins the list
//!   further:                                ├────────┤ … until the page is full, history ends, or it is enough
//! ```
//!
//! Without scripts the way on is a link to a page that begins where this one has stopped looking.

use std::time::Duration;

use api::ports::{AuditEvent, AuditFilter, Cursor, PageRequest};
use maud::{Markup, html};
use schemas::EventId;
use tokio::time::Instant;

use super::{HERE, SHOWN, pairs};
use crate::Console;
use crate::error::Error;
use crate::form::Form;
use crate::pages::{address, first_few};
use crate::parts::{empty, time};

/// How long one request looks for what a filter fits: pages stay under 50 ms, and have other things to ask.
const LOOKED_FOR: Duration = Duration::from_millis(20);

/// How many times a page asks on by itself: seconds, and about a million events. Then somebody decides whether it is worth
/// more.
const BY_ITSELF_MAX: u32 = 200;

/// What was asked for before, and where that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Everything from this one on was looked at; nothing yet, without one.
    pub(super) looked_to: Option<EventId>,
    /// How many events the page shows already.
    pub(super) shown: u32,
    /// How many times it has gone on by itself.
    pub(super) gone_on: u32,
    /// Whether the page began with the latest event.
    pub(super) is_of_the_latest: bool,
}

impl Place {
    /// Where a page begins.
    pub(super) fn at(query: &Form) -> Self {
        let looked_to = query.id("after");
        Self { looked_to, is_of_the_latest: looked_to.is_none(), ..Self::default() }
    }

    /// Where it goes on.
    pub(super) fn further(query: &Form) -> Self {
        let number = |name| query.text(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Self {
            looked_to: query.id("after"),
            shown: number("shown").min(SHOWN),
            gone_on: number("gone_on").min(BY_ITSELF_MAX),
            is_of_the_latest: query.text("older").is_none(),
        }
    }
}

/// What a look at the history has brought.
pub(super) struct Found {
    pub(super) events: Vec<AuditEvent>,
    before: Place,
    /// Where the list goes on, if more was not looked at or does not fit here.
    goes_on_at: Option<EventId>,
    /// Whether it goes on only because nothing more was looked at.
    is_cut_short: bool,
}

/// Looks back until the page is full, history is at its end, or somebody has waited long enough: the store looks at
/// a bounded number of events at once, and says how far it has come.
pub(super) async fn found(
    console: &Console,
    filter: &AuditFilter,
    before: Place,
) -> Result<Found, Error> {
    let began = Instant::now();
    let (mut events, mut from) = (Vec::new(), before.looked_to);
    loop {
        let shown = before.shown + u32::try_from(events.len()).unwrap_or(SHOWN);
        let wanted = SHOWN.saturating_sub(shown).max(1);
        let page = PageRequest { cursor: from.map(Cursor::After), ..first_few(wanted) };
        let audited = console.audit.audit(page, filter.clone()).await?;
        let found = u32::try_from(audited.page.items.len()).unwrap_or(wanted);
        events.extend(audited.page.items);
        let last = events.last().map(|event| event.id);
        from = audited.looked_to.or(last).or(from);
        let is_full = found >= wanted;
        if is_full || !audited.page.has_after || began.elapsed() >= LOOKED_FOR {
            let goes_on_at = from.filter(|_| audited.page.has_after);
            return Ok(Found { events, before, goes_on_at, is_cut_short: !is_full });
        }
    }
}

impl Found {
    fn shown(&self) -> u32 {
        self.before.shown + u32::try_from(self.events.len()).unwrap_or(SHOWN)
    }

    /// Whether the page asks on by itself.
    fn goes_on_by_itself(&self) -> bool {
        self.is_cut_short && self.goes_on_at.is_some() && self.before.gone_on < BY_ITSELF_MAX
    }

    /// What stands below the list: what was found if that is nothing, how far the look has come, and the way on.
    pub(super) fn standing(&self, query: &Form) -> Markup {
        let further = self.further(query, self.before.gone_on + 1);
        let by_itself = further.filter(|_| self.goes_on_by_itself());
        let trigger = by_itself.is_some().then_some("load");
        let class = if by_itself.is_some() { "further goes-on" } else { "further" };
        html! {
            div #further class=(class) hx-get=[by_itself] hx-trigger=[trigger] hx-swap=[trigger.map(|_| "outerHTML")] {
                @if self.shown() == 0 { div data-until-entries { (self.nothing(query)) } }
                (self.older(query))
            }
        }
    }

    /// What joins a page that has asked on: the events, where the look stands, and at its end a word to who listens.
    pub(super) fn joining(&self, query: &Form, entries: &Markup) -> Markup {
        html! {
            @if !self.events.is_empty() { ol hx-swap-oob="beforeend:#entries" { (entries) } }
            (self.standing(query))
            @if !self.goes_on_by_itself() { p hx-swap-oob="innerHTML:#said" { (self.said()) } }
        }
    }

    fn said(&self) -> String {
        let shown = self.shown();
        let found =
            if shown == 1 { "1 event found.".to_owned() } else { format!("{shown} events found.") };
        match (self.goes_on_at, self.is_cut_short) {
            (None, _) => format!("Looked through all of history. {found}"),
            (Some(_), false) => format!("{found} There may be more."),
            (Some(id), true) => format!("Looked back to {}. {found}", id.made_at()),
        }
    }

    /// What stands where nothing was found. That nothing has happened yet is said only where that is so.
    fn nothing(&self, query: &Form) -> Markup {
        let is_narrowed = pairs(query).iter().any(|(_, value)| !value.is_empty());
        let (title, next) = match self.goes_on_at {
            Some(_) => ("Nothing found so far", html! { p { "What you look for may be older." } }),
            None if !self.before.is_of_the_latest => {
                ("Nothing older", html! { p { "This is where history begins." } })
            }
            None if is_narrowed => (
                "No event fits",
                html! { p { "Nothing in all of history fits what you chose. " a href=(HERE) { "Show every event" } } },
            ),
            None => (
                "No events yet",
                html! { p { "Events appear here the moment they are accepted: users and groups that an identity provider creates, changes and deletes." } },
            ),
        };
        empty(title, &next)
    }

    /// The way on, and how far the page has looked where that is not told by what it shows.
    fn older(&self, query: &Form) -> Markup {
        let Some(id) = self.goes_on_at else {
            return html! { @if self.before.gone_on > 0 { p.note { "Looked through all of history." } } };
        };
        let id_text = id.to_string();
        let [kind, directory, text] = pairs(query);
        let link = address(HERE, &[kind, directory, text, ("after", &id_text)]);
        html! {
            @if self.is_cut_short { p.note { "Looked back to " (time(id.made_at())) "." } }
            nav.pager aria-label="Pages" {
                @if self.is_cut_short {
                    a.button #look-further rel="next" href=(link) hx-get=[self.further(query, 0)]
                        hx-target="#further" hx-swap="outerHTML" { "Look further →" }
                } @else { a.button rel="next" href=(link) { "Older →" } }
            }
        }
    }

    /// Where the page asks on.
    fn further(&self, query: &Form, gone_on: u32) -> Option<String> {
        let id = self.goes_on_at?.to_string();
        let (shown, gone_on) = (self.shown().to_string(), gone_on.to_string());
        let [kind, directory, text] = pairs(query);
        let older = ("older", if self.before.is_of_the_latest { "" } else { "1" });
        let place = [("after", id.as_str()), ("shown", &shown), ("gone_on", &gone_on), older];
        let pairs: Vec<_> = [kind, directory, text].into_iter().chain(place).collect();
        Some(address(&format!("{HERE}/further"), &pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str, goes_on_at: Option<u128>, gone_on: u32) -> Found {
        let before = Place { gone_on, ..Place::at(&Form::parse(query.as_bytes())) };
        let goes_on_at = goes_on_at.map(EventId::from_bits);
        Found { events: Vec::new(), before, goes_on_at, is_cut_short: true }
    }

    fn standing(query: &str, goes_on_at: Option<u128>, gone_on: u32) -> String {
        found(query, goes_on_at, gone_on).standing(&Form::parse(query.as_bytes())).into_string()
    }

    #[test]
    fn a_page_that_has_stopped_looking_says_so_and_goes_on_by_itself() {
        let shown = standing("text=jane", Some(1_000 << 80), 0);
        assert!(shown.contains("Nothing found so far") && !shown.contains("No events yet"));
        assert!(shown.contains("Looked back to") && shown.contains("1970-01-01"), "{shown}");
        assert!(shown.contains("?text=jane&amp;after=event_"), "{shown}");
        assert!(shown.contains("hx-trigger=\"load\"") && shown.contains("gone_on=1"), "{shown}");
    }

    #[test]
    fn a_page_that_has_gone_on_for_long_waits_for_somebody_to_ask() {
        let shown = standing("text=jane", Some(1_000 << 80), BY_ITSELF_MAX);
        assert!(!shown.contains("hx-trigger"), "{shown}");
        assert!(shown.contains("Look further") && shown.contains("gone_on=0"), "{shown}");
        let said = found("text=jane", Some(1_000 << 80), BY_ITSELF_MAX).said();
        assert_eq!(said, "Looked back to 1970-01-01T00:00:01.000Z. 0 events found.");
    }

    #[test]
    fn where_a_search_stands_is_read_within_its_limits() {
        let place = Place::further(&Form::parse(b"shown=7&gone_on=3&older=1"));
        assert_eq!((place.shown, place.gone_on, place.is_of_the_latest), (7, 3, false));
        let place = Place::further(&Form::parse(b"shown=99999&gone_on=99999999999"));
        assert_eq!((place.shown, place.gone_on, place.is_of_the_latest), (SHOWN, 0, true));
    }

    #[test]
    fn only_an_empty_history_has_no_events_yet() {
        let said = |query: &str| standing(query, None, 0);
        assert!(said("").contains("No events yet"));
        assert!(said("type=dsync.user.deleted").contains("No event fits"));
        assert!(said("after=event_00000000000000000000000000").contains("Nothing older"));
        assert!(!said("").contains("Look"));
        assert!(standing("text=a", None, 1).contains("Looked through all of history"));
    }
}
