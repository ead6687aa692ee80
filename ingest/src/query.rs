//! The query string of a request.
//!
//! Unknown parameters are ignored: Entra ID leaves `aadOptscim062020` in the URL.

use schemas::scim::{Filter, ScimError, ScimType};

use crate::projection::Projection;

/// How many resources a page has when the client does not say.
const COUNT_DEFAULT: u32 = 100;

/// How many a page has at most, whatever the client says (RFC 7644 §3.4.2.4 allows fewer).
pub(crate) const COUNT_MAX: u32 = 1_000;

/// What a client asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) filter: Option<Filter>,
    pub(crate) projection: Projection,
    start_index: Option<u64>,
    count: Option<u32>,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Result<Self, ScimError> {
        let mut parsed = Self::default();
        let (mut attributes, mut excluded) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            // Names of parameters are compared as attribute names are, in any case.
            match name.to_ascii_lowercase().as_str() {
                "filter" if value.is_empty() => {}
                "filter" => parsed.filter = Some(value.parse()?),
                "attributes" => attributes = Some(value),
                "excludedattributes" => excluded = Some(value),
                "startindex" => parsed.start_index = Some(start_index(&value)?),
                "count" => parsed.count = Some(count(&value)?),
                _ => {}
            }
        }
        parsed.projection = Projection::parse(attributes.as_deref(), excluded.as_deref())?;
        Ok(parsed)
    }

    /// From 1.
    pub(crate) fn start_index(&self) -> u64 {
        self.start_index.unwrap_or(1)
    }

    pub(crate) fn count(&self) -> u32 {
        self.count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX)
    }
}

/// Below 1 counts as 1 (RFC 7644 §3.4.2.4).
fn start_index(value: &str) -> Result<u64, ScimError> {
    Ok(integer("startIndex", value)?.max(1).unsigned_abs())
}

/// Below 0 counts as 0 (RFC 7644 §3.4.2.4).
fn count(value: &str) -> Result<u32, ScimError> {
    Ok(u32::try_from(integer("count", value)?.max(0)).unwrap_or(COUNT_MAX))
}

fn integer(name: &str, value: &str) -> Result<i64, ScimError> {
    value.trim().parse().map_err(|_| {
        ScimError::invalid_value(format!(
            "The parameter {name} must be a whole number, not {value:?}."
        ))
    })
}

/// `+` is a space, as in forms: Entra ID writes filters so.
fn decode(text: &str) -> Result<String, ScimError> {
    let malformed = || {
        let detail = "The query string is not valid percent-encoded UTF-8.";
        ScimError::new(ScimType::InvalidSyntax, detail)
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let (Some(high), Some(low)) = (high, low) else { return Err(malformed()) };
                u8::try_from(high * 16 + low).expect("two digits make a byte")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_a_space_read_the_same() {
        let plus = Query::parse("filter=userName+eq+%22a%2Bb%40x%22").unwrap();
        let percent = Query::parse("filter=userName%20eq%20%22a%2Bb%40x%22").unwrap();
        assert_eq!(plus.filter, percent.filter);
        assert_eq!(plus.filter.unwrap().to_string(), r#"userName eq "a+b@x""#);
    }

    #[test]
    fn pages_stay_within_their_bounds() {
        let page = |query| {
            let query = Query::parse(query).unwrap();
            (query.start_index(), query.count())
        };
        assert_eq!(page(""), (1, 100));
        assert_eq!(page("startIndex=0&count=-5"), (1, 0));
        assert_eq!(page("startIndex=7&count=999999999999"), (7, COUNT_MAX));
        assert!(Query::parse("count=many").is_err());
    }

    #[test]
    fn unknown_parameters_are_ignored_and_broken_encodings_are_not() {
        assert!(Query::parse("aadOptscim062020&x=%41").is_ok());
        for broken in ["x=%4", "x=%zz", "x=%ff"] {
            assert_eq!(Query::parse(broken).unwrap_err().status, 400, "{broken}");
        }
    }
}
