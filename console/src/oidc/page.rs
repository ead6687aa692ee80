//! What somebody sees whom a sign-in with the provider did not let in.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use crate::layout;
use crate::parts;
use crate::ports::Claims;

/// How much of an error of a provider is shown; the codes of RFC 6749 §4.1.2.1 are shorter.
const ERROR_SHOWN_MAX: usize = 60;

pub(super) fn refused(status: StatusCode, title: &str, text: &str) -> Response {
    shown(status, title, &html! { p.lead { (text) } })
}

/// The provider itself said no.
pub(super) fn declined(error: &str) -> Response {
    let error: String = error.chars().take(ERROR_SHOWN_MAX).collect();
    let body = html! {
        p.lead { "The identity provider did not sign you in. It says: " code { (parts::text(&error)) } "." }
    };
    shown(StatusCode::FORBIDDEN, "You were not signed in", &body)
}

/// The provider knows them, and the settings do not.
pub(super) fn no_member(claims: &Claims) -> Response {
    let body = html! {
        p.lead {
            @match &claims.email {
                Some(email) => { "The identity provider says that you are " strong { (parts::text(email)) } ", and that is neither an admin nor an auditor here." }
                None => "The identity provider knows you, and you are neither an admin nor an auditor here.",
            }
        }
        @if claims.email.is_some() && !claims.email_verified {
            p { "It also says that it has not verified this address, and only one that is verified counts." }
        }
        p { "Ask whoever runs this server to let you in: the settings " code { "console_oidc_admins" } " and "
            code { "console_oidc_auditors" } " name addresses and groups. Or sign in at the provider as somebody else." }
    };
    shown(StatusCode::FORBIDDEN, "You may not see this console", &body)
}

fn shown(status: StatusCode, title: &str, body: &Markup) -> Response {
    let body = html! { (body) p { a.button href="/console/sign-in" { "Sign in again" } } };
    (status, layout::plain(title, &body)).into_response()
}
