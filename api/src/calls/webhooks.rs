//! Calls about webhook endpoints: what is sent to them, and what became of it.

use super::*;

fn endpoint(required: &[&str], more: Value) -> Value {
    let types: Vec<&str> = EventType::ALL
        .iter()
        .filter(|kind| kind.is_subscribable())
        .map(|kind| kind.name())
        .collect();
    let mut properties = json!({
        // Several brokers with their ports are no URI by RFC 3986, so no format is named.
        "endpoint_url": { "type": "string", "minLength": 1, "maxLength": 2_048, "description":
            "An https URL, which events are posted to, or kafka://host:port,host:port/topic, on brokers that the operator allows." },
        "events": { "type": "array", "minItems": 1, "items": { "anyOf": [{ "enum": types }, { "type": "string", "pattern": "\\*$" }] } },
        "organizations": { "type": "array", "maxItems": 100, "items": { "type": "string" } },
        "directories": { "type": "array", "maxItems": 100, "items": { "type": "string" } },
        "order": { "enum": DeliveryOrder::ALL.map(DeliveryOrder::name) },
        "retry_schedule": { "type": "string" },
        "format": { "enum": Format::ALL.map(Format::name) },
        "timeout_seconds": { "type": "integer", "minimum": 1, "maximum": 30 },
        "client_certificate": { "type": "string", "description": "PEM, with client_certificate_key." },
        "client_certificate_key": { "type": "string" },
        "ed25519": { "type": "boolean" },
    });
    if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), more) {
        properties.extend(more);
    }
    object(required, properties)
}

pub(super) fn endpoints() -> Vec<Call> {
    vec![
        get("/webhook_endpoints", endpoints::list)
            .says("List webhook endpoints.")
            .paged()
            .lists::<endpoints::EndpointBody>(),
        post("/webhook_endpoints", endpoints::create)
            .does(Action::WebhookEndpointCreated)
            .says("Create a webhook endpoint.")
            .takes(endpoint(&["endpoint_url"], json!({
                "kind": { "enum": EndpointKind::ALL.map(EndpointKind::name) },
                "start": { "type": "string" },
            })))
            .answers::<endpoints::EndpointBody>(CREATED),
        get("/webhook_endpoints/{id}", endpoints::get)
            .says("Get a webhook endpoint and its health.")
            .answers::<endpoints::EndpointBody>(OK),
        patch("/webhook_endpoints/{id}", endpoints::update)
            .does(Action::WebhookEndpointUpdated)
            .says("Change a webhook endpoint; what is not mentioned stays.")
            .takes(endpoint(&[], json!({ "status": { "enum": ["enabled", "disabled"] } })))
            .answers::<endpoints::EndpointBody>(OK),
        post("/webhook_endpoints/{id}/rotate_secret", outward::rotate_secret)
            .does(Action::WebhookEndpointSecretRotated)
            .says("Replace the signing secret; both sign during the overlap.")
            .takes(object(
                &[],
                json!({ "overlap_seconds":
                { "type": "integer", "minimum": 0, "maximum": 2_592_000, "default": 86_400 } }),
            ))
            .answers::<endpoints::EndpointBody>(OK),
        get("/webhook_endpoints/{id}/deliveries", deliveries::list)
            .says("The attempts of an endpoint, newest first.")
            .paged()
            .text("event", "Those of events of this type, or of the event with this id.")
            .query("status", attempt_status(), "Those that ended so, or were answered with this HTTP status.")
            .text("resource", "Those of events about this user or group.")
            .time("since", "Those made at this time or later.")
            .time("until", "Those made at this time or earlier.")
            .lists::<deliveries::AttemptBody>(),
        post("/webhook_endpoints/{id}/replay", replays::create)
            .does(Action::ReplayCreated)
            .says("Send a range of events once more, in order, or one event.")
            .takes(replay())
            .answers_as(ACCEPTED, |_| {
                json_schema!({ "type": "object", "required": ["replay_id", "events"], "properties": {
                    "replay_id": { "type": "string" }, "events": { "type": "integer" } } })
            }),
        get("/webhook_endpoints/{id}/replays", replays::list)
            .says("The replays of an endpoint.")
            .paged()
            .lists::<replays::ReplayBody>(),
        get("/webhook_endpoints/{id}/replays/{replay_id}", replays::get)
            .says("How far a replay has come.")
            .answers::<replays::ReplayBody>(OK),
        delete("/webhook_endpoints/{id}/replays/{replay_id}", replays::cancel)
            .does(Action::ReplayCancelled)
            .says("End a replay.")
            .done(NO_CONTENT),
        post("/webhook_endpoints/{id}/test", trials::send)
            .does(Action::WebhookEndpointTested)
            .says("Send a signed sample, and see what came back.")
            .takes(object(&["event"], json!({ "event": { "type": "string" } })))
            .answers::<trials::TrialBody>(OK),
        delete("/webhook_endpoints/{id}", endpoints::delete)
            .does(Action::WebhookEndpointDeleted)
            .says("Delete a webhook endpoint.")
            .done(NO_CONTENT),
    ]
}

fn attempt_status() -> Value {
    json!({ "anyOf": [
        { "enum": ["delivered", "failed", "exhausted"] },
        { "type": "integer", "minimum": 100, "maximum": 599 },
    ] })
}

fn replay() -> Value {
    object(
        &[],
        json!({
            "event_id": { "type": "string" },
            "from": { "type": "string", "description": "A time or the id of an event." },
            "to": { "type": "string", "description": "A time or the id of an event." },
            "directory": { "type": "string" },
            "events": { "type": "array", "minItems": 1, "items": { "type": "string" } },
            "rate": { "type": "integer", "minimum": 1, "maximum": 1_000, "default": 100 },
        }),
    )
}
