//! The names of what is tolerated.

/// What was read as something else than the RFC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rewrite {
    /// `"op": "Replace"`. Entra ID's default job (learn.microsoft.com, "Known issues for SCIM 2.0 protocol
    /// compliance").
    OpInCapitals,
    /// `"True"` and `"False"` for true and false. Entra ID's default job, and its `Switch()` mappings in
    /// lower case (same page; scimmy-routers issue 86).
    BooleanAsText,
    /// Names with dots or URNs in an operation without a path, such as `"name.givenName"`: operations with
    /// paths. Entra ID with `aadOptscim062020` (same page). Names with dots in the body of a POST or PUT: sub-attributes.
    DottedNames,
    /// `urn:…:core:2.0:User:active` for `active` in the body of a POST or PUT, or the attributes of the resource under the
    /// URN of its schema, or `urn:…:acme:2.0:User:badge` of a schema that nobody knows. RFC 7644 §3.10 has such names in paths
    /// and filters.
    QualifiedNames,
    /// `""` for no value. Entra ID clears attributes so (its gallery's "null update" test).
    EmptyText,
    /// `null` for no value. RFC 7643 §2.5 has it so, but RFC 7644 §3.5.2 removes by `remove`, and not every
    /// service takes null there. Entra ID's samples and its gallery's "null update" test.
    NullValue,
    /// A bare identifier, or a list of one, for a reference. Entra ID's `manager` (learn.microsoft.com,
    /// "Develop and plan provisioning for a SCIM endpoint").
    BareReference,
    /// A bare identifier for a member, `["id"]` for `[{"value": "id"}]`. Scripts and gateways; RFC 7643 §4.2
    /// has objects.
    BareMember,
    /// One value for a list of values, in a PATCH (RFC 7644 §3.5.2.1 adds values one by one).
    OneForList,
    /// A role as JSON in a text. Entra ID's `AppRoleAssignmentsComplex` (learn.microsoft.com, "Customize
    /// user provisioning attribute mappings").
    JsonInText,
    /// `…:enterprise:2.0User` for `…:enterprise:2.0:User`. Microsoft's older samples.
    MisspeltSchema,
    /// A schema that this service does not know. Entra ID's `…/ADSCIM/2.0/Group` on groups.
    UnknownSchema,
    /// Values that a remove lists: only those go. Entra ID and JumpCloud remove members so.
    RemoveOfListedValues,
    /// A path in brackets that selects no value makes the one it describes, where the directory has it so.
    /// Entra ID adds and replaces `emails[type eq "work"].value` of users who have none (SCIM-SDK issue
    /// 416); RFC 7644 §3.5.2.3 says `noTarget`.
    ValuePathUpsert,
    /// What is readOnly in an operation without a path is passed over. Okta: see
    /// [`crate::quirks::okta`].
    ReadOnlyWithoutPath,
    /// `managerId` for the `value` of a manager. SCIM 1.1: see [`crate::quirks::onelogin`].
    ManagerId,
    /// An attribute of an extension without its URN, in a path or a filter: RFC 7644 §3.10 wants it. Entra
    /// ID asks `manager eq "…"` before it changes a manager (learn.microsoft.com, "Develop and plan
    /// provisioning for a SCIM endpoint").
    UnqualifiedExtension,
    /// A reference compared as if it were its identifier, `members eq "…"` or `manager eq "…"`: its `value`
    /// is. Entra ID's probes of members and managers (same page).
    ReferenceAsValue,
    /// `+` for a space in a query string, as forms have it and RFC 3986 does not. Entra ID.
    PlusForSpace,
    /// A slash at the end of the path.
    TrailingSlash,
    /// A parameter that this service does not know, such as `aadOptscim062020`.
    UnknownParameter,
}

impl Rewrite {
    /// Its name in the request log and in the metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpInCapitals => "op_in_capitals",
            Self::BooleanAsText => "boolean_as_text",
            Self::DottedNames => "dotted_names",
            Self::QualifiedNames => "qualified_names",
            Self::EmptyText => "empty_text",
            Self::NullValue => "null_value",
            Self::BareReference => "bare_reference",
            Self::BareMember => "bare_member",
            Self::OneForList => "one_for_list",
            Self::JsonInText => "json_in_text",
            Self::MisspeltSchema => "misspelt_schema",
            Self::UnknownSchema => "unknown_schema",
            Self::RemoveOfListedValues => "remove_of_listed_values",
            Self::ValuePathUpsert => "value_path_upsert",
            Self::ReadOnlyWithoutPath => "read_only_without_path",
            Self::ManagerId => "manager_id",
            Self::UnqualifiedExtension => "unqualified_extension",
            Self::ReferenceAsValue => "reference_as_value",
            Self::PlusForSpace => "plus_for_space",
            Self::TrailingSlash => "trailing_slash",
            Self::UnknownParameter => "unknown_parameter",
        }
    }
}
