//! The operations of a PATCH.

use directory::matching::truth;
use schemas::scim::{
    AttrPath, AttributeDef, Attributes, Filter, Kind, Literal, Path, ResourceSchema, Schema, Value,
};

use super::filter::is_unqualified;
use super::{Pass, Rewrite};
use crate::quirks::{entra, okta};

/// What the path of an operation leads to, as far as values are concerned.
#[derive(Clone, Copy)]
enum Target {
    /// A whole attribute.
    Attribute(&'static AttributeDef),
    /// One value of a list.
    Item(&'static AttributeDef),
    /// An extension.
    Extension(&'static Schema),
    /// The schema of the resource itself.
    Core,
    /// Nothing that a schema knows.
    Unknown,
}

impl Pass<'_> {
    pub(super) fn patch(&mut self, body: Attributes) -> Attributes {
        let entries = body.into_iter().map(|(name, value)| {
            if !name.eq_ignore_ascii_case("Operations") || value.as_list().is_none() {
                return (name, value);
            }
            let operations = value.into_list().into_iter().flat_map(|one| self.operation(one));
            (name, operations.collect::<Vec<_>>().into())
        });
        entries.collect()
    }

    /// One operation may become several.
    fn operation(&mut self, operation: Value) -> Vec<Value> {
        let Value::Complex(mut fields) = operation else { return vec![operation] };
        self.lower_op(&mut fields);
        let op = fields.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
        match fields.get("path").cloned() {
            None | Some(Value::Null) => self.without_path(fields),
            Some(Value::String(path)) => {
                let path = self.path(path);
                fields.insert("path", path.as_str());
                self.with_path(&mut fields, &op, &path);
                vec![fields.into()]
            }
            Some(_) => vec![fields.into()],
        }
    }

    fn lower_op(&mut self, fields: &mut Attributes) {
        let Some(Value::String(op)) = fields.get_mut("op") else { return };
        let lower = op.to_ascii_lowercase();
        if lower != *op && ["add", "replace", "remove"].contains(&lower.as_str()) {
            *op = lower;
            self.note(Rewrite::OpInCapitals);
        }
    }

    fn path(&mut self, path: String) -> String {
        let path = match entra::path(&path) {
            Some(spelt) => {
                self.note(Rewrite::MisspeltSchema);
                spelt
            }
            None => path,
        };
        self.check_name(&path);
        let Ok(parsed) = path.parse() else { return path };
        self.check_qualified(&parsed);
        let Path::Element { attribute, mut filter, sub } = parsed else { return path };
        let def = self.schema.find(attribute.urn.as_deref(), &attribute.attribute, None);
        let changed = def.is_some_and(|found| mend_booleans(&mut filter, found.attribute));
        if !changed {
            return path;
        }
        self.note(Rewrite::BooleanAsText);
        Path::Element { attribute, filter, sub }.to_string()
    }

    fn check_qualified(&mut self, path: &Path) {
        let attribute = match path {
            Path::Attribute(attribute) | Path::Element { attribute, .. } => attribute,
            Path::Extension(_) => return,
        };
        let found = self.schema.find(attribute.urn.as_deref(), &attribute.attribute, None);
        if found.is_some_and(|found| is_unqualified(&found, attribute)) {
            self.note(Rewrite::UnqualifiedExtension);
        }
    }

    fn with_path(&mut self, fields: &mut Attributes, op: &str, path: &str) {
        let target = path.parse().map_or(Target::Unknown, |path| target(self.schema, &path));
        let Some(value) = fields.remove("value") else { return };
        if op == "remove" && value != Value::Null && value.as_str() != Some("") {
            self.note(Rewrite::RemoveOfListedValues);
        }
        let value = self.at(target, value, op);
        fields.insert("value", value);
    }

    /// A value by what the path leads to. `""` where a schema knows the attribute means that it is to have
    /// no value.
    fn at(&mut self, target: Target, value: Value, op: &str) -> Value {
        let clears = value.as_str() == Some("");
        if value == Value::Null {
            if op != "remove" {
                self.note(Rewrite::NullValue);
            }
            return value;
        }
        match target {
            Target::Unknown => value,
            // A list of nothing, not a wish to remove everything.
            Target::Attribute(def) if clears && op == "remove" && def.multi_valued => {
                self.note(Rewrite::EmptyText);
                Vec::new().into()
            }
            Target::Attribute(_) | Target::Item(_) | Target::Extension(_) if clears => {
                self.cleared()
            }
            Target::Attribute(def) if def.name == "members" => self.value(def, value),
            // What a remove lists is compared with what is there.
            Target::Attribute(def) | Target::Item(def) if op == "remove" && def.multi_valued => {
                let mut item = |item: Value| item.map_complex(|parts| self.parts(def, parts));
                if value.as_list().is_some() { value.map_list(item) } else { item(value) }
            }
            Target::Attribute(def) => self.value(def, value),
            Target::Item(def) => self.one_item(def, value),
            Target::Extension(extension) => {
                value.map_complex(|parts| self.extension(extension, parts))
            }
            Target::Core => value.map_complex(|parts| {
                parts.map(|name, value| {
                    let target = self.core(name).map_or(Target::Unknown, Target::Attribute);
                    self.at(target, value, op)
                })
            }),
        }
    }

    /// What replaces one value of a list: the value, or a list of one.
    fn one_item(&mut self, def: &'static AttributeDef, value: Value) -> Value {
        if value.as_list().is_none_or(|items| items.len() != 1) {
            return self.item(def, value);
        }
        self.note(Rewrite::OneForList);
        let item = value.into_list().pop().unwrap_or(Value::Null);
        self.item(def, item)
    }

    /// Names that are paths become operations with paths, in their order.
    fn without_path(&mut self, fields: Attributes) -> Vec<Value> {
        let op = fields.get("op").cloned().unwrap_or(Value::Null);
        let Some(Value::Complex(values)) = fields.get("value") else { return vec![fields.into()] };
        // It has to say where (RFC 7644 §3.5.2.2), and names in a value would be taken for that.
        if op.as_str().is_some_and(|op| op.eq_ignore_ascii_case("remove")) {
            return vec![fields.into()];
        }
        let (mut operations, mut plain) = (Vec::new(), Attributes::new());
        for (name, value) in values.clone() {
            let name = self.path(String::from(name));
            if name.parse().is_ok_and(|path| is_passed_over(self.schema, &path)) {
                self.note(Rewrite::ReadOnlyWithoutPath);
                continue;
            }
            if is_plain(self.schema, &name, &value) {
                // Two spellings of one extension are one.
                self.put(&mut plain, &name, value);
                continue;
            }
            self.note(Rewrite::DottedNames);
            let mut operation =
                Attributes::from([("op", op.clone()), ("path", name.as_str().into())]);
            operation.insert("value", value);
            let text = op.as_str().unwrap_or_default().to_owned();
            self.with_path(&mut operation, &text, &name);
            operations.push(operation.into());
        }
        if !plain.is_empty() || operations.is_empty() {
            let mut fields = fields;
            let plain = self.plain(plain, op.as_str().unwrap_or_default());
            fields.insert("value", plain);
            operations.insert(0, fields.into());
        }
        operations
    }

    fn plain(&mut self, values: Attributes, op: &str) -> Attributes {
        values.map(|name, value| {
            let target = name.parse().map_or(Target::Unknown, |path| target(self.schema, &path));
            self.at(target, value, op)
        })
    }
}

/// `primary eq "True"` becomes `primary eq true`. Whether there was such a thing; depth is bounded where
/// filters are read.
fn mend_booleans(filter: &mut Filter, def: &AttributeDef) -> bool {
    match filter {
        Filter::And(terms) | Filter::Or(terms) => {
            terms.iter_mut().fold(false, |changed, term| mend_booleans(term, def) | changed)
        }
        Filter::Not(inner) => mend_booleans(inner, def),
        Filter::Compare { path, value, .. } => {
            let is_boolean = def.sub(&path.attribute).is_some_and(|sub| sub.kind == Kind::Boolean);
            match (is_boolean, &*value, truth(value)) {
                (true, Literal::String(_), Some(truth)) => {
                    *value = Literal::Bool(truth);
                    true
                }
                _ => false,
            }
        }
        Filter::Present(_) | Filter::Has { .. } => false,
    }
}

/// Whether a name is one of an attribute or of an extension, rather than a path.
fn is_plain(schema: &ResourceSchema, name: &str, value: &Value) -> bool {
    if !name.contains(['.', '[', ':']) || schema.extension(name).is_some() {
        return true;
    }
    // An extension that no schema knows is kept as it is.
    let path: Option<AttrPath> = name.parse().ok();
    let unknown = path.is_some_and(|path| {
        schema.find(path.urn.as_deref(), &path.attribute, path.sub.as_deref()).is_none()
    });
    unknown && name.contains(':') && value.as_complex().is_some()
}

fn is_passed_over(schema: &ResourceSchema, path: &Path) -> bool {
    let Path::Attribute(path) = path else { return false };
    let found = schema.find(path.urn.as_deref(), &path.attribute, None);
    found.is_some_and(|found| okta::is_passed_over(found.attribute))
}

fn target(schema: &ResourceSchema, path: &Path) -> Target {
    let attribute =
        |path: &AttrPath, sub: Option<&str>| schema.find(path.urn.as_deref(), &path.attribute, sub);
    match path {
        Path::Extension(urn) if urn.eq_ignore_ascii_case(schema.core.id) => Target::Core,
        Path::Extension(urn) => schema.extension(urn).map_or(Target::Unknown, Target::Extension),
        Path::Attribute(path) => attribute(path, path.sub.as_deref())
            .map_or(Target::Unknown, |found| {
                Target::Attribute(found.sub.unwrap_or(found.attribute))
            }),
        Path::Element { attribute: path, sub, .. } => {
            attribute(path, sub.as_deref()).map_or(Target::Unknown, |found| match found.sub {
                Some(sub) => Target::Attribute(sub),
                None => Target::Item(found.attribute),
            })
        }
    }
}
