//! The frame of the setup pages: whose page it is, the way back, and until when it is open.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::Site;
use super::refusal::Words;
use super::visitor::Admin;
use crate::assets::{Asset, HTMX, ICON, SCRIPT, STYLE};
use crate::layout::HTMX_CONFIG;
use crate::parts;

/// A page of an administrator.
pub(super) struct Page<'a> {
    site: &'a Site,
    admin: &'a Admin,
    title: String,
    back: Option<(String, String)>,
    changes: Option<String>,
}

impl<'a> Page<'a> {
    pub(super) fn new(site: &'a Site, admin: &'a Admin, title: impl Into<String>) -> Self {
        Self { site, admin, title: title.into(), back: None, changes: None }
    }

    /// With the page above it.
    pub(super) fn under(mut self, href: impl Into<String>, name: impl Into<String>) -> Self {
        self.back = Some((href.into(), name.into()));
        self
    }

    /// Whose parts are fetched anew when this stream says that something changed.
    pub(super) fn following(mut self, stream: impl Into<String>) -> Self {
        self.changes = Some(stream.into());
        self
    }

    /// The page with this under its heading.
    pub(super) fn show(self, status: StatusCode, body: &Markup) -> Response {
        let Self { site, admin, title, back, changes } = self;
        let content = html! {
            (header(&ways_out(site, admin)))
            main #main tabindex="-1" data-changes=[changes] data-session=(site.path("/session")) {
                @if let Some((href, name)) = &back {
                    nav.crumbs aria-label="Where you are" { ol { li { a href=(href) { (parts::text(name)) } } } }
                }
                h1 { (parts::text(&title)) }
                (body)
            }
            footer {
                p { "This page is open for you until " (parts::time(admin.session.expires_at)) ". Times are in UTC." }
            }
        };
        (status, document(site, &title, &content)).into_response()
    }
}

/// A page for who has no session.
pub(super) fn plain(site: &Site, title: &str, body: &Markup) -> Html<String> {
    let content = html! {
        (header(&html! {}))
        main #main.narrow tabindex="-1" { h1 { (parts::text(title)) } (body) }
    };
    document(site, title, &content)
}

/// Why there is nothing else to see.
pub(super) fn refusal(
    site: &Site,
    words: Words,
    back: Option<&str>,
    home: Option<&str>,
) -> Html<String> {
    let (heading, what, next) = words;
    let body = html! {
        p { (what) }
        p { (next) }
        @if let Some(url) = back { p { a.button.primary href=(url) { "Go back" } } }
        @if let Some(url) = home { p { a.button href=(url) { "All connections" } } }
    };
    plain(site, heading, &body)
}

fn header(ways: &Markup) -> Markup {
    html! { header.top { span.brand { (mark()) "Directory sync" } (ways) } }
}

/// Back to where the visitor came from, and out, for a browser that others use too.
fn ways_out(site: &Site, admin: &Admin) -> Markup {
    html! {
        div.ways-out {
            @if let Some(url) = &admin.session.link.return_url { a.go-back href=(url) { "Go back" } }
            form method="post" action=(site.path("/sign-out")) {
                (admin.csrf_field())
                button.quiet type="submit" { "Sign out" }
            }
        }
    }
}

/// Two arrows, as in the icon, drawn in place so that they have the colours of the page.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" {
            rect width="32" height="32" rx="7" fill="currentColor" {}
            path.mark-arrows d="M8 11h11.5l-3-3 2.1-2.1L25.2 12.5l-6.6 6.6-2.1-2.1 3-3H8z M24 21H12.5l3 3-2.1 2.1L6.8 19.5l6.6-6.6 2.1 2.1-3 3H24z" {}
        }
    }
}

fn document(site: &Site, title: &str, body: &Markup) -> Html<String> {
    let asset = |asset: &Asset| site.path(&format!("/assets/{}", asset.file()));
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                meta name="htmx-config" content=(HTMX_CONFIG);
                title { (title) }
                link rel="icon" type="image/svg+xml" href=(asset(&ICON));
                link rel="stylesheet" href=(asset(&STYLE));
                script src=(asset(&HTMX)) defer {}
                script src=(asset(&SCRIPT)) defer {}
            }
            body.setup {
                a.skip href="#main" { "Skip to the content" }
                (body)
                p #said.sr role="status" {}
                div #lost.banner role="alert" hidden {}
            }
        }
    };
    Html(document.into_string())
}
