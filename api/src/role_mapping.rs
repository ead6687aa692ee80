//! `/directories/{id}/role_mapping`: which roles users have by their groups.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use directory::RoleMapping;
use directory::role_mapping::{MappedGroup, MappingError, SLUG_LENGTH_MAX};
use schemas::{DirectoryId, GroupId};

use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::directories;
use crate::error::{Error, FieldError};
use crate::ports::{DirectoryChange, Reach};
use crate::router::Api;

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<Arc<RoleMapping>>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let directory = api.directories.get(caller.reach, id).await;
    Ok(Json(directory.map_err(Error::about(directories::WHAT, id))?.apps.role_mapping))
}

/// Takes the place of the mapping before, as a whole.
pub(crate) async fn set(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    fields: Fields,
) -> Result<Json<Arc<RoleMapping>>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    api.directories.get(caller.reach, id).await.map_err(Error::about(directories::WHAT, id))?;
    let mapping = read(fields)?;
    must_be_groups(&api, caller.reach, id, &mapping).await?;
    let change = DirectoryChange { role_mapping: Some(mapping), ..DirectoryChange::default() };
    let updated = api.directories.update(caller.reach, id, change, api.edge.now()).await;
    Ok(Json(updated.map_err(Error::about(directories::WHAT, id))?.apps.role_mapping))
}

/// An id that is of no group here would take the roles of everybody who has them by the right one. Of names nobody can tell: the
/// group may be on its way. One that is gone is still known.
async fn must_be_groups(
    api: &Api,
    reach: Reach,
    directory: DirectoryId,
    mapping: &RoleMapping,
) -> Result<(), Error> {
    let mut wrong = Vec::new();
    for (index, mapped) in mapping.groups.iter().enumerate() {
        let Ok(id) = mapped.group.parse::<GroupId>() else { continue };
        if api.reading.directory_of_group(reach, id).await? != Some(directory) {
            let field = format!("groups[{index}].group");
            let message = Some(format!("{field}, {id}, is no group of this directory."));
            wrong.push(FieldError { code: "not_found", field, message });
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

fn read(mut fields: Fields) -> Result<RoleMapping, Error> {
    let default_role = fields.text("default_role", SLUG_LENGTH_MAX);
    let mut groups = Vec::new();
    for (index, json) in fields.list("groups").unwrap_or_default().into_iter().enumerate() {
        match serde_json::from_value::<MappedGroup>(json) {
            Ok(group) => groups.push(group),
            Err(_) => {
                let field = format!("groups[{index}]");
                let message = format!("{field} must be an object with the texts group and role.");
                fields.wrong(field, "invalid", message);
            }
        }
    }
    fields.refuse_others();
    let mapping = RoleMapping { default_role, groups };
    if fields.errors().is_empty() {
        for MappingError { field, message } in mapping.wrong() {
            fields.wrong(field, "invalid", format!("{message}."));
        }
    }
    if fields.errors().is_empty() { Ok(mapping) } else { Err(Error::Invalid(fields.into_errors())) }
}
