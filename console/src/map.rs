//! The attribute map of a directory: what it says, a form to change it, and what a change would do.
//!
//! Nothing here knows which page it stands on: [`Editor`] is given a directory, how far its visitor reaches and where
//! the form goes, and hands back markup. So the console and the setup page of a customer share it.
//!
//! ```text
//!  form ──▶ Typed ──▶ AttributeMap ──▶ preview: users before and after     nothing is changed
//!             │                  └───▶ the port of the API, made from      Saved, or what another left meanwhile
//!             └── what is wrong, at its field
//! ```

mod fields;
mod preview;
mod typed;

use api::ports::{Conflict, Directories, Directory, DirectoryChange, PortError, Progress, Reach};
use axum::http::StatusCode;
use directory::AttributeMap;
use maud::{Markup, html};
use schemas::Timestamp;

use crate::form::Form;
use crate::parts::form::{hidden, on_enter};
use crate::parts::list::{column, table};
use crate::parts::{self, Tone, badge, empty, notice, number};
use typed::{Typed, Wrongs};

/// Who edits the map of which directory, and from where.
pub(crate) struct Editor<'a> {
    /// The directories.
    pub(crate) directories: &'a dyn Directories,
    /// How far the visitor sees.
    pub(crate) reach: Reach,
    /// The directory as it is.
    pub(crate) directory: &'a Directory,
    /// Where the form is sent.
    pub(crate) action: &'a str,
    /// Where the way back leads.
    pub(crate) back: &'a str,
    /// What the page has in every form, such as its token.
    pub(crate) hidden: Markup,
}

/// What came of a form.
pub(crate) enum Outcome {
    /// The map is another now.
    Saved,
    /// Nothing was changed; this is to be shown.
    Page(StatusCode, Markup),
}

/// What the button says that was pressed.
enum Wish {
    Preview,
    Apply,
    MoreRows,
}

impl Editor<'_> {
    /// The form with the map as it is.
    pub(crate) async fn form(&self) -> Result<Markup, PortError> {
        let typed = Typed::from(&self.directory.apps.attribute_map);
        self.page(&typed, &Wrongs::default(), self.directory.updated_at, &html! {}).await
    }

    /// Does what a form wishes. `None`: it is none of this page.
    pub(crate) async fn take(
        &self,
        form: &Form,
        now: Timestamp,
    ) -> Result<Option<Outcome>, PortError> {
        let wish = match form.text("do") {
            Some("preview") => Wish::Preview,
            Some("apply") => Wish::Apply,
            Some("rows") => Wish::MoreRows,
            Some(_) | None => return Ok(None),
        };
        let made_from = form.text("made_from").and_then(|text| text.parse().ok());
        let Some(made_from) = made_from else { return Ok(None) };
        let mut typed = Typed::of(form);
        let map = match (typed.read(), wish) {
            (_, Wish::MoreRows) => {
                typed.add_rows();
                let page = self.page(&typed, &Wrongs::default(), made_from, &html! {}).await?;
                return Ok(Some(Outcome::Page(StatusCode::OK, page)));
            }
            (Err(wrongs), Wish::Preview | Wish::Apply) => {
                let page = self.page(&typed, &wrongs, made_from, &html! {}).await?;
                return Ok(Some(Outcome::Page(StatusCode::UNPROCESSABLE_ENTITY, page)));
            }
            (Ok(map), Wish::Preview) => {
                let above = self.preview(map).await?;
                let page = self.page(&typed, &Wrongs::default(), made_from, &above).await?;
                return Ok(Some(Outcome::Page(StatusCode::OK, page)));
            }
            (Ok(map), Wish::Apply) => map,
        };
        self.apply(map, &typed, made_from, now).await.map(Some)
    }

    async fn preview(&self, map: AttributeMap) -> Result<Markup, PortError> {
        let preview =
            api::preview_attribute_map(self.directories, self.reach, self.directory, map, None);
        Ok(preview::shown(&preview.await?))
    }

    async fn apply(
        &self,
        map: AttributeMap,
        typed: &Typed,
        made_from: Timestamp,
        now: Timestamp,
    ) -> Result<Outcome, PortError> {
        let change = DirectoryChange {
            attribute_map: Some(map),
            made_from: Some(made_from),
            ..DirectoryChange::default()
        };
        match self.directories.update(self.reach, self.directory.id, change, now).await {
            Ok(_) => Ok(Outcome::Saved),
            Err(PortError::Conflict(Conflict::Changed)) => {
                // The directory was read before the change of the other, perhaps.
                let theirs = self.directories.get(self.reach, self.directory.id).await?;
                let above = overtaken(&theirs);
                let page = self.page(typed, &Wrongs::default(), theirs.updated_at, &above).await?;
                Ok(Outcome::Page(StatusCode::CONFLICT, page))
            }
            Err(error) => Err(error),
        }
    }

    async fn page(
        &self,
        typed: &Typed,
        wrongs: &Wrongs,
        made_from: Timestamp,
        above: &Markup,
    ) -> Result<Markup, PortError> {
        let sample = self.directories.sample(self.reach, self.directory.id, None, 1).await?;
        Ok(html! {
            (above)
            @if !wrongs.is_empty() { (notice::wrong("Nothing was saved: what is wrong stands at its field.")) }
            form.stack.map method="post" action=(self.action) {
                (self.hidden)
                (hidden("made_from", made_from))
                (on_enter("preview"))
                (fields::all(typed, wrongs))
                div.buttons {
                    button.button.primary type="submit" name="do" value="preview" { "Preview" }
                    button.button type="submit" name="do" value="apply" { "Apply" }
                    a.button href=(self.back) { "Cancel" }
                }
                p.hint { "Apply tells apps of each user whom the map changes, once. The preview changes nothing." }
            }
            (sent_by(sample.first()))
        })
    }
}

/// Both are shown: what the other left, and in the form what was typed here.
fn overtaken(theirs: &Directory) -> Markup {
    html! {
        div.notice.bad role="alert" {
            p { strong { "Somebody else has changed the directory meanwhile." } " Nothing was saved. This is its map now:" }
            (shown(&theirs.apps.attribute_map))
            p { "Below is what you typed. Apply it to put it in the place of that, or cancel to leave it." }
        }
    }
}

/// Where paths can lead, by the example of the latest user.
fn sent_by(user: Option<&directory::User>) -> Markup {
    let Some(user) = user else { return html! {} };
    let sent = serde_json::to_value(&*user.attributes).unwrap_or_default();
    html! {
        details.sent {
            summary { "What the identity provider sends, by the example of its latest user" }
            (parts::json(&sent))
        }
    }
}

/// A map, to read.
pub(crate) fn shown(map: &AttributeMap) -> Markup {
    let typed = Typed::from(map);
    if map.is_empty() {
        return empty(
            "Nothing is mapped",
            &html! { p { "Apps get the standard attributes, and no custom ones." } },
        );
    }
    let standard = typed.standard.iter().filter(|(_, paths)| !paths.is_empty());
    let rows = standard.map(|(name, paths)| [html! { code { (name) } }, chain(paths)]);
    let predefined = typed.predefined.iter();
    let predefined =
        predefined.map(|name| [html! { code { (name) } }, html! { span.faint { "by itself" } }]);
    let custom = typed.custom.iter().filter(|row| !row.is_empty());
    let custom = custom.map(|row| [html! { code { (row.name) } }, chain(&row.paths)]);
    table(
        "What is mapped",
        [column("For apps"), column("From")],
        rows.chain(predefined).chain(custom),
    )
}

/// The paths of a chain, one a line.
fn chain(paths: &str) -> Markup {
    html! { ol.chain { @for path in paths.lines() { li { code dir="ltr" { (path) } } } } }
}

/// How far it has come that apps are shown what the map makes of users.
pub(crate) fn progress(refresh: Progress) -> Markup {
    let Progress { running, done, total } = refresh;
    html! {
        @if running {
            div.progress {
                p { (badge(Tone::Plain, "in progress")) " Apps are being told what the rules make of users: "
                    (number(done)) " of " (number(total)) "." }
                progress aria-label="Users looked at" max=(total.max(1)) value=(done) {}
            }
        } @else if total > 0 {
            p.progress data-say { (badge(Tone::Good, "done")) " All " (number(total)) " users follow the rules." }
        }
    }
}
