//! The values that a remove lists.

use std::collections::HashSet;

use schemas::scim::{AttributeDef, Attributes, Value, identity};

/// What a remove lists, to be compared with what is there: by `value`, and by `type` if it has one; by all that it
/// says if it has no `value`, or more than these of what no schema knows. Letter case matters where the schema says so.
pub(super) struct Listed {
    def: Option<&'static AttributeDef>,
    /// By what is compared of a simple value.
    simple: HashSet<String>,
    /// By their `value`, with any `type`.
    values: HashSet<String>,
    /// By their `value` and `type`.
    typed: HashSet<String>,
    /// Those without a `value`, and those that say more than it of what no schema knows.
    partial: Vec<Attributes>,
}

impl Listed {
    pub(super) fn new(def: Option<&'static AttributeDef>, items: Vec<Value>) -> Self {
        let mut listed = Self {
            def,
            simple: HashSet::new(),
            values: HashSet::new(),
            typed: HashSet::new(),
            partial: Vec::new(),
        };
        for item in items {
            let Value::Complex(parts) = &item else {
                listed.values.insert(listed.part("value", &item));
                listed.simple.insert(identity(def, &item));
                continue;
            };
            if is_compared_in_all(def, parts) {
                listed.partial.extend(item.as_complex().cloned());
                continue;
            }
            match (parts.get("value"), parts.get("type")) {
                (Some(value), None | Some(Value::Null)) => {
                    listed.values.insert(listed.part("value", value));
                }
                (Some(_), Some(_)) => {
                    listed.typed.insert(identity(def, &item));
                }
                (None, _) => {}
            }
        }
        // What says nothing means nothing.
        listed.partial.retain(|parts| !parts.is_empty());
        listed
    }

    /// Whether a value that is there is one of these.
    pub(super) fn covers(&self, item: &Value) -> bool {
        let Value::Complex(parts) = item else {
            return self.simple.contains(&identity(self.def, item));
        };
        let by_value = parts.get("value").is_some_and(|value| {
            self.values.contains(&self.part("value", value))
                || self.typed.contains(&identity(self.def, item))
        });
        by_value || self.partial.iter().any(|listed| self.agrees(parts, listed))
    }

    fn agrees(&self, parts: &Attributes, listed: &Attributes) -> bool {
        listed.iter().all(|(name, value)| {
            let there = parts.get(name);
            there.is_some_and(|there| self.part(name, there) == self.part(name, value))
        })
    }

    fn part(&self, name: &str, value: &Value) -> String {
        identity(self.def.and_then(|def| def.sub(name)), value)
    }
}

/// Whether all that it says has to agree. Of an attribute that a schema knows a value is known by its `value` and `type`;
/// of another, two values that differ in anything are two.
fn is_compared_in_all(def: Option<&AttributeDef>, parts: &Attributes) -> bool {
    let tells = |name: &str| ["value", "type"].iter().any(|told| name.eq_ignore_ascii_case(told));
    !parts.contains("value") || (def.is_none() && parts.iter().any(|(name, _)| !tells(name)))
}

/// With how many names each value that is there has to be compared, one by one.
pub(super) fn comparisons(def: Option<&AttributeDef>, listed: &Value) -> usize {
    let of = |item: &Value| {
        let parts = item.as_complex().filter(|parts| is_compared_in_all(def, parts));
        parts.map_or(0, Attributes::len)
    };
    listed.as_list().map_or_else(|| of(listed), |items| items.iter().map(of).sum())
}
