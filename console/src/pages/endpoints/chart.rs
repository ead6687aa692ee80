//! Attempts over time, as bars that are drawn here, and as a table of the same.

use std::time::Duration;

use maud::{Markup, html};

use crate::parts::list::{column, minor, table};
use crate::parts::{number, time};
use crate::rated::{Part, Rated, percent};

/// How high the bars are, in units of their own.
const HEIGHT: f64 = 40.0;

/// How wide the place of a bar is, and how much of it stays empty.
const WIDTH: f64 = 6.0;
const GAP: f64 = 1.0;

/// What is there at all is seen: so high it is at least.
const LEAST: f64 = 2.0;

/// A bar for each part of the time: failures at the foot, what was delivered on top of them.
pub(super) fn bars(rated: &Rated) -> Markup {
    let most = rated.parts.iter().map(|part| part.delivered + part.failed).max().unwrap_or(0);
    let view = format!("0 0 {} {HEIGHT}", WIDTH * count(rated.parts.len() as u64));
    html! {
        svg.bars viewBox=(view) preserveAspectRatio="none" role="img" aria-label=(said(rated)) {
            @for (index, part) in rated.parts.iter().enumerate() { (bar(index, part, most)) }
        }
    }
}

fn bar(index: usize, part: &Part, most: u64) -> Markup {
    let [failed, delivered] = heights(part, most);
    let x = WIDTH * count(index as u64) + GAP / 2.0;
    let rect = |class: &str, from: f64, height: f64| {
        html! { rect class=(class) x=(short(x)) y=(short(HEIGHT - from - height)) width=(short(WIDTH - GAP)) height=(short(height)) {} }
    };
    html! {
        @if delivered > 0.0 { (rect("delivered", failed, delivered)) }
        @if failed > 0.0 { (rect("failed", 0.0, failed)) }
    }
}

/// Of what failed and of what was delivered.
fn heights(part: &Part, most: u64) -> [f64; 2] {
    let room = HEIGHT - LEAST;
    let share = |part: u64| {
        if part == 0 { 0.0 } else { (room * count(part) / count(most)).max(LEAST) }
    };
    [share(part.failed), share(part.delivered)]
}

#[expect(clippy::cast_precision_loss, reason = "a chart is a few hundred pixels wide and high")]
fn count(number: u64) -> f64 {
    number as f64
}

fn short(length: f64) -> String {
    format!("{length:.1}")
}

/// What the bars show, for whoever does not see them.
fn said(rated: &Rated) -> String {
    let Some(share) = percent(rated.delivered, rated.failed) else {
        return "No attempts".to_owned();
    };
    format!(
        "{share} of {} attempts delivered, {} failed",
        rated.delivered + rated.failed,
        rated.failed
    )
}

/// The same as a table, newest first; parts without attempts are left out.
pub(super) fn as_table(rated: &Rated) -> Markup {
    let parts = rated.parts.iter().rev().filter(|part| part.delivered + part.failed > 0);
    let row = |part: &Part| {
        [
            time(part.from),
            html! { span.number { (number(part.delivered)) } },
            html! { span.number { (number(part.failed)) } },
            html! { span.number { (percent(part.delivered, part.failed).unwrap_or_default()) } },
            html! { span.number { (part.median.map(milliseconds).unwrap_or_default()) } },
        ]
    };
    let columns = [
        column("From"),
        minor("Delivered"),
        column("Failed"),
        column("Success"),
        minor("Median time"),
    ];
    table("Attempts over time", columns, parts.map(row))
}

pub(super) fn milliseconds(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..10_000 => format!("{millis}\u{202f}ms"),
        _ => format!("{:.1}\u{202f}s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use schemas::Timestamp;

    use super::*;

    fn part(delivered: u64, failed: u64) -> Part {
        Part { from: Timestamp::from_millis(0), delivered, failed, median: None }
    }

    #[test]
    fn a_bar_stays_within_the_chart_and_a_single_failure_is_seen() {
        assert_eq!(heights(&part(0, 0), 0), [0.0, 0.0]);
        assert_eq!(heights(&part(100, 0), 100), [0.0, 38.0]);
        let [failed, delivered] = heights(&part(9_999, 1), 10_000);
        assert_eq!(failed, LEAST);
        assert!(failed + delivered <= HEIGHT);
        assert!(heights(&part(50, 50), 100).iter().sum::<f64>() <= HEIGHT);
    }

    #[test]
    fn a_duration_is_as_exact_as_it_is_read() {
        let shown = [4, 9_999, 12_345].map(|millis| milliseconds(Duration::from_millis(millis)));
        assert_eq!(shown.map(|text| text.replace('\u{202f}', " ")), ["4 ms", "9999 ms", "12.3 s"]);
    }
}
