//! The query string: pages of lists, and the parameters that narrow them.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use schemas::Id;
use schemas::id::Kind;
use serde::Serialize;

use crate::body::NUL;
use crate::error::Error;
use crate::ports::{Cursor, Order, Page, PageRequest, Reach};

/// How many items a page has unless the caller says.
const LIMIT_DEFAULT: u32 = 10;

/// How many items a page may have; the SDKs ask for this many when they walk a list.
const LIMIT_MAX: u32 = 100;

/// The parameters as they came. Unknown ones are ignored.
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = Self::parse(parts.uri.query().unwrap_or_default());
        match query.0.iter().find(|(_, value)| value.contains(NUL)) {
            None => Ok(query),
            Some((name, _)) => {
                let message =
                    format!("{name} contains the character U+0000, which no text here may.");
                Err(Error::parameter(name, "invalid", message))
            }
        }
    }
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// A parameter. One without a value counts as not given: some clients send every name they know.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The same as an owned text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.one(name).map(str::to_owned)
    }

    /// Cuts a parameter off at a separator, and answers with what stood behind it.
    pub(crate) fn cut(&mut self, name: &str, separator: char) -> Option<String> {
        let (_, value) = self.0.iter_mut().find(|(key, _)| key == name)?;
        let at = value.find(separator)?;
        let behind = value.split_off(at);
        behind.strip_prefix(separator).map(str::to_owned)
    }

    /// A parameter that may hold several values, in any of the three ways in which SDKs write that:
    /// `name=a,b`, `name=a&name=b` and `name[]=a&name[]=b`. `None` if there is none at all.
    pub(crate) fn many(&self, name: &str) -> Option<Vec<&str>> {
        let named = |key: &str| key == name || key.strip_suffix("[]") == Some(name);
        let mut given = self.0.iter().filter(|(key, _)| named(key)).peekable();
        given.peek()?;
        let values = given.flat_map(|(_, value)| value.split(','));
        Some(values.map(str::trim).filter(|value| !value.is_empty()).collect())
    }

    /// Refuses to show another time than now. What is unknown is ignored, but an auditor who asks for the past must not
    /// take the present for it.
    pub(crate) fn is_of_now(&self) -> Result<(), Error> {
        if self.one("as_of").is_none() {
            return Ok(());
        }
        let message = "as_of is not supported: lists show the directory as it is. Replay its events up to a time for \
            what it was then.";
        Err(Error::parameter("as_of", "unsupported", message.into()))
    }

    /// An id, or a 422 that says what it should have been.
    pub(crate) fn id<K: Kind>(&self, name: &str) -> Result<Option<Id<K>>, Error> {
        self.one(name).map(|text| id(name, text)).transpose()
    }

    /// Any other value that is parsed from text.
    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Error> {
        let parsed = self.one(name).map(str::parse).transpose();
        parsed.map_err(|error| Error::parameter(name, "invalid", format!("{name} is {error}.")))
    }

    /// The page that is asked for.
    pub(crate) fn paging<K: Kind>(&self, reach: Reach, default: Order) -> Result<Paging<K>, Error> {
        let limit = self.limit()?;
        let (order, reversed) = match self.one("order") {
            None => (default, false),
            Some("asc") => (Order::Ascending, false),
            Some("desc") => (Order::Descending, false),
            Some("normal") => (Order::Descending, true),
            Some(_) => {
                let message = "order must be one of asc, desc, normal.".to_owned();
                return Err(Error::parameter("order", "invalid", message));
            }
        };
        let cursor = match (self.id("after")?, self.id("before")?) {
            (None, None) => None,
            (Some(id), None) if reversed => Some(Cursor::Before(id)),
            (None, Some(id)) if reversed => Some(Cursor::After(id)),
            (Some(id), None) => Some(Cursor::After(id)),
            (None, Some(id)) => Some(Cursor::Before(id)),
            (Some(_), Some(_)) => {
                let message = "after and before exclude each other.".to_owned();
                return Err(Error::parameter("before", "invalid", message));
            }
        };
        Ok(Paging { request: PageRequest { reach, limit, order, cursor }, reversed })
    }

    fn limit(&self) -> Result<u32, Error> {
        let Some(text) = self.one("limit") else { return Ok(LIMIT_DEFAULT) };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            let message = format!("limit must be a whole number from 1 to {LIMIT_MAX}.");
            Error::parameter("limit", "invalid", message)
        })
    }
}

/// An id that is the value of a parameter.
pub(crate) fn id<K: Kind>(name: &str, text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|error: schemas::id::InvalidId| {
        Error::parameter(name, "invalid", format!("{name} is {error}."))
    })
}

/// A page that is asked for, and how its cursors are named.
pub(crate) struct Paging<K> {
    /// What to ask the port.
    pub(crate) request: PageRequest<Id<K>>,
    /// With `order=normal` a list runs from new to old, `before` leads on to the older items and
    /// `after` back to the newer ones.
    reversed: bool,
}

impl<K> Paging<K> {
    /// The object that the cursor points at.
    pub(crate) fn at(&self) -> Option<Id<K>> {
        self.request.cursor.map(|cursor| match cursor {
            Cursor::After(id) | Cursor::Before(id) => id,
        })
    }

    /// The cursors around a page.
    pub(crate) fn metadata<T>(&self, page: &Page<T>, id: impl Fn(&T) -> Id<K>) -> Metadata<Id<K>> {
        let front = page.items.first().filter(|_| page.has_before).map(&id);
        let back = page.items.last().filter(|_| page.has_after).map(&id);
        let (before, after) = if self.reversed { (back, front) } else { (front, back) };
        Metadata { before, after }
    }

    /// Has the list go on from an object that is not on the page: the last that was looked at.
    pub(crate) fn go_on_from(&self, metadata: &mut Metadata<Id<K>>, id: Id<K>) {
        let back = matches!(self.request.cursor, Some(Cursor::Before(_)));
        let cursor = if back == self.reversed { &mut metadata.after } else { &mut metadata.before };
        *cursor = Some(id);
    }

    /// The answer to a list.
    pub(crate) fn answer<T, S: Serialize>(
        &self,
        page: Page<T>,
        id: impl Fn(&T) -> Id<K>,
        show: impl Fn(T) -> S,
    ) -> Response
    where
        K: Kind,
    {
        let list_metadata = self.metadata(&page, id);
        list(page.items.into_iter().map(show).collect(), list_metadata)
    }
}

/// A list as it goes out.
pub(crate) fn list(data: Vec<impl Serialize>, list_metadata: Metadata<impl Serialize>) -> Response {
    Json(List { object: "list", data, list_metadata }).into_response()
}

/// The cursors to go on from; `null` where the list ends.
#[derive(Serialize)]
pub(crate) struct Metadata<C> {
    pub(crate) before: Option<C>,
    pub(crate) after: Option<C>,
}

#[derive(Serialize)]
struct List<C, T> {
    object: &'static str,
    data: Vec<T>,
    list_metadata: Metadata<C>,
}

#[cfg(test)]
mod tests {
    use schemas::EventId;

    use super::*;

    #[test]
    fn several_values_are_read_however_a_client_writes_them() {
        for query in
            ["events=a%2Cb", "events=a,b", "events=a&events=b", "events[]=a&events%5B%5D=b"]
        {
            assert_eq!(Query::parse(query).many("events"), Some(vec!["a", "b"]), "{query}");
        }
        assert_eq!(Query::parse("other=a").many("events"), None);
        assert_eq!(Query::parse("events=").many("events"), Some(vec![]));
    }

    #[test]
    fn a_parameter_without_a_value_is_not_given() {
        assert_eq!(Query::parse("after=&limit=5").one("after"), None);
    }

    #[test]
    fn normal_order_runs_from_new_to_old_with_its_cursors_reversed() {
        let id = EventId::from_bits(7);
        let query = Query::parse(&format!("order=normal&before={id}"))
            .paging(Reach::Everything, Order::Ascending);
        let paging = query.map_err(|_| ()).unwrap();
        assert_eq!(paging.request.order, Order::Descending);
        assert_eq!(paging.request.cursor, Some(Cursor::After(id)));
        let page = Page { items: vec![EventId::from_bits(6)], has_before: true, has_after: false };
        let metadata = paging.metadata(&page, |id| *id);
        assert_eq!((metadata.before, metadata.after), (None, Some(EventId::from_bits(6))));
    }
}
