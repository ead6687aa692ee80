//! A call of the API as data: what a command asks for, and how its answer is shown.

use std::fmt::{Display, Write as _};

use http::Method;
use serde_json::{Map, Value};

use crate::cli::Page;

/// How an answer is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Name and value, a line each.
    Object,
    /// The same, of something that was made and has a secret in it that is not shown again.
    Once(&'static str),
    /// A row for each item, with these of its fields.
    Table(&'static [&'static str]),
    /// The result of a check: whether it failed is the exit code as well.
    Verdict,
    /// In this form, as it comes.
    Stream(&'static str),
    /// There is no answer beside that it is done.
    Done(&'static str),
}

/// A call to make.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The path as the description of the API writes it, with a name in braces for each id.
    pub(super) call: &'static str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) shown: Shown,
    ids: Vec<String>,
}

impl Request {
    pub(super) const fn new(method: Method, call: &'static str, shown: Shown) -> Self {
        Self { method, call, query: Vec::new(), body: None, shown, ids: Vec::new() }
    }

    pub(super) const fn get(call: &'static str, shown: Shown) -> Self {
        Self::new(Method::GET, call, shown)
    }

    pub(super) const fn delete(call: &'static str, done: &'static str) -> Self {
        Self::new(Method::DELETE, call, Shown::Done(done))
    }

    /// What stands for the next name in braces.
    pub(super) fn id(mut self, id: impl Display) -> Self {
        self.ids.push(id.to_string());
        self
    }

    /// A parameter, if it was given.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl Display>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// A parameter that has several values, if it has any.
    pub(super) fn with_all(self, name: &'static str, values: &[impl Display]) -> Self {
        let joined = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        self.with(name, Some(joined).filter(|joined| !joined.is_empty()))
    }

    pub(super) fn page(self, page: Page) -> Self {
        let Page { limit, after, order } = page;
        self.with("limit", Some(limit)).with("after", after).with("order", order)
    }

    /// The body: what is `null` was not given.
    pub(super) fn body(mut self, body: Value) -> Self {
        let given = match body {
            Value::Object(fields) => {
                fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>()
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        self.body = Some(Value::Object(given));
        self
    }

    /// Says of a field of the body that there is none from now on.
    pub(super) fn without(mut self, name: &str) -> Self {
        if let Some(Value::Object(fields)) = &mut self.body {
            fields.insert(name.to_owned(), Value::Null);
        }
        self
    }

    /// The path with its ids.
    pub(super) fn path(&self) -> String {
        let mut ids = self.ids.iter();
        let mut path = String::new();
        for part in self.call.split_inclusive('}') {
            match part.split_once('{') {
                Some((before, _)) => {
                    path.push_str(before);
                    path.push_str(&escaped(ids.next().map_or("", String::as_str)));
                }
                None => path.push_str(part),
            }
        }
        path
    }

    /// What the path was about, for people.
    pub(super) fn subject(&self) -> &str {
        self.ids.last().map_or("", String::as_str)
    }
}

/// A text as one part of a path (RFC 3986 §2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_where_the_names_were_and_lead_nowhere_else() {
        let request =
            Request::delete("/directories/{id}/tokens/{token_id}", "").id("d").id("../x?y");
        assert_eq!(request.path(), "/directories/d/tokens/..%2Fx%3Fy");
        assert_eq!(Request::get("/events", Shown::Object).path(), "/events");
    }
}
