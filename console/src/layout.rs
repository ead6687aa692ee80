//! The frame of every page: head, navigation, where we are, and the place for what is wrong.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::assets::{HTMX, ICON, SCRIPT, STYLE};
use crate::parts;
use crate::session::{CSRF_FIELD, Viewer};

/// htmx keeps out of what the policy forbids, and an element says itself what it asks for: what stands around it
/// means nothing to it.
pub(crate) const HTMX_CONFIG: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"disableInheritance":true,"historyEnabled":true,"historyCacheSize":0,"refreshOnHistoryMiss":true,"selfRequestsOnly":true,"timeout":15000}"#;

/// The parts of the console, as the navigation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Start,
    Organizations,
    Endpoints,
    Events,
    Keys,
    Settings,
}

impl Section {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Start, "/console", "Start"),
        (Self::Organizations, "/console/organizations", "Organizations"),
        (Self::Endpoints, "/console/endpoints", "Endpoints"),
        (Self::Events, "/console/events", "Live events"),
        (Self::Keys, "/console/api-keys", "API keys"),
        (Self::Settings, "/console/settings", "Settings"),
    ];
}

/// A page of somebody who is signed in.
pub(crate) struct Page<'a> {
    viewer: &'a Viewer,
    section: Section,
    title: String,
    crumbs: Vec<(String, String)>,
    changes: Option<String>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(viewer: &'a Viewer, section: Section, title: impl Into<String>) -> Self {
        Self { viewer, section, title: title.into(), crumbs: Vec::new(), changes: None }
    }

    /// With one more step on the way here.
    pub(crate) fn under(mut self, href: impl Into<String>, name: impl Into<String>) -> Self {
        self.crumbs.push((href.into(), name.into()));
        self
    }

    /// Whose parts are fetched anew when something changes that this stream tells of.
    pub(crate) fn following(mut self, stream: impl Into<String>) -> Self {
        self.changes = Some(stream.into());
        self
    }

    /// The page with this under its heading.
    pub(crate) fn show(self, body: &Markup) -> Response {
        let Self { viewer, section, title, crumbs, changes } = self;
        let main = html! {
            main #main tabindex="-1" data-changes=[changes] data-session="/console/session" {
                @if !crumbs.is_empty() {
                    nav.crumbs aria-label="Where you are" {
                        ol { @for (href, name) in &crumbs { li { a href=(href) { bdi { (name) } } } } }
                    }
                }
                h1 { @if title.contains("://") { (parts::url(&title)) } @else { bdi { (title) } } }
                (body)
            }
        };
        Html(document(&title, &html! { (header(viewer, section)) (main) (footer()) }))
            .into_response()
    }
}

/// A page for who may not be signed in.
pub(crate) fn plain(title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        header.top { (brand()) }
        main #main.narrow tabindex="-1" { h1 { (title) } (body) }
    };
    Html(document(title, &page))
}

fn document(title: &str, body: &Markup) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX_CONFIG);
                title { (title) " · dsync" }
                link rel="icon" type="image/svg+xml" href=(ICON.path());
                link rel="stylesheet" href=(STYLE.path());
                script src=(HTMX.path()) defer {}
                script src=(SCRIPT.path()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (body)
                p #said.sr role="status" {}
                div #lost.banner role="alert" hidden {}
            }
        }
    };
    document.into_string()
}

fn brand() -> Markup {
    html! { a.brand href="/console" { img src=(ICON.path()) alt="" width="24" height="24"; "dsync" } }
}

fn header(viewer: &Viewer, section: Section) -> Markup {
    html! {
        header.top {
            (brand())
            nav aria-label="Console" {
                ul {
                    @for (one, href, name) in Section::ALL {
                        @let current = (one == section).then_some("true");
                        li { a href=(href) aria-current=[current] { (name) } }
                    }
                }
            }
            form.sign-out method="post" action="/console/sign-out" {
                input type="hidden" name=(CSRF_FIELD) value=(viewer.csrf);
                span.role { (viewer.role.name()) }
                button.quiet type="submit" { "Sign out" }
            }
        }
    }
}

fn footer() -> Markup {
    html! {
        footer { p { "Times are in UTC. " a href="/docs" { "API" } " · " a href="/metrics" { "Metrics" } } }
    }
}
