//! The audit trail: what people and keys did outside SCIM.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{
    AdminEvent, AdminEventFilter, Cursor, Organization, OrganizationFilter, PageRequest,
};
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use schemas::{
    Action, ActionOutcome, ActorKind, AdminEventId, DirectoryId, EndpointId, OrganizationId,
};
use tokio::time::Instant;

use super::{address, directory_path, endpoints, first_few, organizations};
use crate::Console;
use crate::error::Error;
use crate::form::{Form, Query};
use crate::layout::{Page, Section};
use crate::parts::list::{column, table};
use crate::parts::{self, Tone, badge, breakable, empty, number, time};
use crate::session::Viewer;

const HERE: &str = "/console/audit";

/// How many actions a page shows.
const SHOWN: u32 = 50;

/// How many organizations there are to choose from; the page of one leads here, too.
const ORGANIZATIONS_MAX: u32 = 100;

/// How long a page looks for what a filter fits before it shows what it has: pages stay under 50 ms, and have other things
/// to ask. The list goes on from there.
const LOOKED_FOR: Duration = Duration::from_millis(20);

/// How long a name to look for may be: as long as an address can be.
const WHO_MAX: usize = 320;

pub(crate) async fn list(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Query(query): Query,
) -> Result<Response, Error> {
    let filter = filter(&query);
    let found = found(&console, &filter, query.id("after")).await?;
    let page = first_few(ORGANIZATIONS_MAX);
    let organizations = console.organizations.list(page, OrganizationFilter::default()).await?;
    let columns = [column("Action"), column("Who")];
    let body = html! {
        p.lead { "What people and API keys did here: every form of this console and of the setup pages, and every call of the API that changes something. What identity providers did is under " a href="/console/events" { "Live events" } "." }
        (filters(&query, &filter, &organizations.items))
        @if query.text("after").is_some() {
            p.status { "Older actions. " a href=(address(HERE, &pairs(&query))) { "Back to the latest" } }
        }
        @if found.actions.is_empty() { (nothing(&query, &found)) }
        @else { (table("Audit trail", columns, found.actions.iter().map(row))) }
        (older(&query, &found))
    };
    let page = Page::new(&viewer, Section::Settings, "Audit trail");
    Ok(page.under("/console/settings", "Settings").show(&body))
}

/// What a page shows of the trail.
struct Found {
    actions: Vec<AdminEvent>,
    /// Where the list goes on, if more was not looked at or does not fit here.
    goes_on_at: Option<AdminEventId>,
}

/// Looks back until the page is full, the trail is at its end, or somebody has waited long enough: the store looks at a
/// bounded number of actions at once, and says how far it has come.
async fn found(
    console: &Console,
    filter: &AdminEventFilter,
    older_than: Option<AdminEventId>,
) -> Result<Found, Error> {
    let began = Instant::now();
    let (mut actions, mut from) = (Vec::new(), older_than);
    loop {
        let wanted = SHOWN - u32::try_from(actions.len()).unwrap_or(SHOWN);
        let page = PageRequest { cursor: from.map(Cursor::After), ..first_few(wanted) };
        let found = console.api.admin_events.list(page, filter.clone()).await?;
        actions.extend(found.page.items);
        let last = actions.last().map(|action: &AdminEvent| action.id);
        from = found.looked_to.or(last).or(from);
        let is_full = actions.len() >= SHOWN as usize;
        if is_full || !found.page.has_after || began.elapsed() >= LOOKED_FOR {
            return Ok(Found { actions, goes_on_at: from.filter(|_| found.page.has_after) });
        }
    }
}

fn filter(query: &Form) -> AdminEventFilter {
    AdminEventFilter {
        actor: query.text("actor").map(|who| who.chars().take(WHO_MAX).collect()),
        action: query.text("action").and_then(|name| Action::from_str(name).ok()),
        organization: query.id("organization"),
        ..AdminEventFilter::default()
    }
}

fn pairs(query: &Form) -> [(&'static str, &str); 3] {
    ["action", "organization", "actor"].map(|name| (name, query.text(name).unwrap_or_default()))
}

fn filters(query: &Form, filter: &AdminEventFilter, organizations: &[Organization]) -> Markup {
    html! {
        form.filters method="get" action=(HERE) role="search" {
            div.field {
                label for="action" { "Action" }
                select #action name="action" {
                    option value="" { "All" }
                    @for action in Action::ALL {
                        option value=(action.name()) selected[filter.action == Some(*action)] { (action.name()) }
                    }
                }
            }
            div.field {
                label for="organization" { "Organization" }
                select #organization name="organization" {
                    option value="" { "All" }
                    @for organization in organizations {
                        option value=(organization.id) selected[filter.organization == Some(organization.id)] { (organization.name) }
                    }
                    @if let Some(id) = filter.organization.filter(|id| organizations.iter().all(|one| one.id != *id)) {
                        option value=(id) selected { (id) }
                    }
                }
            }
            div.field {
                label for="actor" { "Who" }
                input #actor type="search" name="actor" value=(query.text("actor").unwrap_or_default()) dir="auto"
                    autocomplete="off" spellcheck="false" aria-describedby="actor-hint";
            }
            div.buttons { button.button.primary type="submit" { "Filter" } }
        }
        p.note #actor-hint { "Who is the id of an API key or of a setup link, an address, or a role: admin, auditor." }
    }
}

/// There is no page of one action, so its row has all of it, also on narrow screens.
fn row(action: &AdminEvent) -> [Markup; 2] {
    [
        html! {
            code { (breakable(action.action.name())) } " " (outcome(action.outcome))
            p.detail { (time(action.created_at())) }
            @for target in &action.targets { p.detail { (link(target)) } }
            @if !action.fields.is_empty() {
                p.detail { @for (place, name) in action.fields.iter().enumerate() { @if place > 0 { ", " } (breakable(name)) } }
            }
            @if action.unrecorded > 0 { p.detail { "and " (number(action.unrecorded)) " more before it" } }
        },
        html! {
            (who(action))
            @if let Some(ip) = &action.actor.ip { p.detail { "from " code { (ip) } } }
        },
    ]
}

/// What is usual needs no word.
fn outcome(outcome: Option<ActionOutcome>) -> Markup {
    match outcome {
        Some(ActionOutcome::Done) => html! {},
        Some(ActionOutcome::Refused) => badge(Tone::Plain, "refused"),
        Some(ActionOutcome::Failed) => badge(Tone::Bad, "failed"),
        None => badge(Tone::Bad, "not known"),
    }
}

fn who(action: &AdminEvent) -> Markup {
    let actor = &action.actor;
    let id = actor.id.as_deref().unwrap_or_default();
    let name = actor.name.as_deref().unwrap_or(id);
    html! {
        @match actor.kind {
            ActorKind::ApiKey => { (parts::text(name)) p.detail { "API key " code { (id) } } },
            ActorKind::Console if id == name => { (parts::text(name)) p.detail { "in this console" } },
            ActorKind::Console => { (parts::text(id)) p.detail { (name) " in this console" } },
            ActorKind::PortalLink => { "Setup page" p.detail { "link " code { (id) } } },
            ActorKind::Settings => { "The settings" p.detail { "at a start of the server" } },
            ActorKind::Anonymous => {
                @if id.is_empty() { span.faint { "nobody known" } } @else { (parts::text(id)) }
            },
        }
    }
}

/// What it was about, as a link where it has a page that may still be there.
fn link(target: &str) -> Markup {
    let place = if let Ok(id) = target.parse::<DirectoryId>() {
        Some(directory_path(id))
    } else if let Ok(id) = target.parse::<OrganizationId>() {
        Some(organizations::path(id))
    } else {
        target.parse::<EndpointId>().ok().map(endpoints::path)
    };
    html! {
        @match place {
            Some(place) => a href=(place) { code { (target) } },
            None => code { (target) },
        }
    }
}

/// What stands where nothing was found. That nothing was done yet is said only where that is so.
fn nothing(query: &Form, found: &Found) -> Markup {
    let is_narrowed = pairs(query).iter().any(|(_, value)| !value.is_empty());
    match found.goes_on_at {
        Some(_) => {
            empty("Nothing found so far", &html! { p { "What you look for may be older." } })
        }
        None if query.text("after").is_some() => {
            empty("Nothing older", &html! { p { "This is where the trail begins." } })
        }
        None if is_narrowed => empty(
            "No action fits",
            &html! { p { "Nothing in all of the trail fits what you chose. " a href=(HERE) { "Show every action" } } },
        ),
        None => empty(
            "Nothing was done yet",
            &html! { p { "What people and API keys change is listed here from now on." } },
        ),
    }
}

fn older(query: &Form, found: &Found) -> Markup {
    let Some(id) = found.goes_on_at else { return html! {} };
    let id_text = id.to_string();
    let [action, organization, actor] = pairs(query);
    let link = address(HERE, &[action, organization, actor, ("after", &id_text)]);
    html! {
        @if found.actions.len() < SHOWN as usize {
            p.note { "Looked back to " (time(id.made_at())) ". There is more in front of it." }
        }
        nav.pager aria-label="Pages" { a.button rel="next" href=(link) { "Older →" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(goes_on_at: Option<u128>) -> Found {
        let goes_on_at = goes_on_at.map(AdminEventId::from_bits);
        Found { actions: Vec::new(), goes_on_at }
    }

    #[test]
    fn a_page_that_has_stopped_looking_says_so_and_goes_on_with_its_filter() {
        let query = Form::parse(b"action=api_key.created&actor=admin");
        let cut = found(Some(1_000 << 80));
        assert!(nothing(&query, &cut).into_string().contains("Nothing found so far"));
        let shown = older(&query, &cut).into_string();
        assert!(shown.contains("Looked back to"), "{shown}");
        let link = "?action=api_key.created&amp;actor=admin&amp;after=admin_event_";
        assert!(shown.contains(link), "{shown}");
    }

    #[test]
    fn only_an_empty_trail_has_nothing_yet() {
        let said =
            |query: &str| nothing(&Form::parse(query.as_bytes()), &found(None)).into_string();
        assert!(said("").contains("Nothing was done yet"));
        assert!(said("action=api_key.created").contains("No action fits"));
        assert!(said("after=admin_event_00000000000000000000000000").contains("Nothing older"));
    }
}
