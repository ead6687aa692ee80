//! Everything that goes wrong, as a page. There is no other place where an error becomes an answer.

use api::ports::{Conflict, PortError};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::layout;
use crate::trail::NotRecorded;

/// Where htmx is told to go instead of putting an answer into a page.
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// When to come back after a 503: the store is back within a second or within minutes.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("1");

/// An answer that is not the one hoped for.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nobody is signed in; where to come back to after that.
    SignedOut(String),
    /// The role may not do this.
    NotAllowed,
    /// A form that no page of this session made.
    Forged,
    /// A form that cannot be read.
    Unreadable,
    /// There is no such thing.
    Missing(&'static str),
    /// Too many pages are watching.
    TooManyWatch,
    /// A port said no or failed.
    Port(PortError),
}

impl Error {
    /// For `map_err` on a call about one object: if that is what was not found, says so.
    pub(crate) fn about(what: &'static str) -> impl FnOnce(PortError) -> Self {
        move |error| match error {
            PortError::NotFound => Self::Missing(what),
            PortError::Conflict(_)
            | PortError::Unavailable(_)
            | PortError::Unsure(_)
            | PortError::Full(_) => Self::Port(error),
        }
    }

    fn told(&self) -> Told {
        match self {
            Self::SignedOut(_) => {
                Told::new(StatusCode::UNAUTHORIZED, "You are signed out", "Sign in again to go on.")
            }
            Self::NotAllowed => Told::new(
                StatusCode::FORBIDDEN,
                "Auditors change nothing",
                "You are signed in as an auditor, who reads everything and changes nothing. Sign in as an admin for this. Nothing was changed.",
            ),
            Self::Forged => Told::new(
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was made before you signed in last, or by another site. Open the page again and send it from there. Nothing was changed.",
            ),
            Self::Unreadable => Told::new(
                StatusCode::BAD_REQUEST,
                "This form cannot be read",
                "It is larger than any form of these pages, cut off, or has a character in it that nobody types. Open the page again and send it from there. Nothing was changed.",
            ),
            Self::Missing(what) => Told {
                status: StatusCode::NOT_FOUND,
                title: format!("There is no such {what}"),
                text: "It was deleted, or the address is wrong.",
            },
            Self::TooManyWatch => Told::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many pages are watching",
                "Close one that shows live events, and this one goes on by itself.",
            ),
            Self::Port(error) => port(error),
        }
    }
}

impl From<NotRecorded> for Error {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::NoAction => Self::Missing("form"),
            NotRecorded::Port(error) => Self::Port(error),
        }
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// What stands on the page.
struct Told {
    status: StatusCode,
    title: String,
    text: &'static str,
}

impl Told {
    fn new(status: StatusCode, title: &str, text: &'static str) -> Self {
        Self { status, title: title.to_owned(), text }
    }
}

/// Logs the cause of what only the operator can mend.
fn port(error: &PortError) -> Told {
    match error {
        PortError::NotFound => Told::new(
            StatusCode::NOT_FOUND,
            "There is no such thing",
            "It was deleted, or the address is wrong.",
        ),
        PortError::Conflict(conflict) => {
            Told::new(StatusCode::CONFLICT, "That does not work now", conflicting(*conflict))
        }
        PortError::Unavailable(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "store is unavailable");
            Told::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The store does not answer",
                "Try again in a moment. The log of the server says more.",
            )
        }
        PortError::Unsure(cause) => {
            tracing::error!(
                error = &**cause as &dyn std::error::Error,
                "a change may not have been made"
            );
            Told::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "It is not known whether that was done",
                "The store failed while it did it. See whether it is there before you send the form again.",
            )
        }
        PortError::Full(cause) => {
            tracing::error!(error = &**cause as &dyn std::error::Error, "disk is full");
            Told::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "The disk is full",
                "Nothing was changed. Make room on the disk; reading goes on meanwhile.",
            )
        }
    }
}

/// What forbids a change, and what to do then.
pub(crate) const fn conflicting(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::EndpointUrl => "A webhook endpoint with this URL exists already.",
        Conflict::ExternalId => "Another organization has this external id.",
        Conflict::Metadata => "The organization has 50 entries of metadata, as many as it may.",
        Conflict::LiveTokens => {
            "The directory has two live tokens, as many as it may. Revoke one first."
        }
        Conflict::LiveSecrets => {
            "The OAuth client has two live secrets, as many as it may. Delete one first."
        }
        Conflict::LiveReplays => {
            "The endpoint has four replays under way, as many as it may. Wait for one to finish."
        }
        Conflict::Backwards => "The replay would end before it begins.",
        Conflict::SigningKeyWaits => "A new signing key waits for its turn already.",
        Conflict::SigningSecrets => {
            "Four secrets sign for this endpoint, as many as may. Wait until one has ended."
        }
        Conflict::HostName => {
            "This host name belongs to an organization or a directory already. Remove it there first."
        }
        Conflict::HostNames => {
            "There are ten host names for this already, as many as may be. Remove one first."
        }
        Conflict::Directories => {
            "The organization has as many directories as it may. Delete one first."
        }
        Conflict::NotHeld => "Nothing of the directory is held.",
        Conflict::Deleting => "The directory is being deleted.",
        Conflict::Changed => "Somebody else has changed it meanwhile.",
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::SignedOut(back) = &self {
            return sign_in(back);
        }
        let Told { status, title, text } = self.told();
        let body =
            html! { p.lead { (text) } p { a.button href="/console" { "To the start page" } } };
        let mut response = (status, layout::plain(&title, &body)).into_response();
        match self {
            Self::TooManyWatch | Self::Port(PortError::Unavailable(_)) => {
                response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECS);
            }
            Self::SignedOut(_)
            | Self::NotAllowed
            | Self::Forged
            | Self::Unreadable
            | Self::Missing(_)
            | Self::Port(_) => {}
        }
        response
    }
}

/// To the page that asks for the password. A part of a page cannot show it, so htmx is told to leave.
fn sign_in(back: &str) -> Response {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", back).finish();
    let place = HeaderValue::from_str(&format!("/console/sign-in?{query}")).expect("it is encoded");
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(HX_REDIRECT, place.clone());
    response.headers_mut().insert(header::LOCATION, place);
    response
}
