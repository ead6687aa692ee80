//! `/directories/{id}/attribute_map`: what becomes of attributes on the way to apps, and what another map
//! would do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use directory::attribute_map::MapError;
use directory::normalise::Origin;
use directory::{AppRules, AttributeMap};
use schemars::JsonSchema;
use schemas::UserId;
use schemas::scim::Attributes;
use schemas::wire::DirectoryUser;
use serde::Serialize;

use crate::auth::Reader;
use crate::body::{Fields, Segments, path_id};
use crate::directories;
use crate::error::{Error, FieldError};
use crate::ports::{Directories, Directory, PortError, Reach};
use crate::router::Api;

const FIELD: &str = "attribute_map";

/// How many users a preview shows, and how many it may be asked for by id.
const SHOWN_MAX: usize = 20;

/// How many of the latest users a preview looks at to find some that change: at most, since large ones are fewer.
const LOOKED_AT_MAX: u32 = 500;

/// The map in a body. `null` is the map that changes nothing.
pub(crate) fn read(fields: &mut Fields) -> Option<AttributeMap> {
    if fields.is_null(FIELD) {
        fields.take(FIELD);
        return Some(AttributeMap::default());
    }
    let parsed = AttributeMap::parse(&fields.take(FIELD)?);
    let wrong = match parsed {
        Ok(map) => return Some(map),
        Err(wrong) => wrong,
    };
    for MapError { field, message } in wrong {
        let field = if field.is_empty() { FIELD.to_owned() } else { format!("{FIELD}.{field}") };
        fields.wrong(field, "invalid", format!("{message}."));
    }
    None
}

/// Shows what a map would do, and changes nothing: who may read users may ask.
pub(crate) async fn preview(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
    fields: Fields,
) -> Result<Json<AttributeMapPreview>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let directory = api.directories.get(caller.reach, id).await;
    let directory = directory.map_err(Error::about(directories::WHAT, id))?;
    let (map, users) = read_preview(fields)?;
    let preview =
        preview_attribute_map(&*api.directories, caller.reach, &directory, map, users).await;
    let preview = preview.map_err(Error::about(directories::WHAT, id))?;
    all_are_there(&preview.missing)?;
    Ok(Json(preview))
}

/// What another map would do to some users of a directory: these, or those of its latest who change.
///
/// # Errors
/// What the store says.
pub async fn preview_attribute_map(
    directories: &dyn Directories,
    reach: Reach,
    directory: &Directory,
    map: AttributeMap,
    users: Option<Vec<UserId>>,
) -> Result<AttributeMapPreview, PortError> {
    let sample = directories.sample(reach, directory.id, users.clone(), LOOKED_AT_MAX).await?;
    let is_there = |id: UserId| sample.iter().any(|user| user.user_id == id);
    let missing = users.into_iter().flatten().enumerate().filter(|(_, id)| !is_there(*id));
    let missing: Vec<(usize, UserId)> = missing.collect();
    let origin = Origin { directory_id: directory.id, organization_id: directory.organization_id };
    let rules = AppRules { attribute_map: Arc::new(map), ..directory.apps.clone() };
    let looked_at = sample.len();
    let changed = sample.iter().filter_map(|user| {
        let before = directory.apps.user(origin, user);
        let (after, previous_attributes) = rules.preview(origin, user)?;
        Some(ChangedUser { before, after, previous_attributes })
    });
    Ok(AttributeMapPreview { looked_at, changed: changed.take(SHOWN_MAX).collect(), missing })
}

/// Names the users that were asked for and are none of the directory, as apps see it.
fn all_are_there(missing: &[(usize, UserId)]) -> Result<(), Error> {
    let missing = missing.iter().map(|(index, id)| {
        let field = format!("users[{index}]");
        let message = Some(format!("{field}, {id}, is no user of this directory."));
        FieldError { code: "not_found", field, message }
    });
    let missing: Vec<FieldError> = missing.collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Invalid(missing)) }
}

fn read_preview(mut fields: Fields) -> Result<(AttributeMap, Option<Vec<UserId>>), Error> {
    if !fields.is_null(FIELD) {
        fields.require(FIELD);
    }
    let map = read(&mut fields);
    let users = fields.list("users").map(|ids| {
        let ids: Option<Vec<UserId>> =
            ids.iter().map(|id| id.as_str().and_then(|id| id.parse().ok())).collect();
        ids.filter(|ids| ids.len() <= SHOWN_MAX)
    });
    if users == Some(None) {
        let message = format!("users must be a list of at most {SHOWN_MAX} ids of users.");
        fields.wrong("users", "invalid", message);
    }
    fields.refuse_others();
    match map {
        Some(map) if fields.errors().is_empty() => Ok((map, users.flatten())),
        Some(_) | None => Err(Error::Invalid(fields.into_errors())),
    }
}

/// What another map would do.
#[derive(Serialize, JsonSchema)]
pub struct AttributeMapPreview {
    /// How many users were looked at.
    pub looked_at: usize,
    /// Those of them that change.
    pub changed: Vec<ChangedUser>,
    /// Those that were asked for and are no users of the directory, with their places in the list.
    #[serde(skip)]
    pub missing: Vec<(usize, UserId)>,
}

/// A user whom another map would change.
#[derive(Serialize, JsonSchema)]
pub struct ChangedUser {
    /// As apps see the user.
    pub before: DirectoryUser,
    /// As they would.
    pub after: DirectoryUser,
    /// What they would be told was different before.
    pub previous_attributes: Attributes,
}
