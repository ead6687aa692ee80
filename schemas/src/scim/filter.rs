//! Filters, RFC 7644 §3.4.2.2: the whole grammar, and `attr[filter].sub op value`, which Entra ID
//! sends and the grammar lacks.

use std::fmt;
use std::str::FromStr;

use super::lexer::{Lexer, Malformed};
use super::path::is_name;
use super::{AttrPath, ScimError, ScimType, Value};

/// How long a filter may be, in bytes. Identity providers send under 500.
pub const FILTER_LENGTH_MAX: usize = 4096;

/// How deep groups may nest; the parser, the printer and the matcher recurse no further.
pub const FILTER_DEPTH_MAX: usize = 64;

/// A condition on a resource, or on one value of a multi-valued attribute.
///
/// `emails[type eq "work"].value eq "x"` is read as `emails[type eq "work" and value eq "x"]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of two or more.
    And(Vec<Filter>),
    /// Any of two or more.
    Or(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// `path op value`.
    Compare {
        /// What is compared.
        path: AttrPath,
        /// How.
        op: CompareOp,
        /// With what.
        value: Literal,
    },
    /// `path pr`: it has a value.
    Present(AttrPath),
    /// `path[filter]`: one value fulfils all of the filter, whose names are sub-attributes.
    Has {
        /// The complex attribute.
        path: AttrPath,
        /// The condition on one value.
        filter: Box<Filter>,
    },
}

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`: no value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Decimal(f64),
    /// A text.
    String(String),
}

impl Filter {
    /// All of these; what is itself an `And` is taken apart, a single one stays as it is.
    #[must_use]
    pub fn all(filters: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(filters.len());
        for filter in filters {
            if let Self::And(inner) = filter { flat.extend(inner) } else { flat.push(filter) }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Self::And(flat) }
    }

    /// Any of these; what is itself an `Or` is taken apart, a single one stays as it is.
    #[must_use]
    pub fn any(filters: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(filters.len());
        for filter in filters {
            if let Self::Or(inner) = filter { flat.extend(inner) } else { flat.push(filter) }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Self::Or(flat) }
    }

    /// The terms of `a eq 1`, or of `a eq 1 and b eq 2`: nothing else says what a value must be.
    #[must_use]
    pub fn equalities(&self) -> Option<Vec<(&str, &Literal)>> {
        match self {
            Self::Compare {
                path: AttrPath { urn: None, attribute, sub: None },
                op: CompareOp::Eq,
                value,
            } if *value != Literal::Null => Some(vec![(attribute, value)]),
            Self::And(terms) => {
                let terms: Option<Vec<_>> = terms.iter().map(Self::equalities).collect();
                Some(terms?.concat())
            }
            Self::Compare { .. }
            | Self::Or(_)
            | Self::Not(_)
            | Self::Present(_)
            | Self::Has { .. } => None,
        }
    }
}

impl CompareOp {
    const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

impl From<Literal> for Value {
    fn from(literal: Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(truth) => Self::Bool(truth),
            Literal::Integer(number) => Self::Integer(number),
            Literal::Decimal(number) => Self::Decimal(number),
            Literal::String(text) => Self::String(text),
        }
    }
}

impl FromStr for Filter {
    type Err = ScimError;

    fn from_str(text: &str) -> Result<Self, ScimError> {
        if text.len() > FILTER_LENGTH_MAX {
            let detail = format!("The filter is longer than {FILTER_LENGTH_MAX} bytes.");
            return Err(ScimError::new(ScimType::InvalidFilter, detail));
        }
        let mut parser = Parser::new(Lexer::new(text));
        parser
            .disjunction()
            .and_then(|filter| parser.end().map(|()| filter))
            .map_err(|wrong| wrong.in_text(ScimType::InvalidFilter, text))
    }
}

/// Recursive descent, as deep as [`FILTER_DEPTH_MAX`].
pub(super) struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    depth: usize,
    in_value: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(lexer: Lexer<'a>) -> Self {
        Self { lexer, depth: 0, in_value: false }
    }

    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.lexer.skip_spaces();
        if self.lexer.at_end() { Ok(()) } else { Err(self.lexer.expected("the end")) }
    }

    /// `[filter]` and `.sub` after it, with the bracket next.
    pub(super) fn value_filter(
        &mut self,
        path: &AttrPath,
    ) -> Result<(Filter, Option<String>), Malformed> {
        if self.in_value || path.sub.is_some() {
            let what = "a filter in brackets can follow an attribute only, not a sub-attribute";
            return Err(self.lexer.wrong(what.to_owned()));
        }
        self.in_value = true;
        let filter = self.enclosed('[', ']')?;
        self.in_value = false;
        let mut sub = None;
        if self.lexer.eat('.') {
            let name = self.lexer.peek_word();
            if !is_name(name) {
                return Err(self.lexer.expected("a sub-attribute, such as value"));
            }
            sub = Some(self.lexer.eat_word().to_owned());
        }
        Ok((filter, sub))
    }

    fn disjunction(&mut self) -> Result<Filter, Malformed> {
        let mut terms = vec![self.conjunction()?];
        while self.keyword("or") {
            terms.push(self.conjunction()?);
        }
        Ok(Filter::any(terms))
    }

    fn conjunction(&mut self) -> Result<Filter, Malformed> {
        let mut terms = vec![self.term()?];
        while self.keyword("and") {
            terms.push(self.term()?);
        }
        Ok(Filter::all(terms))
    }

    fn term(&mut self) -> Result<Filter, Malformed> {
        self.lexer.skip_spaces();
        if self.lexer.sees('(') {
            return self.enclosed('(', ')');
        }
        let word = self.lexer.peek_word();
        let path = AttrPath::from_word(word)
            .ok_or_else(|| self.lexer.expected("an attribute, such as userName"))?;
        self.lexer.eat_word();
        if self.lexer.sees('[') {
            return self.has(path);
        }
        self.lexer.skip_spaces();
        if word.eq_ignore_ascii_case("not") && self.lexer.sees('(') {
            return Ok(Filter::Not(Box::new(self.enclosed('(', ')')?)));
        }
        if word.eq_ignore_ascii_case("not") && !self.sees_operator() {
            let what = "what follows \"not\" must stand in parentheses, as in not (active eq true)";
            return Err(self.lexer.wrong(what.to_owned()));
        }
        self.test(path)
    }

    /// Whether an operator follows, or nothing that could be a condition.
    fn sees_operator(&self) -> bool {
        let word = self.lexer.peek_word();
        if word.is_empty() {
            return true;
        }
        let is = |operator: &str| operator.eq_ignore_ascii_case(word);
        is("pr") || CompareOp::ALL.iter().any(|op| is(op.as_str()))
    }

    fn has(&mut self, path: AttrPath) -> Result<Filter, Malformed> {
        let (filter, sub) = self.value_filter(&path)?;
        let filter = match sub {
            Some(sub) => Filter::all(vec![filter, self.test(AttrPath::plain(sub))?]),
            None => filter,
        };
        Ok(Filter::Has { path, filter: Box::new(filter) })
    }

    /// The operator and the value after a path.
    fn test(&mut self, path: AttrPath) -> Result<Filter, Malformed> {
        self.lexer.skip_spaces();
        if self.lexer.eat_keyword("pr") {
            return Ok(Filter::Present(path));
        }
        let op =
            CompareOp::ALL.into_iter().find(|op| self.lexer.eat_keyword(op.as_str())).ok_or_else(
                || self.lexer.expected("an operator: eq, ne, co, sw, ew, gt, ge, lt, le or pr"),
            )?;
        self.lexer.skip_spaces();
        Ok(Filter::Compare { path, op, value: self.lexer.literal()? })
    }

    fn enclosed(&mut self, open: char, close: char) -> Result<Filter, Malformed> {
        if self.depth == FILTER_DEPTH_MAX {
            let what = format!("nested deeper than {FILTER_DEPTH_MAX} levels");
            return Err(self.lexer.wrong(what));
        }
        self.depth += 1;
        self.lexer.eat(open);
        let filter = self.disjunction()?;
        self.lexer.skip_spaces();
        if !self.lexer.eat(close) {
            return Err(self.lexer.expected(&format!("and, or, or {close:?}")));
        }
        self.depth -= 1;
        Ok(filter)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.lexer.skip_spaces();
        self.lexer.eat_keyword(keyword)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(terms) => join(f, terms, " and ", |term| matches!(term, Self::Or(_))),
            Self::Or(terms) => join(f, terms, " or ", |_| false),
            Self::Not(filter) => write!(f, "not ({filter})"),
            Self::Compare { path, op, value } => write!(f, "{path} {} {value}", op.as_str()),
            Self::Present(path) => write!(f, "{path} pr"),
            Self::Has { path, filter } => write!(f, "{path}[{filter}]"),
        }
    }
}

fn join(
    f: &mut fmt::Formatter<'_>,
    terms: &[Filter],
    between: &str,
    in_parentheses: fn(&Filter) -> bool,
) -> fmt::Result {
    for (at, term) in terms.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { between })?;
        if in_parentheses(term) { write!(f, "({term})")? } else { write!(f, "{term}")? }
    }
    Ok(())
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(&Value::from(self.clone())).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;
