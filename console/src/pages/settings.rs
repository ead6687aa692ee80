//! What the server runs with: to read, since settings are changed where they stand and take a start.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::Console;
use crate::error::Error;
use crate::layout::{Page, Section};
use crate::parts::list::{column, minor, table};
use crate::parts::{Tone, badge, breakable, empty, facts};
use crate::ports::{Setting, SettingValue};
use crate::session::Viewer;

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
) -> Result<Response, Error> {
    let installation = &console.installation;
    let mut about = vec![
        ("Version", html! { code { (installation.version) } }),
        ("Public URL", html! { code { (console.public_url) } }),
        ("Roles of this process", html! { (installation.roles.join(", ")) }),
    ];
    let paths = installation.paths.iter();
    about.extend(paths.map(|(name, path)| (*name, html! { code { (path) } })));
    let columns = [column("Setting"), column("Value and source"), minor("What it does")];
    let body = html! {
        (facts(&about))
        section aria-labelledby="settings-title" {
            h2 #settings-title { "Effective settings" }
            p { "A flag wins over the environment, that over the file, and that over the default. They are changed there, and hold from the next start on. " code { "dsync config env" } " explains each." }
            @if installation.settings.is_empty() {
                (empty("Nobody has listed them", &html! { p { "A demonstration sets its own." } }))
            } @else {
                div.settings { (table("Effective settings", columns, installation.settings.iter().map(row))) }
            }
        }
        section aria-labelledby="more-title" {
            h2 #more-title { "More" }
            ul.rows {
                li { a href="/console/audit" { "Audit trail" } span.faint { "who did what here" } }
                li { a href="/docs" { "API" } span.faint { "every call, with examples" } }
                li { a href="/openapi.json" { "Description of the API" } span.faint { "for generators of clients" } }
                li { a href="/metrics" { "Metrics" } span.faint { "for Prometheus" } }
                li { a href="/readyz" { "Readiness" } span.faint { "of log, store and roles" } }
            }
        }
    };
    Ok(Page::new(&viewer, Section::Settings, "Settings").show(&body))
}

fn row(setting: &Setting) -> [Markup; 3] {
    let value = match &setting.value {
        SettingValue::Shown(text) => html! { code { bdi { (text) } } },
        SettingValue::Secret => badge(Tone::Plain, "set"),
        SettingValue::Absent(then) => html! { span.faint { "not set: " (then) } },
    };
    [
        breakable(&setting.key),
        html! { p.value { (value) } p.detail { (breakable(&setting.source)) } },
        html! { span.detail { (setting.help) } },
    ]
}
