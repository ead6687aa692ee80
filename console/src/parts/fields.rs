//! The fields of larger forms, each with what the API says is wrong with it.

use api::actions::FieldError;
use maud::{Markup, html};

/// What is wrong with the fields of a form.
#[derive(Clone, Copy)]
pub(crate) struct Wrongs<'a>(pub(crate) &'a [FieldError]);

impl<'a> Wrongs<'a> {
    /// About a field, or about one item of the list in it.
    fn of(self, name: &str) -> Option<&'a FieldError> {
        self.0.iter().find(|error| {
            error
                .field
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        })
    }

    /// Everything, above the form.
    pub(crate) fn all(self) -> Markup {
        html! {
            @if !self.0.is_empty() {
                div.notice.bad role="alert" {
                    @for error in self.0 { p { (message(error)) } }
                }
            }
        }
    }

    /// What stands under a field: what is wrong with it, or else what to put in.
    pub(crate) fn under(self, name: &str, hint: &str) -> Markup {
        let id = format!("{name}-hint");
        html! {
            @match self.of(name) {
                Some(error) => p.wrong #(id) { (message(error)) },
                None if hint.is_empty() => {}
                None => p.hint #(id) { (hint) },
            }
        }
    }

    fn mark(self, name: &str) -> Option<&'static str> {
        self.of(name).map(|_| "true")
    }
}

fn message(error: &FieldError) -> &str {
    error.message.as_deref().unwrap_or(error.code)
}

/// What a field is called, and what it is for.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) hint: &'a str,
}

/// A field with this name, label and hint.
pub(crate) const fn named<'a>(name: &'a str, label: &'a str, hint: &'a str) -> Named<'a> {
    Named { name, label, hint }
}

/// What describes it, if something does.
fn described(field: Named<'_>) -> Option<String> {
    (!field.hint.is_empty()).then(|| format!("{}-hint", field.name))
}

/// A line of text.
pub(crate) fn line(field: Named<'_>, value: &str, wrongs: Wrongs<'_>) -> Markup {
    let Named { name, label, hint } = field;
    html! {
        div.field {
            label for=(name) { (label) }
            input #(name) type="text" name=(name) value=(value) dir="auto" autocomplete="off" spellcheck="false"
                aria-describedby=[described(field)] aria-invalid=[wrongs.mark(name)];
            (wrongs.under(name, hint))
        }
    }
}

/// A text of several lines, for machines.
pub(crate) fn text_area(field: Named<'_>, value: &str, wrongs: Wrongs<'_>) -> Markup {
    let Named { name, label, hint } = field;
    html! {
        div.field {
            label for=(name) { (label) }
            textarea #(name) name=(name) rows="3" dir="ltr" autocomplete="off" spellcheck="false" autocapitalize="off"
                aria-describedby=[described(field)] aria-invalid=[wrongs.mark(name)] { (value) }
            (wrongs.under(name, hint))
        }
    }
}

/// One of a few, as pairs of what is sent and what is shown.
pub(crate) fn choice(
    field: Named<'_>,
    options: &[(&str, String)],
    chosen: &str,
    wrongs: Wrongs<'_>,
) -> Markup {
    let Named { name, label, hint } = field;
    html! {
        div.field {
            label for=(name) { (label) }
            select #(name) name=(name) aria-describedby=[described(field)] aria-invalid=[wrongs.mark(name)] {
                @for (value, text) in options { option value=(value) selected[*value == chosen] { (text) } }
            }
            (wrongs.under(name, hint))
        }
    }
}

/// Something that is so or not.
pub(crate) fn tick(name: &str, value: &str, label: &Markup, is_ticked: bool) -> Markup {
    html! {
        label.tickbox { input type="checkbox" name=(name) value=(value) checked[is_ticked]; span { (label) } }
    }
}

/// Any number of many.
pub(crate) fn ticks(field: Named<'_>, ticks: &Markup, wrongs: Wrongs<'_>) -> Markup {
    let Named { name, label, hint } = field;
    html! {
        fieldset.ticks aria-describedby=[described(field)] {
            legend { (label) }
            (wrongs.under(name, hint))
            div.tick-list { (ticks) }
        }
    }
}
