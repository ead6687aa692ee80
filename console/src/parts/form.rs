//! Forms: fields with their labels, hints and what is wrong with them.

use maud::{Markup, html};

use crate::form::Wrong;
use crate::session::{CSRF_FIELD, Viewer};

/// A form that changes something.
pub(crate) fn form(viewer: &Viewer, action: &str, body: &Markup) -> Markup {
    html! {
        form.stack method="post" action=(action) {
            input type="hidden" name=(CSRF_FIELD) value=(viewer.csrf);
            (body)
        }
    }
}

/// A field that is sent and not shown.
pub(crate) fn hidden(name: &str, value: impl std::fmt::Display) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// What Enter in a field means, where a form has several buttons: a browser takes the first of them.
pub(crate) fn on_enter(wish: &str) -> Markup {
    html! { button.sr type="submit" name="do" value=(wish) tabindex="-1" aria-hidden="true" {} }
}

/// A line of text to fill in.
pub(crate) struct Field<'a> {
    /// What it is sent as.
    pub(crate) name: &'a str,
    /// What it is called.
    pub(crate) label: &'a str,
    /// What stands in it.
    pub(crate) value: &'a str,
    /// What to put in.
    pub(crate) hint: &'a str,
    /// Whether it may stay empty.
    pub(crate) required: bool,
}

impl Field<'_> {
    pub(crate) fn show(&self, wrong: Option<Wrong>) -> Markup {
        self.show_among(wrong, &[])
    }

    /// The same with values that are proposed, each with what it stands for.
    pub(crate) fn show_among(&self, wrong: Option<Wrong>, proposed: &[(String, String)]) -> Markup {
        let Self { name, label, value, hint, required } = self;
        let wrong = wrong.filter(|wrong| wrong.field == *name);
        let list = (!proposed.is_empty()).then(|| format!("{name}-list"));
        html! {
            div.field {
                label for=(name) { (label) }
                input #(name) type="text" name=(name) value=(value) required[*required] dir="auto" list=[list.as_ref()]
                    autocomplete="off" spellcheck="false" aria-describedby={ (name) "-hint" }
                    aria-invalid=[wrong.map(|_| "true")];
                @if let Some(list) = &list {
                    datalist #(list) { @for (value, label) in proposed { option value=(value) { (label) } } }
                }
                @match wrong {
                    Some(wrong) => p.wrong #{ (name) "-hint" } { (wrong.text) },
                    None => p.hint #{ (name) "-hint" } { (hint) },
                }
            }
        }
    }
}

/// One of several: what it is sent as, what it is called, and what it means.
pub(crate) type Choice<'a> = (&'a str, &'a str, &'a str);

/// Several of which one is to be chosen.
pub(crate) fn choices(
    name: &str,
    legend: &str,
    chosen: &str,
    choices: &[Choice<'_>],
    wrong: Option<Wrong>,
) -> Markup {
    let wrong = wrong.filter(|wrong| wrong.field == name);
    html! {
        fieldset.choices {
            legend { (legend) }
            @if let Some(wrong) = wrong { p.wrong { (wrong.text) } }
            @for (value, label, meaning) in choices {
                label.choice {
                    input type="radio" name=(name) value=(value) required checked[*value == chosen];
                    span.choice-name { (label) }
                    span.hint { (meaning) }
                }
            }
        }
    }
}

/// The button that sends a form, and the way back without.
pub(crate) fn send(label: &str, back: &str) -> Markup {
    html! {
        div.buttons {
            button.button.primary type="submit" { (label) }
            a.button href=(back) { "Cancel" }
        }
    }
}

/// The same for what cannot be undone.
pub(crate) fn send_danger(label: &str, back: &str) -> Markup {
    html! {
        div.buttons {
            button.button.danger type="submit" { (label) }
            a.button href=(back) { "Cancel" }
        }
    }
}

/// A box to search with. Results come as one types where a script runs, and with Enter everywhere.
pub(crate) fn search(action: &str, label: &str, value: &str, results: &str) -> Markup {
    html! {
        form.search role="search" method="get" action=(action)
            hx-get=(action) hx-trigger="input changed delay:200ms from:find input, submit"
            hx-select={ "#" (results) } hx-target={ "#" (results) } hx-swap="outerHTML"
            hx-sync="this:replace" hx-replace-url="true" {
            label.sr for="search" { (label) }
            input #search type="search" name="search" value=(value) placeholder=(label) dir="auto"
                autocomplete="off" spellcheck="false";
            button.button type="submit" { "Search" }
        }
    }
}
