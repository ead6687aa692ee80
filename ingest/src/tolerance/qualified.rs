//! Names that are paths, in the body of a POST or PUT.
//!
//! RFC 7644 §3.10 writes `urn:ietf:params:scim:schemas:core:2.0:User:active` for `active`, in paths and filters. Who writes it
//! in a body means the same, and who puts the attributes of the resource under the URN of its schema treats that like an
//! extension. `name.givenName` is a path just as well: no name has a dot (RFC 7643 §2.1). Left as they are, all these would be
//! attributes that nobody knows: `active` would not deactivate, and a PATCH of that path would make a second copy.

use schemas::scim::{AttrPath, Attributes, Kind, ScimError, ScimType, Value, echo};

use super::{Pass, Rewrite};

/// Where something belongs whose name is a path.
enum Place {
    /// Its parts are attributes of the resource.
    Core,
    /// Under these names, each within the one before.
    At(Vec<String>),
}

impl Pass<'_> {
    /// Every attribute where its schema has it.
    pub(super) fn unqualified(&mut self, body: Attributes) -> Attributes {
        if body.iter().all(|(name, value)| self.place(name, value).is_none()) {
            return body;
        }
        let (mut placed, mut paths) = (Attributes::new(), Vec::new());
        for (name, value) in body {
            match self.place(&name, &value) {
                None => self.put(&mut placed, &name, value),
                Some(Place::Core) => {
                    self.note(Rewrite::QualifiedNames);
                    self.put_all(&mut placed, value);
                }
                Some(Place::At(names)) => {
                    let dotted = name.rsplit(':').next().is_some_and(|name| name.contains('.'));
                    self.note(if dotted { Rewrite::DottedNames } else { Rewrite::QualifiedNames });
                    paths.push((names, value));
                }
            }
        }
        // Last, so that what they are parts of is there as a whole.
        for (names, value) in paths {
            self.put_at(&mut placed, &names, value);
        }
        placed
    }

    /// `None` for what stands where it belongs.
    fn place(&self, name: &str, value: &Value) -> Option<Place> {
        if !name.contains([':', '.']) || self.schema.extension(name).is_some() {
            return None;
        }
        if name.eq_ignore_ascii_case(self.schema.core.id) {
            return value.as_complex().map(|_| Place::Core);
        }
        let path: AttrPath = name.parse().ok()?;
        if !self.holds(&path, value) {
            return None;
        }
        let AttrPath { urn, attribute, sub } = path;
        let urn = urn.filter(|urn| !urn.eq_ignore_ascii_case(self.schema.core.id));
        // One spelling, as there may be several of them.
        let urn = urn.map(|urn| self.schema.extension(&urn).map_or(urn, |known| known.id.into()));
        Some(Place::At(urn.into_iter().chain([attribute]).chain(sub).collect()))
    }

    /// Whether there can be such a value at the path.
    fn holds(&self, path: &AttrPath, value: &Value) -> bool {
        let urn = path.urn.as_deref();
        // What no schema knows may as well be the URN of an extension, if its value can be one.
        if urn.is_some_and(|urn| !self.knows(urn))
            && (value.is_absent() || value.as_complex().is_some())
        {
            return false;
        }
        match self.schema.find(urn, &path.attribute, None) {
            Some(found) if path.sub.is_some() => {
                let is_one = !found.attribute.multi_valued && found.attribute.kind == Kind::Complex;
                // Without its URN `manager` is no attribute of the resource in a body.
                is_one && (urn.is_some() || found.extension.is_none())
            }
            Some(_) | None => true,
        }
    }

    fn put_all(&mut self, placed: &mut Attributes, values: Value) {
        let Value::Complex(values) = values else { return };
        for (name, value) in values {
            self.put(placed, &name, value);
        }
    }

    fn put_at(&mut self, placed: &mut Attributes, names: &[String], value: Value) {
        let (name, inner) = match names {
            [] => return,
            [name] => return self.put(placed, name, value),
            [name, inner @ ..] => (name, inner),
        };
        if placed.get(name).is_none_or(Value::is_absent) {
            placed.insert(name.as_str(), Attributes::new());
        }
        match placed.get_mut(name).and_then(Value::as_complex_mut) {
            Some(parts) => self.put_at(parts, inner, value),
            None if value.is_absent() => {}
            None => self.refuse_twice(name),
        }
    }

    /// What is there twice is refused, as it is where names differ in case alone, unless both say the same or one of them
    /// nothing.
    pub(super) fn put(&mut self, placed: &mut Attributes, name: &str, value: Value) {
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
            _ => self.refuse_twice(name),
        }
    }

    fn refuse_twice(&mut self, name: &str) {
        self.refused.get_or_insert_with(|| {
            let detail = format!(
                "The attribute \"{}\" is there twice, under two spellings of its name and with different values; send it once.",
                echo(name)
            );
            ScimError::new(ScimType::InvalidSyntax, detail)
        });
    }
}
