//! What the service can do, in its own words (RFC 7643 §5 to §7, RFC 7644 §4).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::scim::{Attributes, RESOURCES, SCHEMAS, SERVICE_PROVIDER_CONFIG, ScimError, Value};

use crate::auth::Call;
use crate::body::BODY_BYTES_MAX;
use crate::bulk::OPERATIONS_MAX;
use crate::error::Failure;
use crate::http::Ingest;
use crate::query::{COUNT_DEFAULT, COUNT_MAX};
use crate::represent::List;
use crate::respond::answer;

pub(crate) async fn service_provider_config(
    State(_): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    refuse_filter(&call)?;
    let number = |limit: usize| Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
    let supported = |yes: bool| Attributes::from([("supported", yes)]);
    let mut filter = supported(true);
    filter.insert("maxResults", Value::Integer(i64::from(COUNT_MAX)));
    let mut bulk = supported(true);
    bulk.insert("maxOperations", number(OPERATIONS_MAX));
    bulk.insert("maxPayloadSize", number(BODY_BYTES_MAX));
    // RFC 9865 §3. Cursors do not expire, so there is no cursorTimeout.
    let pagination = Attributes::from([
        ("cursor", Value::Bool(true)),
        ("index", Value::Bool(true)),
        ("defaultPaginationMethod", "index".into()),
        ("defaultPageSize", Value::Integer(i64::from(COUNT_DEFAULT))),
        ("maxPageSize", Value::Integer(i64::from(COUNT_MAX))),
    ]);
    let config = Attributes::from([
        ("schemas", Value::List(vec![SERVICE_PROVIDER_CONFIG.id.into()])),
        ("patch", supported(true).into()),
        ("bulk", bulk.into()),
        ("filter", filter.into()),
        ("changePassword", supported(false).into()),
        ("sort", supported(true).into()),
        ("etag", supported(true).into()),
        ("pagination", pagination.into()),
        ("authenticationSchemes", authentication_schemes()),
        ("meta", meta(&call, "ServiceProviderConfig", "ServiceProviderConfig").into()),
    ]);
    Ok(answer(StatusCode::OK, &config))
}

fn authentication_schemes() -> Value {
    let bearer = Attributes::from([
        ("type", "oauthbearertoken"),
        ("name", "OAuth Bearer Token"),
        ("description", "The bearer token of the directory, in the Authorization header."),
        ("specUri", "https://www.rfc-editor.org/info/rfc6750"),
    ]);
    let client = Attributes::from([
        ("type", "oauth2"),
        ("name", "OAuth 2.0 Client Credentials"),
        ("description", "Access tokens from /scim/oauth/token, for the client of the directory."),
        ("specUri", "https://www.rfc-editor.org/info/rfc6749"),
    ]);
    Value::List(vec![bearer.into(), client.into()])
}

pub(crate) async fn resource_types(
    State(_): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    refuse_filter(&call)?;
    Ok(list(resource_type_definitions(&call)))
}

pub(crate) async fn resource_type(
    State(_): State<Ingest>,
    call: Box<Call>,
) -> Result<Response, Failure> {
    one(&call, "ResourceType", resource_type_definitions(&call))
}

pub(crate) async fn schemas(State(_): State<Ingest>, call: Box<Call>) -> Result<Response, Failure> {
    refuse_filter(&call)?;
    Ok(list(schema_definitions(&call)))
}

pub(crate) async fn schema(State(_): State<Ingest>, call: Box<Call>) -> Result<Response, Failure> {
    one(&call, "Schema", schema_definitions(&call))
}

/// RFC 7644 §4: a filter on discovery is refused, everything else about lists is ignored.
fn refuse_filter(call: &Call) -> Result<(), Failure> {
    if call.query.filter.is_some() {
        return Err(ScimError::with_status(403, "Discovery takes no filter.").into());
    }
    Ok(())
}

fn resource_type_definitions(call: &Call) -> Vec<Attributes> {
    let definitions = RESOURCES.iter().map(|resource| {
        let mut definition = resource.definition();
        let place = format!("ResourceTypes/{}", resource.name);
        definition.insert("meta", meta(call, "ResourceType", &place));
        definition
    });
    definitions.collect()
}

fn schema_definitions(call: &Call) -> Vec<Attributes> {
    let definitions = SCHEMAS.iter().map(|schema| {
        let mut definition = schema.definition();
        definition.insert("meta", meta(call, "Schema", &format!("Schemas/{}", schema.id)));
        definition
    });
    definitions.collect()
}

fn meta(call: &Call, kind: &str, place: &str) -> Attributes {
    Attributes::from([
        ("resourceType", kind.to_owned()),
        ("location", format!("{}/{place}", call.base)),
    ])
}

fn list(definitions: Vec<Attributes>) -> Response {
    let total = definitions.len() as u64;
    answer(StatusCode::OK, &List::of(total, definitions).at_index(Some(1)))
}

fn one(call: &Call, what: &str, definitions: Vec<Attributes>) -> Result<Response, Failure> {
    let named = |definition: &Attributes| {
        let id = definition.get("id").and_then(Value::as_str);
        id.is_some_and(|id| id.eq_ignore_ascii_case(call.name()))
    };
    let found = definitions.into_iter().find(named);
    let found = found.ok_or_else(|| Failure::not_found(what, call.name()))?;
    Ok(answer(StatusCode::OK, &found))
}
