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
            h2 #failing { "Failing endpoints" }
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
            (stage("Ingest", "SCIM requests a second", latest.map(|rates| rates.requests), &chart(flow, |rates| rates.requests), None))
            (count("Log", "records", flow.records, None))
            (count("Projector", "records behind the log", flow.lag, behind(flow.lag)))
            (stage("Feed", "events a second", latest.map(|rates| rates.events), &chart(flow, |rates| rates.events), None))
            (stage("Dispatcher", "deliveries a second", latest.map(|rates| rates.deliveries), &chart(flow, |rates| rates.deliveries), Some(undelivered(flow))))
        }
    }
}

fn stage(
    name: &str,
    unit: &str,
    rate: Option<f64>,
    chart: &Markup,
    note: Option<Markup>,
) -> Markup {
    html! {
        li.stage {
            h2 { (name) }
            p.figure { @match rate { Some(rate) => (rate_text(rate)), None => "–" } }
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

fn undelivered(flow: &Flow) -> Markup {
    let failures = flow.rates.last().map_or(0.0, |rates| rates.failures);
    html! {
        (number(flow.undelivered)) " events behind"
        @if failures > 0.0 { ", " (rate_text(failures)) " failed attempts a second" }
    }
}

/// One digit behind the point below ten; more would say nothing.
fn rate_text(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// The last minutes as a line. The figure beside it says what matters, so readers of screens pass it over.
fn chart(flow: &Flow, value: impl Fn(&Rates) -> f64) -> Markup {
    let most = flow.rates.iter().map(&value).fold(0.0, f64::max);
    let view = format!("0 0 {CHART_WIDTH} {CHART_HEIGHT}");
    html! {
        svg.chart viewBox=(view) preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            polyline points=(points(&flow.rates, &value, most)) fill="none" {}
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
        return html! { p { (badge(Tone::Good, "none")) " Every endpoint gets its events." } };
    }
    html! {
        ul.rows {
            @for endpoint in failing {
                li {
                    strong { a #(endpoint.id) href=(endpoints::path(endpoint.id)) { (parts::text(&endpoint.url)) } }
                    @match (&endpoint.disabled_reason, endpoint.failing_since) {
                        (Some(reason), _) => { (badge(Tone::Bad, "turned off")) span { (why_off(reason)) } }
                        (None, Some(since)) => {
                            (badge(Tone::Bad, "failing"))
                            span { "since " (time(since)) ", " (number(endpoint.failed_in_a_row)) " attempts in a row" }
                        }
                        (None, None) => {}
                    }
                }
            }
        }
        p { "Events wait for it; nothing is lost." }
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
        let rates = [0.0, 5.0, 10.0].map(|requests| Rates { requests, ..Rates::default() });
        let drawn = points(&rates, |rates| rates.requests, 10.0);
        assert_eq!(drawn, "0.0,29.0 60.0,15.0 120.0,1.0 ");
        assert_eq!(points(&rates[..1], |rates| rates.requests, 0.0), "0.0,29.0 ");
    }

    #[test]
    fn rates_are_as_exact_as_they_are_read() {
        assert_eq!([0.0, 0.25, 9.96, 12.3].map(rate_text), ["0", "0.2", "10.0", "12"]);
    }
}
