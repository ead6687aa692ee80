//! The directories of the organization, and how another one is connected: by choosing who the identity provider is.

use api::ports::{
    Conflict, Directory, DirectoryFilter, NewDirectory, NewToken, Order, Organization, PageRequest,
    PortError, Reach, SESSION_LIFETIME,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use schemas::DirectoryId;
use schemas::wire::{DirectoryState, DirectoryType};

use super::connection::{self, Shown};
use super::frame::Page;
use super::guide::{self, Guide};
use super::guide_page::arrow;
use super::refusal::Refusal;
use super::visitor::{Admin, Pressed};
use super::{Site, guides, see_other};
use crate::form::{Form, Wrong};
use crate::parts::form::{Field, hidden};
use crate::parts::{self, directory_state, notice, number};
use crate::providers;

/// How many directories are shown: far more than an organization has identity providers.
const DIRECTORIES_MAX: u32 = 100;

/// How many directories an organization may have for its administrators to add one. A company has one identity
/// provider, or one for each of a few subsidiaries.
const ADDED_MAX: u32 = 20;

pub(super) async fn show(State(site): State<Site>, admin: Admin) -> Result<Response, Refusal> {
    let organization = organization(&site, &admin).await?;
    let directories = directories(&site, admin.reach()).await?;
    if directories.is_empty() {
        return Ok(page_to_choose(&site, &admin, &organization, &Form::default(), None));
    }
    let body = html! {
        ul.connections { @for directory in &directories { (card(&site, directory)) } }
        @if directories.len() < ADDED_MAX as usize {
            p { a.button href=(site.path("/new")) { "Connect another identity provider" } }
        }
        (finished(&admin, &directories))
    };
    let title = format!("Directory sync for {}", organization.name);
    Ok(Page::new(&site, &admin, title).show(StatusCode::OK, &body))
}

/// The way on, once something arrives.
fn finished(admin: &Admin, directories: &[Directory]) -> Markup {
    let arrives = directories.iter().any(|directory| directory.counts.active_users > 0);
    html! {
        @if let Some(url) = admin.session.link.success_url.as_ref().filter(|_| arrives) {
            p { a.button.primary href=(url) { "I have finished" } }
        }
    }
}

fn card(site: &Site, directory: &Directory) -> Markup {
    let counts = directory.counts;
    html! {
        li.card {
            h2 { a href=(connection::path(site, directory.id, None)) { (parts::text(&directory.name)) } }
            p { (directory_state(directory.state)) " " (providers::name(directory.kind)) }
            p.hint {
                (counted(counts.active_users + counts.inactive_users, "user")) ", " (counted(counts.groups, "group"))
            }
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(count))
}

pub(super) async fn choose(State(site): State<Site>, admin: Admin) -> Result<Response, Refusal> {
    let organization = organization(&site, &admin).await?;
    Ok(page_to_choose(&site, &admin, &organization, &Form::default(), None))
}

/// The id is made with the form: sent twice, it makes one directory, and the second answer shows no token.
pub(super) async fn create(
    State(site): State<Site>,
    Pressed { admin, form }: Pressed,
) -> Result<Response, Refusal> {
    let organization = organization(&site, &admin).await?;
    let id = form.fresh_id(site.edge.now(), SESSION_LIFETIME);
    let id: DirectoryId = id.ok_or(Refusal::Forged)?;
    let guide = form.text("guide").and_then(guide::named).ok_or(NO_GUIDE);
    let read = guide.and_then(|guide| Ok((guide, form.name("name")?)));
    let (guide, name) = match read {
        Ok(read) => read,
        Err(wrong) => return Ok(page_to_choose(&site, &admin, &organization, &form, Some(wrong))),
    };
    match site.directories.get(admin.reach(), id).await {
        Ok(_) => return Ok(see_other(connection::path(&site, id, Some(guide)))),
        Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let (token, text) = api::bearer_token(&*site.edge);
    let new = new_directory(&site, &organization, id, guide, name, token);
    let directory = match site.directories.create(admin.reach(), new).await {
        Ok(directory) => directory,
        Err(error) => return not_made(&site, &admin, id, guide, error).await,
    };
    api::reconcile_by(&*site.streams, id, admin.actor.clone()).await;
    let made = Shown {
        token: Some(&text),
        done: Some("The connection is made. Now set it up in your identity provider."),
    };
    connection::page(&site, &admin, &directory, Some(guide), StatusCode::CREATED, made).await
}

/// Of two presses at once one comes second, and is led on. An id that is somebody else's was made up, and one of a
/// directory that is gone was used before.
async fn not_made(
    site: &Site,
    admin: &Admin,
    id: DirectoryId,
    guide: &'static Guide,
    error: PortError,
) -> Result<Response, Refusal> {
    match site.directories.get(admin.reach(), id).await {
        Ok(_) => return Ok(see_other(connection::path(site, id, Some(guide)))),
        Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    match (site.directories.get(Reach::Everything, id).await, error) {
        (Ok(_), _) => Err(Refusal::Forged),
        (Err(_), PortError::Conflict(Conflict::Changed)) => Err(Refusal::NoDirectory),
        (Err(_), PortError::Conflict(Conflict::Directories)) => Err(Refusal::TooManyDirectories),
        (Err(_), error) => Err(error.into()),
    }
}

fn new_directory(
    site: &Site,
    organization: &Organization,
    id: DirectoryId,
    guide: &Guide,
    name: String,
    token: NewToken,
) -> NewDirectory {
    NewDirectory {
        id,
        organization_id: organization.id,
        endpoint_id: api::secrets::endpoint_id(&*site.edge),
        external_key: api::secrets::external_key(&*site.edge),
        kind: guide.kind,
        name,
        among_max: Some(ADDED_MAX),
        created_at: token.created_at,
        token,
    }
}

const NO_GUIDE: Wrong =
    Wrong { field: "guide", text: "Choose the identity provider that your company has." };

fn page_to_choose(
    site: &Site,
    admin: &Admin,
    organization: &Organization,
    typed: &Form,
    wrong: Option<Wrong>,
) -> Response {
    let id = typed.id("id").unwrap_or_else(|| DirectoryId::from_bits(site.edge.id()));
    let name = Field {
        name: "name",
        label: "Name",
        value: typed.one("name").unwrap_or(&organization.name),
        hint: "What this connection is called here. It tells two of them apart.",
        required: true,
    };
    let body = html! {
        @if let Some(wrong) = wrong { (notice::wrong(wrong.text)) }
        p.lead { "Connect the identity provider of your company, and its users and groups arrive by themselves. Keep its admin console open in another tab. It takes about ten minutes." }
        (way())
        form.stack.wide method="post" action=(site.path("/new#credentials")) {
            (admin.csrf_field())
            (hidden("id", id))
            fieldset.choices.providers {
                legend { "Which identity provider do you have?" }
                @for guide in guides::ALL { (choice(guide, typed)) }
            }
            (name.show(wrong))
            div.buttons { button.button.primary type="submit" { "Continue" } }
        }
    };
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let title = format!("Directory sync for {}", organization.name);
    Page::new(site, admin, title).show(status, &body)
}

fn choice(guide: &Guide, typed: &Form) -> Markup {
    // Those that say no more than the name does are for whoever looks for a type.
    let says_more = |also: &&&str| {
        let plain = |text: &str| text.to_lowercase().replace(' ', "");
        !plain(also).starts_with(&plain(providers::name(guide.kind)))
    };
    let is_own = guide.kind != DirectoryType::Generic;
    let also = providers::aliases(guide.kind).iter().filter(says_more).filter(|_| is_own);
    html! {
        label.choice {
            input type="radio" name="guide" value=(guide.slug) required checked[typed.one("guide") == Some(guide.slug)];
            span.choice-name { (guide.name) }
            span.hint { @for (index, name) in also.enumerate() { @if index > 0 { ", " } (name) } }
        }
    }
}

/// Who sends what to whom.
fn way() -> Markup {
    html! {
        div.way role="img" aria-label="Your identity provider sends users and groups over SCIM to directory sync, which tells the product." {
            span.way-end { "Your identity provider" }
            span.way-arrow { (arrow()) span { "users and groups" } }
            span.way-end { "Directory sync" }
            span.way-arrow { (arrow()) span { "every change" } }
            span.way-end { "The product" }
        }
    }
}

async fn organization(site: &Site, admin: &Admin) -> Result<Organization, Refusal> {
    Ok(site.organizations.get(admin.reach(), admin.session.link.organization_id).await?)
}

/// Those that are not on their way out.
async fn directories(site: &Site, reach: Reach) -> Result<Vec<Directory>, Refusal> {
    let request =
        PageRequest { reach, limit: DIRECTORIES_MAX, order: Order::Ascending, cursor: None };
    let all = site.directories.list(request, DirectoryFilter::default()).await?.items;
    Ok(all.into_iter().filter(|one| one.state != DirectoryState::Deleting).collect())
}
