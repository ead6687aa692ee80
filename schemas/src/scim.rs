//! SCIM's own language: attribute trees, schema tables, filters, paths and errors.
//!
//! What a resource *is* (RFC 7643) lives here; what a request *does* to it (PATCH, filter
//! matching) lives in `directory`. Start with [`Attributes`], then [`ResourceSchema`], then
//! [`canonicalise`], which brings the one to the shape of the other.

mod canonical;
mod error;
mod filter;
mod identity;
mod lexer;
mod name;
mod path;
mod pick;
mod schema;
mod shared;
mod tables;
mod tree;

pub use canonical::{
    MEMBERS_MAX, RESOURCE_VALUES_MAX, VALUES_MAX, canonicalise, check_change, coerce, coerce_one,
    instant, member_ids, take_members, without_passwords,
};
pub use error::{DETAIL_MAX, ECHO_MAX, ScimError, ScimType, echo};
pub use filter::{CompareOp, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX, Filter, Literal};
pub use identity::{exact, identity};
pub use name::Name;
pub use path::{AttrPath, PATH_LENGTH_MAX, Path};
pub use schema::{
    AttributeDef, Found, Kind, Mutability, ResourceSchema, Returned, Schema, Uniqueness,
};
pub use shared::SharedAttributes;
pub use tables::{
    COMMON, CORE_GROUP, CORE_USER, ENTERPRISE_USER, GROUP, RESOURCE_TYPE, RESOURCES, SCHEMA,
    SCHEMAS, SERVICE_PROVIDER_CONFIG, USER,
};
pub use tree::{Attributes, DEPTH_MAX, NAMES_MAX, ParseError, Value, parse};

/// The schema of an error body, RFC 7644 §3.12.
pub const ERROR_URN: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// The schema of a list of resources, RFC 7644 §3.4.2.
pub const LIST_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The schema of a PATCH body, RFC 7644 §3.5.2.
pub const PATCH_OP_URN: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The schema of a bulk request, RFC 7644 §3.7.
pub const BULK_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// The schema of the answer to a bulk request, RFC 7644 §3.7.
pub const BULK_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// The schema of a `.search` body, RFC 7644 §3.4.3.
pub const SEARCH_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
