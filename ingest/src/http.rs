//! The routes, and what every answer has in common.

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, any, get, post};
use schemas::Edge;
use schemas::scim::ScimError;

use crate::auth::Call;
use crate::error::Failure;
use crate::limits::Limits;
use crate::media::negotiate;
use crate::ports::Replica;
use crate::request_log::{RequestLog, noted};
use crate::resources::Kind;
use crate::writer::Writers;
use crate::{bulk, discovery, lists};

/// Where a directory is reached.
const ENDPOINT: &str = "/scim/v2.0/{endpoint_id}";

/// What the SCIM service is made of.
pub struct Wiring {
    /// The projection.
    pub replica: Arc<dyn Replica>,
    /// The way into the log.
    pub writers: Arc<Writers>,
    /// Where identity providers reach this installation, without a slash at the end.
    pub public_url: Arc<str>,
    /// How often a directory may be asked.
    pub limits: Arc<Limits>,
    /// What was asked.
    pub request_log: RequestLog,
    /// The clock.
    pub edge: Arc<dyn Edge>,
}

/// The same, as handlers share it: one count to touch for each of the many times a request passes
/// them on.
#[derive(Clone)]
pub(crate) struct Ingest(Arc<Wiring>);

impl Deref for Ingest {
    type Target = Wiring;

    fn deref(&self) -> &Wiring {
        &self.0
    }
}

/// The SCIM service as a router. It answers everything under `/scim/v2.0/{endpoint_id}`.
pub fn router(wiring: Wiring) -> Router {
    let ingest = Ingest(Arc::new(wiring));
    let routes = both(Router::new(), "", get(lists::everything));
    let routes = resources(routes, Kind::User, get(lists::users));
    let routes = resources(routes, Kind::Group, get(lists::groups));
    let routes = both(routes, "/Users/.search", post(lists::search_users));
    let routes = both(routes, "/Groups/.search", post(lists::search_groups));
    let routes = both(routes, "/.search", post(lists::search_everything));
    let routes = both(routes, "/Bulk", post(bulk::bulk));
    let routes = both(routes, "/ServiceProviderConfig", get(discovery::service_provider_config));
    let routes = both(routes, "/ResourceTypes", get(discovery::resource_types));
    let routes = both(routes, "/ResourceTypes/{id}", get(discovery::resource_type));
    let routes = both(routes, "/Schemas", get(discovery::schemas));
    let routes = both(routes, "/Schemas/{id}", get(discovery::schema));
    let routes = unsupported(routes)
        .route(&format!("{ENDPOINT}/{{*rest}}"), any(nowhere))
        .method_not_allowed_fallback(no_method);
    let routes = noted(routes, ingest.clone()).with_state(ingest);
    let others = ELSEWHERE.iter().fold(Router::new(), |all, path| all.route(path, any(elsewhere)));
    routes.merge(others.layer(middleware::from_fn(negotiate)))
}

/// The caller is looked at first: nobody is told what there is behind an endpoint.
async fn nowhere(_: Box<Call>) -> Failure {
    let detail = "There is no such place; users are at /Users and groups at /Groups.";
    ScimError::with_status(404, detail).into()
}

/// Where people look for the SCIM service who have left out a part of its address. What is longer is the
/// business of an endpoint, whether or not it exists.
const ELSEWHERE: &[&str] =
    &["/scim", "/scim/", "/scim/v2.0", "/scim/v2.0/", "/scim/v2", "/scim/v2/{*rest}"];

async fn elsewhere() -> Failure {
    let detail = "There is no SCIM endpoint at this address; a whole one is …/scim/v2.0/{endpoint_id}, as shown \
                  with the directory.";
    ScimError::with_status(404, detail).into()
}

/// The caller is looked at first, so that the directory's request log has it.
async fn no_method(_: Box<Call>) -> Failure {
    ScimError::with_status(405, "This method is not supported here.").into()
}

/// The routes of one kind of resource.
fn resources(routes: Router<Ingest>, kind: Kind, list: MethodRouter<Ingest>) -> Router<Ingest> {
    use crate::resources::{create, delete, get as read, patch, replace};
    let path = kind.schema().endpoint;
    let all = list.post(move |state, call, body| create(kind, state, call, body));
    let one = get(move |state, call| read(kind, state, call))
        .put(move |state, call, body| replace(kind, state, call, body))
        .patch(move |state, call, body| patch(kind, state, call, body))
        .delete(move |state, call| delete(kind, state, call));
    both(both(routes, path, all), &format!("{path}/{{id}}"), one)
}

/// The `{endpoint_id}` in `/scim/v2.0/{endpoint_id}/…`, as it is written.
pub(crate) fn endpoint_in(path: &str) -> &str {
    path.split('/').nth(3).unwrap_or_default()
}

/// What stands in a path behind `/scim/v2.0/{endpoint_id}`.
pub(crate) fn behind_endpoint(path: &str) -> &str {
    let behind = path.match_indices('/').nth(3).map_or("", |(at, _)| &path[at..]);
    if behind.is_empty() { "/" } else { behind }
}

/// Some clients end every path with a slash.
fn both(routes: Router<Ingest>, path: &str, method: MethodRouter<Ingest>) -> Router<Ingest> {
    let path = format!("{ENDPOINT}{path}");
    routes.route(&path, method.clone()).route(&format!("{path}/"), method)
}

/// What RFC 7644 defines and this service does not do; `/ServiceProviderConfig` says so too.
fn unsupported(routes: Router<Ingest>) -> Router<Ingest> {
    let refuse = async |_: Box<Call>| {
        let detail = "This service does not support this; see /ServiceProviderConfig.";
        Failure::from(ScimError::with_status(501, detail))
    };
    let all = get(refuse).post(refuse).put(refuse).patch(refuse).delete(refuse);
    routes.route(&format!("{ENDPOINT}/Me"), all)
}
