//! Host names of an organization and its directories: on its page, added, removed.

use std::sync::Arc;

use api::WrongHostName;
use api::ports::{
    Conflict, Directory, Host, HostFilter, HostOwner, NewHost, Organization, PortError, Reach,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use schemas::{DirectoryId, HostName, HostNameId};

use super::first_few;
use super::organizations::{self, directories_of, get, refuse_auditors, unprocessable};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::{Form, Wrong, path_id};
use crate::layout::{Page, Section};
use crate::parts::form::{Choice, Field, choices, form, send, send_danger};
use crate::parts::list::{column, minor, table};
use crate::parts::{self, empty, facts, notice, time};
use crate::session::{Change, Viewer};
use crate::sign_in::to;

const NAME: &str = "host name";

/// How many host names are shown: an organization with ten directories of ten names each.
const SHOWN_MAX: u32 = 100;

/// What a form says that means the whole organization.
const ALL: &str = "organization";

/// The host names of an organization, as a part of its page.
pub(crate) async fn section(
    console: &Console,
    viewer: &Viewer,
    organization: &Organization,
    directories: &[Directory],
) -> Result<Markup, Error> {
    let filter = HostFilter { organization: Some(organization.id), directory: None };
    let hosts = console.host_names.list(first_few(SHOWN_MAX), filter).await?.items;
    let own = organizations::path(organization.id);
    let columns = [column("Name"), column("For"), minor("Added"), column("Action")];
    let rows = hosts.iter().map(|host| {
        [
            html! { code { (labels(&host.name.to_string())) } },
            owner(host, directories),
            time(host.created_at),
            html! {
                @if viewer.is_admin() {
                    a.whole href={ (own) "/host-names/" (host.id) "/remove" } { "Remove" span.sr { " " (host.name) } }
                }
            },
        ]
    });
    Ok(html! {
        section aria-labelledby="host-names-title" {
            div.heading {
                h2 #host-names-title { "Host names" }
                @if viewer.is_admin() { a.button href={ (own) "/host-names/new" } { "Add a host name" } }
            }
            @if hosts.is_empty() {
                (empty("No host names of its own", &html! { p { "Its directories are reached at the address of this installation. A name such as " code { "scim.customer.example" } " takes its place in what the customer sees." } }))
            } @else { (table("Host names", columns, rows)) }
            @if hosts.len() >= SHOWN_MAX as usize { p.note { "These are the newest " (SHOWN_MAX) ". " code { "GET /host_names" } " lists all." } }
        }
    })
}

/// A host name, which breaks behind its dots where there is little room.
fn labels(name: &str) -> Markup {
    html! { bdi { @for label in name.split_inclusive('.') { (label) wbr; } } }
}

fn owner(host: &Host, directories: &[Directory]) -> Markup {
    match host.owner {
        HostOwner::Organization(_) => html! { span.words { "the organization" } },
        HostOwner::Directory(id) => {
            let found = directories.iter().find(|directory| directory.id == id);
            let name = found.map_or_else(|| id.to_string(), |directory| directory.name.clone());
            html! { a href=(super::directory_path(id)) { (parts::text(&name)) } }
        }
    }
}

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(organization): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = get(&console, &organization).await?;
    let directories = directories_of(&console, organization.id).await?;
    Ok(page_for_new(&viewer, &organization, &directories, &Form::default(), None))
}

pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Path(organization): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let organization = get(&console, &organization).await?;
    let directories = directories_of(&console, organization.id).await?;
    let again = |wrong| page_for_new(&viewer, &organization, &directories, &form, Some(wrong));
    let (name, owner) = match read(&console, &organization, &directories, &form) {
        Ok(read) => read,
        Err(wrong) => return Ok(unprocessable(again(wrong))),
    };
    let own = organizations::path(organization.id);
    // A form that is sent twice finds its name there.
    if console.host_names.by_name(&name).is_some_and(|host| host.owner == owner) {
        return Ok(to(&own));
    }
    let id = HostNameId::from_bits(console.edge.id());
    let new = NewHost { id, name, owner, created_at: console.edge.now() };
    match console.host_names.add(Reach::Everything, new).await {
        Ok(_) => Ok(to(&own)),
        Err(PortError::Conflict(conflict @ (Conflict::HostName | Conflict::HostNames))) => {
            let wrong = Wrong { field: "host_name", text: conflicting(conflict) };
            Ok((StatusCode::CONFLICT, again(wrong)).into_response())
        }
        Err(error) => Err(Error::about(super::ORGANIZATION)(error)),
    }
}

fn read(
    console: &Console,
    organization: &Organization,
    directories: &[Directory],
    form: &Form,
) -> Result<(HostName, HostOwner), Wrong> {
    let wrong = |text| Wrong { field: "host_name", text };
    let text = form.text("host_name").unwrap_or_default();
    let name = api::read_host_name(text, &console.public_url).map_err(|error| match error {
        WrongHostName::NoName => {
            wrong("Give a host name such as scim.example.com, without scheme, port and path.")
        }
        WrongHostName::Ours => {
            wrong("This is the name of the installation, which serves everybody.")
        }
    })?;
    let owner = form.text("for").unwrap_or_default();
    if owner == ALL {
        return Ok((name, HostOwner::Organization(organization.id)));
    }
    let id: Option<DirectoryId> = owner.parse().ok();
    let id = id.filter(|id| directories.iter().any(|directory| directory.id == *id));
    let id = id.ok_or(Wrong { field: "for", text: "Choose whom the name is for." })?;
    Ok((name, HostOwner::Directory(id)))
}

fn page_for_new(
    viewer: &Viewer,
    organization: &Organization,
    directories: &[Directory],
    typed: &Form,
    wrong: Option<Wrong>,
) -> Response {
    let own = organizations::path(organization.id);
    let name = Field {
        name: "host_name",
        label: "Host name",
        value: typed.one("host_name").unwrap_or_default(),
        hint: "It has to lead to your reverse proxy, which has to have a certificate for it.",
        required: true,
    };
    let ids: Vec<String> = directories.iter().map(|directory| directory.id.to_string()).collect();
    let all: Choice<'_> = (ALL, "The organization", "All of its directories, and the setup page.");
    let of_directories = ids.iter().zip(directories);
    let of_directories = of_directories
        .map(|(id, directory)| (id.as_str(), directory.name.as_str(), "This directory alone."));
    let owners: Vec<Choice<'_>> = std::iter::once(all).chain(of_directories).collect();
    let chosen = typed.text("for").unwrap_or(ALL);
    let body = html! {
        @if let Some(wrong) = wrong { (notice::wrong(wrong.text)) }
        (form(viewer, &format!("{own}/host-names/new"), &html! {
            (name.show(wrong))
            (choices("for", "For", chosen, &owners, wrong))
            (send("Add host name", &own))
        }))
    };
    page(viewer, organization, "Add a host name").show(&body)
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path((organization, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = get(&console, &organization).await?;
    let host = find(&console, &organization, &id).await?;
    let directories = directories_of(&console, organization.id).await?;
    let own = organizations::path(organization.id);
    let body = html! {
        p.lead { "Nothing is reached through it from then on. An identity provider that has an address with this name fails until it is given another." }
        (facts(&[
            ("Name", html! { code { (host.name) } }),
            ("For", owner(&host, &directories)),
            ("Added", time(host.created_at)),
        ]))
        (form(&viewer, &format!("{own}/host-names/{}/remove", host.id), &send_danger("Remove host name", &own)))
    };
    Ok(page(&viewer, &organization, "Remove a host name").show(&body))
}

/// One that was removed already is no error: two admins may want the same.
pub(crate) async fn remove(
    State(console): State<Arc<Console>>,
    Path((organization, id)): Path<(String, String)>,
    _: Change,
) -> Result<Response, Error> {
    let organization = get(&console, &organization).await?;
    let reach = Reach::Organization(organization.id);
    match console.host_names.remove(reach, path_id(NAME, &id)?).await {
        Ok(()) | Err(PortError::NotFound) => Ok(to(&organizations::path(organization.id))),
        Err(error) => Err(error.into()),
    }
}

async fn find(console: &Console, organization: &Organization, id: &str) -> Result<Host, Error> {
    let reach = Reach::Organization(organization.id);
    let host = console.host_names.get(reach, path_id(NAME, id)?).await;
    host.map_err(Error::about(NAME))
}

fn page<'a>(viewer: &'a Viewer, organization: &Organization, title: &str) -> Page<'a> {
    Page::new(viewer, Section::Organizations, title)
        .under("/console/organizations", "Organizations")
        .under(organizations::path(organization.id), &organization.name)
}
