//! What a client asks for: in a query string, or in the body of a `.search` (RFC 7644 §3.4.2, §3.4.3).
//!
//! Unknown parameters are ignored: Entra ID leaves `aadOptscim062020` in the URL.

use schemas::scim::{AttrPath, Attributes, Filter, SEARCH_REQUEST_URN, ScimError, ScimType, Value};

use crate::cursor::Cursor;
use crate::form;
use crate::ports::Sort;
use crate::projection::Projection;

/// How many resources a page has when the client does not say.
pub(crate) const COUNT_DEFAULT: u32 = 100;

/// How many a page has at most, whatever the client says (RFC 7644 §3.4.2.4 allows fewer).
pub(crate) const COUNT_MAX: u32 = 1_000;

/// What a client asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) filter: Option<Filter>,
    pub(crate) sort: Option<Sort>,
    pub(crate) projection: Projection,
    pub(crate) paging: Paging,
    /// Whether it has parameters that this service does not know.
    pub(crate) has_unknown: bool,
    count: Option<u32>,
}

/// How a client goes from page to page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Paging {
    /// By number, from 1 (RFC 7644 §3.4.2.4).
    Index(u64),
    /// By cursor, from the first page if there is none (RFC 9865).
    Cursor(Option<Cursor>),
}

impl Default for Paging {
    fn default() -> Self {
        Self::Index(1)
    }
}

/// The parameters as they came.
#[derive(Default)]
struct Parameters {
    filter: Option<String>,
    attributes: Option<String>,
    excluded: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<String>,
    count: Option<String>,
    cursor: Option<String>,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Result<Self, ScimError> {
        let (parameters, has_unknown) = Parameters::parse(query)?;
        Ok(Self { has_unknown, ..parameters.read()? })
    }

    /// What a request that writes asks for: which attributes to show afterwards. Parameters of lists mean
    /// nothing there and are passed over, whatever they say.
    pub(crate) fn of_write(query: &str) -> Result<Self, ScimError> {
        let (Parameters { attributes, excluded, .. }, has_unknown) = Parameters::parse(query)?;
        let shown = Parameters { attributes, excluded, ..Parameters::default() };
        Ok(Self { has_unknown, ..shown.read()? })
    }

    /// The body of a `.search`. Lists of attributes may be lists or, as in a URL, one text.
    pub(crate) fn from_body(body: &Attributes) -> Result<Self, ScimError> {
        let schemas = body.get("schemas").and_then(Value::as_list).unwrap_or_default();
        let named = |urn: &Value| {
            urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(SEARCH_REQUEST_URN))
        };
        if !schemas.iter().any(named) {
            let detail = format!(
                "The attribute \"schemas\" of a search must be [\"{SEARCH_REQUEST_URN}\"]."
            );
            return Err(ScimError::new(ScimType::InvalidSyntax, detail));
        }
        let mut parameters = Parameters::default();
        for (name, value) in body.iter() {
            if let Some(field) = parameters.field(name) {
                *field = text_of(name, value)?;
            }
        }
        parameters.read()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX)
    }
}

impl Parameters {
    /// Those of a query string, and whether there are others.
    fn parse(query: &str) -> Result<(Self, bool), ScimError> {
        let mut parameters = Self::default();
        let mut has_unknown = false;
        for pair in form::pairs(query) {
            let (name, value) = pair.ok_or_else(malformed)?;
            match parameters.field(&name) {
                Some(field) => *field = Some(value),
                None => has_unknown = true,
            }
        }
        Ok((parameters, has_unknown))
    }

    /// Names of parameters are compared as attribute names are, in any case.
    fn field(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name.to_ascii_lowercase().as_str() {
            "filter" => &mut self.filter,
            "attributes" => &mut self.attributes,
            "excludedattributes" => &mut self.excluded,
            "sortby" => &mut self.sort_by,
            "sortorder" => &mut self.sort_order,
            "startindex" => &mut self.start_index,
            "count" => &mut self.count,
            "cursor" => &mut self.cursor,
            _ => return None,
        })
    }

    fn read(self) -> Result<Query, ScimError> {
        // What is empty asks for nothing; an empty cursor is the first page (RFC 9865 §2).
        let said = |value: Option<String>| value.filter(|value| !value.is_empty());
        let filter = said(self.filter);
        let paging = match (self.cursor, said(self.start_index)) {
            (Some(cursor), _) if cursor.is_empty() => Paging::Cursor(None),
            (Some(cursor), _) => Paging::Cursor(Some(cursor.parse()?)),
            (None, Some(from)) => Paging::Index(start_index(&from)?),
            (None, None) => Paging::default(),
        };
        let by_cursor = matches!(paging, Paging::Cursor(_));
        Ok(Query {
            filter: filter.map(|filter| filter.parse()).transpose()?,
            sort: sort(self.sort_by.as_deref(), self.sort_order.as_deref())?,
            projection: Projection::parse(self.attributes.as_deref(), self.excluded.as_deref())?,
            paging,
            has_unknown: false,
            count: said(self.count).map(|value| count(&value, by_cursor)).transpose()?,
        })
    }
}

/// Ascending unless it says otherwise; without `sortBy` the order means nothing (RFC 7644 §3.4.2.3).
fn sort(by: Option<&str>, order: Option<&str>) -> Result<Option<Sort>, ScimError> {
    let descending = match order.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "ascending" => false,
        "descending" => true,
        other => {
            return Err(ScimError::invalid_value(format!(
                "The parameter sortOrder must be \"ascending\" or \"descending\", not {other:?}."
            )));
        }
    };
    let by = by.filter(|by| !by.is_empty()).map(str::parse::<AttrPath>).transpose()?;
    Ok(by.map(|by| Sort { by, descending }))
}

/// Below 1 counts as 1 (RFC 7644 §3.4.2.4).
fn start_index(value: &str) -> Result<u64, ScimError> {
    Ok(integer("startIndex", value, ScimType::InvalidValue)?.max(1).unsigned_abs())
}

/// Below 0 counts as 0 (RFC 7644 §3.4.2.4).
fn count(value: &str, by_cursor: bool) -> Result<u32, ScimError> {
    let wrong = if by_cursor { ScimType::InvalidCount } else { ScimType::InvalidValue };
    Ok(u32::try_from(integer("count", value, wrong)?.max(0)).unwrap_or(COUNT_MAX))
}

fn integer(name: &str, value: &str, wrong: ScimType) -> Result<i64, ScimError> {
    value.trim().parse().map_err(|_| {
        let detail = format!("The parameter {name} must be a whole number, not {value:?}.");
        ScimError::new(wrong, detail)
    })
}

fn text_of(name: &str, value: &Value) -> Result<Option<String>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Integer(number) => Ok(Some(number.to_string())),
        Value::List(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(|texts| Some(texts.join(","))).ok_or_else(|| not_a_parameter(name))
        }
        Value::Bool(_) | Value::Decimal(_) | Value::Complex(_) => Err(not_a_parameter(name)),
    }
}

fn not_a_parameter(name: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "The attribute \"{name}\" of a search must be a string, a number or a list of strings."
    ))
}

fn malformed() -> ScimError {
    let detail = "The query string is not valid percent-encoded UTF-8.";
    ScimError::new(ScimType::InvalidSyntax, detail)
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
            (query.paging.clone(), query.count())
        };
        assert_eq!(page(""), (Paging::Index(1), 100));
        assert_eq!(page("startIndex=0&count=-5"), (Paging::Index(1), 0));
        assert_eq!(page("startIndex=7&count=999999999999"), (Paging::Index(7), COUNT_MAX));
        assert_eq!(page("cursor&count=2"), (Paging::Cursor(None), 2));
    }

    #[test]
    fn what_is_empty_asks_for_nothing() {
        let empty = "count=&startIndex=&filter=&sortBy=&sortOrder=&attributes=&excludedAttributes=";
        let query = Query::parse(empty).unwrap();
        assert_eq!((query.paging.clone(), query.count()), (Paging::Index(1), COUNT_DEFAULT));
        assert!(query.filter.is_none() && query.sort.is_none() && !query.projection.is_asked_for());
        assert_eq!(Query::parse("cursor=&count=").unwrap().paging, Paging::Cursor(None));
    }

    #[test]
    fn a_write_is_not_refused_for_what_only_lists_are_asked_for() {
        let written =
            Query::of_write("count=x&startIndex=&filter=)&sortOrder=up&cursor=7&attributes=title");
        assert!(written.unwrap().projection.is_asked_for());
        assert!(Query::of_write("attributes=%").is_err());
    }

    #[test]
    fn what_is_no_number_is_refused_in_the_terms_of_the_paging() {
        let refused = |query| Query::parse(query).unwrap_err().scim_type;
        assert_eq!(refused("count=many"), Some(ScimType::InvalidValue));
        assert_eq!(refused("cursor=&count=many"), Some(ScimType::InvalidCount));
        assert_eq!(refused("cursor=nonsense"), Some(ScimType::InvalidCursor));
    }

    #[test]
    fn unknown_parameters_are_ignored_and_broken_encodings_are_not() {
        assert!(Query::parse("aadOptscim062020&x=%41").is_ok());
        for broken in ["x=%4", "x=%zz", "x=%ff"] {
            assert_eq!(Query::parse(broken).unwrap_err().status, 400, "{broken}");
        }
    }

    #[test]
    fn a_search_in_a_body_asks_what_the_same_query_string_asks() {
        let body = schemas::scim::parse(
            br#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter":"userName sw \"a\"","attributes":["userName","name.givenName"],
            "sortBy":"userName","sortOrder":"descending","startIndex":3,"count":5}"#,
        );
        let body = Query::from_body(&body.unwrap()).unwrap();
        let query = "filter=userName+sw+%22a%22&attributes=userName,name.givenName&sortBy=userName\
            &sortOrder=descending&startIndex=3&count=5";
        let query = Query::parse(query).unwrap();
        assert_eq!(body.filter, query.filter);
        assert_eq!((body.sort.clone(), body.count()), (query.sort.clone(), query.count()));
        assert_eq!((body.projection, body.paging), (query.projection, query.paging));
    }
}
