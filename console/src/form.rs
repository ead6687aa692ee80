//! What people type: forms and queries, read field by field.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use schemas::id::Kind;
use schemas::{Id, Timestamp};

use crate::Console;
use crate::error::Error;

/// The largest form that is read: a client certificate and its key, as long as the API takes them, and all the rest.
pub(crate) const FORM_BYTES_MAX: usize = 96 * 1024;

/// How long a name may be, in characters: as in the API.
pub(crate) const NAME_MAX: usize = 255;

/// How far ahead of this one the clock of another process may be that made a form.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Pairs of names and values, as a form or a query has them. Unknown ones are ignored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| Error::Unreadable)?;
        Self::read(&bytes)
    }
}

/// The query of an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(pub(crate) Form);

impl FromRequestParts<Arc<Console>> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Console>) -> Result<Self, Error> {
        Self::of(parts)
    }
}

impl Query {
    /// What a request asks with.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Error> {
        Form::read(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

impl Form {
    /// What was sent. U+0000 is refused, as in the API: no database keeps a text with it, or it loses what follows.
    fn read(text: &[u8]) -> Result<Self, Error> {
        let form = Self::parse(text);
        let has_nul =
            form.0.iter().any(|(name, value)| [name, value].iter().any(|text| text.contains('\0')));
        if has_nul { Err(Error::Unreadable) } else { Ok(form) }
    }

    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The same from pairs that are known.
    pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect())
    }

    /// A field as it was sent.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names of the fields, in the order of the form.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a field that may come several times, in the order of the form.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A field without the spaces around it; one that is empty counts as not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.one(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The same from pairs of one's own.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Every value that a field was sent with; empty ones are left out.
    pub(crate) fn filled(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(key, _)| key == name);
        values.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// An id; a text that is none counts as not given.
    pub(crate) fn id<K: Kind>(&self, name: &str) -> Option<Id<K>> {
        self.text(name)?.parse().ok()
    }

    /// The id of what a form makes. It was made with the form, by us, in a session that lives: one of another time was
    /// typed by somebody, and would stand at a place of its own choosing in every list, for ever.
    pub(crate) fn fresh_id<K: Kind>(&self, now: Timestamp, session_max: Duration) -> Option<Id<K>> {
        let id: Id<K> = self.id("id")?;
        let (behind, ahead) = (now.since(id.made_at()), id.made_at().since(now));
        (behind < session_max && ahead <= AHEAD_MAX).then_some(id)
    }

    /// A name: what people read, so it must not be empty.
    pub(crate) fn name(&self, field: &'static str) -> Result<String, Wrong> {
        let text = self.text(field).ok_or(Wrong { field, text: "Give it a name." })?;
        if text.chars().count() > NAME_MAX {
            return Err(Wrong { field, text: "A name has 255 characters at most." });
        }
        Ok(text.to_owned())
    }
}

/// A field that is not as it should be, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) text: &'static str,
}

/// The id in a path. What is no id of the kind is the id of nothing.
pub(crate) fn path_id<K: Kind>(what: &'static str, text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|_| Error::Missing(what))
}

#[cfg(test)]
mod tests {
    use schemas::DirectoryId;

    use super::*;

    #[test]
    fn the_id_of_what_a_form_makes_is_as_old_as_the_form_may_be() {
        let now = Timestamp::from_millis(1_772_446_530_123);
        let hour = Duration::from_secs(3_600);
        let taken = |millis: i64| {
            let made = u128::from((now.millis() + millis).unsigned_abs());
            let id = DirectoryId::from_bits((made << 80) | 7);
            let form = Form::of(vec![("id".to_owned(), id.to_string())]);
            let found: Option<DirectoryId> = form.fresh_id(now, hour);
            assert!(found.is_none_or(|found| found == id));
            found.is_some()
        };
        assert!(taken(0) && taken(-3_599_999), "while the session lives");
        assert!(taken(60_000), "the clock of another process is ahead");
        for (millis, why) in [
            (-3_600_000, "no session was then"),
            (60_001, "it is not made yet"),
            (-now.millis(), "first in every list"),
            ((1 << 48) - 1 - now.millis(), "last in every list"),
        ] {
            assert!(!taken(millis), "{why}");
        }
        let nothing: Option<DirectoryId> = Form::default().fresh_id(now, hour);
        assert_eq!(nothing, None);
    }

    #[test]
    fn no_text_has_the_character_that_databases_do_not_keep() {
        assert!(Form::read(b"name=a%00b").is_err() && Form::read(b"na%00me=a").is_err());
        assert_eq!(Form::read(b"name=a%01b").unwrap().one("name"), Some("a\u{1}b"));
    }

    #[test]
    fn a_name_is_trimmed_and_has_a_length() {
        let form = |text: &str| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("name", text)
                .finish();
            Form::parse(query.as_bytes()).name("name")
        };
        assert_eq!(form("  Acme & Söhne "), Ok("Acme & Söhne".to_owned()));
        assert!(form("   ").is_err());
        assert!(form(&"ä".repeat(NAME_MAX)).is_ok());
        assert!(form(&"ä".repeat(NAME_MAX + 1)).is_err());
    }
}
