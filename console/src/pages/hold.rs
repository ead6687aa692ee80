//! What the brake holds of a directory: why, and letting it go.

use std::sync::Arc;

use api::ports::{Conflict, Directory, Hold, HoldState, PortError, Reach};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::organizations::refuse_auditors;
use super::{DIRECTORY, address, directory_of, directory_path};
use crate::Console;
use crate::error::Error;
use crate::layout::{Page, Section};
use crate::parts::form::form;
use crate::parts::{self, Tone, badge, facts, number, time};
use crate::session::{Change, Viewer};
use crate::sign_in::to;

/// How many held directories the start page names; where there are more, something else is wrong.
pub(crate) const SHOWN_MAX: u32 = 20;

/// What stands on the page of a directory as long as something of it is held.
pub(crate) fn notice(viewer: &Viewer, directory: &Directory) -> Markup {
    let Some(hold) = &directory.hold else { return html! {} };
    let own = directory_path(directory.id);
    html! {
        div #hold.notice.bad {
            p { strong { (title(hold)) } " " (removed(hold)) }
            @match hold.state {
                HoldState::Held => {
                    p { (number(hold.events)) " events wait and reach no webhook endpoint: those removals, and what came later for the same users and groups. Everything else goes out. They wait as long as it takes." }
                    @if viewer.is_admin() { p { a #release.button href={ (own) "/release" } { "Look at it and decide" } } }
                    @else { p { "An admin decides whether they go out." } }
                }
                HoldState::Releasing => p { (number(hold.events)) " events go out, in order, beside everything else." },
            }
        }
    }
}

fn title(hold: &Hold) -> &'static str {
    match hold.state {
        HoldState::Held => "Held by the brake.",
        HoldState::Releasing => "Being released.",
    }
}

/// Why it is held.
fn removed(hold: &Hold) -> Markup {
    html! {
        "Since " (time(hold.since)) ": "
        (number(hold.users_removed)) " of " (number(hold.users)) " users and "
        (number(hold.memberships_removed)) " of " (number(hold.memberships)) " memberships were removed."
    }
}

/// Held directories, for the start page.
pub(crate) fn list(held: &[Directory]) -> Markup {
    html! {
        @if !held.is_empty() {
            section aria-labelledby="held-title" {
                h2 #held-title { "Held directories" }
                ul.rows {
                    @for directory in held {
                        @if let Some(hold) = &directory.hold {
                            li {
                                strong { a #{ "held-" (directory.id) } href=(directory_path(directory.id)) { (parts::text(&directory.name)) } }
                                @match hold.state {
                                    HoldState::Held => (badge(Tone::Bad, "held")),
                                    HoldState::Releasing => (badge(Tone::Plain, "being released")),
                                }
                                span { (removed(hold)) " " (number(hold.events)) " events wait." }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &id).await?;
    let Some(hold) = directory.hold else {
        return Err(Error::Port(PortError::Conflict(Conflict::NotHeld)));
    };
    let own = directory_path(directory.id);
    let removals = |kind| {
        address("/console/events", &[("type", kind), ("directory", &directory.id.to_string())])
    };
    let body = html! {
        (facts(&[
            ("Held since", time(hold.since)),
            ("Users removed", html! { (number(hold.users_removed)) " of " (number(hold.users)) }),
            ("Memberships removed", html! { (number(hold.memberships_removed)) " of " (number(hold.memberships)) }),
            ("Events that wait", html! { (number(hold.events)) }),
        ]))
        section aria-labelledby="look-title" {
            h2 #look-title { "Look first" }
            ul.plain {
                li { a href=(removals("dsync.user.deleted")) { "Users that were deleted" } }
                li { a href=(removals("dsync.user.updated")) { "Users that were changed, such as deactivated" } }
                li { a href=(removals("dsync.group.user_removed")) { "Memberships that were removed" } }
                li { a href={ (own) "/requests" } { "What the identity provider sent" } }
            }
        }
        section aria-labelledby="decide-title" {
            h2 #decide-title { "Then decide" }
            p { strong { "It was meant" } ", such as a reorganization: release it. Apps are told in order of all that waits. This cannot be undone." }
            p { strong { "It was a mistake" } ": leave it held, have it mended in the identity provider, look that the users are active again, and release it then. Apps are told that they went and came back." }
            p { strong { "You do not know" } ": leave it held. That costs nothing, and it may stay so for months." }
        }
        (form(&viewer, &format!("{own}/release"), &html! {
            div.buttons {
                button.button.danger type="submit" { "Release" }
                a.button href=(own) { "Leave it held" }
            }
        }))
    };
    let title = format!("Held: {}", directory.name);
    Ok(Page::new(&viewer, Section::Organizations, title).under(own, &directory.name).show(&body))
}

/// One that was released already is no error: two admins may want the same.
pub(crate) async fn release(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    _: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let now = console.edge.now();
    match console.directories.release(Reach::Everything, directory.id, now).await {
        Ok(()) | Err(PortError::Conflict(Conflict::NotHeld)) => {
            Ok(to(&directory_path(directory.id)))
        }
        Err(error) => Err(Error::about(DIRECTORY)(error)),
    }
}
