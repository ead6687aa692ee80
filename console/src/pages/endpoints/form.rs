//! The form of an endpoint: to add one, and to change one. What was typed goes to the API's own judgement, under
//! the names that its fields have there.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::Told;
use api::actions::{FieldError, Refused};
use api::ports::{
    ClientCertificate, Conflict, DirectoryFilter, Endpoint, OrganizationFilter, PortError,
};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use schemas::{DeliveryOrder, EndpointId, EndpointKind, EventType, Format, Timestamp};

use super::super::first_few;
use super::super::organizations::{refuse_auditors, unprocessable};
use super::typed::{
    CERTIFICATE, NO_CERTIFICATE, asked, changed_fields, contradiction, split, typed_from,
};
use super::{LIST, get, page_under, path, show, wrong};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::{Form, Query};
use crate::layout::{Page, Section};
use crate::parts::fields::{Wrongs, choice, line, named, text_area, tick, ticks};
use crate::parts::form::{form, hidden, send};
use crate::parts::{self, copy, notice};
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

/// How many organizations and directories there are to tick; others are named by their ids.
const LISTED_MAX: u32 = 20;

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let id = EndpointId::from_bits(console.edge.id());
    page_for_new(&console, &viewer, id, &query, &[]).await
}

/// The id is made with the form: a form that is sent twice makes one endpoint, and the second answer does not show
/// the secret again.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: EndpointId = id.ok_or(Error::Forged)?;
    match console.endpoints.get(id).await {
        Ok(_) => return Ok(to(&path(id))),
        Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    match console.api.create_endpoint(id, asked(&form, None)).await {
        Ok(endpoint) => Ok(secret(&viewer, &endpoint, "Endpoint added", None)),
        Err(refused) => {
            let wrong = wrong(refused)?;
            page_for_new(&console, &viewer, id, &form, &wrong).await.map(unprocessable)
        }
    }
}

/// The signing secret, this once. Loading the page again shows the endpoint.
pub(super) fn secret(
    viewer: &Viewer,
    endpoint: &Endpoint,
    title: &str,
    until: Option<Timestamp>,
) -> Response {
    let own = path(endpoint.id);
    let body = html! {
        div data-now-at=(own) {
            (notice::done("Copy the signing secret now. It is shown this once."))
            div.card {
                (copy("endpoint-url", "URL", &endpoint.url))
                (copy("signing-secret", "Signing secret", endpoint.secret.expose()))
            }
            @match until {
                Some(until) => p { "Give it to your app beside the one it has. Until " (parts::time(until)) " webhooks are signed with both; from then on with this one alone." },
                None => p { "Your app checks the signature of every webhook with it, so that nobody else can pretend to be dsync." },
            }
            p { a.button.primary href=(own) { "Go to the endpoint" } }
        }
    };
    page_under(viewer, endpoint, title).show(&body)
}

async fn page_for_new(
    console: &Console,
    viewer: &Viewer,
    id: EndpointId,
    typed: &Form,
    wrong: &[FieldError],
) -> Result<Response, Error> {
    let wrongs = Wrongs(wrong);
    let listed = Listed::read(console).await?;
    let body = html! {
        (wrongs.all())
        (form(viewer, &format!("{LIST}/new"), &html! {
            (hidden("id", id))
            (fields(typed, &listed, None, wrongs))
            (client_certificate(typed, None, wrongs))
            (send("Add endpoint", LIST))
        }))
    };
    let page = Page::new(viewer, Section::Endpoints, "Add endpoint");
    Ok(page.under(LIST, "Endpoints").show(&body))
}

pub(crate) async fn edit(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let endpoint = get(&console, &id).await?;
    let typed = typed_from(&endpoint);
    let at = endpoint.updated_at;
    page_for_edit(&console, &viewer, &endpoint, &typed, at, &html! {}, &[]).await
}

pub(crate) async fn update(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let endpoint = get(&console, &id).await?;
    let made_from = form.text("made_from").and_then(|text| text.parse().ok());
    let made_from: Timestamp = made_from.ok_or(Error::Unreadable)?;
    if let Some(wrong) = contradiction(&form) {
        let none = html! {};
        let wrong = [wrong];
        let page = page_for_edit(&console, &viewer, &endpoint, &form, made_from, &none, &wrong);
        return page.await.map(unprocessable);
    }
    let asked = asked(&form, Some(endpoint.kind));
    let told = Extension(Told::changed(changed_fields(&endpoint, &asked)));
    match console.api.change_endpoint(endpoint.id, asked, Some(made_from)).await {
        Ok(endpoint) => Ok((told, to(&path(endpoint.id))).into_response()),
        Err(Refused::Port(PortError::Conflict(Conflict::Changed))) => {
            changed(&console, &viewer, &id, &form).await
        }
        Err(refused) => {
            let wrong = wrong(refused)?;
            let none = html! {};
            let page = page_for_edit(&console, &viewer, &endpoint, &form, made_from, &none, &wrong);
            page.await.map(unprocessable)
        }
    }
}

/// Both are shown: what the other admin left, and in the form what was typed here.
async fn changed(
    console: &Console,
    viewer: &Viewer,
    id: &str,
    typed: &Form,
) -> Result<Response, Error> {
    let endpoint = get(console, id).await?;
    let theirs = html! {
        div.notice.bad role="alert" {
            p { strong { (conflicting(Conflict::Changed)) } " This is what it is now:" }
            (show::about(console, &endpoint).await?)
            p { "Below is what you typed. Save it to put it in the place of that, or cancel to leave it." }
        }
    };
    let at = endpoint.updated_at;
    let page = page_for_edit(console, viewer, &endpoint, typed, at, &theirs, &[]).await?;
    Ok((StatusCode::CONFLICT, page).into_response())
}

async fn page_for_edit(
    console: &Console,
    viewer: &Viewer,
    endpoint: &Endpoint,
    typed: &Form,
    made_from: Timestamp,
    notice: &Markup,
    wrong: &[FieldError],
) -> Result<Response, Error> {
    let own = path(endpoint.id);
    let wrongs = Wrongs(wrong);
    let listed = Listed::read(console).await?;
    let body = html! {
        (notice)
        (wrongs.all())
        (form(viewer, &format!("{own}/edit"), &html! {
            (hidden("made_from", made_from))
            (fields(typed, &listed, Some(endpoint.kind), wrongs))
            (client_certificate(typed, endpoint.outward.client_certificate.as_ref(), wrongs))
            (send("Save", &own))
        }))
    };
    Ok(page_under(viewer, endpoint, "Edit endpoint").show(&body))
}

/// What there is to tick, as ids and names.
struct Listed {
    organizations: Vec<(String, String)>,
    directories: Vec<(String, String)>,
}

impl Listed {
    async fn read(console: &Console) -> Result<Self, Error> {
        let page = first_few(LISTED_MAX);
        let organizations = console.organizations.list(page, OrganizationFilter::default()).await?;
        let page = first_few(LISTED_MAX);
        let directories = console.directories.list(page, DirectoryFilter::default()).await?;
        let organizations = organizations.items.into_iter();
        let directories = directories.items.into_iter();
        Ok(Self {
            organizations: organizations.map(|one| (one.id.to_string(), one.name)).collect(),
            directories: directories.map(|one| (one.id.to_string(), one.name)).collect(),
        })
    }
}

/// The fields, as they were typed. An endpoint that is there has a kind already.
fn fields(typed: &Form, listed: &Listed, kind: Option<EndpointKind>, wrongs: Wrongs<'_>) -> Markup {
    let value = |name| typed.one(name).unwrap_or_default();
    let is_new = kind.is_none();
    let is_operational = kind == Some(EndpointKind::Operational);
    html! {
        (line(named("endpoint_url", "URL", "Where your app takes webhooks, such as https://app.example/webhooks."), value("endpoint_url"), wrongs))
        @if is_new {
            (choice(named("kind", "Kind", "An operational endpoint tells you of endpoints that fail and directories that are held. It gets all of that, in order."),
                &kinds(), value("kind"), wrongs))
        }
        @if !is_operational {
            (event_types(typed, is_new, wrongs))
            (of_whom(named("organizations", "Organizations", "None ticked stands for all."), "more_organizations", typed, &listed.organizations, wrongs))
            (of_whom(named("directories", "Directories", "None ticked stands for all. With organizations as well, a directory has to be ticked and belong to one of them."), "more_directories", typed, &listed.directories, wrongs))
            (choice(named("order", "Order", "What has to arrive before what. The stricter, the more waits behind one that fails."), &orders(), value("order"), wrongs))
            (choice(named("format", "Format", "What the body of a webhook is."), &formats(), value("format"), wrongs))
        }
        @if is_new {
            (choice(named("start", "Begins with", "What it gets of the history that is there already."), &starts(), value("start"), wrongs))
            (line(named("start_at", "Time to begin at", "In UTC, such as 2026-03-02T10:15:30Z. Just for “A time”."), value("start_at"), wrongs))
        }
        (line(named("retry_schedule", "Retry schedule", "Waits between attempts, such as 5s,30s,2m,1h. Empty is that of the settings."), value("retry_schedule"), wrongs))
        (line(named("timeout_seconds", "Timeout in seconds", "How long your app may take to answer, 1 to 30. Empty is that of all endpoints."), value("timeout_seconds"), wrongs))
        (ticks(named("ed25519", "Public key", "For apps that check signatures without a secret (Standard Webhooks, v1a)."),
            &tick("ed25519", "true", &html! { "Sign with an Ed25519 key too" }, typed.one("ed25519").is_some()), wrongs))
    }
}

/// What is shown to an app that asks for a certificate. The key goes in and never comes out, not even into a form that
/// is shown again because something else is wrong with it.
fn client_certificate(typed: &Form, has: Option<&ClientCertificate>, wrongs: Wrongs<'_>) -> Markup {
    let [chain, key] = CERTIFICATE;
    let hint = match has {
        None => {
            "For an app that lets in whoever shows it a certificate (mTLS): in PEM form, that of this installation first."
        }
        Some(_) => "In PEM form. Leave it empty to keep the one that there is.",
    };
    let key_hint = match typed.text(key) {
        None => "In PEM form, without a password. It is stored sealed and never shown again.",
        Some(_) => "Enter it once more: a key is never shown again.",
    };
    html! {
        @if let Some(has) = has {
            (ticks(named(NO_CERTIFICATE, "Client certificate that is shown", ""),
                &html! {
                    p { (show::certificate(has)) }
                    (tick(NO_CERTIFICATE, "true", &html! { "Show none any more" }, typed.one(NO_CERTIFICATE).is_some()))
                }, wrongs))
        }
        (text_area(named(chain, if has.is_some() { "Another client certificate" } else { "Client certificate" }, hint), typed.text(chain).unwrap_or_default(), wrongs))
        (text_area(named(key, "Key of the certificate", key_hint), "", wrongs))
    }
}

fn event_types(typed: &Form, is_new: bool, wrongs: Wrongs<'_>) -> Markup {
    let ticked: BTreeSet<&str> = typed.filled("events").collect();
    let hint = if is_new { "None ticked stands for all." } else { "One or more." };
    let boxes = html! {
        @for kind in EventType::ALL.iter().filter(|kind| kind.is_subscribable()) {
            (tick("events", kind.name(), &html! { code { (kind.name()) } }, ticked.contains(kind.name())))
        }
    };
    let patterns = named(
        "patterns",
        "Event types by pattern",
        "Such as dsync.user.* for all of users, with spaces between several. They are added to what is ticked.",
    );
    html! {
        (ticks(named("events", "Event types", hint), &boxes, wrongs))
        (line(patterns, typed.one("patterns").unwrap_or_default(), Wrongs(&[])))
    }
}

/// Those that are listed to tick, and a line for the ids of others.
fn of_whom(
    field: parts::fields::Named<'_>,
    more: &str,
    typed: &Form,
    listed: &[(String, String)],
    wrongs: Wrongs<'_>,
) -> Markup {
    let chosen: Vec<&str> =
        typed.filled(field.name).chain(typed.filled(more).flat_map(split)).collect();
    let others = chosen.iter().filter(|id| listed.iter().all(|(known, _)| known != *id));
    let others: Vec<&str> = others.copied().collect();
    let is_long = listed.len() >= LISTED_MAX as usize || !others.is_empty();
    let label = format!("Other {}", field.label.to_lowercase());
    let boxes = html! {
        @for (id, name) in listed { (tick(field.name, id, &parts::text(name), chosen.contains(&id.as_str()))) }
        @if listed.is_empty() { span.faint { "There are none yet." } }
    };
    html! {
        (ticks(field, &boxes, wrongs))
        @if is_long { (line(named(more, &label, "Their ids, with spaces between them."), &others.join(" "), Wrongs(&[]))) }
    }
}

fn kinds() -> Vec<(&'static str, String)> {
    let text = |kind| match kind {
        EndpointKind::Directory => "Events of directories, for your app",
        EndpointKind::Operational => "Operational events, for those who run dsync",
    };
    EndpointKind::ALL.iter().map(|kind| (kind.name(), text(*kind).to_owned())).collect()
}

fn orders() -> Vec<(&'static str, String)> {
    DeliveryOrder::ALL.iter().map(|one| (one.name(), order_text(*one).to_owned())).collect()
}

pub(super) const fn order_text(order: DeliveryOrder) -> &'static str {
    match order {
        DeliveryOrder::Resource => "In order for each user and group",
        DeliveryOrder::Directory => "In order for each directory",
        DeliveryOrder::None => "In any order",
    }
}

fn formats() -> Vec<(&'static str, String)> {
    Format::ALL.iter().map(|one| (one.name(), format_text(*one).to_owned())).collect()
}

pub(super) const fn format_text(format: Format) -> &'static str {
    match format {
        Format::Webhook => "Webhook: the event as JSON",
        Format::ScimSet => "Security Event Token with SCIM events (RFC 9967)",
    }
}

fn starts() -> Vec<(&'static str, String)> {
    [
        ("now", "What happens from now on"),
        ("beginning", "The beginning of the history"),
        ("at", "A time"),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .to_vec()
}
