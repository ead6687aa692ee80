//! The schemas as data: RFC 7643 §4 for resources, §5 to §7 for the service's own description.
//!
//! A table says what the service does and nothing else: whatever is readWrite here can be added,
//! replaced and removed by PATCH.

use super::schema::{AttributeDef, Kind, Mutability, ResourceSchema, Returned, Schema, Uniqueness};

/// What users are.
pub const USER: ResourceSchema = ResourceSchema {
    name: "User",
    endpoint: "/Users",
    core: &CORE_USER,
    extensions: &[&ENTERPRISE_USER],
};

/// What groups are.
pub const GROUP: ResourceSchema =
    ResourceSchema { name: "Group", endpoint: "/Groups", core: &CORE_GROUP, extensions: &[] };

/// All that `/ResourceTypes` lists.
pub const RESOURCES: &[&ResourceSchema] = &[&USER, &GROUP];

/// All that `/Schemas` lists.
pub const SCHEMAS: &[&Schema] =
    &[&CORE_USER, &ENTERPRISE_USER, &CORE_GROUP, &SERVICE_PROVIDER_CONFIG, &RESOURCE_TYPE, &SCHEMA];

/// The attributes of every resource, RFC 7643 §3.1; no schema lists them.
pub const COMMON: &[AttributeDef] = &[
    reference("schemas", "The schemas of the resource.", &["uri"]).multi().exact().always(),
    string("id", "The identifier, given by the service.").exact().read_only().always().unique(),
    string("externalId", "The identifier that the identity provider gave.").exact(),
    complex(
        "meta",
        "What the service knows about the resource itself.",
        &[
            string("resourceType", "The kind of resource.").exact().read_only(),
            of(Kind::DateTime, "created", "When it was created.").read_only(),
            of(Kind::DateTime, "lastModified", "When it last changed.").read_only(),
            reference("location", "Its address.", &["uri"]).exact().read_only(),
            string("version", "Its version, as an entity tag.").exact().read_only(),
        ],
    )
    .read_only(),
];

/// RFC 7643 §4.1.
pub const CORE_USER: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    description: "User Account",
    attributes: &[
        string("userName", "The name to sign in with, unique in the directory.")
            .required()
            .unique(),
        complex("name", "The parts of the person's name.", NAME),
        string("displayName", "The name to show."),
        string("nickName", "The casual name."),
        reference("profileUrl", "The address of the person's profile.", &["external"]).exact(),
        string("title", "The job title."),
        string("userType", "The relation to the organisation, such as Employee."),
        string("preferredLanguage", "The preferred languages, as in Accept-Language."),
        string("locale", "The locale for dates, numbers and currency, such as en-GB."),
        string("timezone", "The time zone, such as Europe/Berlin."),
        of(Kind::Boolean, "active", "Whether the account may be used.").unassigned_is(true),
        string("password", "Accepted, never kept.").exact().write_only(),
        plural("emails", "E-mail addresses.", EMAIL),
        plural("phoneNumbers", "Telephone numbers.", PHONE),
        plural("ims", "Instant messaging addresses.", IM),
        plural("photos", "Addresses of photos.", PHOTO),
        plural("addresses", "Postal addresses.", ADDRESS),
        plural("groups", "The groups the user is a member of.", USER_GROUP).read_only(),
        plural("entitlements", "What the user is entitled to.", PLAIN),
        plural("roles", "The roles of the user.", PLAIN),
        plural("x509Certificates", "Certificates issued to the user.", CERTIFICATE),
    ],
};

/// RFC 7643 §4.3.
pub const ENTERPRISE_USER: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    name: "EnterpriseUser",
    description: "Enterprise User",
    attributes: &[
        string("employeeNumber", "The number or code of the employee."),
        string("costCenter", "The cost centre."),
        string("organization", "The organisation."),
        string("division", "The division."),
        string("department", "The department."),
        complex(
            "manager",
            "The user's manager.",
            &[
                string("value", "The identifier of the manager.").exact(),
                reference("$ref", "The address of the manager.", &["User"]).exact(),
                string("displayName", "The manager's name to show.").read_only(),
            ],
        ),
    ],
};

/// RFC 7643 §4.2.
pub const CORE_GROUP: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name: "Group",
    description: "Group",
    attributes: &[
        string("displayName", "The name of the group.").required(),
        plural(
            "members",
            "The users who belong to the group.",
            &[
                string("value", "The identifier of the user.").exact().immutable(),
                reference("$ref", "The address of the user.", &["User"]).exact().immutable(),
                string("display", "The user's name to show.").read_only(),
                string("type", "The kind of member.").suggested(&["User"]).immutable(),
            ],
        ),
    ],
};

const NAME: &[AttributeDef] = &[
    string("formatted", "The whole name."),
    string("familyName", "The family name."),
    string("givenName", "The given name."),
    string("middleName", "The middle names."),
    string("honorificPrefix", "What stands before the name, such as Dr."),
    string("honorificSuffix", "What stands behind the name, such as III."),
];

const DISPLAY: AttributeDef = string("display", "A text to show.");
const PRIMARY: AttributeDef =
    of(Kind::Boolean, "primary", "Whether it is the preferred one; at most one is.");
const TYPE: AttributeDef = string("type", "What it is used for.");

const PLAIN: &[AttributeDef] = &[string("value", "The value."), DISPLAY, TYPE, PRIMARY];

const EMAIL: &[AttributeDef] = &[
    string("value", "The e-mail address."),
    DISPLAY,
    TYPE.suggested(&["work", "home", "other"]),
    PRIMARY,
];

const PHONE: &[AttributeDef] = &[
    string("value", "The telephone number, kept as given."),
    DISPLAY,
    TYPE.suggested(&["work", "home", "mobile", "fax", "pager", "other"]),
    PRIMARY,
];

const IM: &[AttributeDef] = &[
    string("value", "The address."),
    DISPLAY,
    TYPE.suggested(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
    PRIMARY,
];

const PHOTO: &[AttributeDef] = &[
    reference("value", "The address of the photo.", &["external"]).exact(),
    DISPLAY,
    TYPE.suggested(&["photo", "thumbnail"]),
    PRIMARY,
];

const ADDRESS: &[AttributeDef] = &[
    string("formatted", "The whole address."),
    string("streetAddress", "The street and house number."),
    string("locality", "The city."),
    string("region", "The state or region."),
    string("postalCode", "The postal code."),
    string("country", "The country, in two letters."),
    TYPE.suggested(&["work", "home", "other"]),
    PRIMARY,
];

const USER_GROUP: &[AttributeDef] = &[
    string("value", "The identifier of the group.").exact().read_only(),
    reference("$ref", "The address of the group.", &["Group"]).exact().read_only(),
    string("display", "The group's name to show.").read_only(),
    string("type", "How the user is a member.").suggested(&["direct", "indirect"]).read_only(),
];

const CERTIFICATE: &[AttributeDef] =
    &[of(Kind::Binary, "value", "The certificate, DER in base64.").exact(), DISPLAY, TYPE, PRIMARY];

const DOCUMENTATION_URI: AttributeDef =
    reference("documentationUri", "The address of the documentation.", &["external"])
        .exact()
        .read_only();

const SUPPORTED: AttributeDef =
    of(Kind::Boolean, "supported", "Whether it is supported.").required().read_only();

/// RFC 7643 §5.
pub const SERVICE_PROVIDER_CONFIG: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig",
    name: "ServiceProviderConfig",
    description: "What the service supports.",
    attributes: &[
        DOCUMENTATION_URI,
        complex("patch", "Changes by PATCH.", &[SUPPORTED]).required().read_only(),
        complex(
            "bulk",
            "Many operations in one request.",
            &[
                SUPPORTED,
                whole("maxOperations", "The most operations in one request."),
                whole("maxPayloadSize", "The largest request, in bytes."),
            ],
        )
        .required()
        .read_only(),
        complex(
            "filter",
            "Filters in queries.",
            &[SUPPORTED, whole("maxResults", "The most resources in one answer.")],
        )
        .required()
        .read_only(),
        complex("changePassword", "Changes of passwords.", &[SUPPORTED]).required().read_only(),
        complex("sort", "Sorted answers.", &[SUPPORTED]).required().read_only(),
        complex("etag", "Versions as entity tags.", &[SUPPORTED]).required().read_only(),
        plural(
            "authenticationSchemes",
            "How requests are authenticated.",
            &[
                string("type", "The scheme.")
                    .suggested(&["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"])
                    .required()
                    .read_only(),
                string("name", "Its name.").required().read_only(),
                string("description", "Its description.").required().read_only(),
                reference("specUri", "Its specification.", &["external"]).exact().read_only(),
                DOCUMENTATION_URI,
                PRIMARY.read_only(),
            ],
        )
        .required()
        .read_only(),
    ],
};

/// RFC 7643 §6.
pub const RESOURCE_TYPE: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
    name: "ResourceType",
    description: "A kind of resource and its schemas.",
    attributes: &[
        string("id", "The identifier of the kind.").exact().read_only(),
        string("name", "The name of the kind.").exact().required().read_only(),
        string("description", "What it is.").read_only(),
        reference("endpoint", "Where its resources are.", &["uri"]).exact().required().read_only(),
        reference("schema", "Its core schema.", &["uri"]).exact().required().read_only(),
        plural(
            "schemaExtensions",
            "The extensions its resources may have.",
            &[
                reference("schema", "The extension.", &["uri"]).exact().required().read_only(),
                of(Kind::Boolean, "required", "Whether a resource must have it.")
                    .required()
                    .read_only(),
            ],
        )
        .read_only(),
    ],
};

/// RFC 7643 §7.
pub const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Schema",
    name: "Schema",
    description: "The attributes of a schema.",
    attributes: &[
        string("id", "The URN of the schema.").exact().required().read_only(),
        string("name", "A name for people.").exact().read_only(),
        string("description", "What it describes.").read_only(),
        plural(
            "attributes",
            "The attributes.",
            &[
                CHARACTERISTICS[0],
                CHARACTERISTICS[1],
                CHARACTERISTICS[2],
                CHARACTERISTICS[3],
                CHARACTERISTICS[4],
                CHARACTERISTICS[5],
                CHARACTERISTICS[6],
                CHARACTERISTICS[7],
                CHARACTERISTICS[8],
                CHARACTERISTICS[9],
                CHARACTERISTICS[10],
                plural("subAttributes", "The parts of a complex attribute.", &CHARACTERISTICS)
                    .read_only(),
            ],
        )
        .required()
        .read_only(),
    ],
};

const CHARACTERISTICS: [AttributeDef; 11] = [
    string("name", "The name.").exact().required().read_only(),
    string("type", "The data type.")
        .exact()
        .suggested(&[
            "string",
            "complex",
            "boolean",
            "decimal",
            "integer",
            "dateTime",
            "binary",
            "reference",
        ])
        .required()
        .read_only(),
    of(Kind::Boolean, "multiValued", "Whether it has a list of values.").required().read_only(),
    string("description", "What it means.").read_only(),
    of(Kind::Boolean, "required", "Whether it must be there.").read_only(),
    string("canonicalValues", "The suggested values.").multi().exact().read_only(),
    of(Kind::Boolean, "caseExact", "Whether case matters.").read_only(),
    string("mutability", "Who may change it.")
        .exact()
        .suggested(&["readOnly", "readWrite", "immutable", "writeOnly"])
        .read_only(),
    string("returned", "When it is shown.")
        .exact()
        .suggested(&["always", "never", "default", "request"])
        .read_only(),
    string("uniqueness", "Whether its value must be its own.")
        .exact()
        .suggested(&["none", "server", "global"])
        .read_only(),
    string("referenceTypes", "What a reference may lead to.").multi().exact().read_only(),
];

/// The defaults of RFC 7643 §2.2.
const fn of(kind: Kind, name: &'static str, description: &'static str) -> AttributeDef {
    AttributeDef {
        name,
        kind,
        multi_valued: false,
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        canonical_values: &[],
        reference_types: &[],
        unassigned_is: None,
        sub_attributes: &[],
        description,
    }
}

const fn string(name: &'static str, description: &'static str) -> AttributeDef {
    of(Kind::String, name, description)
}

const fn whole(name: &'static str, description: &'static str) -> AttributeDef {
    of(Kind::Integer, name, description).required().read_only()
}

const fn reference(
    name: &'static str,
    description: &'static str,
    reference_types: &'static [&'static str],
) -> AttributeDef {
    AttributeDef { reference_types, ..of(Kind::Reference, name, description) }
}

const fn complex(
    name: &'static str,
    description: &'static str,
    sub_attributes: &'static [AttributeDef],
) -> AttributeDef {
    AttributeDef { sub_attributes, ..of(Kind::Complex, name, description) }
}

const fn plural(
    name: &'static str,
    description: &'static str,
    sub_attributes: &'static [AttributeDef],
) -> AttributeDef {
    complex(name, description, sub_attributes).multi()
}

impl AttributeDef {
    const fn multi(self) -> Self {
        Self { multi_valued: true, ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn exact(self) -> Self {
        Self { case_exact: true, ..self }
    }

    const fn read_only(self) -> Self {
        Self { mutability: Mutability::ReadOnly, ..self }
    }

    const fn immutable(self) -> Self {
        Self { mutability: Mutability::Immutable, ..self }
    }

    const fn write_only(self) -> Self {
        Self { mutability: Mutability::WriteOnly, returned: Returned::Never, ..self }
    }

    const fn always(self) -> Self {
        Self { returned: Returned::Always, ..self }
    }

    const fn unique(self) -> Self {
        Self { uniqueness: Uniqueness::Server, ..self }
    }

    const fn unassigned_is(self, truth: bool) -> Self {
        Self { unassigned_is: Some(truth), ..self }
    }

    const fn suggested(self, canonical_values: &'static [&'static str]) -> Self {
        Self { canonical_values, ..self }
    }
}
