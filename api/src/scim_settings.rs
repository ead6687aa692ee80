//! `/directories/{id}/scim_settings`: how the SCIM service of a directory behaves where clients differ.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use directory::resource::ScimSettings;
use schemas::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::{Reader, Writer};
use crate::body::{Fields, Segments, path_id};
use crate::directories;
use crate::error::Error;
use crate::ports::{ScimService, ScimServiceChange};
use crate::router::Api;

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<Body>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    let service = api.directories.scim_settings(caller.reach, id).await;
    let service = service.map_err(Error::about(directories::WHAT, id))?;
    Ok(Json(Body::of(service, api.edge.now())))
}

/// How long bodies are kept with requests before that ends by itself: they hold what the directory knows of
/// people. Entra ID comes every 40 minutes, so this is several times.
const DEBUG_REQUESTS_FOR: Duration = Duration::from_secs(4 * 3_600);

#[derive(Serialize)]
pub(crate) struct Body {
    #[serde(flatten)]
    settings: ScimSettings,
    debug_requests: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug_requests_until: Option<Timestamp>,
}

impl Body {
    fn of(service: ScimService, now: Timestamp) -> Self {
        let until = service.debug_until.filter(|until| now < *until);
        let (settings, debug_requests) = (service.settings, until.is_some());
        Self { settings, debug_requests, debug_requests_until: until }
    }
}

pub(crate) const NAMES: &[&str] = &[
    "patch_group_response",
    "value_path_no_match",
    "unknown_schema",
    "unknown_member",
    "debug_requests",
];

/// What is not mentioned stays. A name that means nothing is refused: a setting that is misspelt would seem to
/// be made.
pub(crate) async fn update(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    mut fields: Fields,
) -> Result<Json<Body>, Error> {
    let id = path_id(directories::WHAT, &id)?;
    // Whether there is one is said before what is wrong with the body.
    let before = api.directories.scim_settings(caller.reach, id).await;
    before.map_err(Error::about(directories::WHAT, id))?;
    let now = api.edge.now();
    let change = ScimServiceChange {
        patch_group_response: choice(&mut fields, "patch_group_response", &["200", "204"]),
        value_path_no_match: choice(&mut fields, "value_path_no_match", &["upsert", "noTarget"]),
        unknown_schema: choice(&mut fields, "unknown_schema", &["ignore", "reject"]),
        unknown_member: choice(&mut fields, "unknown_member", &["reject", "pending"]),
        debug_until: fields
            .truth("debug_requests")
            .map(|keep| keep.then(|| now.after(DEBUG_REQUESTS_FOR))),
    };
    fields.refuse_unknown(NAMES);
    if !fields.errors().is_empty() {
        return Err(Error::Invalid(fields.into_errors()));
    }
    let service = api.directories.change_scim_settings(caller.reach, id, change, now).await;
    let service = service.map_err(Error::about(directories::WHAT, id))?;
    Ok(Json(Body::of(service, now)))
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
