//! The one place where errors leave as SCIM errors (RFC 7644 §3.12).
//!
//! Causes are logged where they are found; a client is told what it can do.

use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use directory::Rejection;
use schemas::scim::{ScimError, ScimType, echo};

use crate::ports::ReplicaError;
use crate::request_log::Refused;
use crate::respond::answer;
use crate::writer::WriteError;

/// How long a client is asked to wait. Identity providers want whole seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// How long while the disk is full, which takes somebody to mend.
const RETRY_AFTER_FULL_SECONDS: HeaderValue = HeaderValue::from_static("60");

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Failure {
    error: ScimError,
    retry_after: Option<HeaderValue>,
    /// What a 401 asks for.
    challenge: HeaderValue,
}

/// Asks for a token (RFC 6750 §3): the code stands only where one was presented.
const NO_TOKEN: HeaderValue = HeaderValue::from_static("Bearer");
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

impl Failure {
    fn later(detail: &str) -> Self {
        let error = ScimError::with_status(503, detail);
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..error.into() }
    }

    /// What has stopped is told to the operator, whose log and `/readyz` name it.
    fn halted() -> Self {
        Self::later(
            "Writing to this directory is stopped until the operator of the service has looked into a fault that its log \
             and /readyz name. Nothing was changed, and reads go on.",
        )
    }

    fn full() -> Self {
        let detail = "The disk of the service has no room, so nothing was changed. Reads go on; \
                      writes work again as soon as there is room.";
        let error = ScimError::with_status(507, detail);
        Self { retry_after: Some(RETRY_AFTER_FULL_SECONDS), ..error.into() }
    }

    /// Identity providers read whole seconds (RFC 9110 §10.2.3): less than one is one.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!(
            "Too many requests for this directory; nothing was changed. Send the request again in {seconds} s."
        );
        let error = ScimError::with_status(429, detail);
        Self { retry_after: Some(HeaderValue::from(seconds)), ..error.into() }
    }

    /// The same whether the token or the endpoint is wrong.
    pub(crate) fn unauthorized() -> Self {
        ScimError::with_status(
            401,
            "The bearer token is missing or not valid for this SCIM endpoint. Check Tenant URL and \
             Secret Token, or make a new token.",
        )
        .into()
    }

    /// The same answer to somebody who did present a token.
    pub(crate) fn invalid_token() -> Self {
        Self { challenge: INVALID_TOKEN, ..Self::unauthorized() }
    }

    pub(crate) fn expired() -> Self {
        let detail = "The access token has expired. Get another from the token endpoint.";
        let error = ScimError::with_status(401, detail);
        Self { challenge: INVALID_TOKEN, ..error.into() }
    }

    /// Told to who has a right token alone, so that nobody else learns of it whether there is a directory.
    pub(crate) fn elsewhere() -> Self {
        let detail = "There is no such directory at this host name. Check Tenant URL: the address of a directory \
                      is shown with it.";
        ScimError::with_status(404, detail).into()
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        ScimError::with_status(404, format!("{what} {:?} does not exist.", echo(id))).into()
    }
}

impl Failure {
    /// What the client is told.
    pub(crate) const fn error(&self) -> &ScimError {
        &self.error
    }
}

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self { error, retry_after: None, challenge: NO_TOKEN }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        let detail = sentence(&rejection.to_string());
        let error = match rejection {
            Rejection::NoSuchUser(_) | Rejection::NoSuchGroup(_) | Rejection::DirectoryGone => {
                ScimError::with_status(404, detail)
            }
            Rejection::UserNameTaken(_) | Rejection::GroupTaken { .. } => {
                ScimError::new(ScimType::Uniqueness, detail)
            }
            Rejection::VersionMismatch(_) => ScimError::with_status(412, detail),
            Rejection::NoSuchMember(_)
            | Rejection::AmbiguousMember(_)
            | Rejection::PendingMemberTooLong { .. } => ScimError::invalid_value(detail),
            Rejection::TooManyChanges { .. } | Rejection::TooManyPending { .. } => {
                ScimError::new(ScimType::TooMany, detail)
            }
            Rejection::Invalid(error) => error,
        };
        error.into()
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Rejected(rejection) => rejection.into(),
            WriteError::NoSuchDirectory(_) => Self::unauthorized(),
            WriteError::Busy => {
                Self::later("Too many requests wait for this directory; try again.")
            }
            WriteError::Contended => Self::later("Others were writing the same; try again."),
            WriteError::Stopped => Self::later(
                "Writing to this directory is stopped until its operator has looked into a damage \
                 of its log (DSYNC-003). Nothing was changed.",
            ),
            WriteError::Halted(_) => Self::halted(),
            WriteError::Full(_) => Self::full(),
            WriteError::Unavailable(_) => Self::later(
                "The service cannot write just now (its disk or log does not answer). Nothing was \
                 changed; try again.",
            ),
            WriteError::Delayed => {
                let detail = "The disk of the service has no room. The change is recorded and takes \
                              effect as soon as there is room; sending it again does no harm.";
                let error = ScimError::with_status(507, detail);
                Self { retry_after: Some(RETRY_AFTER_FULL_SECONDS), ..error.into() }
            }
            WriteError::Unknown => {
                Self::later("It is not known yet whether this was carried out; try again.")
            }
        }
    }
}

impl From<ReplicaError> for Failure {
    fn from(error: ReplicaError) -> Self {
        match error {
            ReplicaError::Filter(error) => error.into(),
            ReplicaError::Full(_) => Self::full(),
            ReplicaError::Halted(_) => Self::halted(),
            ReplicaError::Unavailable(source) => {
                tracing::warn!(
                    error = &*source as &dyn std::error::Error,
                    "the store is unavailable"
                );
                Self::later("The service cannot read its store just now; try again.")
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.status)
            .expect("errors are made with the status codes of HTTP");
        let mut response = answer(status, &self.error.body());
        let ScimError { scim_type, detail, .. } = self.error;
        response.extensions_mut().insert(Refused { scim_type, detail });
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, after);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge);
        }
        response
    }
}

/// Errors of ours begin small and end without a stop; details are sentences.
fn sentence(error: &str) -> String {
    let mut rest = error.chars();
    let first = rest.next().map(char::to_uppercase);
    let mut sentence: String = first.into_iter().flatten().chain(rest).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(failure: Failure) -> (u16, Option<ScimType>, String) {
        (failure.error.status, failure.error.scim_type, failure.error.detail)
    }

    #[test]
    fn a_taken_name_is_a_conflict_that_says_which_name() {
        let (status, kind, detail) = error(Rejection::UserNameTaken("ada".into()).into());
        assert_eq!((status, kind), (409, Some(ScimType::Uniqueness)));
        assert!(detail.starts_with("Another user already has the userName \"ada\""), "{detail}");
    }

    #[test]
    fn what_stands_still_says_who_can_mend_it_and_nothing_of_what_it_is() {
        let cause = || "DSYNC-003: record 7 of /var/lib".into();
        let write = WriteError::from(ReplicaError::Halted(cause())).into();
        for failure in [write, Failure::from(ReplicaError::Halted(cause()))] {
            assert_eq!(failure.retry_after, Some(RETRY_AFTER_SECONDS));
            let (status, _, detail) = error(failure);
            assert_eq!(status, 503);
            assert!(
                detail.contains("until the operator") && detail.contains("/readyz"),
                "{detail}"
            );
            assert!(!detail.contains("/var/lib") && !detail.contains("try again"), "{detail}");
        }
    }

    #[test]
    fn what_is_long_is_said_back_by_its_beginning() {
        let long = "x".repeat(100_000);
        for failure in [
            Failure::not_found("User", &long),
            Rejection::UserNameTaken(long.clone()).into(),
            Rejection::GroupTaken { attribute: "displayName", value: long.clone() }.into(),
            Rejection::NoSuchMember(long.clone()).into(),
            Rejection::AmbiguousMember(long.clone()).into(),
        ] {
            let (_, _, detail) = error(failure);
            assert!(detail.contains("xxx…\"") && detail.len() < 400, "{detail}");
        }
    }

    #[test]
    fn a_member_who_does_not_exist_is_named() {
        let (status, kind, detail) = error(Rejection::NoSuchMember("nobody".into()).into());
        assert_eq!((status, kind), (400, Some(ScimType::InvalidValue)));
        assert!(detail.contains("\"nobody\""), "{detail}");
    }

    #[test]
    fn a_pending_member_that_is_refused_says_why() {
        let (status, kind, detail) = error(Rejection::AmbiguousMember("same".into()).into());
        assert_eq!((status, kind), (400, Some(ScimType::InvalidValue)));
        assert!(detail.contains("\"same\" fits several users"), "{detail}");
        let too_many = Rejection::TooManyPending { of: "in one group", limit: 3 };
        let (status, kind, detail) = error(too_many.into());
        assert_eq!((status, kind), (400, Some(ScimType::TooMany)));
        assert!(
            detail.starts_with("Members: more than 3 would be pending in one group"),
            "{detail}"
        );
    }

    #[test]
    fn a_401_names_an_invalid_token_only_to_who_presented_one() {
        let challenge = |failure: Failure| {
            let response = failure.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            response.headers()[WWW_AUTHENTICATE].clone()
        };
        assert_eq!(challenge(Failure::unauthorized()), "Bearer");
        let invalid = "Bearer error=\"invalid_token\"";
        assert_eq!(challenge(Failure::invalid_token()), invalid);
        assert_eq!(challenge(Failure::expired()), invalid);
        assert!(Failure::expired().error.detail.contains("has expired"));
    }

    #[test]
    fn a_full_disk_is_told_with_a_time_to_come_back() {
        let response = Failure::from(WriteError::Full("inner".into())).into_response();
        assert_eq!(response.status().as_u16(), 507);
        assert!(response.headers().contains_key(RETRY_AFTER));
    }
}
