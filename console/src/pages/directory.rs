//! A directory: what to enter in the identity provider, and what has come of it.

use std::sync::Arc;

use api::ports::{Directory, Reach, ScimRequest, Token};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::RequestId;
use schemas::wire::DirectoryState;

use super::{
    DIRECTORY, directory_of, directory_path, first_few, hold, organizations, requests, roles,
};
use crate::Console;
use crate::error::Error;
use crate::layout::{Page, Section};
use crate::parts::list::{column, minor, table};
use crate::parts::{
    self, Tone, badge, copy, directory_state, empty, facts, live, number, time, time_or,
};
use crate::providers;
use crate::rotation::suffix;
use crate::session::Viewer;

/// How many of the latest requests are shown.
const REQUESTS_SHOWN: u32 = 8;

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let organization =
        console.organizations.get(Reach::Everything, directory.organization_id).await?;
    let tokens = console.directories.tokens(Reach::Everything, directory.id).await;
    let tokens = tokens.map_err(Error::about(DIRECTORY))?;
    let page = first_few::<RequestId>(REQUESTS_SHOWN);
    let latest = console.directories.requests(directory.id, page).await;
    let latest = latest.map_err(Error::about(DIRECTORY))?.items;
    let own = directory_path(directory.id);
    let body = html! {
        (live("directory", &own, &html! {
            (hold::notice(&viewer, &directory))
            (state(&directory, latest.first()))
            (latest_requests(&directory, &latest))
            (credentials(&console, &viewer, &directory, &tokens))
        }))
        (attributes(&directory))
        (roles::section(&viewer, &directory))
        (danger(&viewer, &directory))
    };
    let organization_path = organizations::path(organization.id);
    let page = Page::new(&viewer, Section::Organizations, &directory.name)
        .under("/console/organizations", "Organizations")
        .under(organization_path, &organization.name)
        .following(format!("/console/changes?directory={}", directory.id));
    Ok(page.show(&body))
}

fn state(directory: &Directory, last: Option<&ScimRequest>) -> Markup {
    let own = directory_path(directory.id);
    let counts = directory.counts;
    html! {
        p.status {
            span data-say { (directory_state(directory.state)) } " "
            @match last {
                Some(last) => { "Last request " (time(last.at)) ": " code { (last.method) " " (parts::text(&last.path)) } " " (requests::status(last.status)) }
                None => "No request has arrived yet.",
            }
        }
        @if directory.stopped {
            p.status { (badge(Tone::Bad, "stopped")) " The log has lost or changed a record of this directory, so its writes are refused. "
                "What to do is on the page of DSYNC-003." }
        }
        ul.tiles {
            li { a href={ (own) "/users" } { span.figure { (number(counts.active_users + counts.inactive_users)) } span.unit { "users" } }
                @if counts.inactive_users > 0 { span.note { (number(counts.inactive_users)) " inactive" } } }
            li { a href={ (own) "/groups" } { span.figure { (number(counts.groups)) } span.unit { "groups" } } }
            li { a href={ "/console/events?directory=" (directory.id) } { span.figure { "Live" } span.unit { "events" } } }
        }
        (facts(&[
            ("Provider", html! { (providers::name(directory.kind)) }),
            ("Id", html! { code { (directory.id) } }),
            ("Created", time(directory.created_at)),
        ]))
        @if directory.refresh.running {
            p.note { (badge(Tone::Plain, "in progress")) " Apps are being told what changed rules make of its users: "
                (number(directory.refresh.done)) " of " (number(directory.refresh.total)) "." }
        }
    }
}

fn latest_requests(directory: &Directory, latest: &[ScimRequest]) -> Markup {
    html! {
        section aria-labelledby="requests-title" {
            div.heading {
                h2 #requests-title { "SCIM requests" }
                @if !latest.is_empty() { a.button href={ (directory_path(directory.id)) "/requests" } { "All requests" } }
            }
            @if latest.is_empty() { (waiting(directory)) }
            @else { (requests::list_of(directory, latest)) }
        }
    }
}

/// What is to be done so that the first request arrives.
fn waiting(directory: &Directory) -> Markup {
    let next = html! {
        p { (super::directories::where_to_enter(directory.kind)) }
        p { "Then test the connection there. The test shows up here by itself." }
    };
    match directory.state {
        DirectoryState::Active | DirectoryState::Inactive => {
            empty("Waiting for the identity provider", &next)
        }
        DirectoryState::Deleting => html! { p.faint { "none" } },
    }
}

fn credentials(
    console: &Console,
    viewer: &Viewer,
    directory: &Directory,
    tokens: &[Token],
) -> Markup {
    let own = directory_path(directory.id);
    let changes = viewer.is_admin() && directory.state != DirectoryState::Deleting;
    html! {
        section aria-labelledby="connection-title" {
            h2 #connection-title { "Connection" }
            div.card { (copy("endpoint", "Endpoint", &console.scim_endpoint(directory))) }
            div.heading {
                h3 { "Bearer tokens" }
                @if changes { a #make-token.button href={ (own) "/tokens/new" } { "Make token" } }
            }
            @if tokens.is_empty() {
                (empty("No live token", &html! { p { "Nobody can connect until there is one." } }))
            } @else {
                (table("Bearer tokens", [column("Ends in"), minor("Made"), column("Last used"), column("Action")],
                    tokens.iter().map(|token| token_row(&own, changes, token))))
            }
        }
    }
}

fn token_row(own: &str, changes: bool, token: &Token) -> [Markup; 4] {
    let revoke = format!("{own}/tokens/{}/revoke", token.id);
    [
        suffix(token),
        time(token.created_at),
        time_or(token.last_used_at, "never"),
        html! { @if changes { a.whole href=(revoke) { "Revoke" span.sr { " the token that ends in " (token.suffix) } } } },
    ]
}

fn attributes(directory: &Directory) -> Markup {
    html! {
        section aria-labelledby="attributes-title" {
            div.heading {
                h2 #attributes-title { "Attributes" }
                a.button href=(super::attribute_map::path(directory)) { "Attribute map" }
            }
            @if directory.apps.attribute_map.is_empty() {
                p.faint { "Apps get the standard attributes: nothing is mapped." }
            } @else { p { "A map says what apps get of what the identity provider sends." } }
        }
    }
}

fn danger(viewer: &Viewer, directory: &Directory) -> Markup {
    let own = directory_path(directory.id);
    html! {
        @if viewer.is_admin() && directory.state != DirectoryState::Deleting {
            div.actions {
                a.button href={ (own) "/edit" } { "Rename" }
                a.button.danger href={ (own) "/delete" } { "Delete directory" }
            }
        }
    }
}
