//! Names with their schema in front, in the body of a POST or PUT.
//!
//! RFC 7644 §3.10 writes `urn:ietf:params:scim:schemas:core:2.0:User:active` for `active`, in paths and filters. Who writes it
//! in a body means the same, and who puts the attributes of the resource under the URN of its schema treats that like an
//! extension. Left as they are, both would be attributes that nobody knows: `active` would not deactivate.

use schemas::scim::{AttrPath, Attributes, ScimError, ScimType, Value, echo};

use super::{Pass, Rewrite};

/// Where something belongs that has a schema in front.
enum Place {
    /// Its parts are attributes of the resource.
    Core,
    /// An attribute of the resource.
    Attribute(String),
    /// An attribute of the extension with this URN.
    Extension(&'static str, String),
}

impl Pass<'_> {
    /// Every attribute where its schema has it.
    pub(super) fn unqualified(&mut self, body: Attributes) -> Attributes {
        if body.iter().all(|(name, value)| self.place(name, value).is_none()) {
            return body;
        }
        self.note(Rewrite::QualifiedNames);
        let mut placed = Attributes::new();
        for (name, value) in body {
            match self.place(&name, &value) {
                None => self.put(&mut placed, &name, value),
                Some(Place::Core) => self.put_all(&mut placed, value),
                Some(Place::Attribute(name)) => self.put(&mut placed, &name, value),
                Some(Place::Extension(urn, name)) => {
                    let part = Attributes::from([(name.as_str(), value)]);
                    self.put(&mut placed, urn, part.into());
                }
            }
        }
        placed
    }

    /// `None` for what stands where it belongs.
    fn place(&self, name: &str, value: &Value) -> Option<Place> {
        if !name.contains(':') || self.schema.extension(name).is_some() {
            return None;
        }
        if name.eq_ignore_ascii_case(self.schema.core.id) {
            return value.as_complex().map(|_| Place::Core);
        }
        let AttrPath { urn: Some(urn), attribute, sub: None } = name.parse().ok()? else {
            return None;
        };
        if urn.eq_ignore_ascii_case(self.schema.core.id) {
            return Some(Place::Attribute(attribute));
        }
        Some(Place::Extension(self.schema.extension(&urn)?.id, attribute))
    }

    fn put_all(&mut self, placed: &mut Attributes, values: Value) {
        let Value::Complex(values) = values else { return };
        for (name, value) in values {
            self.put(placed, &name, value);
        }
    }

    /// What is there twice is refused, as it is where names differ in case alone, unless both say the same or one of them
    /// nothing.
    fn put(&mut self, placed: &mut Attributes, name: &str, value: Value) {
        let there = placed.get_mut(name).filter(|there| !there.is_absent());
        let Some(there) = there else {
            placed.insert(name, value);
            return;
        };
        if value.is_absent() || *there == value {
            return;
        }
        match (there, value) {
            // An extension, part by part.
            (Value::Complex(parts), more @ Value::Complex(_)) if name.contains(':') => {
                self.put_all(parts, more);
            }
            _ => {
                self.refused.get_or_insert_with(|| {
                    let detail = format!(
                        "The attribute \"{}\" is there twice, with its schema in front and without; send it once.",
                        echo(name)
                    );
                    ScimError::new(ScimType::InvalidSyntax, detail)
                });
            }
        }
    }
}
