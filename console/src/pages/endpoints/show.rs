//! An endpoint: how it is doing, what it was sent, and what is to be sent once more.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use api::ports::{ClientCertificate, Delivering, Endpoint, Health, Replay};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::{EndpointId, EndpointKind, Timestamp};

use super::form::{format_text, order_text};
use super::{
    LIST, address, attempts, chart, directory_name, directory_path, get, lag, organization_name,
    organizations, path, replays, state,
};
use crate::Console;
use crate::certificate::Certificate;
use crate::error::Error;
use crate::form::{Form, Query};
use crate::layout::{Page, Section};
use crate::pages::first_few;
use crate::parts::form::form;
use crate::parts::{self, Tone, badge, copy, empty, facts, live, number, time};
use crate::ports::Counted;
use crate::rated::{COUNTED_MAX, Rated, Span, percent, rated};
use crate::session::Viewer;

/// How many of the latest replays are shown.
const REPLAYS_SHOWN: u32 = 5;

/// How many organizations or directories are called by their names; of others the number is said.
const NAMED_MAX: usize = 10;

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    let endpoint = get(&console, &id).await?;
    let now = console.edge.now();
    let standing = console.lookups.standing(endpoint.id).await?;
    let span = query.text("span").and_then(Span::named).unwrap_or(Span::Day);
    let counted =
        console.lookups.latest_attempts(endpoint.id, span.begin(now), COUNTED_MAX).await?;
    let replays = console.deliveries.replays(endpoint.id, first_few(REPLAYS_SHOWN)).await?.items;
    let own = path(endpoint.id);
    let here = address(&own, &kept(&query));
    let now_part = html! {
        (standing_of(&viewer, &endpoint, &standing, now))
        (over_time(&own, &query, span, &counted, &rated(&counted, span, now)))
        (replays_of(&endpoint, &replays))
    };
    let sent = attempts::list(&console, &endpoint, &query).await?;
    // Who looks at older attempts does not want them to move.
    let is_latest = query.text("after").or(query.text("before")).is_none();
    let body = html! {
        @if viewer.is_admin() { (actions(&endpoint)) }
        @if is_latest { (live("endpoint", &here, &html! { (now_part) (sent) })) }
        @else { (now_part) (sent) }
        section aria-labelledby="settings-title" {
            h2 #settings-title { "Settings" }
            (about(&console, &endpoint).await?)
            @if let Some(pair) = &endpoint.outward.key_pair { div.card { (copy("public-key", "Public key", &pair.public)) } }
        }
        @if viewer.is_admin() {
            div.actions {
                @if endpoint.enabled { (form(&viewer, &format!("{own}/disable"), &html! { button.button type="submit" { "Turn off" } })) }
                a.button.danger href={ (own) "/delete" } { "Delete endpoint" }
            }
        }
    };
    let page = Page::new(&viewer, Section::Endpoints, parts::shortened(&endpoint.url))
        .under(LIST, "Endpoints");
    Ok(page.following(format!("/console/changes?endpoint={}", endpoint.id)).show(&body))
}

/// What of an address stays when the page is fetched anew.
fn kept(query: &Form) -> [(&'static str, &str); 3] {
    ["span", "table", "status"].map(|name| (name, query.text(name).unwrap_or_default()))
}

/// The same with one thing changed.
pub(super) fn with<'a>(
    query: &'a Form,
    name: &str,
    value: &'a str,
) -> Vec<(&'static str, &'a str)> {
    let changed = |(one, before)| (one, if one == name { value } else { before });
    kept(query).map(changed).to_vec()
}

fn actions(endpoint: &Endpoint) -> Markup {
    let own = path(endpoint.id);
    html! {
        div.actions.start {
            a.button.primary href={ (own) "/test" } { "Send a test" }
            @if endpoint.kind == EndpointKind::Directory { a.button href={ (own) "/replay" } { "Replay" } }
            a.button href={ (own) "/rotate" } { "Rotate secret" }
            a.button href={ (own) "/edit" } { "Edit" }
        }
    }
}

fn standing_of(
    viewer: &Viewer,
    endpoint: &Endpoint,
    standing: &Delivering,
    now: Timestamp,
) -> Markup {
    html! {
        div.standing {
            p.status { span data-say { (state(endpoint, standing)) } " Waiting for it: " (lag(standing, now)) }
            @match standing.health(endpoint.enabled) {
                Health::Healthy => {}
                Health::Disabled => (turned_off(viewer, endpoint, standing)),
                Health::Failing | Health::Paused => (failing(endpoint, standing)),
            }
        }
    }
}

fn turned_off(viewer: &Viewer, endpoint: &Endpoint, standing: &Delivering) -> Markup {
    let why = match standing.disabled_reason.as_deref() {
        None => "Somebody has turned it off.",
        Some("gone") => {
            "It was turned off because it answered 410: it said that it is gone for good."
        }
        Some(_) => "It was turned off because it had failed for five days without a success.",
    };
    html! {
        div.notice {
            p { (why) " It gets nothing meanwhile, and nothing is lost: it goes on where it stood when it is turned on." }
            @if viewer.is_admin() {
                (form(viewer, &format!("{}/enable", path(endpoint.id)), &html! { div.buttons { button #turn-on.button.primary type="submit" { "Turn on" } } }))
            }
        }
    }
}

fn failing(endpoint: &Endpoint, standing: &Delivering) -> Markup {
    let failed = address(&path(endpoint.id), &[("status", "failed")]);
    let is_paused = standing.health(endpoint.enabled) == Health::Paused;
    html! {
        div.notice.bad {
            p {
                (number(standing.failed_in_a_row)) " attempts in a row have failed"
                @if let Some(since) = standing.failing_since { " since " (time(since)) } ". "
                a #what-failed href=(failed) { "See what failed" } "."
            }
            @if is_paused { p { "It is probed now and then, and gets what it missed when it answers again. After five days without a success it is turned off." } }
            @else { p { "What failed is tried again by its schedule; the rest goes on." } }
        }
    }
}

fn over_time(own: &str, query: &Form, span: Span, counted: &[Counted], rated: &Rated) -> Markup {
    let is_table = query.text("table").is_some();
    let other = if is_table { "" } else { "1" };
    let figure = |value: Option<String>, unit: &str| {
        html! { li { span.figure { (value.unwrap_or_else(|| "–".to_owned())) } span.unit { (unit) } } }
    };
    html! {
        section aria-labelledby="rate-title" {
            div.heading {
                h2 #rate-title { "Success over time" }
                nav.tabs aria-label="Time" {
                    @for one in Span::ALL {
                        a #{ "span-" (one.name()) } href=(address(own, &with(query, "span", one.name()))) aria-current=[(one == span).then_some("true")] { (one.title()) }
                    }
                }
            }
            ul.tiles.many {
                (figure(percent(rated.delivered, rated.failed), "delivered"))
                (figure(Some(number(rated.delivered + rated.failed)), "attempts"))
                (figure(Some(number(rated.failed)), "failed"))
                (figure(rated.median.map(chart::milliseconds), "median time"))
                (figure(rated.most.map(chart::milliseconds), "95th percentile of time"))
            }
            @if rated.delivered + rated.failed > 0 {
                @if is_table { (chart::as_table(rated)) } @else {
                    div.card {
                        (chart::bars(rated))
                        p.axis { @if let Some(first) = rated.parts.first() { (time(first.from)) } span { "now" } }
                    }
                }
                p.note {
                    a #as-table href=(address(own, &with(query, "table", other))) { @if is_table { "As a chart" } @else { "As a table" } }
                    @if counted.len() >= COUNTED_MAX as usize { @if let Some(oldest) = counted.last() {
                        ". Counted are the latest " (number(COUNTED_MAX.into())) " attempts, which reach back to " (time(oldest.at)) "."
                    } }
                }
            } @else { p.faint { "No attempts in this time." } }
        }
    }
}

fn replays_of(endpoint: &Endpoint, replays: &[Replay]) -> Markup {
    html! {
        @if !replays.is_empty() {
            section aria-labelledby="replays-title" {
                h2 #replays-title { "Replays" }
                ul.rows { @for replay in replays { li { (replays::listed(endpoint, replay)) } } }
            }
        }
    }
}

/// How it is configured.
pub(super) async fn about(console: &Console, endpoint: &Endpoint) -> Result<Markup, Error> {
    let mut about = vec![
        ("Id", html! { code { (endpoint.id) } }),
        ("URL", parts::url(&endpoint.url)),
        ("Events", events(endpoint)),
    ];
    if endpoint.kind == EndpointKind::Directory {
        about.push(("Organizations", organizations_of(console, endpoint).await?));
        about.push(("Directories", directories_of(console, endpoint).await?));
        about.push(("Order", html! { (order_text(endpoint.order)) }));
        about.push(("Format", html! { (format_text(endpoint.format)) }));
    }
    let of_settings = || html! { span.faint { "that of the settings" } };
    let schedule = endpoint.retry_schedule.as_ref();
    let timeout = endpoint.outward.timeout;
    about.extend([
        (
            "Retry schedule",
            schedule.map_or_else(of_settings, |waits| html! { code { (waits.to_string()) } }),
        ),
        (
            "Timeout",
            timeout.map_or_else(of_settings, |wait| html! { (wait.as_secs()) "\u{202f}s" }),
        ),
    ]);
    if let Some(shown) = &endpoint.outward.client_certificate {
        about.push(("Client certificate", certificate_at(shown, console.edge.now())));
    }
    if let Some(until) = endpoint.previous_secret_until {
        about.push(("Previous secret", html! { "signs too until " (time(until)) }));
    }
    about.extend([("Created", time(endpoint.created_at)), ("Changed", time(endpoint.updated_at))]);
    Ok(facts(&about))
}

/// Whose a certificate is, and until when.
pub(super) fn certificate(shown: &ClientCertificate) -> Markup {
    match Certificate::first_of(&shown.chain) {
        None => html! { "one is shown to it" },
        Some(Certificate { name, not_after }) => {
            html! { (parts::text_or(name.as_deref(), "without a name")) ", until " (time(not_after)) }
        }
    }
}

/// The same with a word on one that has ended, which apps turn away.
fn certificate_at(shown: &ClientCertificate, now: Timestamp) -> Markup {
    let said = Certificate::first_of(&shown.chain);
    let is_over = said.is_some_and(|said| said.not_after < now);
    html! { (certificate(shown)) @if is_over { " " (badge(Tone::Bad, "over")) } }
}

fn events(endpoint: &Endpoint) -> Markup {
    match endpoint.kind {
        EndpointKind::Operational => html! { "operational events" },
        EndpointKind::Directory => {
            html! { @for event in &endpoint.events { span.item { code { (event.name()) } } } }
        }
    }
}

async fn organizations_of(console: &Console, endpoint: &Endpoint) -> Result<Markup, Error> {
    let mut named = Vec::new();
    for id in endpoint.organizations.iter().take(NAMED_MAX) {
        named.push((organizations::path(*id), organization_name(console, *id).await?));
    }
    Ok(names(&named, endpoint.organizations.len()))
}

async fn directories_of(console: &Console, endpoint: &Endpoint) -> Result<Markup, Error> {
    let mut named = Vec::new();
    for id in endpoint.directories.iter().take(NAMED_MAX) {
        named.push((directory_path(*id), directory_name(console, *id).await?));
    }
    Ok(names(&named, endpoint.directories.len()))
}

fn names(named: &[(String, String)], all: usize) -> Markup {
    html! {
        @if all == 0 { span.faint { "all" } }
        @for (href, name) in named { span.item { a href=(href) { (parts::text(name)) } } }
        @if all > named.len() { "and " (all - named.len()) " more" }
    }
}

/// What stands where nothing was sent.
pub(super) fn nothing_sent(status: Option<&str>) -> Markup {
    match status {
        None => empty(
            "Nothing was sent yet",
            &html! { p { "What is sent to it is listed here, with what it answered. Send a test to see whether it answers at all; tests are not listed." } },
        ),
        Some(_) => empty(
            "Nothing like that",
            &html! { p { "None of the attempts that are kept ended like this." } },
        ),
    }
}

/// Two are different if the page of the endpoint shows something else.
pub(crate) async fn fingerprint(console: &Console, id: EndpointId) -> Result<u64, Error> {
    let endpoint = console.endpoints.get(id).await.map_err(Error::about(super::ENDPOINT))?;
    let standing = console.lookups.standing(id).await.map_err(Error::about(super::ENDPOINT))?;
    let latest = console.lookups.latest_attempts(id, Timestamp::from_millis(0), 1).await?;
    let replays = console.deliveries.replays(id, first_few(REPLAYS_SHOWN)).await?.items;
    let mut hasher = DefaultHasher::new();
    (endpoint.enabled, endpoint.updated_at.millis(), standing.lag_events).hash(&mut hasher);
    (standing.failing_since.map(Timestamp::millis), standing.failed_in_a_row).hash(&mut hasher);
    latest.first().map(|attempt| attempt.id.bits()).hash(&mut hasher);
    for replay in replays {
        let is_finished = replay.finished_at.is_some();
        (replay.id.bits(), replay.delivered, replay.exhausted, is_finished).hash(&mut hasher);
    }
    Ok(hasher.finish())
}
