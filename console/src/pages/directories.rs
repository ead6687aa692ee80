//! What is done to a directory: it is added, renamed, deleted.

use std::sync::Arc;

use api::ports::{
    Conflict, Directory, DirectoryChange, NewDirectory, NewToken, Organization, PortError, Reach,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use schemas::wire::{DirectoryState, DirectoryType};
use schemas::{DirectoryId, Timestamp, TokenId};

use super::organizations::{path, refuse_auditors, unprocessable};
use super::{DIRECTORY, ORGANIZATION, directory_of, directory_path};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::{Form, Query, Wrong, path_id};
use crate::layout::{Page, Section};
use crate::parts::form::{Field, form, hidden, search, send, send_danger};
use crate::parts::{self, copy, empty, facts, notice, number};
use crate::providers::{self, named_like};
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(organization): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = organization_of(&console, &organization).await?;
    let id = DirectoryId::from_bits(console.edge.id());
    Ok(page_for_new(&viewer, &organization, id, &query, None))
}

/// The id is made with the form: a form that is sent twice makes one directory, and the second answer
/// does not show the token again.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Path(organization): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let organization = organization_of(&console, &organization).await?;
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: DirectoryId = id.ok_or(Error::Forged)?;
    let kind = form.text("type").and_then(DirectoryType::from_slug);
    let read = kind.ok_or(NO_TYPE).and_then(|kind| Ok((kind, form.name("name")?)));
    let (kind, name) = match read {
        Ok(read) => read,
        Err(wrong) => {
            let page = page_for_new(&viewer, &organization, id, &form, Some(wrong));
            return Ok(unprocessable(page));
        }
    };
    match console.directories.get(Reach::Everything, id).await {
        Ok(_) => return Ok(to(&directory_path(id))),
        Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let now = console.edge.now();
    let token = api::secrets::token(&*console.edge);
    let new = NewDirectory {
        id,
        organization_id: organization.id,
        endpoint_id: api::secrets::endpoint_id(&*console.edge),
        external_key: api::secrets::external_key(&*console.edge),
        kind,
        name,
        among_max: None,
        token: NewToken {
            id: TokenId::from_bits(console.edge.id()),
            digest: token.digest,
            suffix: token.suffix,
            created_at: now,
        },
        created_at: now,
    };
    let directory = match console.directories.create(Reach::Everything, new).await {
        Ok(directory) => directory,
        // The form was used before, and its directory deleted since, or made just now.
        Err(PortError::Conflict(Conflict::Changed)) => return Ok(to(&directory_path(id))),
        Err(error) => return Err(Error::about(ORGANIZATION)(error)),
    };
    console.reconcile(id, &viewer).await;
    Ok(credentials(&console, &viewer, &directory, "Directory created", &token.text))
}

const NO_TYPE: Wrong =
    Wrong { field: "type", text: "Choose the identity provider that will connect." };

fn page_for_new(
    viewer: &Viewer,
    organization: &Organization,
    id: DirectoryId,
    typed: &Form,
    wrong: Option<Wrong>,
) -> Response {
    let own = path(organization.id);
    let action = format!("{own}/directories/new");
    let name = Field {
        name: "name",
        label: "Name",
        value: typed.one("name").unwrap_or_default(),
        hint: "What you call it, such as the enterprise's name. It can be changed later.",
        required: true,
    };
    let body = html! {
        @if let Some(wrong) = wrong { (notice::wrong(wrong.text)) }
        p.lead { "Who is the identity provider? Older names, such as Azure AD, are found too." }
        (search(&action, "Search providers", typed.text("search").unwrap_or_default(), "providers"))
        (form(viewer, &action, &html! {
            (hidden("id", id))
            (providers_to_choose(typed))
            (name.show(wrong))
            (send("Create directory", &own))
        }))
    };
    let page = Page::new(viewer, Section::Organizations, "Add directory");
    page.under("/console/organizations", "Organizations").under(own, &organization.name).show(&body)
}

fn providers_to_choose(typed: &Form) -> Markup {
    let found = named_like(typed.text("search").unwrap_or_default());
    let chosen = typed.text("type").and_then(DirectoryType::from_slug);
    html! {
        fieldset #providers.choices {
            legend { "Identity provider" }
            @if found.is_empty() {
                (empty("No provider is called that", &html! { p { "Every client of SCIM 2.0 works: choose “Any other SCIM 2.0 client”." } }))
            }
            @for provider in found {
                label.choice {
                    input type="radio" name="type" value=(provider.kind.slug()) required
                        checked[chosen == Some(provider.kind)];
                    span.choice-name { (provider.name) }
                    span.hint { (provider.aliases.join(", ")) }
                }
            }
        }
    }
}

/// What the IT admin has to enter, with the token, this once. Loading the page again shows the directory.
pub(crate) fn credentials(
    console: &Console,
    viewer: &Viewer,
    directory: &Directory,
    title: &str,
    token: &str,
) -> Response {
    let own = directory_path(directory.id);
    let body = html! {
        div data-now-at=(own) {
            (notice::done("Copy the token now. It is shown this once; later you can only make another."))
            div.card {
                (copy("endpoint", "Endpoint", &console.scim_endpoint(directory)))
                (copy("bearer-token", "Bearer token", token))
            }
            p { (where_to_enter(directory.kind)) }
            p { a.button.primary href=(own) { "Go to the directory" } " and watch it connect." }
        }
    };
    Page::new(viewer, Section::Organizations, title).under(own, &directory.name).show(&body)
}

/// Which fields of the identity provider the two values go to.
pub(crate) fn where_to_enter(kind: DirectoryType) -> Markup {
    let (place, endpoint, token) = match kind {
        DirectoryType::Azure => ("Provisioning, Admin Credentials", "Tenant URL", "Secret Token"),
        DirectoryType::Okta => {
            ("the SCIM 2.0 app, Provisioning", "SCIM 2.0 Base Url", "OAuth Bearer Token")
        }
        DirectoryType::OneLogin => {
            ("the SCIM app, Configuration", "SCIM Base URL", "SCIM Bearer Token")
        }
        DirectoryType::JumpCloud => ("the app, Identity Management", "Base URL", "Token Key"),
        DirectoryType::Generic
        | DirectoryType::PingFederate
        | DirectoryType::CyberArk
        | DirectoryType::Rippling
        | DirectoryType::SailPoint => {
            ("the settings of its SCIM client", "SCIM URL", "bearer token")
        }
    };
    html! {
        "In " (providers::name(kind)) " they go to " (place) ": the endpoint as " strong { (endpoint) }
        " and the bearer token as " strong { (token) } "."
    }
}

pub(crate) async fn edit(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &id).await?;
    let name = directory.name.clone();
    Ok(page_for_edit(&viewer, &directory, &name, directory.updated_at, &html! {}, None))
}

pub(crate) async fn update(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let made_from = form.text("made_from").and_then(|text| text.parse().ok());
    let made_from: Timestamp = made_from.ok_or(Error::Unreadable)?;
    let typed = form.one("name").unwrap_or_default();
    let name = match form.name("name") {
        Ok(name) => name,
        Err(wrong) => {
            let page = page_for_edit(&viewer, &directory, typed, made_from, &html! {}, Some(wrong));
            return Ok(unprocessable(page));
        }
    };
    let change = DirectoryChange {
        name: Some(name),
        made_from: Some(made_from),
        ..DirectoryChange::default()
    };
    let now = console.edge.now();
    match console.directories.update(Reach::Everything, directory.id, change, now).await {
        Ok(_) => Ok(to(&directory_path(directory.id))),
        Err(PortError::Conflict(Conflict::Changed)) => {
            let directory = directory_of(&console, &id).await?;
            let theirs = html! {
                div.notice.bad role="alert" {
                    p { strong { (conflicting(Conflict::Changed)) } " Its name is now " strong { (parts::text(&directory.name)) } "." }
                    p { "Below is what you typed. Save it to put it in the place of that, or cancel to leave it." }
                }
            };
            let page =
                page_for_edit(&viewer, &directory, typed, directory.updated_at, &theirs, None);
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(Error::about(DIRECTORY)(error)),
    }
}

fn page_for_edit(
    viewer: &Viewer,
    directory: &Directory,
    typed: &str,
    made_from: Timestamp,
    notice: &Markup,
    wrong: Option<Wrong>,
) -> Response {
    let own = directory_path(directory.id);
    let name = Field {
        name: "name",
        label: "Name",
        value: typed,
        hint: "What you call it. The identity provider never sees it.",
        required: true,
    };
    let body = html! {
        (notice)
        (form(viewer, &format!("{own}/edit"), &html! {
            (hidden("made_from", made_from))
            (name.show(wrong))
            (send("Save", &own))
        }))
    };
    let title = format!("Edit {}", directory.name);
    Page::new(viewer, Section::Organizations, title).under(own, &directory.name).show(&body)
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &id).await?;
    Ok(page_for_deletion(&viewer, &directory, "", None))
}

/// Users and groups go a little later; the history stays.
pub(crate) async fn delete(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let typed = form.text("confirmation").unwrap_or_default();
    if typed != directory.name.trim() {
        let wrong = Wrong { field: "confirmation", text: "That is not the name of the directory." };
        return Ok(unprocessable(page_for_deletion(&viewer, &directory, typed, Some(wrong))));
    }
    let now = console.edge.now();
    let deleted = console.directories.delete(Reach::Everything, directory.id, now).await;
    deleted.map_err(Error::about(DIRECTORY))?;
    console.reconcile(directory.id, &viewer).await;
    Ok(to(&path(directory.organization_id)))
}

fn page_for_deletion(
    viewer: &Viewer,
    directory: &Directory,
    typed: &str,
    wrong: Option<Wrong>,
) -> Response {
    let own = directory_path(directory.id);
    let counts = directory.counts;
    let confirmation = Field {
        name: "confirmation",
        label: "Name of the directory",
        value: typed,
        hint: "Type it as it stands above, to be sure that it is the right one.",
        required: true,
    };
    let body = html! {
        @if directory.state == DirectoryState::Deleting { (notice::wrong("It is being deleted already.")) }
        p.lead { "This cannot be undone. Its tokens open nothing from then on, and apps are told that all of its users and groups are gone. The history stays." }
        (facts(&[
            ("Directory", parts::text(&directory.name)),
            ("Users", html! { (number(counts.active_users + counts.inactive_users)) }),
            ("Groups", html! { (number(counts.groups)) }),
        ]))
        (form(viewer, &format!("{own}/delete"), &html! {
            (confirmation.show(wrong))
            (send_danger("Delete directory", &own))
        }))
    };
    let title = format!("Delete {}", directory.name);
    Page::new(viewer, Section::Organizations, title).under(own, &directory.name).show(&body)
}

async fn organization_of(console: &Console, text: &str) -> Result<Organization, Error> {
    let id = path_id(ORGANIZATION, text)?;
    console.organizations.get(Reach::Everything, id).await.map_err(Error::about(ORGANIZATION))
}
