//! Request bodies and path segments: JSON becomes types, field by field, and every field that is wrong
//! is named in one answer.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ops::RangeInclusive;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::LengthLimitError;
use schemas::Id;
use schemas::id::Kind;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, FieldError};

/// The largest body that is read: a hundred times what any call of the API needs.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What is told of a body that breaks off.
const UNREAD: &str = "The body could not be read.";

/// How long a name may be, in characters: more than a heading shows.
pub(crate) const NAME_MAX: usize = 255;

/// The character that no text may contain.
pub(crate) const NUL: char = '\0';

/// Whether any text in it contains U+0000. JSON is nested 128 deep at most where it is parsed.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(NUL),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(NUL) || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The variable parts of the path. One that is not UTF-8 names nothing.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        if parts.uri.path().contains("%00") {
            return Err(Error::NoRoute);
        }
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Self(segments)).map_err(|_| Error::NoRoute)
    }
}

/// The id in a path. What is no id of the kind is the id of nothing.
pub(crate) fn path_id<K: Kind>(what: &'static str, text: &str) -> Result<Id<K>, Error> {
    text.parse().map_err(|_| Error::Missing { what, id: text.to_owned() })
}

/// A JSON object that is read field by field. Fields that nobody asks for are ignored, unless they are
/// [refused](Fields::refuse_others).
pub(crate) struct Fields {
    values: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    /// Whatever the content type says: there is nothing but JSON here.
    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        Self::read(&bytes(request, state).await?)
    }
}

/// The same where every field may be left out: without a body none is there.
pub(crate) struct OptionalFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for OptionalFields {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = bytes(request, state).await?;
        let fields =
            if bytes.is_empty() { Ok(Fields::of(Map::new())) } else { Fields::read(&bytes) };
        fields.map(Self)
    }
}

/// All of a body.
pub(crate) async fn whole(body: Body) -> Result<Bytes, Error> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        let is_too_large = error.source().is_some_and(|error| error.is::<LengthLimitError>());
        if is_too_large { Error::TooLarge } else { Error::NotJson(UNREAD.to_owned()) }
    })
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|by| !by.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Error::Encoded);
    }
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
            Error::TooLarge
        } else {
            Error::NotJson(UNREAD.to_owned())
        }
    })
}

impl Fields {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Error::NotJson(format!("The body is not JSON: {error}.")))?;
        let Value::Object(values) = value else {
            return Err(Error::NotJson("The body must be a JSON object.".to_owned()));
        };
        let mut fields = Self { values, errors: Vec::new() };
        fields.refuse_nul();
        Ok(fields)
    }

    /// No database keeps U+0000 in a text.
    fn refuse_nul(&mut self) {
        let with_nul =
            self.values.iter().filter(|(name, value)| name.contains(NUL) || has_nul(value));
        let names: Vec<String> = with_nul.map(|(name, _)| name.replace(NUL, "")).collect();
        for name in names {
            let message = format!("{name} contains the character U+0000, which no text here may.");
            self.wrong(name, "invalid", message);
        }
    }

    /// What was given, whatever it came in.
    pub(crate) fn of(values: Map<String, Value>) -> Self {
        Self { values, errors: Vec::new() }
    }

    /// What was wrong so far.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The same, for good.
    pub(crate) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// Notes that a field is wrong.
    pub(crate) fn wrong(&mut self, field: impl Into<String>, code: &'static str, message: String) {
        self.errors.push(FieldError { code, field: field.into(), message: Some(message) });
    }

    /// Takes a field out. `null` counts as not given.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// Notes every field that nobody has asked for: what is not understood must not look done.
    pub(crate) fn refuse_others(&mut self) {
        let others = std::mem::take(&mut self.values);
        for (name, _) in others {
            let message = format!("{name} is not a field of this request.");
            self.wrong(name, "unknown", message);
        }
    }

    /// Whether the field is there as `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(Value::is_null)
    }

    /// A text that is not empty.
    pub(crate) fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.take(name)?;
        let fits = |text: &&str| !text.trim().is_empty() && text.chars().count() <= max;
        let text = value.as_str().filter(fits).map(str::to_owned);
        if text.is_none() {
            let message = format!("{name} must be a text of 1 to {max} characters.");
            self.wrong(name, "invalid", message);
        }
        text
    }

    /// A text that has to be there.
    pub(crate) fn required_text(&mut self, name: &str, max: usize) -> Option<String> {
        self.require(name);
        self.text(name, max)
    }

    /// An id.
    pub(crate) fn id<K: Kind>(&mut self, name: &str) -> Option<Id<K>> {
        let value = self.take(name)?;
        let id = value.as_str().and_then(|text| text.parse().ok());
        if id.is_none() {
            let message = format!("{name} must be an id that begins with {}_.", K::PREFIX);
            self.wrong(name, "invalid", message);
        }
        id
    }

    /// Notes every field that was not taken out: it is none of the known.
    pub(crate) fn refuse_unknown(&mut self, known: &[&str]) {
        for name in std::mem::take(&mut self.values).into_iter().map(|(name, _)| name) {
            let field: String = name.chars().take(NAME_SHOWN_MAX).collect();
            let lower = field.to_ascii_lowercase();
            let nearest =
                known.iter().min_by_key(|known| strsim::damerau_levenshtein(&lower, known));
            let hint =
                nearest.map(|nearest| format!(" Did you mean {nearest}?")).unwrap_or_default();
            let message = format!("There is no {field}.{hint}");
            self.wrong(field, "unknown", message);
        }
    }

    /// Notes a field that is not there.
    pub(crate) fn require(&mut self, name: &str) {
        if self.values.get(name).is_none_or(Value::is_null) {
            self.wrong(name, "required", format!("{name} is required."));
        }
    }

    /// One of a few words, as `parse` knows them.
    pub(crate) fn word<T>(
        &mut self,
        name: &str,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let word = value.as_str().and_then(parse);
        if word.is_none() {
            self.wrong(name, "invalid", format!("{name} must be one of {}.", words.join(", ")));
        }
        word
    }

    /// True or false.
    pub(crate) fn truth(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        let truth = value.as_bool();
        if truth.is_none() {
            self.wrong(name, "invalid", format!("{name} must be true or false."));
        }
        truth
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, name: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = bounds.into_inner();
            let message = format!("{name} must be a whole number from {least} to {most}.");
            self.wrong(name, "invalid", message);
        }
        number
    }

    /// A list. Its elements are judged by the caller.
    pub(crate) fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        let Value::Array(list) = self.take(name)? else {
            self.wrong(name, "invalid", format!("{name} must be a list."));
            return None;
        };
        Some(list)
    }

    /// Texts by name, or `null` for a name that is to be forgotten.
    pub(crate) fn text_map(
        &mut self,
        name: &str,
        limits: MapLimits,
    ) -> BTreeMap<String, Option<String>> {
        let Some(value) = self.take(name) else { return BTreeMap::new() };
        let map = text_map(value, limits);
        if map.is_none() {
            let MapLimits { entries, name_max, value_max } = limits;
            let message = format!(
                "{name} must be an object of at most {entries} texts, with names of 1 to {name_max} \
                 and values of at most {value_max} characters."
            );
            self.wrong(name, "invalid", message);
        }
        map.unwrap_or_default()
    }
}

/// How much of a name that means nothing is shown to who sent it.
const NAME_SHOWN_MAX: usize = 100;

/// How large a map of texts may be.
#[derive(Clone, Copy)]
pub(crate) struct MapLimits {
    /// How many entries.
    pub(crate) entries: usize,
    /// How long a name, in characters.
    pub(crate) name_max: usize,
    /// How long a value, in characters.
    pub(crate) value_max: usize,
}

fn text_map(value: Value, limits: MapLimits) -> Option<BTreeMap<String, Option<String>>> {
    let Value::Object(map) = value else { return None };
    let entry = |(name, value): (String, Value)| {
        let named = (1..=limits.name_max).contains(&name.chars().count());
        let fits = |text: &&str| text.chars().count() <= limits.value_max;
        let text = value.as_str().filter(fits).map(str::to_owned);
        (named && (text.is_some() || value.is_null())).then_some((name, text))
    };
    if map.len() > limits.entries { None } else { map.into_iter().map(entry).collect() }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_from_one_that_is_too_large() {
        let broken = stream::iter([Err::<Bytes, _>(io::Error::other("the client went away"))]);
        let broken = whole(Body::from_stream(broken)).await;
        assert!(matches!(broken, Err(Error::NotJson(_))));
        let large = whole(Body::from(vec![b' '; BODY_BYTES_MAX + 1])).await;
        assert!(matches!(large, Err(Error::TooLarge)));
        let fits = whole(Body::from(vec![b' '; BODY_BYTES_MAX])).await;
        assert!(fits.is_ok_and(|bytes| bytes.len() == BODY_BYTES_MAX));
    }
}
