//! What goes wrong on the setup page, in words for an administrator who did nothing wrong.

use api::ports::{PortError, WhyVoid};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::{Setup, page};

/// When it may work again, in seconds, if the store did not answer.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("1");

/// Why there is not the page that was asked for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such link, or not under this host name.
    Unknown,
    /// The link opens nothing any more. With where the page would have led back to.
    Void(WhyVoid, Option<String>),
    /// There is no session, or it has ended.
    NoSession,
    /// Another site had the browser send this.
    OtherSite,
    /// There is no such directory, or it goes.
    NoDirectory,
    /// The directory has as many live tokens as it may.
    TwoTokens,
    /// A port failed.
    Port(PortError),
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// What is said: a heading, what to know, what to do.
pub(super) type Words = (&'static str, &'static str, &'static str);

const ASK_AGAIN: &str = "Go back to the product that you are setting up and open its setup page from there again, \
                         or ask whoever sent you the link for a new one.";
const TRY_AGAIN: &str = "Nothing is lost. Try again in a moment.";

impl Refusal {
    const fn words(&self) -> (StatusCode, Words) {
        match self {
            Self::Unknown => {
                let what = "There is no setup page at this address. Perhaps a part of the link was left out.";
                (StatusCode::NOT_FOUND, ("This link is not known", what, ASK_AGAIN))
            }
            Self::Void(WhyVoid::Used, _) => {
                let what = "A link opens the setup page once, in one browser. If that was not you, tell whoever sent \
                            you the link.";
                (StatusCode::GONE, ("This link was used already", what, ASK_AGAIN))
            }
            Self::Void(WhyVoid::Expired, _) => {
                let what = "It was not opened in time. Links are short-lived, so that nobody else finds them.";
                (StatusCode::GONE, ("This link has expired", what, ASK_AGAIN))
            }
            Self::Void(WhyVoid::Revoked, _) => {
                let what = "It was withdrawn, perhaps since a newer one was made.";
                (StatusCode::GONE, ("This link was revoked", what, ASK_AGAIN))
            }
            Self::NoSession => {
                let what = "Your session has ended, or this browser does not keep cookies.";
                (StatusCode::FORBIDDEN, ("You are not signed in", what, ASK_AGAIN))
            }
            Self::OtherSite => {
                let what = "Another website has sent this, so nothing was done.";
                (StatusCode::FORBIDDEN, ("This did not come from here", what, ASK_AGAIN))
            }
            Self::NoDirectory => {
                let what = "It was deleted meanwhile, or the address is not whole.";
                let next = "Go back to see the directories that there are.";
                (StatusCode::NOT_FOUND, ("There is no such directory", what, next))
            }
            Self::TwoTokens => {
                let what =
                    "Two bearer tokens are live, as many as may be: the one in use and the next.";
                let next = "Go back and revoke the one that your identity provider does not use.";
                (StatusCode::CONFLICT, ("There are two tokens already", what, next))
            }
            Self::Port(_) => {
                let what = "The service does not answer.";
                (StatusCode::SERVICE_UNAVAILABLE, ("Not just now", what, TRY_AGAIN))
            }
        }
    }
}

/// What is told of a refusal: left with the answer for who knows where the page stands.
#[derive(Clone, Debug)]
pub(super) struct Told {
    words: Words,
    back: Option<String>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, words) = self.words();
        if let Self::Port(error) = &self {
            tracing::error!(error = error as &dyn std::error::Error, "setup page cannot be shown");
        }
        let back = match self {
            Self::Void(_, return_url) => return_url,
            Self::Unknown
            | Self::NoSession
            | Self::OtherSite
            | Self::NoDirectory
            | Self::TwoTokens
            | Self::Port(_) => None,
        };
        let mut response = status.into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECS);
        }
        response.extensions_mut().insert(Told { words, back });
        response
    }
}

/// Puts the page into an answer that is a refusal.
pub(super) fn shown(setup: &Setup, mut response: Response) -> Response {
    let Some(Told { words, back }) = response.extensions_mut().remove::<Told>() else {
        return response;
    };
    let page = Html(page::refusal(setup, words, back.as_deref())).into_response();
    let (mut parts, _) = response.into_parts();
    let (told, body) = page.into_parts();
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}
