//! What goes wrong on the setup page, in words for an administrator who did nothing wrong.

use api::ports::{PortError, WhyVoid};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Site, frame};
use crate::error::Error;
use crate::trail::NotRecorded;

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
    /// A form that no page of this session made, or that cannot be read.
    Forged,
    /// There is no such directory, or it goes.
    NoDirectory,
    /// There is no such token, or it was revoked.
    NoToken,
    /// The organization has as many directories as its administrators may add.
    TooManyDirectories,
    /// Somebody else has changed the directory since the form was made.
    Changed,
    /// The attribute map has no room for another path.
    MapIsFull,
    /// There is no such page.
    NoPage,
    /// Too many pages are being kept up to date.
    TooManyWatch,
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

impl From<NotRecorded> for Refusal {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::NoAction => Self::NoPage,
            NotRecorded::Port(error) => Self::Port(error),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::TooManyWatch => Self::TooManyWatch,
            Error::Port(error) => Self::Port(error),
            Error::SignedOut(_) => Self::NoSession,
            Error::Forged | Error::Unreadable => Self::Forged,
            Error::NotAllowed | Error::Missing(_) => Self::NoPage,
        }
    }
}

/// What is said: a heading, what to know, what to do.
pub(super) type Words = (&'static str, &'static str, &'static str);

const ASK_AGAIN: &str = "Go back to the product that you are setting up and open its setup page from there again, \
                         or ask whoever sent you the link for a new one.";
const LOOK: &str = "Go back and load the page again to see what there is.";
const TRY_AGAIN: &str = "Nothing is lost. Try again in a moment.";

const fn words_of_void(why: WhyVoid) -> Words {
    match why {
        WhyVoid::Used => {
            let what = "A link opens the setup page once, in one browser. If that was not you, tell whoever sent you \
                        the link.";
            ("This link was used already", what, ASK_AGAIN)
        }
        WhyVoid::Expired => {
            let what =
                "It was not opened in time. Links are short-lived, so that nobody else finds them.";
            ("This link has expired", what, ASK_AGAIN)
        }
        WhyVoid::Revoked => {
            let what = "It was withdrawn, perhaps since a newer one was made.";
            ("This link was revoked", what, ASK_AGAIN)
        }
    }
}

const fn words_of_failure(error: &PortError) -> (StatusCode, Words) {
    match error {
        PortError::Full(_) => {
            let what = "The service has no room left, so nothing was changed.";
            let next = "Tell whoever sent you the link. Nothing that is here is lost.";
            (StatusCode::INSUFFICIENT_STORAGE, ("There is no room left", what, next))
        }
        PortError::Unsure(_) => {
            let what =
                "The service failed while it did this, and it is not known whether it was done.";
            let next = "Go back and see whether it was, before you do it again.";
            (StatusCode::SERVICE_UNAVAILABLE, ("Not known yet", what, next))
        }
        PortError::NotFound | PortError::Conflict(_) | PortError::Unavailable(_) => {
            let what = "The service does not answer.";
            (StatusCode::SERVICE_UNAVAILABLE, ("Not just now", what, TRY_AGAIN))
        }
    }
}

impl Refusal {
    const fn words(&self) -> (StatusCode, Words) {
        match self {
            Self::Unknown => {
                let what = "There is no setup page at this address. Perhaps a part of the link was left out.";
                (StatusCode::NOT_FOUND, ("This link is not known", what, ASK_AGAIN))
            }
            Self::Void(why, _) => (StatusCode::GONE, words_of_void(*why)),
            Self::NoSession => {
                let what = "Your session has ended, or this browser does not keep cookies.";
                (StatusCode::FORBIDDEN, ("You are not signed in", what, ASK_AGAIN))
            }
            Self::OtherSite => {
                let what = "Another website has sent this, so nothing was done.";
                (StatusCode::FORBIDDEN, ("This did not come from here", what, ASK_AGAIN))
            }
            Self::Forged => {
                let what = "It was made in another session, or did not arrive as it was sent. Nothing was changed.";
                let next = "Go back, load the page again and press the button there.";
                (StatusCode::FORBIDDEN, ("This form is out of date", what, next))
            }
            Self::NoToken => {
                let what = "It was revoked already, or the address is not whole.";
                (StatusCode::NOT_FOUND, ("There is no such token", what, LOOK))
            }
            Self::TooManyDirectories => {
                let what = "Your company has 20 connections, as many as can be added here. Nothing was added.";
                let next = "Ask the company whose product you are setting up to delete those that are not used.";
                (StatusCode::CONFLICT, ("There are enough connections", what, next))
            }
            Self::Changed => {
                let what = "Somebody else has changed this connection since you opened the page. Nothing was changed by you.";
                (StatusCode::CONFLICT, ("It has changed meanwhile", what, LOOK))
            }
            Self::MapIsFull => {
                let what = "The address of a user is looked for in eight places already, as many as may be.";
                let next = "Go back, open the attribute map, and take one of them away.";
                (StatusCode::CONFLICT, ("There is no room for another place", what, next))
            }
            Self::NoPage => {
                let what = "There is nothing at this address.";
                (StatusCode::NOT_FOUND, ("There is no such page", what, LOOK))
            }
            Self::TooManyWatch => {
                let what = "Many pages are open just now, so this one does not follow by itself.";
                (StatusCode::SERVICE_UNAVAILABLE, ("Not just now", what, TRY_AGAIN))
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
            Self::Port(error) => words_of_failure(error),
        }
    }
}

impl Refusal {
    /// Whether who is refused has a session, and so a page to go to.
    const fn leads_home(&self) -> bool {
        match self {
            Self::Forged
            | Self::NoDirectory
            | Self::NoToken
            | Self::TwoTokens
            | Self::TooManyDirectories
            | Self::Changed
            | Self::MapIsFull
            | Self::NoPage => true,
            Self::Unknown
            | Self::Void(..)
            | Self::NoSession
            | Self::OtherSite
            | Self::TooManyWatch
            | Self::Port(_) => false,
        }
    }
}

/// What is told of a refusal: left with the answer for who knows where the page stands.
#[derive(Clone, Debug)]
pub(super) struct Told {
    words: Words,
    back: Option<String>,
    leads_home: bool,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, words) = self.words();
        if let Self::Port(error) = &self {
            tracing::error!(error = error as &dyn std::error::Error, "setup page cannot be shown");
        }
        let leads_home = self.leads_home();
        let back = match self {
            Self::Void(_, return_url) => return_url,
            Self::Unknown
            | Self::NoSession
            | Self::OtherSite
            | Self::Forged
            | Self::NoDirectory
            | Self::NoToken
            | Self::TwoTokens
            | Self::TooManyDirectories
            | Self::Changed
            | Self::MapIsFull
            | Self::NoPage
            | Self::TooManyWatch
            | Self::Port(_) => None,
        };
        let mut response = status.into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECS);
        }
        response.extensions_mut().insert(Told { words, back, leads_home });
        response
    }
}

/// Puts the page into an answer that is a refusal.
pub(super) fn shown(site: &Site, mut response: Response) -> Response {
    let Some(Told { words, back, leads_home }) = response.extensions_mut().remove::<Told>() else {
        return response;
    };
    let home = leads_home.then(|| site.path(""));
    let page = frame::refusal(site, words, back.as_deref(), home.as_deref()).into_response();
    let (mut parts, _) = response.into_parts();
    let (told, body) = page.into_parts();
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}
