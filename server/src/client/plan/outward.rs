//! The commands about what leaves the house: endpoints, and the keys that open the API and sign.

use http::Method;
use schemas::{EventType, Format};
use serde_json::{Value, json};

use super::post;
use crate::cli::{EndpointCommand, KeyCommand, Outward, Scope, SigningKeyCommand, Status};
use crate::client::request::{Request, Shown};

const ENDPOINTS: &str = "/webhook_endpoints";
const ENDPOINT: &str = "/webhook_endpoints/{id}";

pub(super) fn endpoint(command: EndpointCommand) -> Request {
    match command {
        EndpointCommand::Create { url, events, format, outward } => {
            let events = if events.is_empty() { every() } else { names(events) };
            post(ENDPOINTS, Shown::Object).body(told(Some(url), events, Some(format), outward))
        }
        EndpointCommand::List { page } => {
            let columns = &["id", "endpoint_url", "status", "format", "events"];
            Request::get(ENDPOINTS, Shown::Table(columns)).page(page)
        }
        EndpointCommand::Get { endpoint } => Request::get(ENDPOINT, Shown::Object).id(endpoint),
        EndpointCommand::Update { endpoint, url, events, status, format, outward } => {
            let mut body = told(url, names(events), format, outward);
            body["status"] = status.map(status_name).into();
            Request::new(Method::PATCH, ENDPOINT, Shown::Object).id(endpoint).body(body)
        }
        EndpointCommand::Delete { endpoint } => {
            Request::delete(ENDPOINT, "is deleted; nothing is sent there any more").id(endpoint)
        }
        EndpointCommand::RotateSecret { endpoint, overlap } => {
            post("/webhook_endpoints/{id}/rotate_secret", Shown::Object)
                .id(endpoint)
                .body(json!({ "overlap_seconds": overlap }))
        }
    }
}

/// What an endpoint is told; `null` for what is not mentioned.
fn told(
    url: Option<String>,
    events: Vec<&'static str>,
    format: Option<Format>,
    outward: Outward,
) -> Value {
    let events = if events.is_empty() { Value::Null } else { json!(events) };
    json!({ "endpoint_url": url, "events": events, "format": format.map(Format::name),
        "timeout_seconds": outward.timeout, "ed25519": outward.ed25519 })
}

/// Everything that webhooks may carry.
pub(in crate::client) fn every() -> Vec<&'static str> {
    names(EventType::ALL.iter().copied().filter(|event| event.is_subscribable()))
}

fn names(events: impl IntoIterator<Item = EventType>) -> Vec<&'static str> {
    events.into_iter().map(EventType::name).collect()
}

const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Enabled => "enabled",
        Status::Disabled => "disabled",
    }
}

pub(super) fn key(command: KeyCommand) -> Request {
    match command {
        KeyCommand::Create { name, scope, organization } => {
            let body = json!({ "name": name, "scope": scope_name(scope),
                "organization_id": organization });
            post("/api_keys", Shown::Once("key")).body(body)
        }
        KeyCommand::List { page } => {
            let columns = &["id", "name", "scope", "organization_id", "suffix", "last_used_at"];
            Request::get("/api_keys", Shown::Table(columns)).page(page)
        }
        KeyCommand::Delete { key } => {
            Request::delete("/api_keys/{id}", "is deleted; it opens nothing any more").id(key)
        }
    }
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Full => "full",
        Scope::Read => "read",
        Scope::Audit => "audit",
    }
}

pub(super) fn signing_key(command: SigningKeyCommand) -> Request {
    match command {
        SigningKeyCommand::List => {
            let columns = &["id", "state", "signs_from", "created_at"];
            Request::get("/signing_keys", Shown::Table(columns))
        }
        SigningKeyCommand::Rotate { compromised } => {
            post("/signing_keys", Shown::Object).body(json!({ "compromised": compromised }))
        }
        SigningKeyCommand::Jwks => Request::get("/.well-known/jwks.json", Shown::Object),
    }
}
