//! Events: as they happen, and one of them with what led to it and what it led to.

mod search;

use std::str::FromStr as _;
use std::sync::Arc;

use api::ports::{AuditEvent, AuditFilter, Directory, DirectoryFilter, PortError, Reach};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{Markup, html};
use schemas::{Actor, EventId, EventType, RequestId};
use serde_json::{Value, json};

use self::search::Place;
use super::endpoints::{attempt_path, outcome, path as endpoint_path};
use super::{EVENT, address, directory_name, directory_path, first_few, requests};
use crate::Console;
use crate::error::Error;
use crate::form::{Form, Query, path_id};
use crate::layout::{Page, Section};
use crate::live::{self, entry};
use crate::parts::list::{column, minor, table};
use crate::parts::{self, facts, time};
use crate::ports::Delivered;
use crate::session::Viewer;

const HERE: &str = "/console/events";

/// How many of the latest events a page begins with.
const SHOWN: u32 = 50;

/// How many directories there are to choose from; where there are more, the page of one leads here.
const DIRECTORIES_MAX: u32 = 100;

/// How many attempts at delivering an event are shown, of all endpoints: the rest is found at the endpoints.
const ATTEMPTS_SHOWN: u32 = 50;

/// How long a text to look for may be: an address, or an id.
const TEXT_MAX: usize = 255;

/// What a browser says when it goes on with a stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let filter = filter(&query);
    // Asked first: what comes after that is sent by the stream.
    let end = console.reading.feed_end().await?;
    let place = Place::at(&query);
    let found = search::found(&console, &filter, place).await?;
    let (directories, names) = directories(&console, &found.events).await?;
    let entries = entries(&found.events, &names);
    let body = html! {
        (filters(&query, &filter, &directories))
        @if place.is_of_the_latest { (ol_that_goes_on(&query, found.events.first().map(|event| event.id).max(end.event), &entries)) }
        @else { (ol_of_the_past(&query, &entries)) }
        (found.standing(&query))
    };
    Ok(Page::new(&viewer, Section::Events, "Live events").show(&body))
}

/// What a page goes on with that has not looked through all of history.
pub(crate) async fn further(
    State(console): State<Arc<Console>>,
    _: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let found = search::found(&console, &filter(&query), Place::further(&query)).await?;
    let (_, names) = directories(&console, &found.events).await?;
    let joining = found.joining(&query, &entries(&found.events, &names));
    Ok(Html(joining.into_string()).into_response())
}

fn entries(events: &[AuditEvent], names: &[String]) -> Markup {
    html! { @for (event, name) in events.iter().zip(names) { (entry(event, name)) } }
}

/// The latest, to which the stream adds.
fn ol_that_goes_on(query: &Form, newest: Option<EventId>, entries: &Markup) -> Markup {
    let stream = address(&format!("{HERE}/stream"), &pairs(query));
    let after = newest.map(|id| id.to_string()).unwrap_or_default();
    html! {
        p.status role="status" #live-state data-live-state {}
        ol #entries.entries data-stream=(stream) data-after=(after) { (entries) }
    }
}

/// Older ones, to which nothing comes any more.
fn ol_of_the_past(query: &Form, entries: &Markup) -> Markup {
    html! {
        p.status { "Older events. " a href=(address(HERE, &pairs(query))) { "Back to the latest" } }
        ol #entries.entries { (entries) }
    }
}

/// The same, as it goes on. `after` is where the page ends; an empty one is the beginning of history.
pub(crate) async fn stream(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Error> {
    let id = |text: &str| text.parse::<EventId>().ok();
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()).and_then(id);
    let from = match (last, query.one("after")) {
        (Some(last), _) => Some(last),
        (None, Some("")) => None,
        (None, after) => match after.and_then(id) {
            Some(after) => Some(after),
            None => console.reading.feed_end().await?.event,
        },
    };
    live::entries(&console, &viewer, filter(&query), from)
}

fn filter(query: &Form) -> AuditFilter {
    let text = query.text("text").map(|text| text.chars().take(TEXT_MAX).collect());
    AuditFilter {
        types: query
            .text("type")
            .and_then(|name| EventType::from_str(name).ok())
            .into_iter()
            .collect(),
        directory: query.id("directory"),
        text,
        ..AuditFilter::default()
    }
}

fn pairs(query: &Form) -> [(&'static str, &str); 3] {
    ["type", "directory", "text"].map(|name| (name, query.text(name).unwrap_or_default()))
}

/// The directories to choose from, and for each event the name of its own.
async fn directories(
    console: &Console,
    events: &[AuditEvent],
) -> Result<(Vec<Directory>, Vec<String>), Error> {
    let page = first_few(DIRECTORIES_MAX);
    let directories = console.directories.list(page, DirectoryFilter::default()).await?.items;
    let mut names = Vec::with_capacity(events.len());
    for event in events {
        let known = directories.iter().find(|directory| directory.id == event.directory_id);
        names.push(match known {
            Some(directory) => directory.name.clone(),
            None => directory_name(console, event.directory_id).await?,
        });
    }
    Ok((directories, names))
}

fn filters(query: &Form, filter: &AuditFilter, directories: &[Directory]) -> Markup {
    let text = query.text("text").unwrap_or_default();
    html! {
        form.filters method="get" action=(HERE) role="search" {
            div.field {
                label for="type" { "Type" }
                select #type name="type" {
                    option value="" { "All" }
                    @for kind in EventType::ALL {
                        option value=(kind.name()) selected[filter.types.contains(kind)] { (kind.name()) }
                    }
                }
            }
            div.field {
                label for="directory" { "Directory" }
                select #directory name="directory" {
                    option value="" { "All" }
                    @for directory in directories {
                        option value=(directory.id) selected[filter.directory == Some(directory.id)] { (directory.name) }
                    }
                    @if let Some(id) = filter.directory.filter(|id| directories.iter().all(|one| one.id != *id)) {
                        option value=(id) selected { (id) }
                    }
                }
            }
            div.field {
                label for="text" { "Contains" }
                input #text type="search" name="text" value=(text) dir="auto" autocomplete="off" spellcheck="false";
            }
            div.buttons {
                button.button.primary type="submit" { "Filter" }
                button.button type="button" data-pause aria-pressed="false" hidden { "Pause" }
            }
        }
    }
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let event = get(&console, &id).await?;
    let name = directory_name(&console, event.directory_id).await?;
    let body = known_of(&console, &event).await?;
    let page = Page::new(&viewer, Section::Events, event.event.name())
        .under(HERE, "Live events")
        .under(directory_path(event.directory_id), name);
    Ok(page.show(&body))
}

/// What opens under a line.
pub(crate) async fn detail(
    State(console): State<Arc<Console>>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let event = get(&console, &id).await?;
    let body = html! {
        (known_of(&console, &event).await?)
        p { a href={ (HERE) "/" (event.id) } { "Open the event" } }
    };
    Ok(Html(body.into_string()).into_response())
}

async fn get(console: &Console, text: &str) -> Result<AuditEvent, Error> {
    let id = path_id(EVENT, text)?;
    console.lookups.event(id).await.map_err(Error::about(EVENT))
}

/// The request that caused it, the deliveries that it led to, and the event itself.
async fn known_of(console: &Console, event: &AuditEvent) -> Result<Markup, Error> {
    let actor: Actor = serde_json::from_str(event.actor.get()).unwrap_or_default();
    let request = cause(console, event, &actor).await?;
    let deliveries = console.lookups.attempts_of(event.id, ATTEMPTS_SHOWN).await?;
    // More than one event may be open on a page, so nothing here has an id.
    Ok(html! {
        div.event {
            div {
                h2.small { "Caused by" }
                (request)
                h2.small { "Deliveries" }
                @if deliveries.is_empty() { p.faint { "none so far" } }
                @else { (attempts_of(&deliveries)) }
            }
            div { h2.small { "Event" } (parts::json(&as_json(event, &actor))) }
        }
    })
}

fn as_json(event: &AuditEvent, actor: &Actor) -> Value {
    let data: Value = serde_json::from_str(event.data.get()).unwrap_or_default();
    json!({
        "id": event.id, "event": event.event, "created_at": event.created_at, "data": data,
        "directory_id": event.directory_id, "seq": event.seq, "hash": event.hash,
        "prev_hash": event.prev_hash, "actor": actor,
    })
}

async fn cause(console: &Console, event: &AuditEvent, actor: &Actor) -> Result<Markup, Error> {
    let mut who = Vec::new();
    if let Some(suffix) = &actor.token_suffix {
        let what = if actor.api_key_id.is_some() { "API key" } else { "Token" };
        who.push((what, html! { code { "…" (suffix) } }));
    }
    if let Some(role) = &actor.console_role {
        who.push(("Console", html! { "signed in as " (role) }));
    }
    if let Some(link) = actor.portal_link_id {
        who.push(("Setup page", html! { "opened by the link " code { (link) } }));
    }
    if let Some(ip) = &actor.ip {
        who.push(("From", html! { code { (ip) } }));
    }
    if let Some(agent) = &actor.user_agent {
        who.push(("Client", parts::text(agent)));
    }
    let id = actor.request_id.as_deref().and_then(|text| text.parse::<RequestId>().ok());
    let directory = console.directories.get(Reach::Everything, event.directory_id).await;
    let found = match (id, directory) {
        (Some(id), Ok(directory)) => {
            requests::find(console, &directory, id).await?.map(|request| (directory, request))
        }
        (None, Ok(_)) | (_, Err(PortError::NotFound)) => None,
        (_, Err(error)) => return Err(error.into()),
    };
    Ok(html! {
        @match (&found, id) {
            (Some((directory, request)), _) => p {
                a href=(requests::path(directory, request.id)) { (request.method) " " (parts::text(&request.path)) } " "
                (requests::status(request.status)) " " (time(request.at))
            },
            (None, Some(id)) if actor.api_key_id.is_some() => p { "The API request " code { (id) } "." },
            (None, Some(_)) if actor.console_role.is_some() => p { "A change in this console." },
            (None, Some(_)) if actor.portal_link_id.is_some() => p { "A change on a setup page." },
            (None, Some(id)) => p { "The SCIM request " code { (id) } ", which is not remembered any more." },
            (None, None) => p { "A change of configuration." },
        }
        (facts(&who))
    })
}

fn attempts_of(deliveries: &[Delivered]) -> Markup {
    let row = |Delivered { endpoint, url, attempt }: &Delivered| {
        [
            html! { a href=(endpoint_path(*endpoint)) { (parts::url(url)) } },
            html! { a href=(attempt_path(*endpoint, attempt.id)) { (outcome(attempt)) } },
            html! { (attempt.attempt) },
            time(attempt.at),
        ]
    };
    let columns = [column("Endpoint"), column("Answer"), minor("Attempt"), minor("When")];
    html! {
        (table("Deliveries", columns, deliveries.iter().map(row)))
        @if deliveries.len() >= ATTEMPTS_SHOWN as usize { p.note { "These are the latest " (ATTEMPTS_SHOWN) " attempts." } }
    }
}
