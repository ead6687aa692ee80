//! What SCIM schemas are made of (RFC 7643 §7), how attributes are found in them, and how they are
//! shown at `/Schemas` and `/ResourceTypes`.

use super::{Attributes, COMMON, Value};

/// One schema: a URN and its attributes.
#[derive(Debug)]
pub struct Schema {
    /// The URN.
    pub id: &'static str,
    /// A name for people.
    pub name: &'static str,
    /// A sentence for people.
    pub description: &'static str,
    /// The attributes.
    pub attributes: &'static [AttributeDef],
}

/// A kind of resource: its core schema and the extensions it may have (RFC 7643 §6).
#[derive(Debug)]
pub struct ResourceSchema {
    /// `User` or `Group`.
    pub name: &'static str,
    /// `/Users` or `/Groups`.
    pub endpoint: &'static str,
    /// The schema whose attributes need no prefix.
    pub core: &'static Schema,
    /// The schemas whose attributes live in an object under their URN.
    pub extensions: &'static [&'static Schema],
}

/// One attribute and its characteristics, RFC 7643 §7 and §2.2.
#[derive(Clone, Copy, Debug)]
pub struct AttributeDef {
    /// The name in its proper case.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Whether it has a list of values.
    pub multi_valued: bool,
    /// Whether it must be there.
    pub required: bool,
    /// Whether case matters when its texts are compared.
    pub case_exact: bool,
    /// Who may change it, and when.
    pub mutability: Mutability,
    /// When it is shown.
    pub returned: Returned,
    /// Whether its value must be its own.
    pub uniqueness: Uniqueness,
    /// The suggested values; others are accepted (RFC 7643 §7).
    pub canonical_values: &'static [&'static str],
    /// What a reference may lead to.
    pub reference_types: &'static [&'static str],
    /// What a boolean counts as in a comparison while it has no value. RFC 7643 leaves to the service what
    /// an attribute means, and so what its absence does.
    pub unassigned_is: Option<bool>,
    /// The parts of a complex attribute.
    pub sub_attributes: &'static [AttributeDef],
    /// A sentence for people.
    pub description: &'static str,
}

/// The data types of RFC 7643 §2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Kind {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Binary,
    Reference,
    Complex,
}

/// Who may change an attribute, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}

/// When an attribute is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Returned {
    Always,
    Never,
    Default,
    Request,
}

/// Whether a value must be its resource's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Uniqueness {
    None,
    Server,
    Global,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The extension whose object holds the attribute; none for the resource itself.
    pub extension: Option<&'static Schema>,
    /// The attribute.
    pub attribute: &'static AttributeDef,
    /// Its sub-attribute, if one was named.
    pub sub: Option<&'static AttributeDef>,
}

impl ResourceSchema {
    /// Finds an attribute, and a sub-attribute if one is named, in any case. Without a URN the core
    /// schema comes first, then the attributes common to all resources, then the extensions: Entra
    /// ID asks for `manager eq "…"` without a prefix.
    #[must_use]
    pub fn find(&self, urn: Option<&str>, attribute: &str, sub: Option<&str>) -> Option<Found> {
        let core = || [self.core.attributes, COMMON].map(|attributes| (None, attributes));
        let extensions = self.extensions.iter().map(|schema| (Some(*schema), schema.attributes));
        let named = |id: &str| urn.is_none_or(|urn| urn.eq_ignore_ascii_case(id));
        let (extension, attribute) = core()
            .into_iter()
            .filter(|_| named(self.core.id))
            .chain(extensions.filter(|(schema, _)| schema.is_some_and(|schema| named(schema.id))))
            .find_map(|(schema, table)| Some((schema, named_in(table, attribute)?)))?;
        match sub {
            None => Some(Found { extension, attribute, sub: None }),
            Some(sub) => Some(Found { extension, attribute, sub: Some(attribute.sub(sub)?) }),
        }
    }

    /// The extension of this URN, in any case.
    #[must_use]
    pub fn extension(&self, urn: &str) -> Option<&'static Schema> {
        self.extensions.iter().copied().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// The resource type as `/ResourceTypes` shows it (RFC 7643 §6), without `meta`.
    #[must_use]
    pub fn definition(&self) -> Attributes {
        let extension = |schema: &&Schema| {
            Value::Complex(Attributes::from([
                ("schema", Value::from(schema.id)),
                ("required", Value::Bool(false)),
            ]))
        };
        let mut definition = Attributes::from([
            ("schemas", Value::List(vec![super::RESOURCE_TYPE.id.into()])),
            ("id", self.name.into()),
            ("name", self.name.into()),
            ("endpoint", self.endpoint.into()),
            ("description", self.core.description.into()),
            ("schema", self.core.id.into()),
        ]);
        if !self.extensions.is_empty() {
            let extensions: Vec<_> = self.extensions.iter().map(extension).collect();
            definition.insert("schemaExtensions", extensions);
        }
        definition
    }
}

impl Schema {
    /// The schema as `/Schemas` shows it (RFC 7643 §7), without `meta`.
    #[must_use]
    pub fn definition(&self) -> Attributes {
        Attributes::from([
            ("schemas", Value::List(vec![super::SCHEMA.id.into()])),
            ("id", self.id.into()),
            ("name", self.name.into()),
            ("description", self.description.into()),
            ("attributes", definitions(self.attributes)),
        ])
    }
}

impl AttributeDef {
    /// The sub-attribute of this name, in any case.
    #[must_use]
    pub fn sub(&self, name: &str) -> Option<&'static Self> {
        named_in(self.sub_attributes, name)
    }

    /// Whether a bare value stands for `{"value": …}` (RFC 7643 §2.4).
    #[must_use]
    pub fn has_value(&self) -> bool {
        self.sub("value").is_some()
    }

    /// The attribute as `/Schemas` shows it. Nothing is null: Entra ID's validation refuses that.
    #[must_use]
    pub fn definition(&self) -> Attributes {
        let mut definition = Attributes::from([
            ("name", Value::from(self.name)),
            ("type", self.kind.as_str().into()),
            ("multiValued", self.multi_valued.into()),
            ("description", self.description.into()),
            ("required", self.required.into()),
            ("caseExact", self.case_exact.into()),
            ("mutability", self.mutability.as_str().into()),
            ("returned", self.returned.as_str().into()),
            ("uniqueness", self.uniqueness.as_str().into()),
        ]);
        let lists =
            [("canonicalValues", self.canonical_values), ("referenceTypes", self.reference_types)];
        for (name, texts) in lists.into_iter().filter(|(_, texts)| !texts.is_empty()) {
            definition
                .insert(name, texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>());
        }
        if !self.sub_attributes.is_empty() {
            definition.insert("subAttributes", definitions(self.sub_attributes));
        }
        definition
    }
}

fn definitions(attributes: &[AttributeDef]) -> Value {
    Value::List(attributes.iter().map(|attribute| attribute.definition().into()).collect())
}

fn named_in(attributes: &'static [AttributeDef], name: &str) -> Option<&'static AttributeDef> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

impl Kind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

impl Mutability {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
            Self::WriteOnly => "writeOnly",
        }
    }
}

impl Returned {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Default => "default",
            Self::Request => "request",
        }
    }
}

impl Uniqueness {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ENTERPRISE_USER, RESOURCES, SCHEMAS, USER};
    use super::*;

    fn no_nulls(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::List(items) => items.iter().all(no_nulls),
            Value::Complex(attributes) => attributes.iter().all(|(_, value)| no_nulls(value)),
            Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) | Value::String(_) => true,
        }
    }

    #[test]
    fn attributes_are_found_in_any_case_with_and_without_their_urn() {
        let found =
            |urn, attribute, sub| USER.find(urn, attribute, sub).map(|found| found.attribute.name);
        assert_eq!(found(None, "USERNAME", None), Some("userName"));
        assert_eq!(found(None, "externalid", None), Some("externalId"));
        assert_eq!(found(None, "manager", Some("VALUE")), Some("manager"));
        assert_eq!(found(Some(ENTERPRISE_USER.id), "Department", None), Some("department"));
        assert_eq!(found(Some(USER.core.id), "department", None), None);
        assert_eq!(found(Some(ENTERPRISE_USER.id), "userName", None), None);
        assert_eq!(found(None, "name", Some("nosuch")), None);
        assert_eq!(found(Some("urn:other:1.0:X"), "userName", None), None);
    }

    #[test]
    fn definitions_have_no_nulls_and_a_description_everywhere() {
        for schema in SCHEMAS {
            assert!(no_nulls(&schema.definition().into()), "{}", schema.id);
            for attribute in schema.attributes {
                assert!(!attribute.description.is_empty(), "{}", attribute.name);
                assert_eq!(attribute.kind == Kind::Complex, !attribute.sub_attributes.is_empty());
                let reference = attribute.kind == Kind::Reference;
                assert_eq!(reference, !attribute.reference_types.is_empty(), "{}", attribute.name);
            }
        }
        for resource in RESOURCES {
            assert!(no_nulls(&resource.definition().into()));
        }
    }
}
