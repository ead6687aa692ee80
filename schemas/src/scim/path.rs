//! Attribute paths, and the paths of PATCH operations (RFC 7644 §3.5.2).

use std::fmt;
use std::str::FromStr;

use super::filter::Parser;
use super::lexer::{Lexer, Malformed};
use super::{FILTER_LENGTH_MAX, Filter, ScimError, ScimType, echo};

/// How long the path of a PATCH operation may be, in bytes: as long as a filter, as it may hold one.
pub const PATH_LENGTH_MAX: usize = FILTER_LENGTH_MAX;

/// A place in a resource: `attribute`, `attribute.sub`, either with `URN:` in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttrPath {
    /// The schema, as written.
    pub urn: Option<String>,
    /// The attribute, as written.
    pub attribute: String,
    /// The sub-attribute, as written.
    pub sub: Option<String>,
}

/// What a PATCH operation is aimed at.
#[derive(Clone, Debug, PartialEq)]
pub enum Path {
    /// `attribute` or `attribute.sub`.
    Attribute(AttrPath),
    /// `attribute[filter]` or `attribute[filter].sub`.
    Element {
        /// The multi-valued attribute; its `sub` is empty.
        attribute: AttrPath,
        /// Which of its values.
        filter: Filter,
        /// The sub-attribute of these.
        sub: Option<String>,
    },
    /// All of an extension: its URN alone.
    Extension(String),
}

impl AttrPath {
    /// The path of a plain attribute.
    pub fn plain(attribute: impl Into<String>) -> Self {
        Self { urn: None, attribute: attribute.into(), sub: None }
    }

    /// Reads one word. The URN ends at the last colon: no attribute name has one.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let (urn, rest) = match word.rsplit_once(':') {
            Some((urn, rest)) => (Some(urn), rest),
            None => (None, word),
        };
        let (attribute, sub) = match rest.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (rest, None),
        };
        let fits = is_name(attribute) && sub.is_none_or(is_name) && urn != Some("");
        fits.then(|| Self {
            urn: urn.map(str::to_owned),
            attribute: attribute.to_owned(),
            sub: sub.map(str::to_owned),
        })
    }
}

/// ATTRNAME of RFC 7643 §2.1, and `$ref`.
pub(super) fn is_name(text: &str) -> bool {
    let text = text.strip_prefix('$').unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether a word is the URN of a schema rather than of an attribute in it: `…:2.0:User` names its
/// version before the resource type, and the misspelling `…:2.0User` of some clients ends in it.
fn is_schema_urn(word: &str) -> bool {
    let versioned = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    word.rsplit_once(':').is_some_and(|(head, last)| {
        let before = head.rsplit(':').next().unwrap_or_default();
        versioned(last) || (versioned(before) && is_name(last))
    })
}

impl FromStr for AttrPath {
    type Err = ScimError;

    fn from_str(text: &str) -> Result<Self, ScimError> {
        Self::from_word(text).ok_or_else(|| {
            let text = echo(text);
            let detail = format!(
                "{text:?} is not an attribute; right are \"userName\", \"name.familyName\" or \"URN:attribute\"."
            );
            ScimError::new(ScimType::InvalidPath, detail)
        })
    }
}

impl FromStr for Path {
    type Err = ScimError;

    fn from_str(text: &str) -> Result<Self, ScimError> {
        if text.len() > PATH_LENGTH_MAX {
            let detail = format!("The path is longer than {PATH_LENGTH_MAX} bytes.");
            return Err(ScimError::new(ScimType::InvalidPath, detail));
        }
        parse(Lexer::new(text)).map_err(|wrong| wrong.in_text(ScimType::InvalidPath, text))
    }
}

fn parse(mut lexer: Lexer<'_>) -> Result<Path, Malformed> {
    let name = "an attribute, such as userName, name.familyName or emails[type eq \"work\"].value";
    lexer.skip_spaces();
    let word = lexer.peek_word();
    if is_schema_urn(word) {
        let mut rest = lexer.clone();
        rest.eat_word();
        // Only an attribute has values to choose from.
        if !rest.sees('[') {
            rest.skip_spaces();
            let extension = Path::Extension(word.to_owned());
            return if rest.at_end() { Ok(extension) } else { Err(rest.expected("the end")) };
        }
    }
    let attribute = AttrPath::from_word(word).ok_or_else(|| lexer.expected(name))?;
    lexer.eat_word();
    let mut parser = Parser::new(lexer);
    if !parser.lexer.sees('[') {
        parser.end()?;
        return Ok(Path::Attribute(attribute));
    }
    let (filter, sub) = parser.value_filter(&attribute)?;
    parser.end()?;
    Ok(Path::Element { attribute, filter, sub })
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.urn {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.attribute)?;
        if let Some(sub) = &self.sub {
            write!(f, ".{sub}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(path) => path.fmt(f),
            Self::Element { attribute, filter, sub: None } => write!(f, "{attribute}[{filter}]"),
            Self::Element { attribute, filter, sub: Some(sub) } => {
                write!(f, "{attribute}[{filter}].{sub}")
            }
            Self::Extension(urn) => f.write_str(urn),
        }
    }
}
