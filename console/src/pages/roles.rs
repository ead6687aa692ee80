//! Which roles users of a directory have by their groups: edited as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ports::{Conflict, Directory, DirectoryChange, GroupFilter, PortError, Reach};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use directory::RoleMapping;
use directory::role_mapping::{MappedGroup, MappingError};
use maud::{Markup, html};
use schemas::{GroupId, Timestamp};

use super::organizations::{refuse_auditors, unprocessable};
use super::{DIRECTORY, directory_of, directory_path, first_few};
use crate::Console;
use crate::error::Error;
use crate::form::Form;
use crate::layout::{Page, Section};
use crate::parts::form::{form, hidden, on_enter};
use crate::parts::list::{column, table};
use crate::parts::{self, empty, notice};
use crate::session::{Change, Viewer};
use crate::sign_in::to;

/// How many groups are proposed; the others are typed.
const PROPOSED_MAX: u32 = 100;

/// How many empty rows a form has for further groups, and how many more with each press on the button for them.
const SPARE_ROWS: usize = 2;
const MORE_ROWS: usize = 4;

/// The mapping of a directory, as a part of its page.
pub(crate) fn section(viewer: &Viewer, directory: &Directory) -> Markup {
    let mapping = &directory.apps.role_mapping;
    html! {
        section aria-labelledby="roles-title" {
            div.heading {
                h2 #roles-title { "Roles" }
                @if viewer.is_admin() { a.button href={ (directory_path(directory.id)) "/roles" } { "Edit roles" } }
            }
            (shown(mapping))
        }
    }
}

fn shown(mapping: &RoleMapping) -> Markup {
    let rows = mapping
        .groups
        .iter()
        .map(|mapped| [parts::text(&mapped.group), html! { code { (mapped.role) } }]);
    html! {
        @if mapping.is_empty() {
            (empty("No roles by group", &html! { p { "Users get no role in your app from this directory. A mapping gives them roles by the groups that they are in." } }))
        } @else {
            @if !mapping.groups.is_empty() { (table("Roles by group", [column("Group"), column("Role")], rows)) }
            @if let Some(role) = &mapping.default_role { p { "Everybody else has the role " code { (role) } "." } }
        }
    }
}

pub(crate) async fn edit(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &id).await?;
    let typed = Typed::from(&directory.apps.role_mapping);
    let made_from = directory.updated_at;
    page(&console, &viewer, &directory, &typed, made_from, &html! {}).await
}

pub(crate) async fn update(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &id).await?;
    let made_from = form.text("made_from").and_then(|text| text.parse().ok());
    let made_from: Timestamp = made_from.ok_or(Error::Unreadable)?;
    let mut typed = Typed::of(&form);
    if form.text("do") == Some("rows") {
        typed.rows.extend(vec![Row::default(); MORE_ROWS]);
        return page(&console, &viewer, &directory, &typed, made_from, &html! {}).await;
    }
    let mapping = typed.read();
    typed.note(&mapping.wrong());
    if !typed.wrongs.is_empty() {
        let above = notice::wrong("Nothing was saved: what is wrong stands at its field.");
        let page = page(&console, &viewer, &directory, &typed, made_from, &above).await?;
        return Ok(unprocessable(page));
    }
    let change = DirectoryChange {
        role_mapping: Some(mapping),
        made_from: Some(made_from),
        ..DirectoryChange::default()
    };
    let now = console.edge.now();
    match console.directories.update(Reach::Everything, directory.id, change, now).await {
        Ok(_) => Ok(to(&directory_path(directory.id))),
        Err(PortError::Conflict(Conflict::Changed)) => {
            let theirs = directory_of(&console, &id).await?;
            let above = overtaken(&theirs);
            let page = page(&console, &viewer, &theirs, &typed, theirs.updated_at, &above).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(Error::about(DIRECTORY)(error)),
    }
}

/// Both are shown: what the other left, and in the form what was typed here.
fn overtaken(theirs: &Directory) -> Markup {
    html! {
        div.notice.bad role="alert" {
            p { strong { "Somebody else has changed the directory meanwhile." } " Nothing was saved. This is its mapping now:" }
            (shown(&theirs.apps.role_mapping))
            p { "Below is what you typed. Save it to put it in the place of that, or cancel to leave it." }
        }
    }
}

/// What stands in the fields of the form, and what is wrong about it.
#[derive(Default)]
struct Typed {
    default_role: String,
    rows: Vec<Row>,
    wrongs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    group: String,
    role: String,
    /// The place that the row is to have, counted from 1; empty is behind all others.
    place: String,
}

impl Row {
    fn is_empty(&self) -> bool {
        self.group.trim().is_empty() && self.role.trim().is_empty()
    }
}

impl Typed {
    fn from(mapping: &RoleMapping) -> Self {
        let row = |MappedGroup { group, role }: &MappedGroup| Row {
            group: group.clone(),
            role: role.clone(),
            place: String::new(),
        };
        let mut rows: Vec<Row> = mapping.groups.iter().map(row).collect();
        rows.extend(vec![Row::default(); SPARE_ROWS]);
        let default_role = mapping.default_role.clone().unwrap_or_default();
        Self { default_role, rows, wrongs: BTreeMap::new() }
    }

    /// The rows in the order of their places. Of two with one place, the one that was moved up to it goes first, and
    /// one that was moved down to it last.
    fn of(form: &Form) -> Self {
        let pairs = form.all("group").zip(form.all("role")).zip(form.all("place"));
        let mut rows: Vec<(usize, Row)> = pairs
            .map(|((group, role), place)| Row {
                group: group.to_owned(),
                role: role.to_owned(),
                place: place.trim().to_owned(),
            })
            .enumerate()
            .collect();
        rows.sort_by_key(|(index, row)| {
            let place = row.place.parse::<usize>().unwrap_or(usize::MAX);
            (row.is_empty(), place, place.cmp(&(index + 1)), *index)
        });
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        let default_role = form.one("default_role").unwrap_or_default().to_owned();
        Self { default_role, rows, wrongs: BTreeMap::new() }
    }

    /// The rows that say something come first, so their indexes are those of the mapping.
    fn read(&self) -> RoleMapping {
        let rows = self.rows.iter().filter(|row| !row.is_empty());
        let default_role = self.default_role.trim();
        RoleMapping {
            default_role: Some(default_role.to_owned()).filter(|role| !role.is_empty()),
            groups: rows
                .map(|row| MappedGroup {
                    group: row.group.trim().to_owned(),
                    role: row.role.trim().to_owned(),
                })
                .collect(),
        }
    }

    fn note(&mut self, wrong: &[MappingError]) {
        for MappingError { field, message } in wrong {
            let said = self.wrongs.entry(field.clone()).or_default();
            said.push_str(&format!("{}{message}.", if said.is_empty() { "" } else { " " }));
        }
    }
}

async fn page(
    console: &Console,
    viewer: &Viewer,
    directory: &Directory,
    typed: &Typed,
    made_from: Timestamp,
    above: &Markup,
) -> Result<Response, Error> {
    let filter = GroupFilter { directory: Some(directory.id), ..GroupFilter::default() };
    let groups = console.reading.groups(first_few::<GroupId>(PROPOSED_MAX), filter).await?.items;
    let own = directory_path(directory.id);
    let fields = html! {
        (hidden("made_from", made_from))
        (on_enter("save"))
        fieldset.group {
            legend { "Roles by group" }
            p.hint { "The group by its name or its id, and the slug of the role in your app. Whoever is in several of the groups has several roles; the one that stands first is the one with the highest priority. Change the places to change that. Empty a row to take it away." }
            datalist #groups { @for group in &groups { option value=(group.name) {} } }
            @if let Some(wrong) = typed.wrongs.get("groups") { p.wrong { (wrong) } }
            @for (index, row) in typed.rows.iter().enumerate() { (row_fields(index, row, &typed.wrongs)) }
            div.buttons { button.button type="submit" name="do" value="rows" formnovalidate { "More rows" } }
        }
        (default_role(typed))
        div.buttons {
            button.button.primary type="submit" name="do" value="save" { "Save" }
            a.button href=(own) { "Cancel" }
        }
        p.hint { "Apps are told of each user whose roles change, once." }
    };
    let body = html! {
        (above)
        div.roles { (form(viewer, &format!("{own}/roles"), &fields)) }
    };
    let page = Page::new(viewer, Section::Organizations, "Edit roles");
    Ok(page.under(own, &directory.name).show(&body))
}

fn row_fields(index: usize, row: &Row, wrongs: &BTreeMap<String, String>) -> Markup {
    let number = index + 1;
    let wrong = |part: &str| wrongs.get(&format!("groups[{index}].{part}"));
    let (group, role) = (wrong("group"), wrong("role"));
    let place = if row.is_empty() { String::new() } else { number.to_string() };
    let hint = format!("row-{number}-wrong");
    let said = (group.is_some() || role.is_some()).then_some(hint.as_str());
    html! {
        div.role-row {
            div.field {
                label for={ "place-" (number) } { "Place" span.sr { " " (number) } }
                input #{ "place-" (number) } type="text" inputmode="numeric" name="place" value=(place) autocomplete="off";
            }
            div.field {
                label for={ "group-" (number) } { "Group" span.sr { " " (number) } }
                input #{ "group-" (number) } type="text" name="group" value=(row.group) list="groups" dir="auto" autocomplete="off"
                    spellcheck="false" aria-invalid=[group.map(|_| "true")] aria-describedby=[said];
            }
            div.field {
                label for={ "role-" (number) } { "Role" span.sr { " " (number) } }
                input #{ "role-" (number) } type="text" name="role" value=(row.role) autocomplete="off" spellcheck="false"
                    autocapitalize="off" aria-invalid=[role.map(|_| "true")] aria-describedby=[said];
            }
            @if said.is_some() { p.wrong #(hint) { @for text in [group, role].into_iter().flatten() { (text) " " } } }
        }
    }
}

fn default_role(typed: &Typed) -> Markup {
    let wrong = typed.wrongs.get("default_role");
    html! {
        div.field {
            label for="default_role" { "Role of everybody else" }
            input #default_role type="text" name="default_role" value=(typed.default_role) autocomplete="off" spellcheck="false"
                autocapitalize="off" aria-describedby="default_role-hint" aria-invalid=[wrong.map(|_| "true")];
            @match wrong {
                Some(wrong) => p.wrong #default_role-hint { (wrong) },
                None => p.hint #default_role-hint { "Of users who are in none of the groups. Empty is no role." },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(rows: &[(&str, &str, &str)]) -> Typed {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (place, group, role) in rows {
            query.extend_pairs([("place", place), ("group", group), ("role", role)]);
        }
        Typed::of(&Form::parse(query.finish().as_bytes()))
    }

    fn order(rows: &[(&str, &str, &str)]) -> Vec<String> {
        typed(rows).read().groups.into_iter().map(|mapped| mapped.group).collect()
    }

    #[test]
    fn rows_stand_in_the_order_of_their_places() {
        let as_it_is = [("1", "a", "x"), ("2", "b", "x"), ("3", "c", "x"), ("", "", "")];
        assert_eq!(order(&as_it_is), ["a", "b", "c"]);
        let last_first = [("1", "a", "x"), ("2", "b", "x"), ("1", "c", "x"), ("", "", "")];
        assert_eq!(order(&last_first), ["c", "a", "b"]);
        let first_last = [("3", "a", "x"), ("2", "b", "x"), ("3", "c", "x"), ("", "", "")];
        assert_eq!(order(&first_last), ["b", "c", "a"]);
        let new_without_a_place = [("1", "a", "x"), ("", "b", "x"), ("2", "c", "x")];
        assert_eq!(order(&new_without_a_place), ["a", "c", "b"]);
    }

    #[test]
    fn what_is_wrong_stands_at_its_row() {
        let mut typed = typed(&[("1", "Sales", "no role"), ("", "", ""), ("", "Sales", "member")]);
        let wrong = typed.read().wrong();
        typed.note(&wrong);
        let fields: Vec<&str> = typed.wrongs.keys().map(String::as_str).collect();
        assert_eq!(fields, ["groups[0].role", "groups[1].group"]);
        assert_eq!(typed.rows[1].group, "Sales");
    }
}
