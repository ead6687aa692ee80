//! `/signing_keys`: what Security Event Tokens are signed with, and how it is replaced.
//!
//! The keys are of the installation, so a key that is limited to one organization has no business here.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemas::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::auth::{Reader, Writer};
use crate::body::OptionalFields;
use crate::error::Error;
use crate::jwks::KEPT_FOR;
use crate::ports::{Rotation, VerificationKey};
use crate::router::Api;

/// For how long a key is shown after another has taken its place: who takes a token in and checks it later, by
/// a queue, has a day for it.
const SHOWN_AFTER: Duration = Duration::from_secs(24 * 3_600);

pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let keys = api.verification_keys.verification_keys().await?;
    let now = api.edge.now();
    let signing = keys.iter().filter(|key| key.signs_from <= now).map(|key| key.signs_from).max();
    let data: Vec<_> = keys.into_iter().map(|key| Body::of(key, signing)).collect();
    let ends = json!({ "before": null, "after": null });
    Ok(Json(json!({ "object": "list", "data": data, "list_metadata": ends })).into_response())
}

/// Makes a key that signs as soon as every receiver can know it. With `"compromised": true` it signs at once, and
/// what it replaces is not shown any more.
pub(crate) async fn rotate(
    State(api): State<Api>,
    Writer(caller): Writer,
    OptionalFields(mut fields): OptionalFields,
) -> Result<Response, Error> {
    caller.unlimited()?;
    let compromised = fields.truth("compromised").unwrap_or_default();
    fields.refuse_unknown(&["compromised"]);
    if !fields.errors().is_empty() {
        return Err(Error::Invalid(fields.into_errors()));
    }
    let at = api.edge.now();
    let rotation = if compromised {
        Rotation { at, signs_from: at, shown_until: at }
    } else {
        let signs_from = at.after(KEPT_FOR);
        Rotation { at, signs_from, shown_until: signs_from.after(SHOWN_AFTER) }
    };
    let made = api.verification_keys.rotate(rotation).await?;
    let signing = compromised.then_some(made.signs_from);
    Ok((StatusCode::CREATED, Json(Body::of(made, signing))).into_response())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SigningKey")]
pub(crate) struct Body {
    object: &'static str,
    /// What tokens name it by.
    id: String,
    state: &'static str,
    created_at: Timestamp,
    signs_from: Timestamp,
    shown_until: Option<Timestamp>,
}

impl Body {
    /// A key beside the one that signs, which begins at this time.
    fn of(key: VerificationKey, signing: Option<Timestamp>) -> Self {
        let VerificationKey { kid: id, created_at, signs_from, shown_until, .. } = key;
        let state = match signing {
            Some(signing) if signing == signs_from => "signing",
            Some(signing) if signs_from < signing => "replaced",
            Some(_) | None => "waiting",
        };
        // The first signs from its beginning.
        let signs_from = signs_from.max(created_at);
        Self { object: "signing_key", id, state, created_at, signs_from, shown_until }
    }
}
