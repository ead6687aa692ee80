//! What a page says about what was just done.

use maud::{Markup, html};

/// It went well.
pub(crate) fn done(text: &str) -> Markup {
    html! { div.notice.good role="status" { p { (text) } } }
}

/// It did not, and nothing was changed.
pub(crate) fn wrong(text: &str) -> Markup {
    html! { div.notice.bad role="alert" { p { (text) } } }
}

/// Something to know, with more to say about it.
pub(crate) fn note(body: &Markup) -> Markup {
    html! { div.notice { (body) } }
}
