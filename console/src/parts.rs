//! The pieces that pages are put together from. Each is markup alone; how it looks is in `console.css`,
//! under the name of the piece.

pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod list;
pub(crate) mod notice;

use api::ports::Page;
use maud::{Markup, Render, html};
use schemas::Timestamp;
use schemas::wire::DirectoryState;
use serde_json::Value;

/// A time, to the second. Where it has no room it is broken between its date and its clock, and nowhere else.
pub(crate) fn time(at: Timestamp) -> Markup {
    let text = at.to_string();
    let (date, clock) =
        text.get(..19).and_then(|shown| shown.split_once('T')).unwrap_or((&text, ""));
    html! { time datetime=(text) { span.whole { (date) } " " span.whole { (clock) } } }
}

/// A time, if there is one.
pub(crate) fn time_or(at: Option<Timestamp>, none: &str) -> Markup {
    html! { @match at { Some(at) => (time(at)), None => span.faint { (none) } } }
}

/// A text that somebody outside chose: it stands for itself, whatever its direction.
pub(crate) fn text(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A URL, which breaks behind its slashes where there is little room.
pub(crate) fn url(url: &str) -> Markup {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    html! { bdi { (scheme) @for part in rest.split_inclusive('/') { (part) wbr; } } }
}

/// A text from outside that may be missing.
pub(crate) fn text_or(given: Option<&str>, none: &str) -> Markup {
    html! { @match given { Some(given) => (text(given)), None => span.faint { (none) } } }
}

/// A name that is broken behind its underscores and dots where there is no room.
pub(crate) fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['_', '.']) { (part) wbr; } }
}

/// How long a URL may be in a heading, and how much of its two ends is kept if it is longer: the host, and what tells
/// it from others of that host.
const HEADING_MAX: usize = 60;
const HEADING_ENDS: (usize, usize) = (36, 20);

/// A URL for a heading. What is long is shortened in its middle.
pub(crate) fn shortened(url: &str) -> String {
    let length = url.chars().count();
    if length <= HEADING_MAX {
        return url.to_owned();
    }
    let (begin, end) = HEADING_ENDS;
    let (first, last): (String, String) =
        (url.chars().take(begin).collect(), url.chars().skip(length - end).collect());
    format!("{first}…{last}")
}

/// How a badge feels.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Plain,
    Bad,
}

/// A short word with a colour; the word alone says it all.
pub(crate) fn badge(tone: Tone, word: impl Render) -> Markup {
    let class = match tone {
        Tone::Good => "badge good",
        Tone::Plain => "badge",
        Tone::Bad => "badge bad",
    };
    html! { span class=(class) { (word) } }
}

/// The state of a directory, in words that need no manual.
pub(crate) fn directory_state(state: DirectoryState) -> Markup {
    match state {
        DirectoryState::Active => badge(Tone::Good, "connected"),
        DirectoryState::Inactive => badge(Tone::Plain, "not connected yet"),
        DirectoryState::Deleting => badge(Tone::Bad, "being deleted"),
    }
}

/// Names and values. A value is any markup.
pub(crate) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

/// A value to copy, with a button for that where a script runs.
pub(crate) fn copy(id: &str, label: &str, value: &str) -> Markup {
    html! {
        div.copy {
            span.copy-label #{ (id) "-label" } { (label) }
            div.copy-row {
                output.copy-value #(id) aria-labelledby={ (id) "-label" } { (value) }
                button.button type="button" data-copy=(id) hidden { "Copy" span.sr { " " (label) } }
            }
        }
    }
}

/// JSON as it is, with lines and indents.
pub(crate) fn json(value: &Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { pre.json dir="ltr" { code { (text) } } }
}

/// What stands in the place of a list that has nothing: what it would show, and what to do next.
pub(crate) fn empty(title: &str, next: &Markup) -> Markup {
    html! { div.empty { p.empty-title { (title) } div.empty-next { (next) } } }
}

/// A part of a page that is fetched anew when the stream of the page says that something changed.
pub(crate) fn live(id: &str, from: &str, body: &Markup) -> Markup {
    html! {
        div #(id) hx-get=(from) hx-select={ "#" (id) } hx-target="this" hx-swap="outerHTML"
            hx-trigger="changed from:body" hx-sync="this:queue last" { (body) }
    }
}

/// The way to the pages around this one. Addresses are made from the ids of the first and last item.
pub(crate) fn pager<T, I: std::fmt::Display>(
    page: &Page<T>,
    id: impl Fn(&T) -> I,
    link: impl Fn(&str, &str) -> String,
) -> Markup {
    let before = page.items.first().filter(|_| page.has_before).map(|item| id(item).to_string());
    let after = page.items.last().filter(|_| page.has_after).map(|item| id(item).to_string());
    html! {
        @if before.is_some() || after.is_some() {
            nav.pager aria-label="Pages" {
                @if let Some(id) = before { a.button rel="prev" href=(link("before", &id)) { "← Newer" } }
                @if let Some(id) = after { a.button rel="next" href=(link("after", &id)) { "Older →" } }
            }
        }
    }
}

/// How much of something there is, with a thin space between thousands.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_breaks_behind_its_slashes_and_nowhere_in_what_it_begins_with() {
        let shown = |text| url(text).into_string();
        assert_eq!(
            shown("https://app.example/a/<b>"),
            "<bdi>https://app.example/<wbr>a/<wbr>&lt;b&gt;<wbr></bdi>"
        );
        assert_eq!(shown("none"), "<bdi>none<wbr></bdi>");
    }

    #[test]
    fn thousands_are_set_apart() {
        let all = [0, 999, 1_000, 1_234_567].map(number);
        assert_eq!(all, ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }

    #[test]
    fn a_long_url_keeps_its_ends_in_a_heading() {
        let short = "https://app.example/webhooks";
        assert_eq!(shortened(short), short);
        let long = format!("https://hooks.example/{}/the-end-of-the-path", "é".repeat(60));
        assert_eq!(shortened(&long).chars().count(), 57);
        assert!(shortened(&long).starts_with("https://hooks.example/é"));
        assert!(shortened(&long).ends_with("…/the-end-of-the-path"), "{}", shortened(&long));
    }

    #[test]
    fn what_comes_from_outside_is_text() {
        let shown = text("<script>alert(1)</script>\u{202e}").into_string();
        assert_eq!(shown, "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;\u{202e}</bdi>");
    }
}
