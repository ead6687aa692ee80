//! What a SCIM client is told when its request cannot be done, RFC 7644 §3.12.

use std::borrow::Cow;
use std::fmt;

use super::{Attributes, ERROR_URN, ParseError, Value};

/// How much of what a client sent an error says back to it, in characters: enough to find it again. A
/// value may be as long as a body.
pub const ECHO_MAX: usize = 120;

/// How long the sentence of an error may be, in characters. Sentences are far shorter; this holds however
/// many things one of them names.
pub const DETAIL_MAX: usize = 1_024;

/// What a client sent, as an error says it back: its beginning, if it is long.
#[must_use]
pub fn echo(text: &str) -> Cow<'_, str> {
    cut(text, ECHO_MAX)
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A refusal with the status, the kind and a sentence for the administrator who reads the identity
/// provider's log: what was wrong, in which attribute, what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ScimError {
    /// The HTTP status.
    pub status: u16,
    /// The kind, where RFC 7644 has a word for it.
    pub scim_type: Option<ScimType>,
    /// The sentence.
    pub detail: String,
}

/// The kinds of RFC 7644 §3.12, table 9, and of RFC 9865.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScimType {
    /// The filter cannot be read, or compares what cannot be compared.
    InvalidFilter,
    /// More results than the server will return.
    TooMany,
    /// A value that must be unique is taken.
    Uniqueness,
    /// The attribute cannot be changed so.
    Mutability,
    /// The body is not a SCIM message.
    InvalidSyntax,
    /// The path of a PATCH operation cannot be read or leads nowhere.
    InvalidPath,
    /// The path selects nothing that the operation could change.
    NoTarget,
    /// A value is missing or does not fit its attribute.
    InvalidValue,
    /// A protocol version that is not supported.
    InvalidVers,
    /// Sensitive information in a URL.
    Sensitive,
    /// The cursor is not one of this list (RFC 9865 §2.1).
    InvalidCursor,
    /// The cursor is too old (RFC 9865 §2.1).
    ExpiredCursor,
    /// The number of resources that is asked for is not one (RFC 9865 §2.1).
    InvalidCount,
}

impl ScimType {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::Sensitive => "sensitive",
            Self::InvalidCursor => "invalidCursor",
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
        }
    }

    /// The status that goes with the kind: 409 for uniqueness, 403 for sensitive, else 400.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Uniqueness => 409,
            Self::Sensitive => 403,
            Self::InvalidFilter
            | Self::TooMany
            | Self::Mutability
            | Self::InvalidSyntax
            | Self::InvalidPath
            | Self::NoTarget
            | Self::InvalidValue
            | Self::InvalidVers
            | Self::InvalidCursor
            | Self::ExpiredCursor
            | Self::InvalidCount => 400,
        }
    }
}

impl fmt::Display for ScimType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ScimError {
    /// A refusal of this kind, with the status that goes with it.
    pub fn new(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { scim_type: Some(scim_type), ..Self::with_status(scim_type.status(), detail) }
    }

    /// A refusal that RFC 7644 has no kind for: 401, 404, 412, 413 and so on.
    pub fn with_status(status: u16, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let detail = match cut(&detail, DETAIL_MAX) {
            Cow::Owned(cut) => cut,
            Cow::Borrowed(_) => detail,
        };
        Self { status, scim_type: None, detail }
    }

    /// The value is missing or does not fit.
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidValue, detail)
    }

    /// The body of the response. `status` is a string there (RFC 7644 §3.12).
    #[must_use]
    pub fn body(&self) -> Attributes {
        let mut body = Attributes::from([
            ("schemas", Value::List(vec![ERROR_URN.into()])),
            ("status", self.status.to_string().into()),
        ]);
        if let Some(scim_type) = self.scim_type {
            body.insert("scimType", scim_type.as_str());
        }
        body.insert("detail", self.detail.as_str());
        body
    }
}

impl From<ParseError> for ScimError {
    fn from(error: ParseError) -> Self {
        let detail = format!("The request body must be one JSON object: {error}.");
        Self::new(ScimType::InvalidSyntax, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_shape_of_the_rfc_with_status_as_a_string() {
        let error = ScimError::new(ScimType::Uniqueness, "The userName is taken.");
        let body = serde_json::to_string(&error.body()).expect("a tree is always JSON");
        assert_eq!(
            body,
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"The userName is taken."}"#
        );
        assert!(!ScimError::with_status(404, "Not here.").body().contains("scimType"));
    }

    #[test]
    fn what_is_long_is_said_back_by_its_beginning() {
        assert_eq!(echo("short"), "short");
        let long = "ü".repeat(ECHO_MAX + 1);
        assert_eq!(echo(&long), format!("{}…", "ü".repeat(ECHO_MAX)));
        let error = ScimError::invalid_value("x".repeat(1_000_000));
        assert_eq!(error.detail.chars().count(), DETAIL_MAX + 1);
    }
}
