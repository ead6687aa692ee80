//! Operations on single values of a multi-valued attribute.

use std::collections::HashMap;

use schemas::scim::{
    AttributeDef, Attributes, ScimError, ScimType, VALUES_MAX, Value, coerce_one, echo, exact,
    identity,
};

use super::target::{Target, invalid_path};
use super::{Applied, NoMatch, Op};
use crate::matching::element_matches;

impl Target<'_> {
    /// `attribute[filter]`, `attribute[filter].sub`, and `attribute.sub`, which is of every value.
    pub(super) fn change_elements(
        &self,
        holder: &mut Attributes,
        op: Op,
        value: Value,
    ) -> Result<Applied, ScimError> {
        if !holder.contains(&self.name) {
            holder.insert(self.name.as_str(), Vec::new());
        }
        let Some(Value::List(items)) = holder.get_mut(&self.name) else {
            return Err(invalid_path(&self.name, "has one value only, so no filter can follow it"));
        };
        let chosen: Vec<bool> = items
            .iter()
            .map(|item| self.filter.is_none_or(|filter| element_matches(filter, item, self.def)))
            .collect();
        let any = chosen.contains(&true);
        if op == Op::Remove && !any && self.filter.is_some() {
            return Err(self.no_target());
        }
        if op == Op::Remove || value.is_absent() {
            self.remove_chosen(items, &chosen, value);
            return Ok(Applied::default());
        }
        if !any {
            let element = self.upsert(value)?;
            add(self.def, &self.name, items, vec![element])?;
            return Ok(Applied { upserted: self.filter.is_some() });
        }
        self.change_chosen(items, &chosen, value)?;
        Ok(Applied::default())
    }

    /// Sets what the value says in those that were chosen; what it says to be empty goes.
    fn change_chosen(
        &self,
        items: &mut Vec<Value>,
        chosen: &[bool],
        value: Value,
    ) -> Result<(), ScimError> {
        // What the value of a sub-attribute says of its own parts is not said of the whole.
        let parts = value.as_complex().filter(|_| self.sub.is_none());
        let cleared: Vec<String> = parts.map_or_else(Vec::new, |parts| {
            let empty = parts.iter().filter(|(_, value)| value.is_absent());
            empty.map(|(name, _)| name.to_owned()).collect()
        });
        if self.def.is_some_and(AttributeDef::has_value)
            && cleared.iter().any(|name| name.eq_ignore_ascii_case("value"))
        {
            self.remove_chosen(items, chosen, Value::Null);
            return Ok(());
        }
        let mut of_chosen = items.iter().zip(chosen).filter(|(_, chosen)| **chosen);
        if self.sub.is_some() && of_chosen.any(|(item, _)| item.as_complex().is_none()) {
            return Err(invalid_path(&self.name, "has values without sub-attributes"));
        }
        let change = self.element(Attributes::new(), value)?;
        let is_primary = is_primary(self.def, &change);
        for (item, chosen) in items.iter_mut().zip(chosen) {
            match (item, &change) {
                (item, _) if !chosen => {
                    if is_primary {
                        yield_primary(std::iter::once(item));
                    }
                }
                (Value::Complex(there), Value::Complex(parts)) => {
                    merge(there, parts.clone());
                    cleared.iter().for_each(|name| drop(there.remove(name)));
                }
                (item, change) => *item = change.clone(),
            }
        }
        Ok(())
    }

    /// RFC 7644 §3.5.2.2, and only what agrees with a value that the remove lists. The last sub-attribute
    /// takes its value along, and so does `value`, which is what the others are said of (RFC 7643 §2.4):
    /// of an address that is no more, `{"type": "work"}` would still pass for the one to write to.
    fn remove_chosen(&self, items: &mut Vec<Value>, chosen: &[bool], listed: Value) {
        let listed = self.listed(listed);
        let is_listed = |there: &Value| listed.as_ref().is_none_or(|listed| listed.covers(there));
        let has_value = self.def.is_some_and(AttributeDef::has_value);
        let mut chosen = chosen.iter();
        items.retain_mut(|item| {
            if chosen.next() == Some(&false) {
                return true;
            }
            match (self.sub, item) {
                (Some(sub), Value::Complex(parts)) => {
                    if parts.get(sub).is_none_or(|there| !is_listed(there)) {
                        return true;
                    }
                    parts.remove(sub);
                    let left = if has_value && sub == "value" { 0 } else { parts.len() };
                    left > 0
                }
                (Some(_), _) => true,
                (None, item) => !is_listed(item),
            }
        });
    }

    /// The value that an operation asks for whose filter matches none. The RFC says `noTarget`, but
    /// Entra ID counts on `emails[type eq "work"].value` to make what the filter describes.
    fn upsert(&self, value: Value) -> Result<Value, ScimError> {
        let terms = match self.filter {
            None => Vec::new(),
            Some(_) if self.no_match == NoMatch::NoTarget => return Err(self.no_target()),
            Some(filter) => filter.equalities().ok_or_else(|| self.no_target())?,
        };
        let described = terms.into_iter().map(|(name, value)| (name, value.clone())).collect();
        self.element(described, value)
    }

    /// `described` with the value merged in, checked by the schema.
    fn element(&self, described: Attributes, value: Value) -> Result<Value, ScimError> {
        let mut parts = described;
        match (self.sub, value) {
            (Some(sub), value) => {
                parts.insert(sub, value);
            }
            (None, Value::Complex(more)) => merge(&mut parts, more),
            (None, value) => {
                let mut items = value.into_list();
                match (items.pop(), self.def) {
                    (Some(Value::Complex(more)), _) if items.is_empty() => merge(&mut parts, more),
                    (Some(item), None) if items.is_empty() => return Ok(item),
                    _ => return Err(self.not_an_object()),
                }
            }
        }
        let Some(def) = self.def else { return Ok(parts.into()) };
        let checked = coerce_one(def, &self.name, parts.into())?;
        Ok(checked.unwrap_or(Attributes::new().into()))
    }

    fn no_target(&self) -> ScimError {
        let filter = self.filter.map(ToString::to_string).unwrap_or_default();
        let (name, filter) = (echo(&self.name), echo(&filter));
        let detail = format!("No value of \"{name}\" matches [{filter}].");
        ScimError::new(ScimType::NoTarget, detail)
    }

    fn not_an_object(&self) -> ScimError {
        let detail = format!(
            "A value of \"{}\" must be one object of its sub-attributes.",
            echo(&self.name)
        );
        ScimError::invalid_value(detail)
    }
}

/// Adds values unless they are there, RFC 7644 §3.5.2.1. One that is there by its value and type keeps
/// these as they are spelt, and takes on what else is said of it. In what no schema knows only the very
/// same value is there: two that differ in anything may be two, and a list of them is kept as it was sent.
pub(super) fn add(
    def: Option<&'static AttributeDef>,
    name: &str,
    there: &mut Vec<Value>,
    items: Vec<Value>,
) -> Result<(), ScimError> {
    let key = |item: &Value| if def.is_some() { identity(def, item) } else { exact(item) };
    let mut known = HashMap::with_capacity(there.len() + items.len());
    for (at, item) in there.iter().enumerate() {
        known.entry(key(item)).or_insert(at);
    }
    for item in items {
        let at = *known.entry(key(&item)).or_insert(there.len());
        if is_primary(def, &item) {
            let others = there.iter_mut().enumerate().filter(|(other, _)| *other != at);
            yield_primary(others.map(|(_, item)| item));
        }
        match (there.get_mut(at), item) {
            (None, _) if at >= VALUES_MAX => return Err(too_many(name)),
            (None, item) => there.push(item),
            (Some(Value::Complex(there)), Value::Complex(mut parts)) => {
                if def.is_some() && parts.contains("value") {
                    ["value", "type"].iter().for_each(|name| drop(parts.remove(name)));
                    merge(there, parts);
                }
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

fn too_many(name: &str) -> ScimError {
    let detail = format!("The attribute \"{}\" may have at most {VALUES_MAX} values.", echo(name));
    ScimError::invalid_value(detail)
}

/// Sets the parts, leaving the others; a null part goes (RFC 7643 §2.5).
pub(super) fn merge(there: &mut Attributes, parts: Attributes) {
    for (name, value) in parts {
        if value == Value::Null {
            there.remove(&name);
        } else {
            there.insert(name, value);
        }
    }
}

/// Whether it is the primary one of an attribute that a schema knows: what the others of another say is
/// not ours to change.
fn is_primary(def: Option<&AttributeDef>, item: &Value) -> bool {
    def.is_some() && says_primary(item)
}

fn says_primary(item: &Value) -> bool {
    item.as_complex().and_then(|parts| parts.get("primary")) == Some(&Value::Bool(true))
}

/// RFC 7644 §3.5.2: a value made primary takes it from the one that was.
fn yield_primary<'t>(items: impl Iterator<Item = &'t mut Value>) {
    for item in items.filter(|item| says_primary(item)) {
        if let Some(parts) = item.as_complex_mut() {
            parts.insert("primary", false);
        }
    }
}
