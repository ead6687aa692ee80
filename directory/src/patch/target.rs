//! What the path of an operation leads to, and how that changes.

use schemas::scim::{
    AttrPath, AttributeDef, Attributes, Filter, Mutability, ScimError, ScimType, Value, coerce,
    echo,
};

use super::listed::{Listed, comparisons};
use super::work::{names, terms, weight};
use super::{Applied, NoMatch, Op, Rules, element, passing_over_read_only};
use crate::matching::check_element;

pub(super) const REF: &str = "$ref";

/// What a path leads to.
#[derive(Clone)]
pub(super) struct Target<'p> {
    /// The extension in whose object it is.
    pub(super) extension: Option<String>,
    /// The attribute, in the schema's case if known to it.
    pub(super) name: String,
    pub(super) def: Option<&'static AttributeDef>,
    pub(super) filter: Option<&'p Filter>,
    /// The sub-attribute, in the schema's case if known to it.
    pub(super) sub: Option<&'p str>,
    sub_def: Option<&'static AttributeDef>,
    pub(super) no_match: NoMatch,
}

impl<'p> Target<'p> {
    pub(super) fn new(
        rules: Rules<'_>,
        path: &AttrPath,
        filter: Option<&'p Filter>,
        sub: Option<&'p str>,
    ) -> Result<Self, ScimError> {
        let Rules { schema, no_match } = rules;
        let urn = path.urn.as_deref();
        let Some(found) = schema.find(urn, &path.attribute, None) else {
            let extension = urn.filter(|urn| !urn.eq_ignore_ascii_case(schema.core.id));
            let extension = extension.map(str::to_owned);
            let name = path.attribute.clone();
            return Ok(Self { extension, name, def: None, filter, sub, sub_def: None, no_match });
        };
        let def = found.attribute;
        if sub.is_some() && def.sub_attributes.is_empty() {
            return Err(invalid_path(path, "has no sub-attributes"));
        }
        if let Some(filter) = filter {
            if !def.multi_valued {
                return Err(invalid_path(path, "has one value only, so no filter can follow it"));
            }
            check_element(filter, Some(def))?;
        }
        let sub_def = sub.and_then(|sub| def.sub(sub));
        Ok(Self {
            extension: found.extension.map(|extension| extension.id.to_owned()),
            name: def.name.to_owned(),
            def: Some(def),
            filter,
            sub: sub_def.map(|def| def.name).or(sub),
            sub_def,
            no_match,
        })
    }

    /// RFC 7644 §3.5.2: readOnly attributes cannot change, required ones not be removed.
    pub(super) fn check_mutability(&self, op: Op) -> Result<(), ScimError> {
        let fixed = |def: &AttributeDef| match def.mutability {
            Mutability::ReadOnly => true,
            Mutability::ReadWrite | Mutability::Immutable | Mutability::WriteOnly => false,
        };
        let leaf = self.leaf();
        let what = if self.def.is_some_and(fixed) || self.sub_def.is_some_and(fixed) {
            "is readOnly and cannot be changed"
        } else if op == Op::Remove && self.filter.is_none() && leaf.is_some_and(|def| def.required)
        {
            "is required and cannot be removed"
        } else {
            return Ok(());
        };
        let detail = format!("The attribute \"{}\" {what}.", echo(&self.full_name()));
        Err(ScimError::new(ScimType::Mutability, detail))
    }

    /// What is changed: the sub-attribute if there is one.
    fn leaf(&self) -> Option<&'static AttributeDef> {
        if self.sub.is_some() { self.sub_def } else { self.def }
    }

    /// The attribute of the resource itself that the target is, or is a part of.
    pub(super) fn top(&self) -> &str {
        self.extension.as_deref().unwrap_or(&self.name)
    }

    /// What a change with this value costs at most: a look at all that is there and at the value; where
    /// single values are chosen, one for each term of the filter and each part that is set, and a copy of
    /// the value for each.
    pub(super) fn cost(&self, resource: &Attributes, op: Op, value: &Value) -> usize {
        let sent = weight(value);
        let Some(there) = resource.get(self.top()) else { return sent };
        let held = weight(there);
        let (looks, copies) = match (self.filter, self.sub) {
            (None, None) if op == Op::Remove => (comparisons(self.leaf(), value), 0),
            (None, None) => (0, 0),
            (filter, _) => {
                let copies = self.items(there).map_or(1, <[Value]>::len);
                (filter.map_or(0, terms) + names(value) + comparisons(self.leaf(), value), copies)
            }
        };
        let looks = held.saturating_mul(1 + looks);
        looks.saturating_add(sent.saturating_mul(1 + copies))
    }

    fn items<'t>(&self, top: &'t Value) -> Option<&'t [Value]> {
        let held = match (&self.extension, top) {
            (Some(_), Value::Complex(parts)) => parts.get(&self.name)?,
            (_, top) => top,
        };
        held.as_list()
    }

    pub(super) fn change(
        &self,
        holder: &mut Attributes,
        op: Op,
        value: Value,
    ) -> Result<Applied, ScimError> {
        let there = holder.get(&self.name);
        let plural = match self.def {
            Some(def) => def.multi_valued,
            None => self.filter.is_some() || there.is_some_and(|value| value.as_list().is_some()),
        };
        let whole = self.sub.is_none();
        // Nothing to add to what is there.
        if op == Op::Add && whole && value.is_absent() && (plural || value != Value::Null) {
            return Ok(Applied::default());
        }
        if plural && (self.filter.is_some() || self.sub.is_some()) {
            return self.change_elements(holder, op, value);
        }
        match (op, self.sub) {
            (Op::Remove, None) => self.remove(holder, value),
            (Op::Add | Op::Replace, None) if value.is_absent() => self.remove(holder, Value::Null),
            (Op::Add | Op::Replace, None) => self.set(holder, op, value),
            (_, Some(sub)) => self.change_part(holder, op, sub, value),
        }
        .map(|()| Applied::default())
    }

    /// RFC 7644 §3.5.2.2. The RFC knows no value there; who sends one says what is to go, and nothing else
    /// goes. Entra ID and JumpCloud list so the members of a group that leave, and a late remove of an old
    /// manager or address must not take the new one (AzureAD/SCIMReferenceCode, issue 87).
    fn remove(&self, holder: &mut Attributes, value: Value) -> Result<(), ScimError> {
        if self.is_of_parts()
            && !value.is_absent()
            && let Value::Complex(mut parts) = value
        {
            // What says nothing lists nothing.
            parts = parts.into_iter().filter(|(_, value)| !value.is_absent()).collect();
            return self.set_parts(holder, Op::Remove, parts);
        }
        let is_list = holder.get(&self.name).is_some_and(|there| there.as_list().is_some());
        let listed = if is_list && value != Value::Null {
            Some(Listed::new(self.def, value.into_list()))
        } else {
            self.listed(value)
        };
        match (holder.get_mut(&self.name), listed) {
            (Some(Value::List(items)), Some(listed)) => items.retain(|item| !listed.covers(item)),
            (Some(there), Some(listed)) if !listed.covers(there) => {}
            (Some(_) | None, _) => {
                holder.remove(&self.name);
            }
        }
        Ok(())
    }

    /// What a remove lists for the target, if it does.
    pub(super) fn listed(&self, value: Value) -> Option<Listed> {
        (!value.is_absent()).then(|| Listed::new(self.leaf(), value.into_list()))
    }

    /// The whole attribute, RFC 7644 §3.5.2.1 and §3.5.2.3.
    fn set(&self, holder: &mut Attributes, op: Op, value: Value) -> Result<(), ScimError> {
        if self.is_of_parts()
            && let Value::Complex(parts) = value
        {
            return self.set_parts(holder, op, parts);
        }
        // A reference without its identifier says nothing that could be kept or cleared.
        let clears = value.as_complex().is_none_or(|parts| parts.contains("value"));
        let Some(value) = self.checked(value)? else {
            return if op == Op::Replace && clears {
                self.remove(holder, Value::Null)
            } else {
                Ok(())
            };
        };
        match (holder.get_mut(&self.name), value) {
            (Some(Value::List(there)), value) if op == Op::Add => {
                element::add(self.def, &self.name, there, value.into_list())
            }
            (Some(Value::Complex(there)), Value::Complex(parts)) => {
                if let Some(parts) = self.identified(there, parts) {
                    if self.refers_elsewhere(there, &parts) {
                        *there = parts;
                    } else {
                        element::merge(there, parts);
                    }
                }
                Ok(())
            }
            (_, value) => {
                holder.insert(self.name.as_str(), said(value));
                Ok(())
            }
        }
    }

    /// Whether it is one complex attribute that is no reference, such as `name`: its sub-attributes stand each for itself.
    fn is_of_parts(&self) -> bool {
        self.def.is_some_and(|def| !def.multi_valued && !def.has_value())
    }

    /// The named sub-attributes of a complex attribute, leaving the others.
    fn set_parts(
        &self,
        holder: &mut Attributes,
        op: Op,
        parts: Attributes,
    ) -> Result<(), ScimError> {
        parts.into_iter().try_for_each(|(name, value)| {
            let sub_def = self.def.and_then(|def| def.sub(&name));
            let sub = sub_def.map_or(&*name, |def| def.name);
            let part = Target { sub: Some(sub), sub_def, ..self.clone() };
            let outcome = part.check_mutability(op);
            passing_over_read_only(outcome.and_then(|()| part.change_part(holder, op, sub, value)))
        })
    }

    /// One sub-attribute of a complex attribute.
    fn change_part(
        &self,
        holder: &mut Attributes,
        op: Op,
        sub: &str,
        value: Value,
    ) -> Result<(), ScimError> {
        if op == Op::Remove && !self.is_part_listed(holder, sub, &value) {
            return Ok(());
        }
        let clears = op == Op::Remove || value.is_absent();
        let is_reference = self.def.is_some_and(AttributeDef::has_value);
        if is_reference && (sub == "value" || (sub == REF && !clears)) {
            // A reference is one with its identifier: `manager.value` is `manager`.
            let whole = Self { sub: None, sub_def: None, ..self.clone() };
            return if clears {
                whole.remove(holder, Value::Null)
            } else {
                whole.set(holder, op, Attributes::from([(sub, value)]).into())
            };
        }
        let value = if clears { None } else { self.checked(value)? };
        let parts = complex_at(holder, &self.name)?;
        match value {
            Some(value) => parts.insert(sub, value),
            None => parts.remove(sub),
        };
        Ok(())
    }

    /// Whether a sub-attribute agrees with the value that a remove has, if it has one.
    fn is_part_listed(&self, holder: &Attributes, sub: &str, value: &Value) -> bool {
        let Some(listed) = self.listed(value.clone()) else { return true };
        let parts = holder.get(&self.name).and_then(Value::as_complex);
        parts.and_then(|parts| parts.get(sub)).is_some_and(|there| listed.covers(there))
    }

    /// The value as it will be kept, if the schema knows the attribute.
    fn checked(&self, value: Value) -> Result<Option<Value>, ScimError> {
        let name = self.full_name();
        match (self.sub, self.sub_def, self.def) {
            (Some(_), Some(def), _) => coerce(def, &name, value),
            (None, _, Some(def)) if def.multi_valued => {
                coerce(def, &name, Value::List(value.into_list()))
            }
            (None, _, Some(def)) => coerce(def, &name, value),
            (Some(_), None, _) | (None, _, None) => Ok(Some(value)),
        }
    }

    /// What is said of a reference that is there. Another address without an identifier is said of another target: whom it names
    /// is the new one (RFC 7643 §4.3 has both lead to one resource), and if it names nobody, nothing is said of who is there.
    fn identified(&self, there: &Attributes, mut parts: Attributes) -> Option<Attributes> {
        let said = parts.get(REF).filter(|_| !parts.contains("value"));
        let (Some(address), true) = (said, there.contains("value")) else { return Some(parts) };
        if self.def.is_some_and(AttributeDef::has_value) && there.get(REF) != Some(address) {
            let id = named_by(address.as_str()?)?.to_owned();
            parts.insert("value", id);
        }
        Some(parts)
    }

    /// Whether a reference, such as manager, gets another target, so that what it said of the old
    /// one no longer holds.
    fn refers_elsewhere(&self, there: &Attributes, parts: &Attributes) -> bool {
        self.def.is_some_and(AttributeDef::has_value)
            && parts.contains("value")
            && parts.get("value") != there.get("value")
    }

    fn full_name(&self) -> String {
        match self.sub {
            Some(sub) => format!("{}.{sub}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A value without parts that are null: the same change once more would take them out of what is there.
fn said(value: Value) -> Value {
    value
        .map_complex(|parts| parts.into_iter().filter(|(_, value)| *value != Value::Null).collect())
}

/// The id at the end of the address of a user.
pub(super) fn named_by(address: &str) -> Option<&str> {
    let (before, id) = address.rsplit_once('/')?;
    let is_of_users = before.rsplit('/').next() == Some("Users");
    (is_of_users && !id.is_empty() && !id.contains(['?', '#'])).then_some(id)
}

pub(super) fn complex_at<'t>(
    tree: &'t mut Attributes,
    name: &str,
) -> Result<&'t mut Attributes, ScimError> {
    if !tree.contains(name) {
        tree.insert(name, Attributes::new());
    }
    let found = tree.get_mut(name).and_then(Value::as_complex_mut);
    found.ok_or_else(|| invalid_path(&name, "has no sub-attributes"))
}

pub(super) fn invalid_path(path: &dyn std::fmt::Display, what: &str) -> ScimError {
    let path = path.to_string();
    ScimError::new(ScimType::InvalidPath, format!("The attribute \"{}\" {what}.", echo(&path)))
}
