//! What identity providers sent, what became of it, and what to do where it was refused.

use std::sync::Arc;

use api::ports::{
    AuditEvent, AuditFilter, Cursor, Directory, Order, PageRequest, Reach, ScimRequest,
};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::RequestId;
use serde_json::Value;

use super::{
    DIRECTORY, REQUEST, address, directory_of, directory_path, first_few, is_first, paging,
};
use crate::Console;
use crate::error::Error;
use crate::explain::explain;
use crate::form::{Query, path_id};
use crate::layout::{Page, Section};
use crate::live::entry;
use crate::parts::list::{column, minor, table};
use crate::parts::{self, Tone, badge, empty, facts, live, pager, time};
use crate::session::Viewer;

/// How many of the events that a request caused are shown.
const EVENTS_SHOWN: u32 = 50;

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let request = paging(&query);
    let page = console.directories.requests(directory.id, request).await;
    let page = page.map_err(Error::about(DIRECTORY))?;
    let own = directory_path(directory.id);
    let here = format!("{own}/requests");
    let found = html! {
        @if is_first(&page, &request) {
            (empty("No requests yet", &html! { p { "What the identity provider sends is listed here, with what was refused and why. Test the connection there." } }))
        } @else {
            (list_of(&directory, &page.items))
            (pager(&page, |one| one.id, |way, id| address(&here, &[(way, id)])))
        }
    };
    // Who looks at an older page does not want it to move.
    let body = html! {
        p.lead { "The latest thousand requests of this directory." }
        @if request.cursor.is_none() { (live("requests", &here, &found)) } @else { (found) }
    };
    let shown = Page::new(&viewer, Section::Organizations, "SCIM requests")
        .under("/console/organizations", "Organizations")
        .under(own, &directory.name)
        .following(format!("/console/changes?directory={}", directory.id));
    Ok(shown.show(&body))
}

pub(crate) fn list_of(directory: &Directory, requests: &[ScimRequest]) -> Markup {
    let row = |request: &ScimRequest| {
        let link = path(directory, request.id);
        [
            html! { a href=(link) { (request.method) " " (parts::text(&request.path)) } },
            html! {
                (status(request.status))
                @if let Some(detail) = &request.detail { " " span.detail { (parts::text(detail)) } }
            },
            html! { (request.events) },
            milliseconds(request),
            time(request.at),
        ]
    };
    let columns =
        [column("Request"), column("Answer"), minor("Events"), minor("Took"), minor("When")];
    table("SCIM requests", columns, requests.iter().map(row))
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path((directory, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &directory).await?;
    let request = find(&console, &directory, path_id(REQUEST, &id)?).await?;
    let request = request.ok_or(Error::Missing(REQUEST))?;
    let caused = caused(&console, &directory, &request).await?;
    let own = directory_path(directory.id);
    let body = html! {
        (about(&request))
        section aria-labelledby="caused" {
            h2 #caused { "Events it caused" }
            @if caused.is_empty() { p.faint { "none" } }
            @else { ol.entries { @for event in &caused { (entry(event, &directory.name)) } } }
        }
        (bodies(&request))
    };
    let title = format!("{} {}", request.method, request.path);
    let shown = Page::new(&viewer, Section::Organizations, title)
        .under(&own, &directory.name)
        .under(format!("{own}/requests"), "SCIM requests");
    Ok(shown.show(&body))
}

/// Everything that is known of a request but its bodies.
pub(crate) fn about(request: &ScimRequest) -> Markup {
    let mut about = vec![
        ("Answer", status(request.status)),
        ("When", time(request.at)),
        ("Took", milliseconds(request)),
        ("Id", html! { code { (request.id) } }),
    ];
    if !request.tolerated.is_empty() {
        let tolerated = html! { @for name in &request.tolerated { span.item { code { (name) } } } };
        about.push(("Read leniently", tolerated));
    }
    if let Some(kind) = &request.scim_type {
        about.push(("Kind of error", html! { code { (kind) } }));
    }
    html! {
        (facts(&about))
        @if let Some(text) = explain(request.status, request.scim_type.as_deref()) {
            (parts::notice::note(&html! {
                @if let Some(detail) = &request.detail { p { strong { "The identity provider was told: " } (parts::text(detail)) } }
                p { strong { "What to do: " } (text) }
            }))
        }
    }
}

fn bodies(request: &ScimRequest) -> Markup {
    let shown = |title: &str, body: &Option<String>| {
        html! {
            @if let Some(body) = body {
                h3 { (title) }
                @match serde_json::from_str::<Value>(body) {
                    Ok(value) => (parts::json(&value)),
                    Err(_) => pre.json dir="auto" { code { (body) } },
                }
            }
        }
    };
    html! {
        section aria-labelledby="bodies" {
            h2 #bodies { "Bodies" }
            @if request.request_body.is_none() && request.response_body.is_none() {
                p.faint { "Not kept. " code { "debug_requests" } " of the SCIM settings of the directory keeps those of later requests for a while." }
            }
            (shown("Request", &request.request_body))
            (shown("Answer", &request.response_body))
        }
    }
}

/// The request with this id, if it is still remembered.
pub(crate) async fn find(
    console: &Console,
    directory: &Directory,
    id: RequestId,
) -> Result<Option<ScimRequest>, Error> {
    // The list has no other way to one of its items than the cursor in front of it.
    let behind = RequestId::from_bits(id.bits().saturating_add(1));
    let page = PageRequest {
        reach: Reach::Everything,
        limit: 1,
        order: Order::Descending,
        cursor: Some(Cursor::After(behind)),
    };
    let found = console.directories.requests(directory.id, page).await;
    let found = found.map_err(Error::about(DIRECTORY))?.items.pop();
    Ok(found.filter(|request| request.id == id))
}

/// They were decided just before the request was answered, so that narrows where to look.
async fn caused(
    console: &Console,
    directory: &Directory,
    request: &ScimRequest,
) -> Result<Vec<AuditEvent>, Error> {
    if request.events == 0 {
        return Ok(Vec::new());
    }
    let filter = AuditFilter {
        directory: Some(directory.id),
        request: Some(request.id),
        from: Some(request.id.made_at()),
        to: Some(request.at),
        ..AuditFilter::default()
    };
    let page = PageRequest { order: Order::Ascending, ..first_few(EVENTS_SHOWN) };
    Ok(console.audit.audit(page, filter).await?.page.items)
}

pub(crate) fn path(directory: &Directory, id: RequestId) -> String {
    format!("{}/requests/{id}", directory_path(directory.id))
}

pub(crate) fn status(status: u16) -> Markup {
    badge(if status < 400 { Tone::Good } else { Tone::Bad }, status)
}

fn milliseconds(request: &ScimRequest) -> Markup {
    let ms = request.duration.as_secs_f64() * 1_000.0;
    html! { span.number { (format!("{ms:.1} ms")) } }
}
