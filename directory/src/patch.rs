//! PATCH, RFC 7644 §3.5.2: reading the operations of a body and applying them to a resource.
//!
//! Membership of groups is not a part of the tree, so [`split_members`] takes the operations on it
//! out first; [`apply`] does all the others, or none.

mod element;
mod listed;
mod members;
mod target;
mod work;

use schemas::scim::{
    AttrPath, Attributes, PATCH_OP_URN, Path, ResourceSchema, ScimError, ScimType, Value,
    canonicalise, check_change, echo, without_passwords,
};

use serde::{Deserialize, Serialize};

use target::{Target, complex_at};
use work::{Work, look_up};

pub use members::{MemberOp, split_members};
pub use work::STEPS_MAX;

/// How many operations one request may have. Entra ID and Okta send under a hundred.
pub const OPERATIONS_MAX: usize = 1_000;

/// One operation of a PATCH body.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// Where; nowhere means that the value is an object of attributes.
    pub path: Option<Path>,
    /// With what.
    pub value: Option<Value>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Op {
    Add,
    Replace,
    Remove,
}

/// What an add or replace does whose path selects none of an attribute's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoMatch {
    /// It makes the value that the path describes, if it does: Entra ID counts on
    /// `emails[type eq "work"].value` to make one.
    #[default]
    Upsert,
    /// It fails with `noTarget` (RFC 7644 §3.5.2.3).
    NoTarget,
}

/// What came of operations that were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whether a path that selected none of an attribute's values made one: [`NoMatch::Upsert`].
    pub upserted: bool,
}

/// What operations are applied by.
#[derive(Clone, Copy)]
struct Rules<'s> {
    schema: &'s ResourceSchema,
    no_match: NoMatch,
}

/// A resource on which operations are carried out.
struct Patching<'s> {
    resource: Attributes,
    rules: Rules<'s>,
    work: Work,
    applied: Applied,
}

/// Reads the body of a PATCH request. Names are found in any case (RFC 7643 §2.1).
///
/// # Errors
/// `invalidSyntax` for a body that is not a PATCH, `invalidPath` for a path that cannot be read,
/// `noTarget` for a remove without a path, `invalidValue` for an add or replace without a value,
/// 413 for more than [`OPERATIONS_MAX`].
pub fn parse_operations(body: &Attributes) -> Result<Vec<Operation>, ScimError> {
    let schemas = body.get("schemas").and_then(Value::as_list).unwrap_or_default();
    let named =
        |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_OP_URN));
    if !schemas.iter().any(named) {
        let detail =
            format!("The attribute \"schemas\" of a PATCH body must be [\"{PATCH_OP_URN}\"].");
        return Err(ScimError::new(ScimType::InvalidSyntax, detail));
    }
    let operations = body.get("Operations").and_then(Value::as_list).unwrap_or_default();
    if operations.is_empty() {
        let detail = "A PATCH body must have a list \"Operations\" with at least one operation.";
        return Err(ScimError::new(ScimType::InvalidSyntax, detail));
    }
    if operations.len() > OPERATIONS_MAX {
        let detail = format!("One PATCH may have at most {OPERATIONS_MAX} operations.");
        return Err(ScimError::with_status(413, detail));
    }
    operations.iter().map(parse_operation).collect()
}

/// Applies the operations in their order, each to the outcome of those before it. On an error
/// nothing has changed.
///
/// # Errors
/// `mutability`, `noTarget`, `invalidPath`, `invalidValue` as RFC 7644 §3.5.2 has them; `tooMany` for
/// more than [`STEPS_MAX`].
pub fn apply(
    resource: &mut Attributes,
    schema: &ResourceSchema,
    operations: &[Operation],
    no_match: NoMatch,
) -> Result<Applied, ScimError> {
    let rules = Rules { schema, no_match };
    let (work, applied) = (Work::new(), Applied::default());
    let mut patching = Patching { resource: resource.clone(), rules, work, applied };
    for operation in operations {
        // None is kept, so none may make a value look like another.
        let value = without_passwords(operation.value.clone().unwrap_or(Value::Null));
        match &operation.path {
            Some(path) => patching.at_path(operation.op, path, value)?,
            None => patching.at_root(operation.op, value)?,
        }
    }
    *resource = canonicalise(schema, patching.resource)?;
    Ok(patching.applied)
}

fn parse_operation(operation: &Value) -> Result<Operation, ScimError> {
    let fields = operation.as_complex().ok_or_else(|| {
        let detail =
            "Every one of \"Operations\" must be an object with \"op\", \"path\" and \"value\".";
        ScimError::new(ScimType::InvalidSyntax, detail)
    })?;
    let op = fields.get("op").and_then(Value::as_str).and_then(Op::read).ok_or_else(|| {
        let detail = "The \"op\" of an operation must be \"add\", \"replace\" or \"remove\".";
        ScimError::new(ScimType::InvalidSyntax, detail)
    })?;
    let path = fields.get("path").filter(|path| **path != Value::Null);
    let path = path.map(|path| {
        let detail = "The \"path\" of an operation must be a string.";
        path.as_str().ok_or_else(|| ScimError::new(ScimType::InvalidPath, detail))?.parse()
    });
    let path: Option<Path> = path.transpose()?;
    let value = fields.get("value").cloned();
    match op {
        Op::Remove if path.is_none() => {
            let detail = "An operation \"remove\" must have a \"path\" that says what to remove.";
            Err(ScimError::new(ScimType::NoTarget, detail))
        }
        Op::Add | Op::Replace if value.is_none() => {
            let detail = "An operation \"add\" or \"replace\" must have a \"value\".";
            Err(ScimError::invalid_value(detail))
        }
        Op::Add | Op::Replace | Op::Remove => Ok(Operation { op, path, value }),
    }
}

impl Operation {
    /// Whether its path is this attribute of the resource, with or without a URN.
    #[must_use]
    pub fn names(&self, attribute: &str) -> bool {
        match &self.path {
            Some(Path::Attribute(path)) => {
                path.sub.is_none() && path.attribute.eq_ignore_ascii_case(attribute)
            }
            Some(Path::Element { .. } | Path::Extension(_)) | None => false,
        }
    }
}

impl Op {
    fn read(text: &str) -> Option<Self> {
        let names = [("add", Self::Add), ("replace", Self::Replace), ("remove", Self::Remove)];
        names.into_iter().find_map(|(name, op)| (name == text).then_some(op))
    }
}

impl Patching<'_> {
    /// An operation without a path: each name of its value is a path. What is readOnly is passed over,
    /// as in a PUT (RFC 7644 §3.5.1): Okta sends the group's `id` along with its name.
    fn at_root(&mut self, op: Op, value: Value) -> Result<(), ScimError> {
        let Value::Complex(values) = value else {
            let detail =
                "The \"value\" of an operation without a \"path\" must be an object of attributes.";
            return Err(ScimError::invalid_value(detail));
        };
        for (name, value) in values {
            let path: Path = name.parse()?;
            let outcome = match &path {
                Path::Attribute(attribute)
                    if name.contains(':')
                        && value.as_complex().is_some()
                        && is_unknown(self.rules.schema, attribute) =>
                {
                    self.extension(op, &name, value)
                }
                Path::Attribute(_) | Path::Element { .. } | Path::Extension(_) => {
                    self.at_path(op, &path, value)
                }
            };
            passing_over_read_only(outcome)?;
        }
        Ok(())
    }

    fn at_path(&mut self, op: Op, path: &Path, value: Value) -> Result<(), ScimError> {
        let target = match path {
            Path::Extension(urn) => {
                return match self.attribute_called(urn, op, &value) {
                    Some(attribute) => self.at_path(op, &Path::Attribute(attribute), value),
                    None => self.extension(op, urn, value),
                };
            }
            Path::Attribute(path)
                if holds_extension(&self.resource, path) || self.is_extension(path, &value) =>
            {
                return self.extension(op, &path.to_string(), value);
            }
            Path::Attribute(path) => Target::new(self.rules, path, None, path.sub.as_deref())?,
            Path::Element { attribute, filter, sub } => {
                Target::new(self.rules, attribute, Some(filter), sub.as_deref())?
            }
        };
        // Neither is ever kept; `schemas` follows from what is present.
        let passed_over = ["schemas", "password"];
        if passed_over.iter().any(|name| target.name.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        target.check_mutability(op)?;
        let cost = look_up(&self.resource).saturating_add(target.cost(&self.resource, op, &value));
        self.work.take(cost)?;
        let holder = match &target.extension {
            None => &mut self.resource,
            Some(urn) => complex_at(&mut self.resource, urn)?,
        };
        self.applied.upserted |= target.change(holder, op, value)?.upserted;
        // A look-up by name is linear: what grows out of bounds must stop here, not at the end.
        check_change(&self.resource, target.top())
    }

    /// Whether it can only be the URN of an extension that is not there yet: a POST of the same name makes one. A complex attribute
    /// of an extension that is there has the same look.
    fn is_extension(&self, path: &AttrPath, value: &Value) -> bool {
        let Some(holder) = &path.urn else { return false };
        let is_whole = path.sub.is_none() && value.as_complex().is_some();
        is_whole && is_unknown(self.rules.schema, path) && !self.resource.contains(holder)
    }

    /// The attribute that has the look of a schema's URN. `urn:example:1.0:costCenter` may be either, so what the resource has
    /// says which, or else whether the value could be all of an extension.
    fn attribute_called(&self, urn: &str, op: Op, value: &Value) -> Option<AttrPath> {
        let path: AttrPath = urn.parse().ok()?;
        if !is_unknown(self.rules.schema, &AttrPath { urn: Some(urn.to_owned()), ..path.clone() })
            || holds_extension(&self.resource, &path)
        {
            return None;
        }
        let holder = path.urn.as_deref().and_then(|holder| self.resource.get(holder));
        let is_in_holder = holder.is_some_and(|holder| holder.as_complex().is_some());
        let whole = op == Op::Remove || value.is_absent() || value.as_complex().is_some();
        (is_in_holder || !whole).then_some(path)
    }

    /// All of an extension: its attributes one by one, or its removal.
    fn extension(&mut self, op: Op, urn: &str, value: Value) -> Result<(), ScimError> {
        let is_core = urn.eq_ignore_ascii_case(self.rules.schema.core.id);
        match value {
            _ if op == Op::Remove && is_core => {
                let detail =
                    format!("{urn} is the schema of the resource itself and cannot be removed.");
                Err(ScimError::new(ScimType::Mutability, detail))
            }
            _ if op == Op::Remove => self.remove_extension(urn, value),
            _ if op == Op::Replace && value.is_absent() && !is_core => {
                self.resource.remove(urn);
                Ok(())
            }
            Value::Complex(values) => self.each_in(urn, op, values),
            Value::Null => Ok(()),
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Decimal(_)
            | Value::String(_)
            | Value::List(_) => {
                let detail =
                    format!("The value of {} must be an object of its attributes.", echo(urn));
                Err(ScimError::invalid_value(detail))
            }
        }
    }

    /// As of one attribute: with a value goes what agrees with it, attribute by attribute, and without one all.
    fn remove_extension(&mut self, urn: &str, value: Value) -> Result<(), ScimError> {
        match (self.resource.get(urn), value) {
            (_, value) if value.is_absent() => {
                self.resource.remove(urn);
                Ok(())
            }
            (Some(Value::Complex(_)), Value::Complex(listed)) => {
                // What says nothing lists nothing.
                let listed = listed.into_iter().filter(|(_, value)| !value.is_absent());
                self.each_in(urn, Op::Remove, listed.collect())
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn each_in(&mut self, urn: &str, op: Op, values: Attributes) -> Result<(), ScimError> {
        values.into_iter().try_for_each(|(name, value)| {
            let mut path = name.parse().unwrap_or_else(|_: ScimError| AttrPath::plain(name));
            path.urn = Some(urn.to_owned());
            passing_over_read_only(self.at_path(op, &Path::Attribute(path), value))
        })
    }
}

fn passing_over_read_only(outcome: Result<(), ScimError>) -> Result<(), ScimError> {
    match outcome {
        Err(error) if error.scim_type == Some(ScimType::Mutability) => Ok(()),
        Ok(()) | Err(_) => outcome,
    }
}

fn is_unknown(schema: &ResourceSchema, path: &AttrPath) -> bool {
    let urn = path.urn.as_deref();
    let known =
        |urn: &str| urn.eq_ignore_ascii_case(schema.core.id) || schema.extension(urn).is_some();
    !urn.is_some_and(known)
}

/// Whether the path is the URN of an extension that no schema knows and the resource has.
fn holds_extension(resource: &Attributes, path: &AttrPath) -> bool {
    path.urn.is_some()
        && resource.get(&path.to_string()).is_some_and(|value| value.as_complex().is_some())
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
