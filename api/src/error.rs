//! Everything that goes wrong, in the forms that the SDKs read. There is no other place where an error
//! becomes an answer.
//!
//! Bodies are JSON objects with a `message`. `error` and `error_description` are never among the keys:
//! an SDK takes them for OAuth.

use std::fmt::Display;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::ports::{Conflict, PortError};

/// When a caller should come back after a 503: the store is back within a second or within minutes,
/// and the SDKs double their waits.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("1");

/// The same while the log is being verified: that takes seconds to minutes.
const VERIFY_AGAIN_AFTER_SECS: HeaderValue = HeaderValue::from_static("30");

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// For programs.
    pub code: &'static str,
    /// Which, as a path into the body or the name of a parameter.
    pub field: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Marks an answer to a change of which it is not known whether it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsure;

/// An answer that is not the one hoped for.
#[derive(Debug)]
pub(crate) enum Error {
    /// No key, or none that we know.
    Unauthorized,
    /// The key may not do this.
    Forbidden(&'static str),
    /// A list was asked for that of an organization which is not there, or not for this caller.
    ForeignOrganization(String),
    /// There is no such object within reach.
    Missing { what: &'static str, id: String },
    /// There is no such path.
    NoRoute,
    /// The path does not know the method.
    NoMethod,
    /// The body is not a JSON object.
    NotJson(String),
    /// The body is larger than it may be.
    TooLarge,
    /// The body has a Content-Encoding.
    Encoded,
    /// A parameter of a list is not as it should be.
    Parameter(FieldError),
    /// Fields of a body, or parameters of the events list.
    Invalid(Vec<FieldError>),
    /// Fields of a webhook endpoint, which have a form of their own.
    InvalidEndpoint(Vec<FieldError>),
    /// A URL that webhooks must not go to, and why.
    InvalidUrl(String),
    /// The key is used more often than it may be; when there is room again.
    TooMany(Duration),
    /// The idempotency key was used for another request.
    OtherRequest,
    /// The request with this idempotency key is not answered yet.
    StillAnswering,
    /// The request with this idempotency key was begun, and whoever was to answer it has gone.
    NeverAnswered,
    /// The same verification is under way, or as many wait for their turn as may.
    Verifying,
    /// A port said no or failed.
    Port(PortError),
}

impl Error {
    /// A parameter that is not as it should be.
    pub(crate) fn parameter(field: &str, code: &'static str, message: String) -> Self {
        Self::Parameter(FieldError { code, field: field.to_owned(), message: Some(message) })
    }

    /// The same in the form of the events list.
    pub(crate) fn in_events(self) -> Self {
        if let Self::Parameter(error) = self { Self::Invalid(vec![error]) } else { self }
    }

    /// For `map_err` on a call about one object: if that is what was not found, says so.
    pub(crate) fn about(what: &'static str, id: impl Display) -> impl FnOnce(PortError) -> Self {
        move |error| match error {
            PortError::NotFound => Self::Missing { what, id: id.to_string() },
            PortError::Conflict(_)
            | PortError::Unavailable(_)
            | PortError::Unsure(_)
            | PortError::Full(_) => Self::Port(error),
        }
    }

    fn status_and_body(&self) -> (StatusCode, Value) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, json!({ "message": "Unauthorized" })),
            Self::Forbidden(message) => (StatusCode::FORBIDDEN, json!({ "message": message })),
            Self::ForeignOrganization(id) => {
                let message = format!("Organization not found: '{id}'.");
                (StatusCode::FORBIDDEN, json!({ "message": message }))
            }
            Self::Missing { what, id } => (StatusCode::NOT_FOUND, missing(what, id)),
            Self::NoRoute => (StatusCode::NOT_FOUND, coded("not_found", "There is no such path.")),
            Self::NoMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                coded("method_not_allowed", "The path does not know this method."),
            ),
            // An SDK looks for both `code` and `errors` on a 400.
            Self::NotJson(message) => (
                StatusCode::BAD_REQUEST,
                json!({ "code": "invalid_json", "message": message, "errors": [{ "code": "invalid_json", "message": message }] }),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                coded("payload_too_large", "The body is larger than 1 MiB."),
            ),
            Self::Encoded => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                coded(
                    "unsupported_media_type",
                    "A body with a Content-Encoding is not read; send it as it is.",
                ),
            ),
            Self::Parameter(error) => {
                (StatusCode::UNPROCESSABLE_ENTITY, json!({ "message": error.message }))
            }
            Self::Invalid(errors) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                json!({ "message": "Validation failed.", "errors": errors }),
            ),
            Self::InvalidEndpoint(errors) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                json!({ "code": "invalid_request_parameters", "message": "Validation failed.", "errors": errors }),
            ),
            Self::InvalidUrl(message) => {
                (StatusCode::UNPROCESSABLE_ENTITY, coded("invalid_url", message))
            }
            Self::TooMany(_) => {
                (StatusCode::TOO_MANY_REQUESTS, json!({ "message": "Ratelimited" }))
            }
            Self::OtherRequest => (
                StatusCode::UNPROCESSABLE_ENTITY,
                coded(
                    "idempotency_key_reused",
                    "This Idempotency-Key was sent with another request. Use a new one for each.",
                ),
            ),
            Self::StillAnswering => (
                StatusCode::CONFLICT,
                coded(
                    "idempotency_key_in_use",
                    "The request with this Idempotency-Key is not answered yet. Try again.",
                ),
            ),
            Self::NeverAnswered => (
                StatusCode::CONFLICT,
                coded(
                    "idempotency_key_unresolved",
                    "The request with this Idempotency-Key was begun, and what came of it is not known. See \
                     whether it was done; if not, send it with a new key.",
                ),
            ),
            Self::Verifying => verifying(),
            Self::Port(error) => port(error),
        }
    }

    /// How long to wait before the same request may succeed.
    fn retry_after(&self, status: StatusCode) -> Option<HeaderValue> {
        if let Self::TooMany(wait) = self {
            // Whole seconds, rounded up: who comes back a moment too early is refused again.
            return HeaderValue::from_str(&wait.as_nanos().div_ceil(1_000_000_000).to_string())
                .ok();
        }
        if let Self::Verifying = self {
            return Some(VERIFY_AGAIN_AFTER_SECS);
        }
        let passes = matches!(self, Self::StillAnswering);
        (passes || status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECS)
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, body) = self.status_and_body();
        let mut response = (status, Json(body)).into_response();
        if matches!(self, Self::Port(PortError::Unsure(_))) {
            response.extensions_mut().insert(Unsure);
        }
        if let Some(wait) = self.retry_after(status) {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Logs the cause of what only the operator can mend; the caller is told no more than to come back.
fn port(error: &PortError) -> (StatusCode, Value) {
    match error {
        PortError::NotFound => {
            (StatusCode::NOT_FOUND, coded("entity_not_found", "There is no such object."))
        }
        PortError::Conflict(conflict) => (StatusCode::CONFLICT, conflicting(*conflict)),
        PortError::Unavailable(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "store is unavailable");
            let message = "The service is unavailable for the moment. Try again.";
            (StatusCode::SERVICE_UNAVAILABLE, coded("unavailable", message))
        }
        PortError::Unsure(cause) => {
            tracing::error!(
                error = &**cause as &dyn std::error::Error,
                "a change may not have been made"
            );
            let message = "The service failed while it did this. See whether it was done before you send it anew.";
            (StatusCode::SERVICE_UNAVAILABLE, coded("outcome_unknown", message))
        }
        PortError::Full(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "disk is full");
            let message = "There is no room to store this. Reading goes on.";
            (StatusCode::INSUFFICIENT_STORAGE, coded("insufficient_storage", message))
        }
    }
}

fn verifying() -> (StatusCode, Value) {
    let message = "The log is being verified, or others wait for their turn already. Try again in half a minute.";
    (StatusCode::SERVICE_UNAVAILABLE, coded("verification_under_way", message))
}

fn conflicting(conflict: Conflict) -> Value {
    match conflict {
        Conflict::EndpointUrl => {
            coded("duplicate_endpoint", "A webhook endpoint with this URL exists already.")
        }
        Conflict::ExternalId => {
            coded("duplicate_external_id", "Another organization has this external_id.")
        }
        Conflict::Metadata => coded(
            "too_much_metadata",
            "The organization has 50 entries of metadata, as many as it may. Remove some first.",
        ),
        Conflict::LiveTokens => coded(
            "too_many_tokens",
            "The directory has two live tokens, as many as it may. Revoke one first.",
        ),
        Conflict::LiveSecrets => coded(
            "too_many_secrets",
            "The OAuth client has two live secrets, as many as it may. Delete one first.",
        ),
        Conflict::LiveReplays => coded(
            "too_many_replays",
            "The endpoint has four replays under way, as many as it may. Wait for one or delete one first.",
        ),
        Conflict::Backwards => coded("backwards", "The replay would end before it begins."),
        Conflict::HostName => coded(
            "duplicate_host_name",
            "This host name belongs to an organization or a directory already. Remove it there first.",
        ),
        Conflict::HostNames => coded(
            "too_many_host_names",
            "There are ten host names for this already, as many as may be. Remove one first.",
        ),
        Conflict::SigningKeyWaits => coded(
            "signing_key_waits",
            "A new signing key is shown already and signs within the hour. Wait, or send \"compromised\": true to \
             replace all at once.",
        ),
        Conflict::SigningSecrets => coded(
            "too_many_secrets",
            "Four secrets sign for this endpoint, as many as may. Wait until the overlap of one has ended, or rotate with an overlap of 0.",
        ),
        Conflict::Directories => coded(
            "too_many_directories",
            "The organization has as many directories as it may. Delete one first.",
        ),
        Conflict::NotHeld => coded("directory_not_held", "Nothing of the directory is held."),
        Conflict::Deleting => coded("directory_deleting", "The directory is being deleted."),
        Conflict::Changed => coded("changed", "It was changed meanwhile. Read it again."),
    }
}

fn coded(code: &str, message: &str) -> Value {
    json!({ "code": code, "message": message })
}

fn missing(what: &str, id: &str) -> Value {
    let message = format!("Could not find {what} '{id}'.");
    json!({ "message": message, "code": "entity_not_found", "entity_id": id })
}
