//! An organization is deleted, with all that belongs to it.

use std::sync::Arc;

use api::ports::{Directory, Organization, Reach};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::html;

use super::ORGANIZATION;
use super::organizations::{directories_of, get, path, refuse_auditors, unprocessable};
use crate::Console;
use crate::error::Error;
use crate::form::Wrong;
use crate::layout::{Page, Section};
use crate::parts::form::{Field, form, send_danger};
use crate::parts::{self, facts, number};
use crate::session::{Change, Viewer};
use crate::sign_in::to;

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let organization = get(&console, &id).await?;
    let directories = directories_of(&console, organization.id).await?;
    Ok(page(&viewer, &organization, &directories, "", None))
}

/// Users and groups go a little later; the history stays.
pub(crate) async fn delete(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let organization = get(&console, &id).await?;
    let typed = form.text("confirmation").unwrap_or_default();
    if typed != organization.name.trim() {
        let wrong =
            Wrong { field: "confirmation", text: "That is not the name of the organization." };
        let directories = directories_of(&console, organization.id).await?;
        return Ok(unprocessable(page(&viewer, &organization, &directories, typed, Some(wrong))));
    }
    let now = console.edge.now();
    let deleted = console.organizations.delete(Reach::Everything, organization.id, now).await;
    for directory in deleted.map_err(Error::about(ORGANIZATION))? {
        console.reconcile(directory, &viewer).await;
    }
    Ok(to("/console/organizations"))
}

fn page(
    viewer: &Viewer,
    organization: &Organization,
    directories: &[Directory],
    typed: &str,
    wrong: Option<Wrong>,
) -> Response {
    let own = path(organization.id);
    let counts = directories.iter().map(|directory| directory.counts);
    let users: u64 = counts.map(|counts| counts.active_users + counts.inactive_users).sum();
    let confirmation = Field {
        name: "confirmation",
        label: "Name of the organization",
        value: typed,
        hint: "Type it as it stands above, to be sure that it is the right one.",
        required: true,
    };
    let body = html! {
        p.lead { "This cannot be undone. Its directories are deleted with it, apps are told that all of their users and groups are gone, and tokens, setup links and API keys that are limited to it open nothing from then on. The history stays." }
        (facts(&[
            ("Organization", parts::text(&organization.name)),
            ("Directories", html! { (number(directories.len() as u64)) }),
            ("Users", html! { (number(users)) }),
        ]))
        (form(viewer, &format!("{own}/delete"), &html! {
            (confirmation.show(wrong))
            (send_danger("Delete organization", &own))
        }))
    };
    let title = format!("Delete {}", organization.name);
    Page::new(viewer, Section::Organizations, title)
        .under("/console/organizations", "Organizations")
        .under(own, &organization.name)
        .show(&body)
}
