//! What an endpoint was sent: the attempts, and one of them with request and answer.

use std::sync::Arc;

use api::ports::{
    Attempt, AttemptFilter, AttemptStatus, Cursor, Endpoint, Order, PageRequest, Reach,
};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::{AttemptId, EndpointId, EndpointKind, ReplayId};
use serde_json::Value;

use super::super::{ATTEMPT, paging};
use super::chart::milliseconds;
use super::show::{nothing_sent, with};
use super::{address, get, page_under, path as endpoint_path, replays};
use crate::Console;
use crate::error::Error;
use crate::form::{Form, path_id};
use crate::pages::first_few;
use crate::parts::form::{form, hidden};
use crate::parts::list::{column, minor, table};
use crate::parts::{self, Tone, badge, facts, pager, time};
use crate::session::Viewer;

/// How many attempts at the same event are shown: as many as the usual schedule has.
const SIBLINGS_SHOWN: u32 = 25;

/// How attempts are narrowed, as addresses have it and as pages call it.
const OUTCOMES: [(&str, &str); 4] =
    [("", "All"), ("failed", "Failed"), ("exhausted", "Given up"), ("delivered", "Delivered")];

fn status_named(name: &str) -> Option<AttemptStatus> {
    match name {
        "failed" => Some(AttemptStatus::Failed),
        "exhausted" => Some(AttemptStatus::Exhausted),
        "delivered" => Some(AttemptStatus::Delivered),
        _ => None,
    }
}

/// The list on the page of an endpoint.
pub(super) async fn list(
    console: &Console,
    endpoint: &Endpoint,
    query: &Form,
) -> Result<Markup, Error> {
    let request = paging(query);
    let named = query.text("status").filter(|name| status_named(name).is_some());
    let status = named.and_then(status_named);
    let filter = AttemptFilter { status, ..AttemptFilter::default() };
    let page = console.deliveries.attempts(endpoint.id, request, filter).await?;
    let own = endpoint_path(endpoint.id);
    let to = |name| address(&own, &with(query, "status", name));
    Ok(html! {
        section aria-labelledby="attempts-title" {
            div.heading {
                h2 #attempts-title { "Attempts" }
                nav.tabs aria-label="Outcome" {
                    @for (name, title) in OUTCOMES {
                        a #{ "status-" (name) } href=(to(name)) aria-current=[(named.unwrap_or_default() == name).then_some("true")] { (title) }
                    }
                }
            }
            @if page.items.is_empty() && request.cursor.is_none() { (nothing_sent(named)) }
            @else {
                (table_of(endpoint.id, &page.items))
                (pager(&page, |one| one.id, |way, id| {
                    let mut pairs = with(query, "", "");
                    pairs.push((if way == "after" { "after" } else { "before" }, id));
                    address(&own, &pairs)
                }))
            }
        }
    })
}

fn table_of(endpoint: EndpointId, attempts: &[Attempt]) -> Markup {
    let row = |attempt: &Attempt| {
        [
            html! { a #(attempt.id) href=(path(endpoint, attempt.id)) { (event_name(attempt)) } },
            outcome(attempt),
            html! { span.number { (attempt.attempt) } },
            html! { span.number { (milliseconds(attempt.duration)) } },
            time(attempt.at),
        ]
    };
    let columns =
        [column("Event"), column("Answer"), minor("Attempt"), minor("Took"), minor("When")];
    table("Attempts", columns, attempts.iter().map(row))
}

fn event_name(attempt: &Attempt) -> String {
    attempt.event.clone().unwrap_or_else(|| attempt.event_id.to_string())
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path((endpoint, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    let endpoint = get(&console, &endpoint).await?;
    let attempt = find(&console, &endpoint, path_id(ATTEMPT, &id)?).await?;
    let filter = AttemptFilter { event: Some(attempt.event_id), ..AttemptFilter::default() };
    let page = first_few(SIBLINGS_SHOWN);
    let siblings = console.deliveries.attempts(endpoint.id, page, filter).await?.items;
    let replay = ReplayId::from_bits(console.edge.id());
    let body = html! {
        (about(&endpoint, &attempt))
        @if viewer.is_admin() && endpoint.kind == EndpointKind::Directory {
            (form(&viewer, &format!("{}/replay", endpoint_path(endpoint.id)), &html! {
                (hidden("id", replay))
                (hidden("event_id", attempt.event_id))
                div.buttons { button.button.primary type="submit" { "Send this event again" } }
            }))
        }
        (bodies(&attempt))
        section aria-labelledby="siblings-title" {
            h2 #siblings-title { "All attempts at this event" }
            (table_of(endpoint.id, &siblings))
        }
    };
    Ok(page_under(&viewer, &endpoint, event_name(&attempt)).show(&body))
}

/// The list has no other way to one of its items than the cursor in front of it.
async fn find(console: &Console, endpoint: &Endpoint, id: AttemptId) -> Result<Attempt, Error> {
    let behind = AttemptId::from_bits(id.bits().saturating_add(1));
    let page = PageRequest {
        reach: Reach::Everything,
        limit: 1,
        order: Order::Descending,
        cursor: Some(Cursor::After(behind)),
    };
    let found = console.deliveries.attempts(endpoint.id, page, AttemptFilter::default()).await?;
    found.items.into_iter().find(|attempt| attempt.id == id).ok_or(Error::Missing(ATTEMPT))
}

fn about(endpoint: &Endpoint, attempt: &Attempt) -> Markup {
    let event = html! {
        @match endpoint.kind {
            EndpointKind::Directory => a href={ "/console/events/" (attempt.event_id) } { code { (attempt.event_id) } },
            EndpointKind::Operational => code { (attempt.event_id) },
        }
    };
    let mut about = vec![
        ("Answer", outcome(attempt)),
        ("When", time(attempt.at)),
        ("Took", html! { (milliseconds(attempt.duration)) }),
        ("Attempt", html! { (attempt.attempt) }),
        ("Event, sent as webhook-id", event),
        ("Sent to", parts::url(&endpoint.url)),
    ];
    if let Some(id) = attempt.replay {
        about.push(("Replay", html! { a href=(replays::path(endpoint.id, id)) { code { (id) } } }));
    }
    html! {
        (facts(&about))
        @if let Some(failure) = &attempt.failure {
            (parts::notice::note(&html! {
                p { strong { "What happened: " } (explain(failure)) }
                @if attempt.exhausted { p { "The schedule is used up, so nobody tries again by himself." } }
            }))
        }
    }
}

/// What a failure means, and where to look.
fn explain(failure: &str) -> &'static str {
    match failure {
        "dns" => "The name of the host was not found. Look at the URL and at the DNS.",
        "connect" => {
            "Nobody takes connections there. Look whether the app runs, and at firewalls in between."
        }
        "proxy" => "The egress proxy did not make the connection. Its log says more.",
        "tls" => {
            "No secure connection came about. Look at the certificate of the host: its names, its dates and who signed it."
        }
        "timeout" => {
            "No whole answer came in time. An app does well to answer at once and to work afterwards."
        }
        "status" => "It answered with something else than 2xx. The log of the app says why.",
        "protocol" => {
            "The connection ended before the answer did, or the answer is not HTTP as it should be. An app that asks for a client certificate may hang up on one that it does not know."
        }
        "refused" => {
            "Webhooks must not go to that address: it lies within the network, or is not allowed by the settings."
        }
        "unreadable" => {
            "The event could not be read, so nothing was sent. The log of the server says more."
        }
        _ => "It failed in a way that this version does not know.",
    }
}

fn bodies(attempt: &Attempt) -> Markup {
    let is_kept = attempt.failure.is_some();
    html! {
        section aria-labelledby="bodies-title" {
            h2 #bodies-title { "Request and answer" }
            @if !is_kept {
                p.faint { "Bodies are kept of failures alone. What was sent is the event as its page shows it." }
            } @else {
                h3 { "Request" }
                @match &attempt.request {
                    Some(bytes) => (body(bytes)),
                    None => p.faint { "Not kept: a token is made anew for each attempt, or the event is forgotten." },
                }
                h3 { "Answer" }
                @match &attempt.response {
                    Some(bytes) => (body(bytes)),
                    None => (no_answer(attempt.status)),
                }
                p.note { "At most the first 4 KiB of each. Signatures are made anew for each attempt and not kept." }
            }
        }
    }
}

/// Why there is no body of an answer.
pub(super) fn no_answer(status: Option<u16>) -> Markup {
    html! {
        @match status {
            None => p.faint { "None came." },
            Some(_) => p.faint { "Its body was empty, or is not shown because the address lies within the network." },
        }
    }
}

/// Bytes from outside as people read them.
pub(super) fn body(bytes: &[u8]) -> Markup {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => parts::json(&value),
        Err(_) => html! { pre.json dir="auto" { code { (String::from_utf8_lossy(bytes)) } } },
    }
}

/// What came of an attempt, in a word.
pub(crate) fn outcome(attempt: &Attempt) -> Markup {
    let tone = if attempt.failure.is_none() { Tone::Good } else { Tone::Bad };
    let status = attempt.status.map(|status| status.to_string());
    let word = status.or_else(|| attempt.failure.as_deref().map(|name| named(name).to_owned()));
    html! { (badge(tone, word.unwrap_or_default())) @if attempt.exhausted { " not tried again" } }
}

/// What failed where no status came back, in words that need no manual.
fn named(failure: &str) -> &str {
    match failure {
        "dns" => "host not found",
        "connect" => "no connection",
        "proxy" => "proxy failed",
        "tls" => "no TLS",
        "timeout" => "too slow",
        "protocol" | "unreadable" => "unreadable answer",
        "unknown_topic" => "no such topic",
        "not_authorized" => "not allowed",
        "too_large" => "too large",
        other => other,
    }
}

pub(crate) fn path(endpoint: EndpointId, id: AttemptId) -> String {
    format!("{}/attempts/{id}", endpoint_path(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_answers_is_text() {
        let shown = body(b"<script>alert('answer')</script>\xff").into_string();
        assert!(shown.contains("&lt;script&gt;alert('answer')&lt;/script&gt;\u{fffd}"), "{shown}");
        let shown = body(br#"{"a":"</pre><script>"}"#).into_string();
        assert!(shown.contains("&lt;/pre&gt;&lt;script&gt;"), "{shown}");
        assert!(!shown.contains("<script"), "{shown}");
    }
}
