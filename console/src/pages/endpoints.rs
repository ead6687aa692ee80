//! Webhook endpoints: the list, one of them with what it was sent, and what is done about them.

mod attempts;
mod changes;
mod chart;
mod form;
mod replays;
mod show;
mod trial;
mod typed;

use std::sync::Arc;

use api::actions::{FieldError, Refused};
use api::ports::{Conflict, Delivering, Endpoint, Health, PortError};
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use schemas::{EndpointId, EndpointKind, EventType, OrganizationId, Timestamp};

use super::{
    ENDPOINT, address, directory_name, directory_path, is_first, organizations, paging, shown,
};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::{Query, path_id};
use crate::layout::{Page, Section};
use crate::parts::list::{column, minor, table};
use crate::parts::{self, Tone, badge, empty, live, number, pager};
use crate::rated::percent;
use crate::session::Viewer;

pub(crate) use attempts::{outcome, path as attempt_path, show as attempt};
pub(crate) use changes::{confirm, delete, disable, enable, rotate, rotation};
pub(crate) use form::{create, edit, new, update};
pub(crate) use replays::{
    cancel as replay_cancel, create as replay, new as replay_new, show as replay_show,
};
pub(crate) use show::{fingerprint, show};
pub(crate) use trial::{new as sample, send as test};

const LIST: &str = "/console/endpoints";

/// How many of the latest attempts the list counts: it shows many endpoints, and is to come at once.
const GLANCED_AT: u32 = 100;

/// How many endpoints of an organization its page names.
const OF_ORGANIZATION_MAX: u32 = 100;

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let request = paging(&query);
    let page = console.endpoints.list(request).await?;
    let now = console.edge.now();
    let mut rows = Vec::with_capacity(page.items.len());
    for endpoint in &page.items {
        // One that was deleted meanwhile is left out.
        match row(&console, endpoint, now).await {
            Ok(row) => rows.push(row),
            Err(PortError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let found = html! {
        @if is_first(&page, &request) { (nothing_yet(&viewer)) }
        @else {
            (table("Webhook endpoints", [column("URL"), column("State"), minor("Events"), minor("Latest 100 attempts"), minor("Waiting for it")], rows))
            (pager(&page, |one| one.id, |way, id| address(LIST, &[(way, id)])))
        }
    };
    let here = address(
        LIST,
        &[
            ("after", query.text("after").unwrap_or_default()),
            ("before", query.text("before").unwrap_or_default()),
        ],
    );
    let body = html! {
        @if viewer.is_admin() && !is_first(&page, &request) {
            div.actions { a.button.primary href={ (LIST) "/new" } { "Add endpoint" } }
        }
        (live("endpoints", &here, &found))
    };
    let page = Page::new(&viewer, Section::Endpoints, "Webhook endpoints");
    Ok(page.following("/console/changes?of=pipeline").show(&body))
}

fn nothing_yet(viewer: &Viewer) -> Markup {
    let next = html! {
        p { "An endpoint is a URL of your app that is told what happens in the directories of your customers." }
        @if viewer.is_admin() { a.button.primary href={ (LIST) "/new" } { "Add endpoint" } }
        @else { p { "An admin adds the first one." } }
    };
    empty("No webhook endpoints yet", &next)
}

async fn row(
    console: &Console,
    endpoint: &Endpoint,
    now: Timestamp,
) -> Result<[Markup; 5], PortError> {
    let standing = console.lookups.standing(endpoint.id).await?;
    let latest =
        console.lookups.latest_attempts(endpoint.id, Timestamp::from_millis(0), GLANCED_AT);
    let latest = latest.await?;
    let delivered = latest.iter().filter(|attempt| attempt.failure.is_none()).count() as u64;
    let share = percent(delivered, latest.len() as u64 - delivered);
    Ok([
        html! { a #(endpoint.id) href=(path(endpoint.id)) { (parts::url(&endpoint.url)) } },
        state(endpoint, &standing),
        html! { (gets(endpoint)) },
        html! { @match share { Some(share) => { span.number { (share) } " delivered" }, None => span.faint { "none yet" } } },
        lag(&standing, now),
    ])
}

/// How an endpoint is doing, in words that need no manual.
fn state(endpoint: &Endpoint, standing: &Delivering) -> Markup {
    match standing.health(endpoint.enabled) {
        Health::Disabled => badge(
            if standing.disabled_reason.is_some() { Tone::Bad } else { Tone::Plain },
            "turned off",
        ),
        Health::Healthy => badge(Tone::Good, "healthy"),
        Health::Failing => badge(Tone::Bad, "failing"),
        Health::Paused => badge(Tone::Bad, "failing, tried now and then"),
    }
}

/// How much it has not got.
fn lag(standing: &Delivering, now: Timestamp) -> Markup {
    if standing.lag_events == 0 {
        return html! { span.faint.number { "nothing" } };
    }
    let since = standing.oldest_waiting.map(|at| lasting(now.since(at).as_secs()));
    let events = if standing.lag_events == 1 { "event" } else { "events" };
    html! { span.number { (number(standing.lag_events)) " " (events) @if let Some(since) = since { ", " (since) } } }
}

/// A length of time, as exact as it is read.
fn lasting(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}\u{202f}s"),
        60..3_600 => format!("{}\u{202f}min", seconds / 60),
        3_600..172_800 => format!("{}\u{202f}h", seconds / 3_600),
        _ => format!("{}\u{202f}days", seconds / 86_400),
    }
}

/// What it subscribes to, in a few words.
fn gets(endpoint: &Endpoint) -> String {
    let all = EventType::ALL.iter().filter(|kind| kind.is_subscribable()).count();
    let mut words = match endpoint.kind {
        EndpointKind::Operational => vec!["operational events".to_owned()],
        EndpointKind::Directory => vec![match endpoint.events.len() {
            count if count == all => "all events".to_owned(),
            1 => "1 event type".to_owned(),
            count => format!("{count} event types"),
        }],
    };
    for (count, one, many) in [
        (endpoint.organizations.len(), "organization", "organizations"),
        (endpoint.directories.len(), "directory", "directories"),
    ] {
        match count {
            0 => {}
            1 => words.push(format!("1 {one}")),
            _ => words.push(format!("{count} {many}")),
        }
    }
    words.join(", ")
}

/// The endpoints that name an organization, for its page.
pub(crate) async fn of_organization(
    console: &Console,
    viewer: &Viewer,
    organization: OrganizationId,
) -> Result<Markup, Error> {
    let named = console.lookups.endpoints_of(organization, OF_ORGANIZATION_MAX + 1).await?;
    let (shown, has_more) = shown(&named, OF_ORGANIZATION_MAX);
    Ok(html! {
        section aria-labelledby="endpoints-title" {
            div.heading {
                h2 #endpoints-title { "Webhook endpoints" }
                @if viewer.is_admin() {
                    a.button href=(address(&format!("{LIST}/new"), &[("organizations", &organization.to_string())])) { "Add endpoint" }
                }
            }
            @if !named.is_empty() {
                ul.rows { @for endpoint in shown { li { a href=(path(endpoint.id)) { (parts::url(&endpoint.url)) } span.faint { (gets(endpoint)) } } } }
            }
            @if has_more { p.note { "These are the newest " (OF_ORGANIZATION_MAX) "." } }
            p.note {
                @if named.is_empty() { "None is for this organization alone. " }
                a href=(LIST) { "Those for all organizations" } " get its events too."
            }
        }
    })
}

/// What the form or the page is to say of a refusal; what no form can mend goes on.
fn wrong(refused: Refused) -> Result<Vec<FieldError>, Error> {
    let one = |field: &str, message: String| {
        vec![FieldError { code: "invalid", field: field.to_owned(), message: Some(message) }]
    };
    match refused {
        Refused::Fields(errors) => Ok(errors),
        Refused::Url(why) => Ok(one("endpoint_url", why)),
        Refused::Port(PortError::Conflict(conflict @ Conflict::EndpointUrl)) => {
            Ok(one("endpoint_url", conflicting(conflict).to_owned()))
        }
        Refused::Port(PortError::Conflict(
            conflict @ (Conflict::LiveReplays | Conflict::SigningSecrets),
        )) => Ok(one("", conflicting(conflict).to_owned())),
        Refused::Port(error) => Err(Error::about(ENDPOINT)(error)),
    }
}

async fn get(console: &Console, text: &str) -> Result<Endpoint, Error> {
    let id = path_id(ENDPOINT, text)?;
    console.endpoints.get(id).await.map_err(Error::about(ENDPOINT))
}

/// A page about an endpoint, under it.
fn page_under<'a>(viewer: &'a Viewer, endpoint: &Endpoint, title: impl Into<String>) -> Page<'a> {
    let page = Page::new(viewer, Section::Endpoints, title);
    page.under(LIST, "Endpoints").under(path(endpoint.id), parts::shortened(&endpoint.url))
}

pub(crate) fn path(id: EndpointId) -> String {
    format!("{LIST}/{id}")
}

/// What somebody calls an organization; its id, if it is gone.
async fn organization_name(console: &Console, id: OrganizationId) -> Result<String, Error> {
    match console.organizations.get(api::ports::Reach::Everything, id).await {
        Ok(organization) => Ok(organization.name),
        Err(PortError::NotFound) => Ok(id.to_string()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_as_exact_as_it_is_read() {
        let shown = [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(lasting);
        let plain = shown.map(|text| text.replace('\u{202f}', " "));
        assert_eq!(plain, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 days"]);
    }
}
