//! The routes, and what every answer has in common.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use schemas::scim::ScimError;
use serde::Serialize;

use crate::error::Failure;
use crate::ports::Replica;
use crate::writer::Writers;
use crate::{discovery, groups, lists, users};

/// The media type of everything SCIM (RFC 7644 §8.1).
pub(crate) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// What the SCIM service is made of.
#[derive(Clone)]
pub struct Ingest {
    /// The projection.
    pub replica: Arc<dyn Replica>,
    /// The way into the log.
    pub writers: Arc<Writers>,
    /// Where identity providers reach this installation, without a slash at the end.
    pub public_url: Arc<str>,
}

/// The SCIM service as a router. It answers everything under `/scim/v2.0/{endpoint_id}`.
pub fn router(ingest: Ingest) -> Router {
    let routes = Router::new();
    let routes = both(routes, "/Users", get(lists::users).post(users::create));
    let routes = both(
        routes,
        "/Users/{id}",
        get(users::get).put(users::replace).patch(users::patch).delete(users::delete),
    );
    let routes = both(routes, "/Groups", get(lists::groups).post(groups::create));
    let routes = both(
        routes,
        "/Groups/{id}",
        get(groups::get).put(groups::replace).patch(groups::patch).delete(groups::delete),
    );
    let routes = both(routes, "/Users/.search", post(lists::search_users));
    let routes = both(routes, "/Groups/.search", post(lists::search_groups));
    let routes = both(routes, "/.search", post(lists::search_everything));
    let routes = routes.route("/", get(lists::everything));
    let routes = both(routes, "/ServiceProviderConfig", get(discovery::service_provider_config));
    let routes = both(routes, "/ResourceTypes", get(discovery::resource_types));
    let routes = both(routes, "/ResourceTypes/{id}", get(discovery::resource_type));
    let routes = both(routes, "/Schemas", get(discovery::schemas));
    let routes = both(routes, "/Schemas/{id}", get(discovery::schema));
    let routes = unsupported(routes)
        .method_not_allowed_fallback(async || {
            Failure::from(ScimError::with_status(405, "This method is not supported here."))
        })
        .fallback(async || {
            Failure::from(ScimError::with_status(
                404,
                "There is no such place; users are at /Users and groups at /Groups.",
            ))
        })
        .with_state(ingest);
    Router::new().nest("/scim/v2.0/{endpoint_id}", routes)
}

/// Some clients end every path with a slash.
fn both(routes: Router<Ingest>, path: &str, method: MethodRouter<Ingest>) -> Router<Ingest> {
    routes.route(path, method.clone()).route(&format!("{path}/"), method)
}

/// What RFC 7644 defines and this service does not do; `/ServiceProviderConfig` says so too.
fn unsupported(routes: Router<Ingest>) -> Router<Ingest> {
    let refuse = async || {
        let detail = "This service does not support this; see /ServiceProviderConfig.";
        Failure::from(ScimError::with_status(501, detail))
    };
    both(routes, "/Bulk", post(refuse))
        .route("/Me", get(refuse).post(refuse).put(refuse).patch(refuse).delete(refuse))
}

/// An answer with a SCIM body.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("trees and numbers are always JSON");
    (status, [(CONTENT_TYPE, SCIM_JSON)], Body::from(bytes)).into_response()
}

/// The answer to a create: the resource, and where it is (RFC 7644 §3.3).
pub(crate) fn created(location: &str, body: &impl Serialize) -> Response {
    let mut response = answer(StatusCode::CREATED, body);
    let location = HeaderValue::from_str(location).expect("a URL of ours is plain ASCII");
    response.headers_mut().insert(LOCATION, location);
    response
}
