//! API keys: the list, one made and shown once, one revoked.

use std::sync::Arc;

use api::NewKey;
use api::ports::{
    ApiKey, Cursor, Order, OrganizationFilter, PageRequest, Permission, PortError, Reach,
};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::{ApiKeyId, OrganizationId};

use super::organizations::{self, refuse_auditors, unprocessable};
use super::{address, first_few, is_first, paging};
use crate::Console;
use crate::error::Error;
use crate::form::{Form, Query, Wrong, path_id};
use crate::layout::{Page, Section};
use crate::parts::form::{Choice, Field, choices, form, hidden, send, send_danger};
use crate::parts::list::{column, minor, table};
use crate::parts::{self, copy, empty, facts, notice, pager, time, time_or};
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

const LIST: &str = "/console/api-keys";
const KEY: &str = "API key";

/// How many organizations are proposed to limit a key to; the others have their ids on their pages.
const PROPOSED_MAX: u32 = 100;

/// What a key may do, in words.
const SCOPES: [Choice<'static>; 3] = [
    (
        "read",
        "Read",
        "Reads everything and changes nothing: for an app that follows its customers' directories.",
    ),
    ("full", "Full", "Reads and changes everything: for a backend that sets up customers."),
    ("audit", "Audit", "Reads the events and the audit trail alone: for an archive."),
];

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let request = paging(&query);
    let page = console.keys.list(request).await?;
    let mut rows = Vec::new();
    for key in &page.items {
        rows.push(row(&viewer, key, limit(&console, key.organization_id).await?));
    }
    let columns = [
        column("Name"),
        column("Permission"),
        minor("Ends in"),
        minor("Limited to"),
        minor("Made"),
        minor("Last used"),
        column("Action"),
    ];
    let body = html! {
        p.lead { "What apps and programs call the API with. The key that the setting " code { "api_key" } " names stands in the settings alone, and not here." }
        @if viewer.is_admin() { div.actions { a.button.primary href={ (LIST) "/new" } { "Make a key" } } }
        @if is_first(&page, &request) { (empty("No keys", &html! { p { "Without one, only the key of the settings opens the API." } })) }
        @else {
            (table("API keys", columns, rows))
            (pager(&page, |key| key.id, |way, id| address(LIST, &[(way, id)])))
        }
    };
    Ok(Page::new(&viewer, Section::Keys, "API keys").show(&body))
}

fn row(viewer: &Viewer, key: &ApiKey, limit: Markup) -> [Markup; 7] {
    [
        parts::text(&key.name),
        html! { span.whole { (key.permission.name()) } },
        html! { code { "…" (parts::text(&key.suffix)) } },
        limit,
        time(key.created_at),
        time_or(key.last_used_at, "never"),
        html! {
            @if viewer.is_admin() {
                a.whole href={ (LIST) "/" (key.id) "/revoke" } { "Revoke" span.sr { " the key " (parts::text(&key.name)) " that ends in " (key.suffix) } }
            }
        },
    ]
}

/// Whose data a key is limited to.
async fn limit(console: &Console, id: Option<OrganizationId>) -> Result<Markup, Error> {
    let Some(id) = id else { return Ok(html! { span.faint { "no limit" } }) };
    let name = match console.organizations.get(Reach::Everything, id).await {
        Ok(organization) => organization.name,
        Err(PortError::NotFound) => id.to_string(),
        Err(error) => return Err(error.into()),
    };
    Ok(html! { a href=(organizations::path(id)) { (parts::text(&name)) } })
}

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let id = ApiKeyId::from_bits(console.edge.id());
    page_for_new(&console, &viewer, id, &query, None).await
}

/// The id is made with the form: one that is sent twice makes one key.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: ApiKeyId = id.ok_or(Error::Forged)?;
    let again = async |wrong| {
        let page = page_for_new(&console, &viewer, id, &form, Some(wrong)).await;
        page.map(unprocessable)
    };
    let new = match read(id, &form) {
        Ok(new) => new,
        Err(wrong) => return again(wrong).await,
    };
    if find(&console, id).await?.is_some() {
        return Ok(to(LIST));
    }
    let made = api::create_key(&*console.keys, &*console.edge, new).await;
    let (key, text) = match made {
        Ok(made) => made,
        Err(PortError::NotFound) => return again(NO_ORGANIZATION).await,
        Err(error) => return Err(error.into()),
    };
    let body = html! {
        div data-now-at=(LIST) {
            (notice::done("Copy the key now. It is shown this once; later you can only make another."))
            div.card {
                (copy("api-key", "API key", text.expose()))
                p.hint { "Apps send it as " code { "Authorization: Bearer …" } "." }
            }
            (facts(&[
                ("Name", parts::text(&key.name)),
                ("Permission", html! { (key.permission.name()) }),
                ("Limited to", limit(&console, key.organization_id).await?),
            ]))
            p { a.button.primary href=(LIST) { "To the list of keys" } }
        }
    };
    Ok(Page::new(&viewer, Section::Keys, "Key made").under(LIST, "API keys").show(&body))
}

const NO_ORGANIZATION: Wrong = Wrong {
    field: "organization",
    text: "There is no such organization. Its id stands on its page, and begins with org_.",
};

fn read(id: ApiKeyId, form: &Form) -> Result<NewKey, Wrong> {
    let name = form.name("name")?;
    let permission = form.text("scope").and_then(Permission::named);
    let permission =
        permission.ok_or(Wrong { field: "scope", text: "Choose what the key may do." })?;
    let organization_id = match form.text("organization") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| NO_ORGANIZATION)?),
    };
    Ok(NewKey { id, name, permission, organization_id })
}

async fn page_for_new(
    console: &Console,
    viewer: &Viewer,
    id: ApiKeyId,
    typed: &Form,
    wrong: Option<Wrong>,
) -> Result<Response, Error> {
    let organizations =
        console.organizations.list(first_few(PROPOSED_MAX), OrganizationFilter::default()).await?;
    let proposed: Vec<_> =
        organizations.items.into_iter().map(|one| (one.id.to_string(), one.name)).collect();
    let name = Field {
        name: "name",
        label: "Name",
        value: typed.one("name").unwrap_or_default(),
        hint: "Which program has it, such as “billing backend”.",
        required: true,
    };
    let organization = Field {
        name: "organization",
        label: "Organization",
        value: typed.one("organization").unwrap_or_default(),
        hint: "The id of the one organization that the key is limited to. Empty is no limit.",
        required: false,
    };
    let scope = typed.text("scope").unwrap_or("read");
    let body = html! {
        @if let Some(wrong) = wrong { (notice::wrong(wrong.text)) }
        (form(viewer, &format!("{LIST}/new"), &html! {
            (hidden("id", id))
            (name.show(wrong))
            (choices("scope", "Permission", scope, &SCOPES, wrong))
            (organization.show_among(wrong, &proposed))
            (send("Make key", LIST))
        }))
    };
    Ok(Page::new(viewer, Section::Keys, "Make an API key").under(LIST, "API keys").show(&body))
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let key = find(&console, path_id(KEY, &id)?).await?.ok_or(Error::Missing(KEY))?;
    let body = html! {
        p.lead { "Whatever uses it is turned away from then on. This cannot be undone." }
        (facts(&[
            ("Name", parts::text(&key.name)),
            ("Ends in", html! { code { "…" (parts::text(&key.suffix)) } }),
            ("Permission", html! { (key.permission.name()) }),
            ("Limited to", limit(&console, key.organization_id).await?),
            ("Made", time(key.created_at)),
            ("Last used", time_or(key.last_used_at, "never")),
        ]))
        (form(&viewer, &format!("{LIST}/{}/revoke", key.id), &send_danger("Revoke key", LIST)))
    };
    Ok(Page::new(&viewer, Section::Keys, "Revoke an API key").under(LIST, "API keys").show(&body))
}

/// One that was revoked already is no error: two admins may want the same.
pub(crate) async fn revoke(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    _: Change,
) -> Result<Response, Error> {
    match console.keys.delete(Reach::Everything, path_id(KEY, &id)?).await {
        Ok(()) | Err(PortError::NotFound) => Ok(to(LIST)),
        Err(error) => Err(error.into()),
    }
}

/// The key, as the first of a list that begins with it.
async fn find(console: &Console, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    let before = id.bits().checked_sub(1).map(ApiKeyId::from_bits).map(Cursor::After);
    let request =
        PageRequest { reach: Reach::Everything, limit: 1, order: Order::Ascending, cursor: before };
    let found = console.keys.list(request).await?.items.into_iter().next();
    Ok(found.filter(|key| key.id == id))
}
