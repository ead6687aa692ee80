//! What identity providers send, brought to what the RFC says.
//!
//! The rules behind this are strict. Here, before them, a body is rewritten where clients are known to
//! differ and what they mean is beyond doubt. Each rewrite has a [name](Rewrite), a source, a count in the
//! metrics and a place in the request log. What is rare and one provider's alone stands in
//! [`crate::quirks`]. A rewrite never loses a value: what it does not understand it leaves to the rules, whose errors an
//! administrator can read. Refused here is what cannot be meant: a schema that the directory does not accept, and two
//! values for one attribute.

mod filter;
mod patch;
mod qualified;
mod rewrite;
mod values;

use directory::resource::UnknownSchema;
use schemas::scim::{
    AttrPath, AttributeDef, Attributes, ResourceSchema, Schema, ScimError, Value, echo,
};

use crate::quirks::entra;

pub(crate) use filter::filter;
pub(crate) use rewrite::Rewrite;

/// A body that says what the RFC says, and what was rewritten on the way, each once.
#[derive(Debug)]
pub(crate) struct Tolerated {
    pub(crate) body: Attributes,
    pub(crate) rewrites: Vec<Rewrite>,
}

/// The body of a POST or PUT.
pub(crate) fn resource(
    schema: &ResourceSchema,
    body: Attributes,
    unknown: UnknownSchema,
) -> Result<Tolerated, ScimError> {
    let mut pass = Pass::new(schema, unknown, false);
    pass.check_schemas(&body);
    let body = pass.resource(body);
    pass.done(body)
}

/// The body of a PATCH.
pub(crate) fn patch(
    schema: &ResourceSchema,
    body: Attributes,
    unknown: UnknownSchema,
) -> Result<Tolerated, ScimError> {
    let mut pass = Pass::new(schema, unknown, true);
    let body = pass.patch(body);
    pass.done(body)
}

/// A body on its way through.
struct Pass<'s> {
    schema: &'s ResourceSchema,
    unknown: UnknownSchema,
    /// Whether it is a PATCH, in which one value may stand for a list of one.
    is_change: bool,
    rewrites: Vec<Rewrite>,
    /// The first thing that is refused.
    refused: Option<ScimError>,
}

impl<'s> Pass<'s> {
    const fn new(schema: &'s ResourceSchema, unknown: UnknownSchema, is_change: bool) -> Self {
        Self { schema, unknown, is_change, rewrites: Vec::new(), refused: None }
    }

    fn note(&mut self, rewrite: Rewrite) {
        if !self.rewrites.contains(&rewrite) {
            self.rewrites.push(rewrite);
        }
    }

    fn done(self, body: Attributes) -> Result<Tolerated, ScimError> {
        match self.refused {
            Some(error) => Err(error),
            None => Ok(Tolerated { body, rewrites: self.rewrites }),
        }
    }

    /// The schemas that a resource lists, and those that its names are of.
    fn check_schemas(&mut self, body: &Attributes) {
        let listed = body.get("schemas").and_then(Value::as_list).unwrap_or_default();
        for urn in listed.iter().filter_map(Value::as_str) {
            if !self.knows(entra::schema_urn(urn).unwrap_or(urn)) {
                self.unknown(urn);
            }
        }
        for (name, _) in body.iter() {
            self.check_name(entra::path(name).as_deref().unwrap_or(name));
        }
    }

    /// A name or path with a URN in it. Those of no schema have no colon (RFC 7643 §2.1).
    fn check_name(&mut self, name: &str) {
        if !name.contains(':') {
            return;
        }
        let name = name.split('[').next().unwrap_or_default();
        let of_known = |path: AttrPath| path.urn.is_some_and(|urn| self.knows(&urn));
        if name.contains(':') && !self.knows(name) && !name.parse().is_ok_and(of_known) {
            self.unknown(name);
        }
    }

    fn knows(&self, urn: &str) -> bool {
        urn.eq_ignore_ascii_case(self.schema.core.id) || self.schema.extension(urn).is_some()
    }

    fn unknown(&mut self, urn: &str) {
        match self.unknown {
            UnknownSchema::Ignore => self.note(Rewrite::UnknownSchema),
            UnknownSchema::Reject => {
                self.refused.get_or_insert_with(|| {
                    ScimError::invalid_value(format!(
                        "The schema \"{}\" is not supported; GET /Schemas lists those that are.",
                        echo(urn)
                    ))
                });
            }
        }
    }

    /// Every attribute by its definition, those of extensions too.
    fn resource(&mut self, body: Attributes) -> Attributes {
        let body = self.spelt(body);
        self.unqualified(body).map(|name, value| match (self.schema.extension(name), value) {
            (Some(extension), Value::Complex(parts)) => self.extension(extension, parts).into(),
            (Some(_), value) => value,
            (None, value) => match self.core(name) {
                Some(def) => self.value(def, value),
                None => value,
            },
        })
    }

    /// The names as they are spelt.
    fn spelt(&mut self, body: Attributes) -> Attributes {
        if body.iter().all(|(name, _)| entra::path(name).is_none()) {
            return body;
        }
        let mut spelt = Attributes::new();
        for (name, value) in body {
            // The right spelling may be there as well.
            match entra::path(&name) {
                Some(right) => {
                    self.note(Rewrite::MisspeltSchema);
                    self.put(&mut spelt, &right, value);
                }
                None => self.put(&mut spelt, &name, value),
            }
        }
        spelt
    }

    fn extension(&mut self, extension: &Schema, parts: Attributes) -> Attributes {
        parts.map(|name, value| {
            let def = extension.attributes.iter().find(|def| def.name.eq_ignore_ascii_case(name));
            match def {
                Some(def) => self.value(def, value),
                None => value,
            }
        })
    }

    /// The definition of an attribute of the resource itself.
    fn core(&self, name: &str) -> Option<&'static AttributeDef> {
        let found = self.schema.find(None, name, None)?;
        found.extension.is_none().then_some(found.attribute)
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
