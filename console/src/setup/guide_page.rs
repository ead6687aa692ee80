//! A guide as it looks: numbered steps that tick themselves off, with the endpoint and the token in their place.

use api::ports::Secret;
use maud::{Markup, html};

use super::guide::{Fields, Guide, Part, written};
use super::guides::ANY;
use super::steps::Standing;
use crate::parts;

/// What is put into the forms of a provider.
pub(super) struct Credentials<'a> {
    /// Where it sends its requests.
    pub(super) endpoint: &'a str,
    /// A token that was just made.
    pub(super) token: Option<&'a Secret>,
    /// What stands in its place otherwise.
    pub(super) instead: Markup,
}

/// The steps, each where it stands.
pub(super) fn steps(
    guide: &Guide,
    standings: &[Standing],
    credentials: &Credentials<'_>,
) -> Markup {
    html! {
        ol.steps {
            @for (index, (step, standing)) in guide.steps.iter().zip(standings).enumerate() {
                li.step {
                    (tick(index + 1, *standing))
                    div.step-body {
                        h3 { (step.title) }
                        @for part in step.parts { (part_of(guide, part, credentials)) }
                    }
                }
            }
        }
    }
}

/// The ids of the ticks, which are what changes of a guide while it is open.
pub(super) fn ticks(guide: &Guide) -> impl Iterator<Item = String> {
    (1..=guide.steps.len()).map(|number| format!("tick-{number}"))
}

fn tick(number: usize, standing: Standing) -> Markup {
    html! { span #{ "tick-" (number) } class=(class_of(standing)) { (sign(standing, &html! { (number) })) } }
}

/// What stands for a standing: a tick, or this.
pub(super) fn sign(standing: Standing, otherwise: &Markup) -> Markup {
    html! {
        @match standing {
            Standing::Done => {
                svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
                    path d="M3.5 8.5l3 3 6-7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" {}
                }
                span.sr { "Done: " }
            }
            Standing::Next => { span aria-hidden="true" { (otherwise) } span.sr { "Next: " } }
            Standing::Later => span aria-hidden="true" { (otherwise) },
        }
    }
}

pub(super) const fn class_of(standing: Standing) -> &'static str {
    match standing {
        Standing::Done => "tick done",
        Standing::Next => "tick next",
        Standing::Later => "tick",
    }
}

fn part_of(guide: &Guide, part: &Part, credentials: &Credentials<'_>) -> Markup {
    html! {
        @match part {
            Part::Menu(names) => (menu(names)),
            Part::Text(text) => p { (written(text)) },
            Part::Fields(fields) => (form_of(fields, credentials)),
            Part::Mappings(mappings) => (table_of(guide, mappings)),
        }
    }
}

fn menu(names: &[&str]) -> Markup {
    html! { ol.menu aria-label="Where to click" { @for name in names { li { span { (name) } } } } }
}

/// The form of the provider, drawn with what goes into it.
fn form_of(fields: &Fields, credentials: &Credentials<'_>) -> Markup {
    html! {
        div #credentials.sketch role="group" aria-label="What goes into the form" {
            @for (name, value) in fields.choose {
                div.sketch-choice { span.copy-label { (name) } span.sketch-value { (value) } }
            }
            (parts::copy("endpoint", fields.endpoint, credentials.endpoint))
            @match credentials.token {
                Some(token) => {
                    (parts::copy("bearer-token", fields.token, token.expose()))
                    p.once { "Copy it now. It is shown this once." }
                }
                None => div.sketch-row { span.copy-label { (fields.token) } (credentials.instead) },
            }
            div.sketch-row { span.sketch-button { (fields.press) } span.hint { "press it there" } }
        }
    }
}

fn table_of(guide: &Guide, mappings: &[(&str, &str)]) -> Markup {
    html! {
        table.mappings {
            caption.sr { "Mappings" }
            thead { tr { th scope="col" { @if guide.slug == ANY { "There" } @else { (guide.name) } } th scope="col" { "SCIM attribute" } } }
            tbody { @for (from, to) in mappings { tr { td { code { (from) } } td { (arrow()) code { (to) } } } } }
        }
    }
}

/// From there to here.
pub(super) fn arrow() -> Markup {
    html! {
        svg.arrow viewBox="0 0 24 12" width="24" height="12" aria-hidden="true" {
            path d="M1 6h20M17 2l4 4-4 4" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" {}
        }
    }
}
