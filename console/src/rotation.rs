//! How long a token works on when another takes its place: what the console and the setup pages ask, and what they show
//! of it.

use std::time::Duration;

use api::ports::Token;
use maud::{Markup, html};
use schemas::Timestamp;

use crate::form::Form;
use crate::parts::time;

/// The name of the field.
const OVERLAP: &str = "overlap_seconds";

/// How long, in seconds and in words. An identity provider is given another token within minutes; who has to ask somebody
/// else for that needs days.
const OVERLAPS: [(&str, &str); 4] =
    [("604800", "7 days"), ("86400", "A day"), ("2592000", "30 days"), ("", "Until it is revoked")];

/// The choice, where there is a token whose place is taken. `id` tells it from others on the page.
pub(crate) fn field(id: &str, tokens: &[Token]) -> Markup {
    html! {
        @if let Some(token) = tokens.first() {
            div.field {
                label for=(id) { "The token that ends in …" (token.suffix) " works for" }
                select #(id) name=(OVERLAP) aria-describedby={ (id) "-hint" } {
                    @for (seconds, text) in OVERLAPS { option value=(seconds) { (text) } }
                }
                p.hint #{ (id) "-hint" } { "As long as it takes to enter the new one. Then it ends by itself." }
            }
        }
    }
}

/// When the others end; nothing, if they do not by themselves. An error is a choice that no form has.
pub(crate) fn others_until(form: &Form, now: Timestamp) -> Result<Option<Timestamp>, ()> {
    let Some(chosen) = form.text(OVERLAP) else { return Ok(None) };
    let seconds = OVERLAPS.iter().find(|(seconds, _)| *seconds == chosen);
    let seconds = seconds.and_then(|(seconds, _)| seconds.parse().ok()).ok_or(())?;
    Ok(Some(now.after(Duration::from_secs(seconds))))
}

/// What a token ends in, and its end where it has one.
pub(crate) fn suffix(token: &Token) -> Markup {
    html! {
        code { "…" (token.suffix) }
        @if let Some(end) = token.expires_at { div.detail { "works until " (time(end)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_end_after_what_was_chosen_and_not_by_themselves_without() {
        let now = Timestamp::from_millis(1_000);
        let until = |form: &str| others_until(&Form::parse(form.as_bytes()), now);
        assert_eq!(until(""), Ok(None));
        assert_eq!(until("overlap_seconds="), Ok(None));
        assert_eq!(until("overlap_seconds=86400"), Ok(Some(Timestamp::from_millis(86_401_000))));
        for wrong in ["overlap_seconds=1", "overlap_seconds=soon", "overlap_seconds=-86400"] {
            assert_eq!(until(wrong), Err(()), "{wrong}");
        }
    }
}
