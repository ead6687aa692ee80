//! Links to the setup page of an organization: on its page, made and shown once, revoked.

use std::sync::Arc;
use std::time::Duration;

use api::ports::{
    Cursor, NewPortalLink, Order, Organization, PageRequest, PortError, PortalLink, Reach, WhyVoid,
};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::host_name::public_url_at;
use schemas::{PortalLinkId, Timestamp};

use super::first_few;
use super::organizations::{self, get, refuse_auditors, unprocessable};
use crate::Console;
use crate::error::Error;
use crate::form::{Form, Wrong, path_id};
use crate::layout::{Page, Section};
use crate::parts::form::{Choice, choices, form, hidden, send, send_danger};
use crate::parts::list::{column, minor, table};
use crate::parts::{Tone, badge, copy, empty, facts, notice, time, time_or};
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

const LINK: &str = "portal link";

/// How many links are shown: who was let in lately.
const SHOWN_MAX: u32 = 10;

/// How long a link may wait that somebody sends by mail. An app that leads its user there at once has five minutes,
/// and nobody needs longer than a month.
const LIFETIMES: [(Choice<'static>, Duration); 4] = [
    (("hour", "An hour", "They are waiting for it."), Duration::from_secs(3_600)),
    (("day", "A day", "They get to it today or tomorrow."), Duration::from_secs(24 * 3_600)),
    (("week", "A week", "They have to find a time for it."), Duration::from_secs(7 * 24 * 3_600)),
    (("month", "30 days", "Their company takes its time."), Duration::from_secs(30 * 24 * 3_600)),
];

/// The links of an organization, as a part of its page.
pub(crate) async fn section(
    console: &Console,
    viewer: &Viewer,
    organization: &Organization,
) -> Result<Markup, Error> {
    let links = console.portal_links.list(first_few(SHOWN_MAX), Some(organization.id)).await?.items;
    let now = console.edge.now();
    let own = organizations::path(organization.id);
    let columns = [
        column("State"),
        column("Made"),
        minor("By"),
        minor("Waits until"),
        minor("Opened"),
        column("Action"),
    ];
    Ok(html! {
        section aria-labelledby="links-title" {
            div.heading {
                h2 #links-title { "Setup links" }
                @if viewer.is_admin() { a.button href={ (own) "/links/new" } { "Make a link" } }
            }
            @if links.is_empty() {
                (empty("No links yet", &html! { p { "A link lets the IT admin of this organization connect the identity provider without you: it opens once, for one browser." } }))
            } @else {
                (table("Setup links", columns, links.iter().map(|link| row(viewer, &own, link, now))))
                @if links.len() >= SHOWN_MAX as usize { p.note { "These are the newest " (SHOWN_MAX) ". " code { "GET /portal/links" } " lists all." } }
            }
        }
    })
}

fn row(viewer: &Viewer, own: &str, link: &PortalLink, now: Timestamp) -> [Markup; 6] {
    let revoke = format!("{own}/links/{}/revoke", link.id);
    let opens_something =
        link.revoked_at.is_none() && (link.used_at.is_some() || link.void(now).is_none());
    [
        state(link, now),
        time(link.created_at),
        html! { @if link.created_by.is_some() { "API" } @else { "console" } },
        time(link.expires_at),
        time_or(link.used_at, "no"),
        html! {
            @if viewer.is_admin() && opens_something {
                a.whole href=(revoke) { "Revoke" span.sr { " the link made " (time(link.created_at)) } }
            }
        },
    ]
}

fn state(link: &PortalLink, now: Timestamp) -> Markup {
    match link.void(now) {
        None => badge(Tone::Good, "waiting"),
        Some(WhyVoid::Used) => badge(Tone::Plain, "opened"),
        Some(WhyVoid::Expired) => badge(Tone::Plain, "expired"),
        Some(WhyVoid::Revoked) => badge(Tone::Bad, "revoked"),
    }
}

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(organization): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = get(&console, &organization).await?;
    let id = PortalLinkId::from_bits(console.edge.id());
    Ok(page_for_new(&viewer, &organization, id, &Form::default(), None))
}

/// The id is made with the form: one that is sent twice makes one link.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Path(organization): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let organization = get(&console, &organization).await?;
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: PortalLinkId = id.ok_or(Error::Forged)?;
    let wanted = form.text("lifetime").unwrap_or_default();
    let Some((_, lifetime)) = LIFETIMES.into_iter().find(|((name, ..), _)| *name == wanted) else {
        let page = page_for_new(&viewer, &organization, id, &form, Some(NO_LIFETIME));
        return Ok(unprocessable(page));
    };
    let own = organizations::path(organization.id);
    if find(&console, &organization, id).await?.is_some() {
        return Ok(to(&own));
    }
    let (ticket, now) = (api::ticket(&*console.edge), console.edge.now());
    let new = NewPortalLink {
        id,
        digest: ticket.digest,
        organization_id: organization.id,
        return_url: None,
        success_url: None,
        created_by: None,
        created_at: now,
        expires_at: now.after(lifetime),
    };
    let created = console.portal_links.create(Reach::Everything, new).await;
    created.map_err(Error::about(super::ORGANIZATION))?;
    let host_name = console.host_names.of_organization(organization.id);
    let address = public_url_at(&console.public_url, host_name.as_ref());
    let link = format!("{address}/setup/{}", ticket.text.expose());
    Ok(shown_once(&viewer, &organization, &link, now.after(lifetime)))
}

fn shown_once(
    viewer: &Viewer,
    organization: &Organization,
    link: &str,
    expires_at: Timestamp,
) -> Response {
    let own = organizations::path(organization.id);
    let body = html! {
        div data-now-at=(own) {
            (notice::done("Copy the link now. It is shown this once; later you can only make another."))
            div.card { (copy("link", "Setup link", link)) }
            p { "Send it to the IT admin alone. It opens once, until " (time(expires_at)) "; whoever presses the button there can set up the directories of this organization for eight hours." }
            p { a.button.primary href=(own) { "To the organization" } }
        }
    };
    page(viewer, organization, "Setup link made").show(&body)
}

const NO_LIFETIME: Wrong = Wrong { field: "lifetime", text: "Choose how long the link waits." };

fn page_for_new(
    viewer: &Viewer,
    organization: &Organization,
    id: PortalLinkId,
    typed: &Form,
    wrong: Option<Wrong>,
) -> Response {
    let own = organizations::path(organization.id);
    let chosen = typed.text("lifetime").unwrap_or("week");
    let body = html! {
        @if let Some(wrong) = wrong { (notice::wrong(wrong.text)) }
        p.lead { "The IT admin of the customer opens it, chooses the identity provider and connects it. It opens once, and shows this organization alone." }
        (form(viewer, &format!("{own}/links/new"), &html! {
            (hidden("id", id))
            (choices("lifetime", "How long it waits to be opened", chosen, &LIFETIMES.map(|(choice, _)| choice), wrong))
            (send("Make link", &own))
        }))
    };
    page(viewer, organization, "Make a setup link").show(&body)
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path((organization, link)): Path<(String, String)>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = get(&console, &organization).await?;
    let link = find(&console, &organization, path_id(LINK, &link)?).await?;
    let link = link.ok_or(Error::Missing(LINK))?;
    let own = organizations::path(organization.id);
    let body = html! {
        p.lead { "It opens nothing from then on, and whoever has opened it is signed out of the setup page. This cannot be undone." }
        (facts(&[
            ("State", state(&link, console.edge.now())),
            ("Made", time(link.created_at)),
            ("Opened", time_or(link.used_at, "no")),
        ]))
        (form(&viewer, &format!("{own}/links/{}/revoke", link.id), &send_danger("Revoke link", &own)))
    };
    Ok(page(&viewer, &organization, "Revoke a setup link").show(&body))
}

/// One that was revoked already is no error: two admins may want the same.
pub(crate) async fn revoke(
    State(console): State<Arc<Console>>,
    Path((organization, link)): Path<(String, String)>,
    _: Change,
) -> Result<Response, Error> {
    let organization = get(&console, &organization).await?;
    let reach = Reach::Organization(organization.id);
    let revoked = console.portal_links.revoke(reach, path_id(LINK, &link)?, console.edge.now());
    match revoked.await {
        Ok(()) | Err(PortError::NotFound) => Ok(to(&organizations::path(organization.id))),
        Err(error) => Err(error.into()),
    }
}

/// The link, as the first of a list that begins with it.
async fn find(
    console: &Console,
    organization: &Organization,
    id: PortalLinkId,
) -> Result<Option<PortalLink>, Error> {
    let before = id.bits().checked_sub(1).map(PortalLinkId::from_bits).map(Cursor::After);
    let request =
        PageRequest { reach: Reach::Everything, limit: 1, order: Order::Ascending, cursor: before };
    let found = console.portal_links.list(request, Some(organization.id)).await?;
    Ok(found.items.into_iter().next().filter(|link| link.id == id))
}

fn page<'a>(viewer: &'a Viewer, organization: &Organization, title: &str) -> Page<'a> {
    Page::new(viewer, Section::Organizations, title)
        .under("/console/organizations", "Organizations")
        .under(organizations::path(organization.id), &organization.name)
}
