//! The attribute map of a directory: shown with how far apps were told of it, and edited.

use std::sync::Arc;

use api::ports::{Directory, Reach};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::organizations::refuse_auditors;
use super::{DIRECTORY, directory_of, directory_path};
use crate::Console;
use crate::error::Error;
use crate::layout::{Page, Section};
use crate::map::{self, Editor, Outcome};
use crate::parts::form::hidden;
use crate::parts::live;
use crate::session::{CSRF_FIELD, Change, Viewer};
use crate::sign_in::to;

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let own = path(&directory);
    let body = html! {
        p.lead { "What becomes of the attributes that the identity provider sends on the way to your apps." }
        @if viewer.is_admin() { div.actions { a.button.primary href={ (own) "/edit" } { "Edit the map" } } }
        (live("map", &own, &html! {
            (map::progress(directory.refresh))
            (map::shown(&directory.apps.attribute_map))
        }))
    };
    let stream = format!("/console/changes?directory={}", directory.id);
    Ok(page(&viewer, &directory, "Attribute map").following(stream).show(&body))
}

pub(crate) async fn edit(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &id).await?;
    let places = Places::of(&directory);
    let form = places.editor(&console, &viewer, &directory).form().await;
    let form = form.map_err(Error::about(DIRECTORY))?;
    Ok(page_for_edit(&viewer, &directory, &form))
}

pub(crate) async fn update(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let places = Places::of(&directory);
    let editor = places.editor(&console, &viewer, &directory);
    let outcome = editor.take(&form, console.edge.now()).await;
    match outcome.map_err(Error::about(DIRECTORY))?.ok_or(Error::Unreadable)? {
        Outcome::Saved => Ok(to(&path(&directory))),
        Outcome::Page(status, form) => {
            Ok((status, page_for_edit(&viewer, &directory, &form)).into_response())
        }
    }
}

struct Places {
    own: String,
    action: String,
}

impl Places {
    fn of(directory: &Directory) -> Self {
        let own = path(directory);
        Self { action: format!("{own}/edit"), own }
    }

    fn editor<'a>(
        &'a self,
        console: &'a Console,
        viewer: &Viewer,
        directory: &'a Directory,
    ) -> Editor<'a> {
        Editor {
            directories: &*console.directories,
            reach: Reach::Everything,
            directory,
            action: &self.action,
            back: &self.own,
            hidden: hidden(CSRF_FIELD, &viewer.csrf),
        }
    }
}

fn page_for_edit(viewer: &Viewer, directory: &Directory, form: &Markup) -> Response {
    page(viewer, directory, "Edit the attribute map")
        .under(path(directory), "Attribute map")
        .show(form)
}

fn page<'a>(viewer: &'a Viewer, directory: &Directory, title: &str) -> Page<'a> {
    Page::new(viewer, Section::Organizations, title)
        .under(directory_path(directory.id), &directory.name)
}

/// Where the map of a directory is.
pub(crate) fn path(directory: &Directory) -> String {
    format!("{}/map", directory_path(directory.id))
}
