//! The letters of filters and paths.

use super::{Literal, ScimError, ScimType, Value};

/// What is wrong with a text, and at which byte.
#[derive(Debug)]
pub(super) struct Malformed {
    at: usize,
    what: String,
}

impl Malformed {
    /// The sentence for the client, with the position counted in characters from 1.
    pub(super) fn in_text(self, scim_type: ScimType, text: &str) -> ScimError {
        let noun = if scim_type == ScimType::InvalidPath { "path" } else { "filter" };
        let character = text.get(..self.at).map_or(0, |head| head.chars().count()) + 1;
        let Self { what, .. } = self;
        ScimError::new(
            scim_type,
            format!("The {noun} cannot be read at character {character}: {what}."),
        )
    }
}

/// A place in a text, moving forward; a copy of it looks ahead.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn expected(&self, what: &str) -> Malformed {
        self.wrong(match self.rest().chars().next() {
            Some(found) => format!("expected {what}, found {found:?}"),
            None => format!("expected {what}, found the end"),
        })
    }

    pub(super) fn wrong(&self, what: String) -> Malformed {
        Malformed { at: self.at, what }
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(' ').len();
    }

    pub(super) fn sees(&self, letter: char) -> bool {
        self.rest().starts_with(letter)
    }

    pub(super) fn eat(&mut self, letter: char) -> bool {
        let seen = self.sees(letter);
        if seen {
            self.at += letter.len_utf8();
        }
        seen
    }

    /// The word that stands here, without taking it: a name, an operator or a whole `URN:name.sub`.
    pub(super) fn peek_word(&self) -> &'a str {
        let letter = |c: char| c.is_ascii_alphanumeric() || "_-$:./".contains(c);
        let rest = self.rest();
        &rest[..rest.find(|c| !letter(c)).unwrap_or(rest.len())]
    }

    pub(super) fn eat_word(&mut self) -> &'a str {
        let word = self.peek_word();
        self.at += word.len();
        word
    }

    pub(super) fn eat_keyword(&mut self, keyword: &str) -> bool {
        let seen = self.peek_word().eq_ignore_ascii_case(keyword);
        if seen {
            self.at += keyword.len();
        }
        seen
    }

    /// A comparison value: a JSON string, number, boolean or null (RFC 7644 §3.4.2.2). Entra ID
    /// writes `True` and `False`.
    pub(super) fn literal(&mut self) -> Result<Literal, Malformed> {
        const WORDS: [(&str, Literal); 3] = [
            ("true", Literal::Bool(true)),
            ("false", Literal::Bool(false)),
            ("null", Literal::Null),
        ];
        for (word, literal) in WORDS {
            if self.eat_keyword(word) {
                return Ok(literal);
            }
        }
        let length = if self.sees('"') { self.string_length() } else { self.number_length() };
        let text = &self.rest()[..length];
        let literal = match serde_json::from_str(text) {
            // No resource holds it, and not every database can be asked for it.
            Ok(Value::String(text)) if text.contains('\0') => {
                return Err(self.wrong("a text cannot hold the character U+0000".to_owned()));
            }
            Ok(Value::String(text)) => Literal::String(text),
            Ok(Value::Integer(number)) => Literal::Integer(number),
            Ok(Value::Decimal(number)) => Literal::Decimal(number),
            Ok(Value::Null | Value::Bool(_) | Value::List(_) | Value::Complex(_)) | Err(_) => {
                return Err(self.expected(
                    "a value: a text in double quotation marks, a number, true, false or null",
                ));
            }
        };
        self.at += length;
        Ok(literal)
    }

    fn string_length(&self) -> usize {
        let mut escaped = false;
        let end = self.rest().bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        end.map_or(self.rest().len(), |end| end + 2)
    }

    fn number_length(&self) -> usize {
        let part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        self.rest().find(|c| !part(c)).unwrap_or(self.rest().len())
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
}
