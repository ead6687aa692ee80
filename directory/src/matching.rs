//! Whether a resource fulfils a filter, RFC 7644 §3.4.2.2.

use std::borrow::Cow;
use std::cmp::Ordering;

use schemas::scim::{
    AttrPath, AttributeDef, Attributes, CompareOp, Filter, Kind, Literal, ResourceSchema, Returned,
    ScimError, ScimType, Value, echo, instant,
};

/// Whether the resource fulfils the filter.
///
/// A multi-valued attribute fulfils a comparison if one of its values does. A complex value stands
/// for its `value`. What is absent is not equal (`ne`) to anything but null. Case matters where the
/// schema says so; in attributes unknown to it, it does not. What is not kept in the tree (`id`,
/// `meta`, `groups`, `members`) the caller puts in when the filter needs it.
///
/// # Errors
/// `invalidFilter` for a comparison that the schema cannot allow, whatever the resource: with an
/// empty resource this checks the filter alone.
pub fn matches(
    filter: &Filter,
    resource: &Attributes,
    schema: &ResourceSchema,
) -> Result<bool, ScimError> {
    let scope = Scope::Resource(schema);
    check(filter, scope)?;
    Ok(holds(filter, resource, scope))
}

/// Whether letter case matters in the texts of an attribute (RFC 7643 §2.2). In one that no schema knows
/// it does not.
#[must_use]
pub fn is_case_exact(def: Option<&AttributeDef>) -> bool {
    def.is_some_and(|def| def.case_exact)
}

/// What is compared where a path leads to a complex attribute: its `value`.
#[must_use]
pub fn leaf(def: Option<&'static AttributeDef>) -> Option<&'static AttributeDef> {
    def.map(|def| def.sub("value").unwrap_or(def))
}

/// A comparison with an attribute that counts as something while it has no value. Of its two values only
/// the other one tells: whether it is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The value that the attribute has to have, or must not have.
    pub value: bool,
    /// Which of these.
    pub is_there: bool,
}

/// The value by which such a comparison is decided; none for any other comparison.
#[must_use]
pub fn telling(def: Option<&AttributeDef>, op: CompareOp, literal: &Literal) -> Option<Telling> {
    let (unassigned, asked) = (def?.unassigned_is?, truth(literal)?);
    let wanted = match op {
        CompareOp::Eq => asked,
        CompareOp::Ne => !asked,
        CompareOp::Co
        | CompareOp::Sw
        | CompareOp::Ew
        | CompareOp::Gt
        | CompareOp::Ge
        | CompareOp::Lt
        | CompareOp::Le => return None,
    };
    Some(Telling { value: !unassigned, is_there: wanted != unassigned })
}

/// Checks a filter on the values of one attribute.
pub(crate) fn check_element(
    filter: &Filter,
    def: Option<&'static AttributeDef>,
) -> Result<(), ScimError> {
    check(filter, Scope::Element(def))
}

/// Whether one value of an attribute fulfils the filter in brackets.
pub(crate) fn element_matches(
    filter: &Filter,
    element: &Value,
    def: Option<&'static AttributeDef>,
) -> bool {
    let parts = match element.as_complex() {
        Some(parts) => Cow::Borrowed(parts),
        None => Cow::Owned(Attributes::from([("value", element.clone())])),
    };
    holds(filter, &parts, Scope::Element(def))
}

/// Where the names of a filter are looked up: outside or inside of brackets.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'s> {
    /// In a resource.
    Resource(&'s ResourceSchema),
    /// In one value of this attribute; of an unknown one if there is none.
    Element(Option<&'static AttributeDef>),
}

/// Where a path leads in a tree, and what the schema says of it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// The extension in whose object it is.
    pub extension: Option<&'p str>,
    /// The attribute, in the schema's case if known to it.
    pub attribute: &'p str,
    /// The sub-attribute, in the schema's case if known to it.
    pub sub: Option<&'p str>,
    /// What it leads to, if the schema knows that.
    pub def: Option<&'static AttributeDef>,
}

impl Scope<'_> {
    /// Where a path leads from here.
    #[must_use]
    pub fn place<'p>(self, path: &'p AttrPath) -> Place<'p> {
        let (attribute, sub) = (path.attribute.as_str(), path.sub.as_deref());
        let schema = match self {
            Self::Resource(schema) => schema,
            Self::Element(parent) => {
                let def = parent.and_then(|parent| parent.sub(attribute));
                let attribute = def.map_or(attribute, |def| def.name);
                return Place { extension: None, attribute, sub, def };
            }
        };
        let urn = path.urn.as_deref();
        match schema.find(urn, attribute, sub) {
            Some(found) => Place {
                extension: found.extension.map(|extension| extension.id),
                attribute: found.attribute.name,
                sub: found.sub.map(|sub| sub.name),
                def: Some(found.sub.unwrap_or(found.attribute)),
            },
            None => {
                let extension = urn.filter(|urn| !urn.eq_ignore_ascii_case(schema.core.id));
                Place { extension, attribute, sub, def: None }
            }
        }
    }
}

impl Place<'_> {
    /// The attribute as it is, without regard to the sub-attribute.
    pub(crate) fn whole<'t>(&self, tree: &'t Attributes) -> Option<&'t Value> {
        let holder = match self.extension {
            None => tree,
            Some(urn) => tree.get(urn)?.as_complex()?,
        };
        holder.get(self.attribute).filter(|value| !value.is_absent())
    }

    /// The values there, those of a list one by one, nothing that counts as absent.
    fn values<'t>(&self, tree: &'t Attributes) -> Vec<&'t Value> {
        let mut values = flatten(self.whole(tree));
        if let Some(sub) = self.sub {
            let parts = values.into_iter().filter_map(Value::as_complex);
            values = parts.flat_map(|parts| flatten(parts.get(sub))).collect();
        }
        values
    }
}

pub(crate) fn flatten(value: Option<&Value>) -> Vec<&Value> {
    let values = match value {
        None => Vec::new(),
        Some(Value::List(items)) => items.iter().collect(),
        Some(
            one @ (Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Decimal(_)
            | Value::String(_)
            | Value::Complex(_)),
        ) => vec![one],
    };
    values.into_iter().filter(|value| !value.is_absent()).collect()
}

fn check(filter: &Filter, scope: Scope<'_>) -> Result<(), ScimError> {
    match filter {
        Filter::And(terms) | Filter::Or(terms) => {
            terms.iter().try_for_each(|term| check(term, scope))
        }
        Filter::Not(inner) => check(inner, scope),
        Filter::Present(path) => readable(path, scope.place(path).def),
        Filter::Compare { path, op, value } => {
            let def = scope.place(path).def;
            readable(path, def)?;
            def.map_or(Ok(()), |def| comparable(path, def, *op, value))
        }
        Filter::Has { path, filter } => {
            let def = scope.place(path).def;
            if def.is_some_and(|def| def.kind != Kind::Complex) {
                let path = shown(path);
                let detail =
                    format!("{path} has no sub-attributes, so no filter in brackets can follow it");
                return Err(invalid(&detail));
            }
            check(filter, Scope::Element(def))
        }
    }
}

/// RFC 7643 §7: what is never returned cannot be found out by a filter either.
fn readable(path: &AttrPath, def: Option<&'static AttributeDef>) -> Result<(), ScimError> {
    let hidden = def.is_some_and(|def| def.returned == Returned::Never);
    if hidden || path.attribute.eq_ignore_ascii_case("password") {
        return Err(invalid(&format!("{} cannot be used in a filter", shown(path))));
    }
    Ok(())
}

fn comparable(
    path: &AttrPath,
    def: &'static AttributeDef,
    op: CompareOp,
    value: &Literal,
) -> Result<(), ScimError> {
    let equality = matches!(op, CompareOp::Eq | CompareOp::Ne);
    if *value == Literal::Null {
        return if equality {
            Ok(())
        } else {
            Err(invalid("null can be compared by eq and ne only"))
        };
    }
    let part = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
    let text = if let Literal::String(text) = value { Some(text.as_str()) } else { None };
    let number = matches!(value, Literal::Integer(_) | Literal::Decimal(_));
    let (fits, right) = match def.kind {
        Kind::Complex => {
            return match def.sub("value") {
                Some(def) => comparable(path, def, op, value),
                None => Err(invalid(&format!(
                    "{0} has parts; compare one of them, such as {0}.{1}",
                    shown(path),
                    def.sub_attributes.first().map_or("value", |part| part.name)
                ))),
            };
        }
        Kind::Boolean => {
            (equality && truth(value).is_some(), "is compared by eq or ne with true or false")
        }
        Kind::Binary => (
            (equality || part) && text.is_some(),
            "is binary and is compared by eq or ne with a text",
        ),
        Kind::Integer | Kind::Decimal => {
            (!part && number, "is compared by eq, ne, gt, ge, lt or le with a number")
        }
        Kind::DateTime => (
            text.is_some_and(|text| part || instant(text).is_some()),
            "is compared with a date and time such as \"2026-03-02T10:15:30Z\"",
        ),
        Kind::String | Kind::Reference => {
            (text.is_some(), "is compared with a text in double quotation marks")
        }
    };
    if fits { Ok(()) } else { Err(invalid(&format!("{} {right}", shown(path)))) }
}

fn invalid(what: &str) -> ScimError {
    ScimError::new(ScimType::InvalidFilter, format!("The filter cannot be used: {what}."))
}

fn shown(path: &AttrPath) -> String {
    echo(&path.to_string()).into_owned()
}

/// Recursion is bounded by the depth of the filter, which its parser bounds.
fn holds(filter: &Filter, tree: &Attributes, scope: Scope<'_>) -> bool {
    match filter {
        Filter::And(terms) => terms.iter().all(|term| holds(term, tree, scope)),
        Filter::Or(terms) => terms.iter().any(|term| holds(term, tree, scope)),
        Filter::Not(inner) => !holds(inner, tree, scope),
        Filter::Present(path) => !scope.place(path).values(tree).is_empty(),
        Filter::Compare { path, op, value } => {
            let place = scope.place(path);
            compare(&place.values(tree), place.def, *op, value)
        }
        Filter::Has { path, filter } => {
            let place = scope.place(path);
            let mut elements = place.values(tree).into_iter();
            elements.any(|element| element_matches(filter, element, place.def))
        }
    }
}

fn compare(
    values: &[&Value],
    def: Option<&'static AttributeDef>,
    op: CompareOp,
    literal: &Literal,
) -> bool {
    if let Some(Telling { value, is_there }) = telling(def, op, literal) {
        return values.contains(&&Value::Bool(value)) == is_there;
    }
    let leaf = leaf(def);
    let leaves: Vec<_> = values
        .iter()
        .filter_map(|value| value.as_complex().map_or(Some(*value), |parts| parts.get("value")))
        .collect();
    let equal = |value: &&Value| test(value, leaf, CompareOp::Eq, literal);
    match (op, literal) {
        // What is null is not there (RFC 7643 §2.5), also of what has parts and no value.
        (CompareOp::Eq, Literal::Null) => values.is_empty(),
        (CompareOp::Ne, Literal::Null) => !values.is_empty(),
        (CompareOp::Ne, _) => leaves.is_empty() || !leaves.iter().all(equal),
        (
            CompareOp::Eq
            | CompareOp::Co
            | CompareOp::Sw
            | CompareOp::Ew
            | CompareOp::Gt
            | CompareOp::Ge
            | CompareOp::Lt
            | CompareOp::Le,
            _,
        ) => leaves.iter().any(|value| test(value, leaf, op, literal)),
    }
}

/// One value against one literal; what is not of the literal's type does not match.
fn test(value: &Value, def: Option<&'static AttributeDef>, op: CompareOp, with: &Literal) -> bool {
    match (value, with) {
        (Value::Bool(value), _) => op == CompareOp::Eq && truth(with) == Some(*value),
        (Value::String(value), Literal::String(with)) => {
            if def.is_some_and(|def| def.kind == Kind::DateTime)
                && let (Some(value), Some(with)) = (instant(value), instant(with))
                && !matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew)
            {
                return ordered(op, Some(value.cmp(&with)));
            }
            let (value, with) = (folded(value, def), folded(with, def));
            match op {
                CompareOp::Co => value.contains(&*with),
                CompareOp::Sw => value.starts_with(&*with),
                CompareOp::Ew => value.ends_with(&*with),
                CompareOp::Eq
                | CompareOp::Ne
                | CompareOp::Gt
                | CompareOp::Ge
                | CompareOp::Lt
                | CompareOp::Le => ordered(op, Some(value.cmp(&with))),
            }
        }
        (Value::Integer(_) | Value::Decimal(_), Literal::Integer(_) | Literal::Decimal(_)) => {
            ordered(op, number(value).partial_cmp(&number(&with.clone().into())))
        }
        (
            Value::Null
            | Value::Integer(_)
            | Value::Decimal(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Complex(_),
            _,
        ) => false,
    }
}

/// The text with its case removed where case does not matter.
fn folded<'t>(text: &'t str, def: Option<&'static AttributeDef>) -> Cow<'t, str> {
    if is_case_exact(def) { text.into() } else { text.to_lowercase().into() }
}

/// What a literal says where true or false is meant: Entra ID asks for `primary eq "True"`.
#[must_use]
pub fn truth(literal: &Literal) -> Option<bool> {
    match literal {
        Literal::Bool(truth) => Some(*truth),
        Literal::String(text) => text.to_ascii_lowercase().parse().ok(),
        Literal::Null | Literal::Integer(_) | Literal::Decimal(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Decimal(number) => Some(*number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::List(_) | Value::Complex(_) => {
            None
        }
    }
}

fn ordered(op: CompareOp, ordering: Option<Ordering>) -> bool {
    ordering.is_some_and(|ordering| match op {
        CompareOp::Eq => ordering.is_eq(),
        CompareOp::Ne => ordering.is_ne(),
        CompareOp::Gt => ordering.is_gt(),
        CompareOp::Ge => ordering.is_ge(),
        CompareOp::Lt => ordering.is_lt(),
        CompareOp::Le => ordering.is_le(),
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    })
}

#[cfg(test)]
mod tests;
