//! Users of a directory, and one of them: what it is, where it belongs, what happened to it.

use std::sync::Arc;

use api::ports::{AuditFilter, GroupFilter, PageRequest, Reach, UserFilter};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::wire::{DirectoryUser, UserState};
use schemas::{GroupId, UserId};
use serde_json::Value;

use super::{
    USER, address, directory_name, directory_of, directory_path, first_few, groups, is_first,
    paging, shown,
};
use crate::Console;
use crate::error::Error;
use crate::form::{Query, path_id};
use crate::layout::{Page, Section};
use crate::live::entry;
use crate::parts::form::search;
use crate::parts::list::{column, minor, table};
use crate::parts::{self, Tone, badge, empty, facts, live, pager, time};
use crate::session::Viewer;

/// How many users a search finds; whoever has more in front of them types on.
const FOUND_MAX: u32 = 50;

/// How many groups and events of a user are shown on its page.
const SHOWN_MAX: u32 = 50;

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let own = directory_path(directory.id);
    let here = format!("{own}/users");
    let wanted = query.text("search").unwrap_or_default();
    let found = if wanted.is_empty() {
        let request: PageRequest<UserId> = paging(&query);
        let filter = UserFilter { directory: Some(directory.id), ..UserFilter::default() };
        let page = console.reading.users(request, filter).await?;
        let shown = html! {
            @if is_first(&page, &request) { (nobody_yet()) }
            @else {
                (list_of(page.items.iter().map(|one| &one.user)))
                (pager(&page, |one| one.user.id, |way, id| address(&here, &[(way, id)])))
            }
        };
        // Who looks at an older page does not want it to move.
        if request.cursor.is_none() {
            live("users", &here, &shown)
        } else {
            html! { div #users { (shown) } }
        }
    } else {
        let users = console.lookups.users(directory.id, wanted, FOUND_MAX).await?;
        html! { div #users { (found_of(&users)) } }
    };
    let body = html! {
        div.actions { (search(&here, "Search users", wanted, "users")) }
        (found)
    };
    let shown = Page::new(&viewer, Section::Organizations, "Users")
        .under("/console/organizations", "Organizations")
        .under(own, &directory.name)
        .following(format!("/console/changes?directory={}", directory.id));
    Ok(shown.show(&body))
}

fn found_of(users: &[DirectoryUser]) -> Markup {
    html! {
        @if users.is_empty() {
            (empty("Nobody is called that", &html! { p { "Search for how the user name or the address begins, or for the whole id of the identity provider." } }))
        } @else {
            (list_of(users))
            @if users.len() >= FOUND_MAX as usize { p.note { "These are the first " (FOUND_MAX) ". Type more to narrow them." } }
        }
    }
}

fn nobody_yet() -> Markup {
    empty(
        "No users yet",
        &html! { p { "They arrive when the identity provider provisions them: assign users there and start provisioning. This list follows by itself." } },
    )
}

/// Users as a list, wherever they come from.
pub(crate) fn list_of<'a>(users: impl IntoIterator<Item = &'a DirectoryUser>) -> Markup {
    let row = |user: &DirectoryUser| {
        [
            html! { a href=(path(user.id)) { (parts::text(name(user))) } },
            parts::text_or(user.email.as_deref(), "no address"),
            state(user.state),
            parts::text_or(user.job_title.as_deref(), "–"),
            time(user.updated_at),
        ]
    };
    let columns =
        [column("User"), minor("E-mail"), column("State"), minor("Title"), minor("Updated")];
    table("Users", columns, users.into_iter().map(row))
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let id: UserId = path_id(USER, &id)?;
    let user = console.reading.user(Reach::Everything, id).await.map_err(Error::about(USER))?.user;
    let directory = directory_name(&console, user.directory_id).await?;
    let of_user = GroupFilter { user: Some(id), ..GroupFilter::default() };
    let member_of =
        console.reading.groups(first_few::<GroupId>(SHOWN_MAX + 1), of_user).await?.items;
    let about_user = AuditFilter { user: Some(id), ..AuditFilter::default() };
    let history = console.audit.audit(first_few(SHOWN_MAX + 1), about_user).await?.page.items;
    let (member_of, in_more) = shown(&member_of, SHOWN_MAX);
    let (history, is_longer) = shown(&history, SHOWN_MAX);
    let own = path(id);
    let parts = html! {
        (profile(&user))
        section aria-labelledby="groups-title" {
            h2 #groups-title { "Groups" }
            @if member_of.is_empty() { p.faint { "in no group" } } @else { (groups::list_of(member_of)) }
            @if in_more { p.note { "These are " (SHOWN_MAX) " of its groups. " code { "GET /directory_groups?user=" (id) } " lists all." } }
        }
        section aria-labelledby="history-title" {
            h2 #history-title { "History" }
            ol.entries { @for event in history { (entry(event, &directory)) } }
            @if is_longer { p.note { "These are the latest " (SHOWN_MAX) ". " code { "GET /audit/events?user=" (id) } " lists all." } }
        }
        (attributes(&user))
    };
    let page = Page::new(&viewer, Section::Organizations, name(&user))
        .under(directory_path(user.directory_id), directory)
        .under(format!("{}/users", directory_path(user.directory_id)), "Users")
        .following(format!("/console/changes?directory={}", user.directory_id));
    Ok(page.show(&live("user", &own, &parts)))
}

fn profile(user: &DirectoryUser) -> Markup {
    let roles = user.roles.as_deref().unwrap_or_default();
    let mut profile = vec![
        ("State", state(user.state)),
        ("Name", parts::text_or(user.name.as_deref(), "none")),
        ("User name", parts::text_or(user.username.as_deref(), "none")),
        ("E-mail", parts::text_or(user.email.as_deref(), "none")),
        ("Title", parts::text_or(user.job_title.as_deref(), "none")),
        ("Id", html! { code { (user.id) } }),
        ("Id of the identity provider", html! { code { (parts::text(&user.idp_id)) } }),
        ("Created", time(user.created_at)),
        ("Updated", time(user.updated_at)),
    ];
    if !roles.is_empty() {
        let roles = html! { @for role in roles { span.item { code { (role.slug) } } } };
        profile.push(("Roles", roles));
    }
    facts(&profile)
}

/// What apps are shown, and what it is made from.
fn attributes(user: &DirectoryUser) -> Markup {
    let value = |attributes: &schemas::scim::Attributes| {
        serde_json::to_value(attributes).unwrap_or(Value::Null)
    };
    html! {
        section aria-labelledby="attributes-title" {
            h2 #attributes-title { "Attributes" }
            div.columns {
                div { h3 { "Mapped, for apps" } (parts::json(&value(&user.custom_attributes))) }
                div { h3 { "As the identity provider sent them" } (parts::json(&value(&user.raw_attributes))) }
            }
        }
    }
}

/// What a user is called: the first of its names that there is.
pub(crate) fn name(user: &DirectoryUser) -> &str {
    let names = [&user.name, &user.username, &user.email];
    let found = names.into_iter().flatten().find(|name| !name.trim().is_empty());
    found.map_or(user.idp_id.as_str(), String::as_str)
}

pub(crate) fn path(id: UserId) -> String {
    format!("/console/users/{id}")
}

fn state(state: UserState) -> Markup {
    match state {
        UserState::Active => badge(Tone::Good, "active"),
        UserState::Inactive => badge(Tone::Plain, "inactive"),
    }
}
