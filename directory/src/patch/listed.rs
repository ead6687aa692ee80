//! The values that a remove lists.

use std::collections::HashSet;

use schemas::scim::{AttributeDef, Attributes, Value, identity};

/// What a remove lists, to be compared with what is there. All that it says of a value has to agree,
/// `$ref` and `display` apart, which are said for people. Letter case matters where the schema says so.
pub(super) struct Listed {
    def: Option<&'static AttributeDef>,
    /// By what is compared of a simple value.
    simple: HashSet<String>,
    /// By their `value`, with any `type`.
    values: HashSet<String>,
    /// By their `value` and `type`.
    typed: HashSet<String>,
    /// Those without a `value`.
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
            match (parts.get("value"), parts.get("type")) {
                (Some(value), None | Some(Value::Null)) => {
                    listed.values.insert(listed.part("value", value));
                }
                (Some(_), Some(_)) => {
                    listed.typed.insert(identity(def, &item));
                }
                (None, _) => listed.partial.extend(item.as_complex().cloned()),
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

/// With how many names each value that is there has to be compared, one by one.
pub(super) fn comparisons(listed: &Value) -> usize {
    let of = |item: &Value| {
        item.as_complex().filter(|parts| !parts.contains("value")).map_or(0, Attributes::len)
    };
    listed.as_list().map_or_else(|| of(listed), |items| items.iter().map(of).sum())
}
