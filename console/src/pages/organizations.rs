//! Organizations: the list, one of them, and what is changed about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Told;
use api::ports::{
    Conflict, Directory, DirectoryFilter, Domain, Organization, OrganizationChange,
    OrganizationFilter, PortError, Reach,
};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use schemas::{OrganizationId, Timestamp};

use super::{
    ORGANIZATION, address, directory_path, endpoints, first_few, host_names, is_first, paging,
    portal_links, start,
};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::{Form, Query, Wrong, path_id};
use crate::layout::{Page, Section};
use crate::parts::form::{Field, form, hidden, search, send};
use crate::parts::list::{column, minor, table};
use crate::parts::{self, empty, facts, live, notice, number, pager, time};
use crate::providers;
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

const LIST: &str = "/console/organizations";

/// How many directories of an organization are shown: as many as one answer of the API has at most.
const DIRECTORIES_MAX: u32 = 100;

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let request = paging(&query);
    let wanted = query.text("search").unwrap_or_default();
    let filter = OrganizationFilter {
        domains: Vec::new(),
        search: Some(wanted.to_owned()).filter(|wanted| !wanted.is_empty()),
    };
    let page = console.organizations.list(request, filter).await?;
    let found = html! {
        div #organizations {
            @if is_first(&page, &request) && wanted.is_empty() { (start::nothing_yet(&viewer)) }
            @else if page.items.is_empty() { (empty("No organization is called that", &html! { p { "Search for a part of the name." } })) }
            @else {
                (table("Organizations", [column("Name"), column("Domains"), minor("External id"), minor("Created")],
                    page.items.iter().map(row)))
                (pager(&page, |one| one.id, |way, id| address(LIST, &[("search", wanted), (way, id)])))
            }
        }
    };
    let body = html! {
        div.actions {
            (search(LIST, "Search organizations", wanted, "organizations"))
            @if viewer.is_admin() { a.button.primary href={ (LIST) "/new" } { "Add organization" } }
        }
        (found)
    };
    Ok(Page::new(&viewer, Section::Organizations, "Organizations").show(&body))
}

fn row(organization: &Organization) -> [Markup; 4] {
    let domains: Vec<&str> =
        organization.domains.iter().map(|domain| domain.domain.as_str()).collect();
    [
        html! { a href=(path(organization.id)) { (parts::text(&organization.name)) } },
        parts::text_or(Some(domains.join(", ").as_str()).filter(|text| !text.is_empty()), "none"),
        parts::text_or(organization.external_id.as_deref(), "none"),
        time(organization.created_at),
    ]
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let organization = get(&console, &id).await?;
    let directories = directories_of(&console, organization.id).await?;
    let links = portal_links::section(&console, &viewer, &organization).await?;
    let host_names = host_names::section(&console, &viewer, &organization, &directories).await?;
    let own = path(organization.id);
    let body = html! {
        (about(&organization))
        @if viewer.is_admin() {
            div.actions { a.button href={ (own) "/edit" } { "Edit" } }
        }
        section aria-labelledby="directories-title" {
            div.heading {
                h2 #directories-title { "Directories" }
                @if viewer.is_admin() { a.button.primary href={ (own) "/directories/new" } { "Add directory" } }
            }
            (live("directories", &own, &list_of(&viewer, &organization, &directories)))
        }
        (live("links", &own, &links))
        (host_names)
        (endpoints::of_organization(&console, &viewer, organization.id).await?)
        @if viewer.is_admin() {
            div.actions {
                a.button href=(address("/console/api-keys/new", &[("organization", &organization.id.to_string())])) { "Make an API key for it" }
                a.button.danger href={ (own) "/delete" } { "Delete organization" }
            }
        }
    };
    let page = Page::new(&viewer, Section::Organizations, &organization.name);
    Ok(page.under(LIST, "Organizations").following("/console/changes").show(&body))
}

fn about(organization: &Organization) -> Markup {
    let domains = html! {
        @if organization.domains.is_empty() { span.faint { "none" } }
        @for domain in &organization.domains { span.item { (parts::text(&domain.domain)) } }
    };
    let metadata = html! {
        @for (name, value) in &organization.metadata { span.item { (parts::text(name)) ": " (parts::text(value)) } }
    };
    let mut about = vec![
        ("Id", html! { code { (organization.id) } }),
        ("Domains", domains),
        ("External id", parts::text_or(organization.external_id.as_deref(), "none")),
        ("Created", time(organization.created_at)),
    ];
    if !organization.metadata.is_empty() {
        about.push(("Metadata", metadata));
    }
    facts(&about)
}

fn list_of(viewer: &Viewer, organization: &Organization, directories: &[Directory]) -> Markup {
    if directories.is_empty() {
        let next = html! {
            @if viewer.is_admin() {
                p { "A directory connects the identity provider of this organization: Entra ID, Okta, or any other that speaks SCIM." }
                a.button.primary href={ (path(organization.id)) "/directories/new" } { "Add directory" }
            } @else { p { "An admin adds the first one." } }
        };
        return empty("No directories yet", &next);
    }
    let row = |directory: &Directory| {
        let counts = directory.counts;
        [
            html! { a href=(directory_path(directory.id)) { (parts::text(&directory.name)) } },
            html! { (parts::directory_state(directory.state)) },
            html! { (number(counts.active_users + counts.inactive_users)) },
            html! { (number(counts.groups)) },
            html! { (providers::name(directory.kind)) },
        ]
    };
    let columns =
        [column("Name"), column("State"), minor("Users"), minor("Groups"), minor("Provider")];
    html! {
        (table("Directories", columns, directories.iter().map(row)))
        @if directories.len() >= DIRECTORIES_MAX as usize { p.note { "These are the newest " (DIRECTORIES_MAX) ". " code { "GET /directories" } " lists all." } }
    }
}

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let id = OrganizationId::from_bits(console.edge.id());
    Ok(page_for_new(&viewer, id, &Typed::default(), None))
}

/// The id is made with the form, so that a form that is sent twice makes one organization.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: OrganizationId = id.ok_or(Error::Forged)?;
    let typed = Typed::of(&form);
    let fields = match typed.read(&console) {
        Ok(fields) => fields,
        Err(wrong) => {
            return Ok(unprocessable(page_for_new(&viewer, id, &typed, Some(wrong))));
        }
    };
    match console.organizations.get(Reach::Everything, id).await {
        Ok(_) => return Ok(to(&path(id))),
        Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let now = console.edge.now();
    let organization = Organization {
        id,
        name: fields.name,
        external_id: fields.external_id,
        metadata: BTreeMap::new(),
        domains: fields.domains,
        created_at: now,
        updated_at: now,
    };
    match console.organizations.create(organization).await {
        Ok(()) => Ok(to(&path(id))),
        Err(PortError::Conflict(Conflict::ExternalId)) => {
            Ok(unprocessable(page_for_new(&viewer, id, &typed, Some(TAKEN))))
        }
        Err(error) => Err(error.into()),
    }
}

const TAKEN: Wrong =
    Wrong { field: "external_id", text: "Another organization has this external id." };

pub(crate) async fn edit(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = get(&console, &id).await?;
    let typed = Typed::from(&organization);
    Ok(page_for_edit(&viewer, &organization, &typed, organization.updated_at, &html! {}, None))
}

pub(crate) async fn update(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let organization = get(&console, &id).await?;
    let made_from = form.text("made_from").and_then(|text| text.parse().ok());
    let made_from: Timestamp = made_from.ok_or(Error::Unreadable)?;
    let typed = Typed::of(&form);
    let again = |wrong| {
        let page = page_for_edit(&viewer, &organization, &typed, made_from, &html! {}, Some(wrong));
        Ok(unprocessable(page))
    };
    let fields = match typed.read(&console) {
        Ok(fields) => fields,
        Err(wrong) => return again(wrong),
    };
    let change = OrganizationChange {
        name: Some(fields.name),
        external_id: Some(fields.external_id),
        metadata: BTreeMap::new(),
        domains: Some(with_states(fields.domains, &organization)),
        updated_at: console.edge.now(),
        made_from: Some(made_from),
    };
    match console.organizations.update(Reach::Everything, organization.id, change).await {
        Ok(now) => {
            let told = Extension(Told::changed(changed_fields(&organization, &now)));
            Ok((told, to(&path(organization.id))).into_response())
        }
        Err(PortError::Conflict(Conflict::Changed)) => {
            changed(&console, &viewer, &id, &typed).await
        }
        Err(PortError::Conflict(Conflict::ExternalId)) => again(TAKEN),
        Err(error) => Err(Error::about(ORGANIZATION)(error)),
    }
}

fn changed_fields(before: &Organization, after: &Organization) -> Vec<String> {
    let domains = |of: &Organization| -> Vec<String> {
        of.domains.iter().map(|domain| domain.domain.clone()).collect()
    };
    let fields = [
        ("name", before.name != after.name),
        ("external_id", before.external_id != after.external_id),
        ("domain_data", domains(before) != domains(after)),
    ];
    fields.into_iter().filter(|(_, is_other)| *is_other).map(|(name, _)| name.to_owned()).collect()
}

/// Domains that are there already stay as verified as they are.
fn with_states(domains: Vec<Domain>, organization: &Organization) -> Vec<Domain> {
    let known =
        |domain: &Domain| organization.domains.iter().find(|one| one.domain == domain.domain);
    domains.into_iter().map(|domain| known(&domain).cloned().unwrap_or(domain)).collect()
}

/// Both are shown: what the other admin left, and in the form what was typed here.
async fn changed(
    console: &Console,
    viewer: &Viewer,
    id: &str,
    typed: &Typed,
) -> Result<Response, Error> {
    let organization = get(console, id).await?;
    let theirs = html! {
        div.notice.bad role="alert" {
            p { strong { (conflicting(Conflict::Changed)) } " This is what it is now:" }
            (about(&organization))
            p { "Below is what you typed. Save it to put it in the place of that, or cancel to leave it." }
        }
    };
    let page = page_for_edit(viewer, &organization, typed, organization.updated_at, &theirs, None);
    Ok((StatusCode::CONFLICT, page).into_response())
}

fn page_for_new(
    viewer: &Viewer,
    id: OrganizationId,
    typed: &Typed,
    wrong: Option<Wrong>,
) -> Response {
    let body = form(
        viewer,
        &format!("{LIST}/new"),
        &html! {
            (hidden("id", id))
            (typed.fields(wrong))
            (send("Add organization", LIST))
        },
    );
    let page = Page::new(viewer, Section::Organizations, "Add organization");
    page.under(LIST, "Organizations").show(&body)
}

fn page_for_edit(
    viewer: &Viewer,
    organization: &Organization,
    typed: &Typed,
    made_from: Timestamp,
    notice: &Markup,
    wrong: Option<Wrong>,
) -> Response {
    let own = path(organization.id);
    let body = html! {
        (notice)
        (form(viewer, &format!("{own}/edit"), &html! {
            (hidden("made_from", made_from))
            (typed.fields(wrong))
            (send("Save", &own))
        }))
    };
    let title = format!("Edit {}", organization.name);
    let page = Page::new(viewer, Section::Organizations, title);
    page.under(LIST, "Organizations").under(own, &organization.name).show(&body)
}

/// What stands in the fields of the form.
#[derive(Clone, Debug, Default)]
struct Typed {
    name: String,
    domains: String,
    external_id: String,
}

/// The same, read.
struct Fields {
    name: String,
    domains: Vec<Domain>,
    external_id: Option<String>,
}

impl Typed {
    fn of(form: &Form) -> Self {
        let text = |name| form.one(name).unwrap_or_default().to_owned();
        Self { name: text("name"), domains: text("domains"), external_id: text("external_id") }
    }

    fn from(organization: &Organization) -> Self {
        let domains: Vec<&str> =
            organization.domains.iter().map(|domain| domain.domain.as_str()).collect();
        Self {
            name: organization.name.clone(),
            domains: domains.join(", "),
            external_id: organization.external_id.clone().unwrap_or_default(),
        }
    }

    fn fields(&self, wrong: Option<Wrong>) -> Markup {
        let field = |name, label, value, hint, required| {
            Field { name, label, value, hint, required }.show(wrong)
        };
        html! {
            @if let Some(wrong) = wrong { (notice::wrong(wrong.text)) }
            (field("name", "Name", &self.name, "What the customer is called, such as Acme Inc.", true))
            (field("domains", "Domains", &self.domains, "Those of its people's addresses, with commas between them. May stay empty.", false))
            (field("external_id", "External id", &self.external_id, "What your app calls it. May stay empty.", false))
        }
    }

    fn read(&self, console: &Console) -> Result<Fields, Wrong> {
        let form = Form::pairs([("name", &self.name), ("external_id", &self.external_id)]);
        let external_id = form.text("external_id").map(str::to_owned);
        if external_id.as_ref().is_some_and(|id| id.chars().count() > api::EXTERNAL_ID_MAX) {
            return Err(Wrong { field: "external_id", text: "It has 255 characters at most." });
        }
        let names = self.domains.split([',', ' ', ';']).filter(|name| !name.is_empty());
        let domains = api::domains(names, &*console.edge).ok_or(Wrong {
            field: "domains",
            text: "Give domains such as example.com, with commas between them, 100 at most.",
        })?;
        Ok(Fields { name: form.name("name")?, domains, external_id })
    }
}

pub(crate) async fn get(console: &Console, text: &str) -> Result<Organization, Error> {
    let id = path_id(ORGANIZATION, text)?;
    console.organizations.get(Reach::Everything, id).await.map_err(Error::about(ORGANIZATION))
}

/// The directories of an organization, newest first.
pub(crate) async fn directories_of(
    console: &Console,
    id: OrganizationId,
) -> Result<Vec<Directory>, Error> {
    let filter = DirectoryFilter { organization: Some(id), ..DirectoryFilter::default() };
    Ok(console.directories.list(first_few(DIRECTORIES_MAX), filter).await?.items)
}

/// A page with a form is for who may send it.
pub(crate) fn refuse_auditors(viewer: &Viewer) -> Result<(), Error> {
    if viewer.is_admin() { Ok(()) } else { Err(Error::NotAllowed) }
}

/// The same page, with what is wrong about what was typed.
pub(crate) fn unprocessable(page: Response) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

pub(crate) fn path(id: OrganizationId) -> String {
    format!("{LIST}/{id}")
}
