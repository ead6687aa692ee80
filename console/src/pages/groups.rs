//! Groups of a directory, and one of them with its members.

use std::sync::Arc;

use api::ports::{GroupFilter, PageRequest, Reach, UserFilter};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::wire::DirectoryGroup;
use schemas::{GroupId, UserId};

use super::{
    GROUP, address, directory_name, directory_of, directory_path, is_first, paging, shown, users,
};
use crate::Console;
use crate::error::Error;
use crate::form::{Query, path_id};
use crate::layout::{Page, Section};
use crate::parts::form::search;
use crate::parts::list::{column, minor, table};
use crate::parts::{self, empty, facts, live, pager, time};
use crate::session::Viewer;

/// How many groups a search finds.
const FOUND_MAX: u32 = 50;

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let own = directory_path(directory.id);
    let here = format!("{own}/groups");
    let wanted = query.text("search").unwrap_or_default();
    let found = if wanted.is_empty() {
        let request: PageRequest<GroupId> = paging(&query);
        let filter = GroupFilter { directory: Some(directory.id), ..GroupFilter::default() };
        let page = console.reading.groups(request, filter).await?;
        let shown = html! {
            @if is_first(&page, &request) {
                (empty("No groups yet", &html! { p { "They arrive when the identity provider pushes them. Many push no group unless one is assigned to the app." } }))
            } @else {
                (list_of(&page.items))
                (pager(&page, |one| one.id, |way, id| address(&here, &[(way, id)])))
            }
        };
        if request.cursor.is_none() {
            live("groups", &here, &shown)
        } else {
            html! { div #groups { (shown) } }
        }
    } else {
        let groups = console.lookups.groups(directory.id, wanted, FOUND_MAX + 1).await?;
        let (groups, has_more) = shown(&groups, FOUND_MAX);
        html! {
            div #groups {
                @if groups.is_empty() {
                    (empty("No group is called that", &html! { p { "Search for how the name begins." } }))
                } @else { (list_of(groups)) }
                @if has_more { p.note { "These are the first " (FOUND_MAX) ". Type more to narrow them." } }
            }
        }
    };
    let body = html! {
        div.actions { (search(&here, "Search groups", wanted, "groups")) }
        (found)
    };
    let shown = Page::new(&viewer, Section::Organizations, "Groups")
        .under("/console/organizations", "Organizations")
        .under(own, &directory.name)
        .following(format!("/console/changes?directory={}", directory.id));
    Ok(shown.show(&body))
}

pub(crate) fn list_of(groups: &[DirectoryGroup]) -> Markup {
    let row = |group: &DirectoryGroup| {
        [
            html! { a href=(path(group.id)) { (parts::text(name(group))) } },
            html! { code { (parts::text(&group.idp_id)) } },
            time(group.updated_at),
        ]
    };
    let columns = [column("Group"), minor("Id of the identity provider"), column("Updated")];
    table("Groups", columns, groups.iter().map(row))
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    let id: GroupId = path_id(GROUP, &id)?;
    let group = console.reading.group(Reach::Everything, id).await.map_err(Error::about(GROUP))?;
    let directory = directory_name(&console, group.directory_id).await?;
    let request: PageRequest<UserId> = paging(&query);
    let filter = UserFilter { group: Some(id), ..UserFilter::default() };
    let page = console.reading.users(request, filter).await?;
    let own = path(id);
    let members = html! {
        @if is_first(&page, &request) {
            (empty("No members", &html! { p { "The identity provider has put nobody into this group yet, or has not said so." } }))
        } @else {
            (users::list_of(page.items.iter().map(|one| &one.user)))
            (pager(&page, |one| one.user.id, |way, id| address(&own, &[(way, id)])))
        }
    };
    let raw = serde_json::to_value(&*group.raw_attributes).unwrap_or_default();
    let body = html! {
        (facts(&[
            ("Id", html! { code { (group.id) } }),
            ("Id of the identity provider", html! { code { (parts::text(&group.idp_id)) } }),
            ("Created", time(group.created_at)),
            ("Updated", time(group.updated_at)),
        ]))
        section aria-labelledby="members-title" {
            h2 #members-title { "Members" }
            @if request.cursor.is_none() { (live("members", &own, &members)) } @else { (members) }
        }
        section aria-labelledby="attributes-title" {
            h2 #attributes-title { "Attributes as the identity provider sent them" }
            (parts::json(&raw))
        }
    };
    let shown = Page::new(&viewer, Section::Organizations, name(&group))
        .under(directory_path(group.directory_id), directory)
        .under(format!("{}/groups", directory_path(group.directory_id)), "Groups")
        .following(format!("/console/changes?directory={}", group.directory_id));
    Ok(shown.show(&body))
}

fn name(group: &DirectoryGroup) -> &str {
    if group.name.trim().is_empty() { &group.idp_id } else { &group.name }
}

pub(crate) fn path(id: GroupId) -> String {
    format!("/console/groups/{id}")
}
