//! The fields of the form, each with what is wrong about it.

use directory::attribute_map::Predefined;
use maud::{Markup, html};

use super::typed::{Row, Typed, Wrongs};

/// What an attribute that every user has is called, and what it is where nothing is said.
const STANDARD: [(&str, &str, &str); 7] = [
    ("email", "E-mail", "the main address"),
    ("first_name", "First name", "name.givenName"),
    ("idp_id", "Id of the identity provider", "externalId, else userName"),
    ("job_title", "Title", "title"),
    ("last_name", "Last name", "name.familyName"),
    ("name", "Name", "the whole name"),
    ("username", "User name", "userName"),
];

/// All of them.
pub(super) fn all(typed: &Typed, wrongs: &Wrongs) -> Markup {
    html! {
        @if let Some(wrong) = wrongs.of("") { p.wrong { (wrong) } }
        (custom(typed, wrongs))
        (predefined(typed, wrongs))
        (standard(typed, wrongs))
    }
}

fn standard(typed: &Typed, wrongs: &Wrongs) -> Markup {
    html! {
        fieldset.group {
            legend { "Standard attributes" }
            p.hint { "Give paths only to what is to come from elsewhere. Of several paths, one a line, the first that leads to a value counts." }
            div.pairs {
                @for (name, text) in &typed.standard {
                    @let (label, default) = words(name);
                    @let field = format!("standard.{name}");
                    @let wrong = wrongs.of(&field);
                    div.field {
                        label for=(field) { (label) " " code { (name) } }
                        (chain(&field, &field, text, wrong.is_some()))
                        @match wrong {
                            Some(wrong) => p.wrong #{ (field) "-hint" } { (wrong) },
                            None => p.hint #{ (field) "-hint" } { "Without a path: " (default) "." },
                        }
                    }
                }
            }
        }
    }
}

fn predefined(typed: &Typed, wrongs: &Wrongs) -> Markup {
    html! {
        fieldset.group {
            legend { "Custom attributes that are filled by themselves" }
            @if let Some(wrong) = wrongs.of("predefined") { p.wrong { (wrong) } }
            div.checks {
                @for name in Predefined::ALL.map(Predefined::name) {
                    label.check {
                        input type="checkbox" name="predefined" value=(name) checked[typed.predefined.contains(name)];
                        code { (name) }
                    }
                }
            }
        }
    }
}

fn custom(typed: &Typed, wrongs: &Wrongs) -> Markup {
    html! {
        fieldset.group {
            legend { "Custom attributes of your own" }
            p #custom-hint.hint {
                "A name for apps, and where it comes from: a SCIM path such as " code { "addresses[type eq \"work\"].locality" }
                ", or several, one a line. Empty both to take an attribute away."
            }
            @for (index, row) in typed.custom.iter().enumerate() { (custom_row(index + 1, row, wrongs)) }
            div.buttons {
                button.button type="submit" name="do" value="rows" formnovalidate { "More rows" }
            }
        }
    }
}

fn custom_row(number: usize, row: &Row, wrongs: &Wrongs) -> Markup {
    let wrong = (!row.is_empty()).then(|| wrongs.of(&format!("custom.{}", row.name.trim())));
    let wrong = wrong.flatten();
    let (name, paths) = (format!("custom-name-{number}"), format!("custom-paths-{number}"));
    html! {
        div.mapped {
            div.field {
                label for=(name) { "Name " span.sr { (number) } }
                input #(name) type="text" name="custom_name" value=(row.name) autocomplete="off" spellcheck="false"
                    autocapitalize="off" aria-describedby={ (paths) "-hint" } aria-invalid=[wrong.as_ref().map(|_| "true")];
            }
            div.field {
                label for=(paths) { "Paths " span.sr { (number) } }
                (chain(&paths, "custom_paths", &row.paths, wrong.is_some()))
            }
            @match wrong {
                Some(wrong) => p.wrong #{ (paths) "-hint" } { (wrong) },
                None => span #{ (paths) "-hint" } hidden { "One path a line." },
            }
        }
    }
}

/// As high as its lines.
fn chain(id: &str, name: &str, text: &str, is_wrong: bool) -> Markup {
    let rows = text.lines().count().max(1);
    html! {
        textarea #(id) name=(name) rows=(rows) dir="ltr" autocomplete="off" spellcheck="false" autocapitalize="off"
            aria-describedby={ (id) "-hint" } aria-invalid=[is_wrong.then_some("true")] { (text) }
    }
}

fn words(name: &str) -> (&'static str, &'static str) {
    let found = STANDARD.into_iter().find(|(known, ..)| *known == name);
    found.map_or(("", "what it is without a map"), |(_, label, default)| (label, default))
}

#[cfg(test)]
mod tests {
    use directory::AttributeMap;

    use super::*;

    #[test]
    fn every_standard_attribute_has_words() {
        assert_eq!(STANDARD.map(|(name, ..)| name), AttributeMap::STANDARD);
    }
}
