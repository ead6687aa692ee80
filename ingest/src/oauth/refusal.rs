//! The errors of the token endpoint (RFC 6749 §5.2).
//!
//! Descriptions keep to the characters that the RFC allows: ASCII without quotes and backslashes.

use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer;
use crate::body::Unread;
use crate::ports::ReplicaError;

/// What clients may authenticate with. RFC 9110 §15.5.2 wants it on every 401, also where the
/// credentials came in the body.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"dsync\"");

/// How long to wait until the store may be back.
const LATER: Duration = Duration::from_secs(2);

/// How long until somebody may have made room on the disk.
const LATER_WHEN_FULL: Duration = Duration::from_secs(60);

/// Why there is no access token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request is not as it should be, and how.
    Malformed(&'static str),
    /// The body is larger than it may be.
    TooLarge,
    /// Only POST gets tokens.
    NoMethod,
    /// No client, an unknown one, or not its secret: nobody can tell which.
    Unauthenticated,
    /// Another grant than that of client credentials.
    UnsupportedGrant,
    /// So many were issued that the next has to wait.
    TooMany(Duration),
    /// The store does not answer.
    Unavailable,
    /// The disk is full.
    Full,
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::UnsupportedGrant => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// The code. For what the RFC has no code of the token endpoint, that of §4.1.2.1 says it.
    const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::TooLarge | Self::NoMethod => "invalid_request",
            Self::Unauthenticated => "invalid_client",
            Self::UnsupportedGrant => "unsupported_grant_type",
            Self::TooMany(_) | Self::Unavailable | Self::Full => "temporarily_unavailable",
        }
    }

    const fn description(&self) -> &'static str {
        match self {
            Self::Malformed(description) => description,
            Self::TooLarge => "The body is larger than 8 KiB.",
            Self::NoMethod => "This endpoint takes POST only.",
            Self::Unauthenticated => {
                "The client id or its secret is missing or not valid. Check both, or make a new \
                 secret."
            }
            Self::UnsupportedGrant => "The grant_type must be client_credentials.",
            Self::TooMany(_) => {
                "Too many access tokens were issued to this client. Use one until it expires."
            }
            Self::Unavailable => "The service cannot keep tokens just now. Try again.",
            Self::Full => "The disk of the service has no room for tokens.",
        }
    }

    const fn wait(&self) -> Option<Duration> {
        match self {
            Self::TooMany(wait) => Some(*wait),
            Self::Unavailable => Some(LATER),
            Self::Full => Some(LATER_WHEN_FULL),
            Self::Malformed(_)
            | Self::TooLarge
            | Self::NoMethod
            | Self::Unauthenticated
            | Self::UnsupportedGrant => None,
        }
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Broken => Self::Malformed("The request ended before its body did."),
            Unread::TooLarge => Self::TooLarge,
        }
    }
}

impl From<ReplicaError> for Refusal {
    fn from(error: ReplicaError) -> Self {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an access token cannot be issued"
        );
        match error {
            ReplicaError::Full(_) => Self::Full,
            ReplicaError::Halted(_) | ReplicaError::Unavailable(_) | ReplicaError::Filter(_) => {
                Self::Unavailable
            }
        }
    }
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: &'static str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Body { error: self.code(), error_description: self.description() };
        let mut response = answer(self.status(), &body);
        if let Some(wait) = self.wait() {
            // Whole seconds (RFC 9110 §10.2.3), rounded up.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self == Self::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}
