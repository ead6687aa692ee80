//! The commands about what leaves the house: endpoints, and the keys that open the API and sign.

use http::Method;
use schemas::Format;
use serde_json::{Value, json};

use super::post;
use crate::cli::{
    EndpointCommand, KeyCommand, Outward, Pem, ReplayCommand, Scope, SigningKeyCommand, Status,
};
use crate::client::request::{Request, Shown};

const ENDPOINTS: &str = "/webhook_endpoints";
const ENDPOINT: &str = "/webhook_endpoints/{id}";

pub(super) fn endpoint(command: EndpointCommand) -> Request {
    match command {
        EndpointCommand::Create { new, outward } => {
            let mut body = new.body();
            tell(&mut body, &outward);
            post(ENDPOINTS, Shown::Object).body(body)
        }
        EndpointCommand::Deliveries { endpoint, event, status, resource, since, until, page } => {
            let columns =
                &["at", "event", "event_id", "attempt", "status", "response_status", "failure"];
            let list = Request::get("/webhook_endpoints/{id}/deliveries", Shown::Table(columns));
            let list = list.id(endpoint).page(page).with("event", event).with("status", status);
            list.with("resource", resource).with("since", since).with("until", until)
        }
        EndpointCommand::Test { endpoint, event } => {
            post("/webhook_endpoints/{id}/test", Shown::Object)
                .id(endpoint)
                .body(json!({ "event": event }))
        }
        EndpointCommand::Replay(command) => replay(command),
        EndpointCommand::List { page } => {
            let columns = &["id", "endpoint_url", "status", "format", "events"];
            Request::get(ENDPOINTS, Shown::Table(columns)).page(page)
        }
        EndpointCommand::Get { endpoint } => Request::get(ENDPOINT, Shown::Object).id(endpoint),
        EndpointCommand::Update {
            endpoint,
            url,
            events,
            status,
            format,
            no_client_certificate,
            outward,
        } => {
            let mut body = told(url, &events, format);
            tell(&mut body, &outward);
            body["status"] = status.map(status_name).into();
            let update = Request::new(Method::PATCH, ENDPOINT, Shown::Object).id(endpoint);
            let update = update.body(body);
            if no_client_certificate { update.without("client_certificate") } else { update }
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
fn told(url: Option<String>, events: &[String], format: Option<Format>) -> Value {
    let events = if events.is_empty() { Value::Null } else { json!(events) };
    json!({ "endpoint_url": url, "events": events, "format": format.map(Format::name) })
}

fn tell(body: &mut Value, outward: &Outward) {
    let text = |pem: &Option<Pem>| pem.as_ref().map(Pem::expose).into();
    body["timeout_seconds"] = json!(outward.timeout);
    body["ed25519"] = json!(outward.ed25519);
    body["client_certificate"] = text(&outward.client_certificate);
    body["client_certificate_key"] = text(&outward.client_key);
}

fn replay(command: ReplayCommand) -> Request {
    const REPLAY: &str = "/webhook_endpoints/{id}/replays/{replay_id}";
    match command {
        ReplayCommand::Start { endpoint, event_id, from, to, directory, events, rate } => {
            let events = if events.is_empty() { Value::Null } else { json!(events) };
            post("/webhook_endpoints/{id}/replay", Shown::Object).id(endpoint).body(json!({
                "event_id": event_id, "from": from, "to": to, "directory": directory,
                "events": events, "rate": rate,
            }))
        }
        ReplayCommand::List { endpoint, page } => {
            let columns = &["id", "status", "events", "delivered", "exhausted", "created_at"];
            let list = Request::get("/webhook_endpoints/{id}/replays", Shown::Table(columns));
            list.id(endpoint).page(page)
        }
        ReplayCommand::Get { endpoint, replay } => {
            Request::get(REPLAY, Shown::Object).id(endpoint).id(replay)
        }
        ReplayCommand::Cancel { endpoint, replay } => {
            Request::delete(REPLAY, "is ended; what it has sent stays sent").id(endpoint).id(replay)
        }
    }
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
