//! `/directories/{id}/scim_settings`: how the SCIM service of a directory behaves where clients differ.

use axum::Json;
use axum::extract::State;
use directory::resource::ScimSettings;
use serde::de::DeserializeOwned;

use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::directories;
use crate::error::Error;
use crate::router::Api;

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<ScimSettings>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let settings = api.directories.scim_settings(caller.reach, id).await;
    Ok(Json(settings.map_err(Error::about(directories::WHAT, id))?))
}

const NAMES: &[&str] =
    &["patch_group_response", "value_path_no_match", "unknown_schema", "unknown_member"];

/// What is not mentioned stays. A name that means nothing is refused: a setting that is misspelt would seem to
/// be made.
pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    mut fields: Fields,
) -> Result<Json<ScimSettings>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let before = api.directories.scim_settings(caller.reach, id).await;
    let before = before.map_err(Error::about(directories::WHAT, id))?;
    let settings = ScimSettings {
        patch_group_response: choice(&mut fields, "patch_group_response", &["200", "204"])
            .unwrap_or(before.patch_group_response),
        value_path_no_match: choice(&mut fields, "value_path_no_match", &["upsert", "noTarget"])
            .unwrap_or(before.value_path_no_match),
        unknown_schema: choice(&mut fields, "unknown_schema", &["ignore", "reject"])
            .unwrap_or(before.unknown_schema),
        unknown_member: choice(&mut fields, "unknown_member", &["reject", "pending"])
            .unwrap_or(before.unknown_member),
    };
    fields.refuse_unknown(NAMES);
    if !fields.errors().is_empty() {
        return Err(Error::Invalid(fields.into_errors()));
    }
    let now = api.edge.now();
    let set = api.directories.set_scim_settings(caller.reach, id, settings, now).await;
    set.map_err(Error::about(directories::WHAT, id))?;
    Ok(Json(settings))
}

/// One of a few words, as the type itself reads them. A status code may be a number.
fn choice<T: DeserializeOwned>(fields: &mut Fields, name: &str, words: &[&str]) -> Option<T> {
    let value = fields.take(name)?;
    let value = if let serde_json::Value::Number(number) = value {
        number.to_string().into()
    } else {
        value
    };
    let read = serde_json::from_value(value).ok();
    if read.is_none() {
        fields.wrong(name, "invalid", format!("{name} must be one of {}.", words.join(", ")));
    }
    read
}
