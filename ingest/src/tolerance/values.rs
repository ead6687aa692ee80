//! Values by the definitions of their attributes.

use schemas::scim::{AttributeDef, Attributes, Kind, Value};

use super::{Pass, Rewrite};
use crate::quirks::{entra, onelogin};

impl Pass<'_> {
    /// A whole attribute.
    pub(super) fn value(&mut self, def: &'static AttributeDef, value: Value) -> Value {
        if value == Value::Null {
            self.note(Rewrite::NullValue);
            return value;
        }
        if value.as_str() == Some("") && (def.multi_valued || def.kind == Kind::Complex) {
            return self.cleared();
        }
        if def.name == "members" {
            return self.members(value);
        }
        match (def.multi_valued, def.kind) {
            (true, _) if self.is_change && value.as_complex().is_some() => {
                // A change may well be one of one value; a resource has lists.
                self.note(Rewrite::OneForList);
                vec![self.item(def, value)].into()
            }
            (true, _) => value.map_list(|item| self.item(def, item)),
            (false, Kind::Complex) if def.has_value() => self.reference(def, value),
            (false, Kind::Complex) => value.map_complex(|parts| self.parts(def, parts)),
            (
                false,
                Kind::String
                | Kind::Reference
                | Kind::Binary
                | Kind::Boolean
                | Kind::Integer
                | Kind::Decimal
                | Kind::DateTime,
            ) => self.simple(def, value),
        }
    }

    /// One value of a list.
    pub(super) fn item(&mut self, def: &'static AttributeDef, item: Value) -> Value {
        if def.kind != Kind::Complex {
            return self.simple(def, item);
        }
        let item = match entra::app_role(def, &item) {
            Some(role) => {
                self.note(Rewrite::JsonInText);
                role.into()
            }
            None => item,
        };
        item.map_complex(|parts| self.parts(def, parts))
    }

    /// Members are read by their identifiers where they are taken out of the body.
    fn members(&mut self, value: Value) -> Value {
        if self.is_change && value.as_list().is_none() {
            self.note(Rewrite::OneForList);
        }
        let bare = |item: &Value| item.as_str().is_some_and(|id| !id.is_empty());
        if bare(&value) || value.as_list().is_some_and(|items| items.iter().any(bare)) {
            self.note(Rewrite::BareMember);
        }
        let object = |item: Value| {
            if bare(&item) { Attributes::from([("value", item)]).into() } else { item }
        };
        if value.as_list().is_some() { value.map_list(object) } else { object(value) }
    }

    /// A single reference, such as manager.
    fn reference(&mut self, def: &'static AttributeDef, value: Value) -> Value {
        let mut value = value;
        if value.as_list().is_some_and(|items| items.len() <= 1) {
            self.note(Rewrite::BareReference);
            value = value.into_list().pop().unwrap_or(Value::Null);
        }
        if value.as_str().is_some_and(|id| !id.is_empty()) {
            self.note(Rewrite::BareReference);
            return Attributes::from([("value", value)]).into();
        }
        if value.as_complex_mut().is_some_and(|parts| onelogin::rename_manager_id(def, parts)) {
            self.note(Rewrite::ManagerId);
        }
        let target = value.as_complex().and_then(|parts| parts.get("value"));
        if value.as_str() == Some("") || target.is_some_and(|id| id.as_str() == Some("")) {
            return self.cleared();
        }
        value.map_complex(|parts| self.parts(def, parts))
    }

    pub(super) fn parts(&mut self, def: &'static AttributeDef, parts: Attributes) -> Attributes {
        parts.map(|name, value| match def.sub(name) {
            Some(sub) => self.value(sub, value),
            None => value,
        })
    }

    fn simple(&mut self, def: &'static AttributeDef, value: Value) -> Value {
        let Value::String(text) = &value else { return value };
        match def.kind {
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "false" => {
                    self.note(Rewrite::BooleanAsText);
                    Value::Bool(text.eq_ignore_ascii_case("true"))
                }
                "" => self.cleared(),
                _ => value,
            },
            Kind::String | Kind::Reference if text.is_empty() => self.cleared(),
            Kind::String
            | Kind::Reference
            | Kind::Binary
            | Kind::Complex
            | Kind::Integer
            | Kind::Decimal
            | Kind::DateTime => value,
        }
    }

    pub(super) fn cleared(&mut self) -> Value {
        self.note(Rewrite::EmptyText);
        Value::Null
    }
}
