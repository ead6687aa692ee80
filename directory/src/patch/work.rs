//! How much work one PATCH may cause.
//!
//! A body of bounded size has operations, values and filters, and what it costs is their product: a
//! filter is tried on every value, a part is set in every value. Each operation says beforehand what it
//! will cost at most, and takes that out of what the whole PATCH may.

use schemas::scim::{Attributes, Filter, Literal, ScimError, ScimType, Value};

/// How many steps one PATCH may take. A step is one look at one part of a value, which takes well under
/// a microsecond, so that a PATCH holds up others of its directory for a second at the very most. One of
/// a hundred operations on an attribute with a thousand values takes a tenth of it; what identity
/// providers send takes a few hundred steps.
pub const STEPS_MAX: usize = 4_000_000;

/// How much text is looked at, or copied, in one step, in bytes.
const TEXT_STEP: usize = 32;

/// How many names a look-up passes in one step.
const NAMES_STEP: usize = 8;

/// What is left of the work that a PATCH may cause.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
}

impl Work {
    pub(super) const fn new() -> Self {
        Self { left: STEPS_MAX }
    }

    /// Takes so many steps, before they are done.
    pub(super) fn take(&mut self, steps: usize) -> Result<(), ScimError> {
        self.left = self.left.checked_sub(steps).ok_or_else(|| {
            let detail = format!(
                "The PATCH has too many operations on attributes with too many values: it would take more than {STEPS_MAX} steps. Send its operations in several requests."
            );
            ScimError::new(ScimType::TooMany, detail)
        })?;
        Ok(())
    }
}

/// How many steps it takes to look at all of a value.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => 1,
        Value::String(text) => 1 + text.len() / TEXT_STEP,
        Value::List(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Complex(parts) => {
            1 + parts
                .iter()
                .map(|(name, part)| name.len() / TEXT_STEP + weight(part))
                .sum::<usize>()
        }
    }
}

/// How many steps it takes to find a name among those of a resource.
pub(super) fn look_up(resource: &Attributes) -> usize {
    resource.len() / NAMES_STEP
}

/// How often a filter looks at a value.
pub(super) fn terms(filter: &Filter) -> usize {
    match filter {
        Filter::And(inner) | Filter::Or(inner) => inner.iter().map(terms).sum(),
        Filter::Not(filter) | Filter::Has { filter, .. } => terms(filter),
        Filter::Present(_) => 1,
        Filter::Compare { value: Literal::String(text), .. } => 1 + text.len() / TEXT_STEP,
        Filter::Compare { .. } => 1,
    }
}

/// How many names an object has that is set in every value.
pub(super) fn names(value: &Value) -> usize {
    value.as_complex().map_or(1, Attributes::len)
}
