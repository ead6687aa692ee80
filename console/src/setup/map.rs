//! The attribute map of a connection, with the form that the console has.

use api::ports::Directory;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::connection::{self, directory_of};
use super::frame::Page;
use super::refusal::Refusal;
use super::visitor::{Admin, Pressed};
use super::{Site, see_other};
use crate::map::{Editor, Outcome};

pub(super) async fn edit(
    State(site): State<Site>,
    Path(id): Path<String>,
    admin: Admin,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &id).await?;
    let places = Places::of(&site, &directory);
    let form = places.editor(&site, &admin, &directory).form().await?;
    Ok(page(&site, &admin, &directory, StatusCode::OK, &form))
}

pub(super) async fn update(
    State(site): State<Site>,
    Path(id): Path<String>,
    Pressed { admin, form }: Pressed,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &id).await?;
    let places = Places::of(&site, &directory);
    let outcome = places.editor(&site, &admin, &directory).take(&form, site.edge.now()).await?;
    match outcome.ok_or(Refusal::Forged)? {
        Outcome::Saved => Ok(see_other(places.back)),
        Outcome::Page(status, form) => Ok(page(&site, &admin, &directory, status, &form)),
    }
}

struct Places {
    action: String,
    back: String,
}

impl Places {
    fn of(site: &Site, directory: &Directory) -> Self {
        let own = connection::own(site, directory.id);
        Self { action: format!("{own}/map"), back: own }
    }

    fn editor<'a>(&'a self, site: &'a Site, admin: &Admin, directory: &'a Directory) -> Editor<'a> {
        Editor {
            directories: &*site.directories,
            reach: admin.reach(),
            directory,
            action: &self.action,
            back: &self.back,
            hidden: admin.csrf_field(),
        }
    }
}

fn page(
    site: &Site,
    admin: &Admin,
    directory: &Directory,
    status: StatusCode,
    form: &Markup,
) -> Response {
    let body = html! {
        p.lead { "What becomes of the attributes that your identity provider sends, on the way to the product. Without a word here, it gets the standard ones. Look at a preview before you apply a change." }
        (form)
    };
    Page::new(site, admin, "Attribute map")
        .under(connection::path(site, directory.id, None), &directory.name)
        .show(status, &body)
}
