//! `/console`: the pipeline as it is.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::{endpoints, hold};
use crate::Console;
use crate::error::Error;
use crate::layout::{Page, Section};
use crate::parts::{self, Tone, badge, empty, live, number, time};
use crate::ports::{FailingEndpoint, Flow, Rates};
use crate::session::Viewer;

/// How many failing endpoints are shown; where there are more, something else is wrong.
const FAILING_MAX: u32 = 20;

/// How high a chart is, in its own units.
const CHART_HEIGHT: f64 = 30.0;

/// How wide a chart is, in its own units.
const CHART_WIDTH: f64 = 120.0;

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
) -> Result<Response, Error> {
    let flow = console.pipeline.flow().await?;
    let failing = console.lookups.failing_endpoints(FAILING_MAX).await?;
    let held = console.lookups.held_directories(hold::SHOWN_MAX).await?;
    let panel = html! {
        (pipeline(&flow))
        (hold::list(&held))
        section aria-labelledby="failing" {
            h2 #failing { "Endpoints that fail or are turned off" }
            (failing_endpoints(&failing))
        }
    };
    let body = live("pipeline", "/console", &panel);
    let page = Page::new(&viewer, Section::Start, "Pipeline");
    Ok(page.following("/console/changes?of=pipeline").show(&body))
}

fn pipeline(flow: &Flow) -> Markup {
    let latest = flow.rates.last().copied();
    html! {
        ol.pipeline {
            (stage("Ingest", "SCIM requests a second, from identity providers", latest.map(|rates| rates.requests), &chart(flow, |rates| rates.requests), latest.and_then(|rates| of_others(flow, rates.requests, "ingest"))))
            (count("Log", "records: every change that was accepted", flow.records, None))
            (count("Projector", "records that lists do not show yet", flow.lag, behind(flow.lag)))
            (stage("Feed", "events a second, for apps", latest.map(|rates| Some(rates.events)), &chart(flow, |rates| Some(rates.events)), None))
            (stage("Dispatcher", "webhooks a second that apps took", latest.map(|rates| rates.deliveries), &chart(flow, |rates| rates.deliveries), Some(undelivered(flow))))
        }
    }
}

fn stage(
    name: &str,
    unit: &str,
    rate: Option<Option<f64>>,
    chart: &Markup,
    note: Option<Markup>,
) -> Markup {
    html! {
        li.stage {
            h2 { (name) }
            p.figure { @match rate.flatten() { Some(rate) => (rate_text(rate)), None => "–" } }
            p.unit { (unit) }
            (chart)
            @if let Some(note) = note { p.note { (note) } }
        }
    }
}

fn count(name: &str, unit: &str, count: u64, note: Option<Markup>) -> Markup {
    html! {
        li.stage {
            h2 { (name) }
            p.figure { (number(count)) }
            p.unit { (unit) }
            @if let Some(note) = note { p.note { (note) } }
        }
    }
}

fn behind(lag: u64) -> Option<Markup> {
    (lag == 0).then(|| badge(Tone::Good, "up to date"))
}

/// What a figure leaves out: each process counts for itself.
fn of_others(flow: &Flow, rate: Option<f64>, role: &str) -> Option<Markup> {
    match rate {
        None => Some(html! { "Counted by the processes that play " (role) ", in their metrics." }),
        Some(_) if flow.has_others => Some(html! { "Of this process alone." }),
        Some(_) => None,
    }
}

fn undelivered(flow: &Flow) -> Markup {
    let latest = flow.rates.last();
    let failures = latest.map_or(0.0, |rates| rates.failures);
    html! {
        @if let Some(note) = latest.and_then(|rates| of_others(flow, rates.deliveries, "dispatcher")) { (note) " " }
        (number(flow.undelivered)) " events wait for the endpoint that is furthest behind"
        @if failures > 0.0 { ", " (rate_text(failures)) " failed attempts a second" }
    }
}

/// One digit behind the point below ten; more would say nothing.
fn rate_text(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// The last minutes as a line. The figure beside it says what matters, so readers of screens pass it over.
fn chart(flow: &Flow, value: impl Fn(&Rates) -> Option<f64>) -> Markup {
    let value = |rates: &Rates| value(rates).unwrap_or(0.0);
    let most = flow.rates.iter().map(&value).fold(0.0, f64::max);
    let view = format!("0 0 {CHART_WIDTH} {CHART_HEIGHT}");
    html! {
        svg.chart viewBox=(view) preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            polyline points=(points(&flow.rates, value, most)) fill="none" {}
        }
    }
}

fn points(rates: &[Rates], value: impl Fn(&Rates) -> f64, most: f64) -> String {
    let mut points = String::new();
    #[expect(clippy::cast_precision_loss, reason = "a chart has a few dozen points")]
    let step = CHART_WIDTH / (rates.len().max(2) - 1) as f64;
    let mut x = 0.0;
    for rates in rates {
        let share = if most > 0.0 { value(rates) / most } else { 0.0 };
        let y = CHART_HEIGHT - 1.0 - share * (CHART_HEIGHT - 2.0);
        write!(points, "{x:.1},{y:.1} ").expect("a text takes what is written");
        x += step;
    }
    points
}

fn failing_endpoints(failing: &[FailingEndpoint]) -> Markup {
    if failing.is_empty() {
        return html! { p { (badge(Tone::Good, "none")) " No endpoint fails, and none is turned off." } };
    }
    html! {
        ul.rows {
            @for endpoint in failing {
                li {
                    strong { a #(endpoint.id) href=(endpoints::path(endpoint.id)) { (parts::url(&endpoint.url)) } }
                    @match (&endpoint.disabled_reason, endpoint.failing_since, endpoint.enabled) {
                        (Some(reason), ..) => { (badge(Tone::Bad, "turned off")) span { (why_off(reason)) } }
                        (None, _, false) => { (badge(Tone::Plain, "turned off")) span { "Somebody turned it off." } }
                        (None, Some(since), true) => {
                            (badge(Tone::Bad, "failing"))
                            span { "since " (time(since)) ", " (number(endpoint.failed_in_a_row)) " attempts in a row" }
                        }
                        (None, None, true) => {}
                    }
                }
            }
        }
        p { "Events wait for them; nothing is lost." }
    }
}

fn why_off(reason: &str) -> &'static str {
    match reason {
        "gone" => "It answered 410: it is gone for good.",
        _ => "It has failed for too long. Mend it, and turn it on again.",
    }
}

/// What stands where nothing has been set up.
pub(crate) fn nothing_yet(viewer: &Viewer) -> Markup {
    let next = html! {
        @if viewer.is_admin() {
            p { "An organization is a customer of your app. Its directories connect its identity providers." }
            a.button.primary href="/console/organizations/new" { "Add organization" }
        } @else {
            p { "An admin adds the first one." }
        }
    };
    empty("No organizations yet", &next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_spans_its_width_and_never_leaves_its_height() {
        let rates = [0.0, 5.0, 10.0].map(|events| Rates { events, ..Rates::default() });
        let drawn = points(&rates, |rates| rates.events, 10.0);
        assert_eq!(drawn, "0.0,29.0 60.0,15.0 120.0,1.0 ");
        assert_eq!(points(&rates[..1], |rates| rates.events, 0.0), "0.0,29.0 ");
    }

    #[test]
    fn a_rate_that_is_not_known_here_is_no_zero() {
        let rates = Rates { events: 4.0, ..Rates::default() };
        let flow = Flow { rates: vec![rates], has_others: true, undelivered: 7, ..Flow::default() };
        let shown = pipeline(&flow).into_string();
        assert!(shown.contains("processes that play ingest"), "{shown}");
        assert_eq!(shown.matches("<p class=\"figure\">–</p>").count(), 2, "{shown}");
        assert!(shown.contains("7 events wait"), "{shown}");
        let rates = Rates { requests: Some(2.0), deliveries: Some(0.0), ..rates };
        let shown = pipeline(&Flow { rates: vec![rates], ..flow }).into_string();
        assert_eq!(shown.matches("Of this process alone.").count(), 2, "{shown}");
    }

    #[test]
    fn rates_are_as_exact_as_they_are_read() {
        assert_eq!([0.0, 0.25, 9.96, 12.3].map(rate_text), ["0", "0.2", "10.0", "12"]);
    }
}
