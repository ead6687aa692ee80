//! Webhook endpoints.

use api::ports::{Delivering, LastError, Start};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use schemas::{EventId, Timestamp};
use serde_json::{Value, json};

use crate::world::{Answer, NOW, World, id};

const TIME: &str = "2026-03-02T10:15:30.123Z";
const URL: &str = "https://app.example/hooks";

async fn create(world: &World) -> Answer {
    let body = json!({ "endpoint_url": URL, "events": ["dsync.user.created"] });
    world.post("/webhook_endpoints", body).await
}

#[tokio::test]
async fn an_endpoint_shows_its_secret_on_every_read() {
    let world = World::new();
    let created = create(&world).await;
    let shown = created.json();
    let secret = shown["secret"].as_str().unwrap();
    assert_eq!(secret.len(), "whsec_".len() + 44);
    created.is(
        201,
        &json!({
            "object": "webhook_endpoint", "id": shown["id"], "endpoint_url": URL,
            "secret": secret, "status": "enabled", "events": ["dsync.user.created"],
            "format": "webhook", "kind": "directory", "organizations": [], "directories": [],
            "order": "resource", "retry_schedule": null, "created_at": TIME, "updated_at": TIME,
            "timeout_seconds": null, "client_certificate": null, "public_key": null,
            "previous_secret_until": null,
        }),
    );
    assert_eq!(world.get("/webhook_endpoints").await.json()["data"], json!([shown]));

    let path = format!("/webhook_endpoints/{}", shown["id"].as_str().unwrap());
    let mut one = world.get(&path).await.json();
    let health = one.as_object_mut().unwrap().remove("health").unwrap();
    assert_eq!(one, shown);
    assert_eq!(
        health,
        json!({
            "state": "healthy", "lag_events": 0, "lag_seconds": 0, "success_rate": null,
            "last_error": null, "failing_since": null, "disabled_reason": null,
        })
    );
}

#[tokio::test]
async fn health_tells_what_is_wrong() {
    let world = World::new();
    let path =
        format!("/webhook_endpoints/{}", create(&world).await.json()["id"].as_str().unwrap());
    let past = Timestamp::from_millis(NOW - 90_500);
    world.fake.state().delivering = Delivering {
        lag_events: 12,
        oldest_waiting: Some(past),
        attempts: 3,
        delivered: 2,
        failing_since: Some(past),
        failed_in_a_row: 40,
        last_error: Some(LastError {
            at: past,
            event_id: EventId::from_bits(id(5)),
            failure: "status".to_owned(),
            status: Some(503),
        }),
        disabled_reason: None,
        is_paused: false,
    };
    let health = world.get(&path).await.json()["health"].clone();
    assert_eq!(health["state"], "failing");
    assert_eq!(health["lag_events"], 12);
    assert_eq!(health["lag_seconds"], 90);
    assert_eq!(health["success_rate"], 0.6666);
    let error = &health["last_error"];
    assert_eq!((&error["failure"], &error["status"]), (&json!("status"), &json!(503)));

    // A bad event or two say nothing of the endpoint.
    world.fake.state().delivering.failed_in_a_row = 4;
    let health = world.get(&path).await.json()["health"].clone();
    assert_eq!(
        (&health["state"], &health["last_error"]["status"]),
        (&json!("healthy"), &json!(503))
    );
    world.fake.state().delivering.failed_in_a_row = 5;
    assert_eq!(world.get(&path).await.json()["health"]["state"], "failing");

    world.fake.state().delivering.is_paused = true;
    assert_eq!(world.get(&path).await.json()["health"]["state"], "paused");
    let off = json!({ "status": "disabled" }).to_string();
    assert_eq!(world.send(Method::PATCH, &path, off).await.json()["status"], "disabled");
    assert_eq!(world.get(&path).await.json()["health"]["state"], "disabled");
}

#[tokio::test]
async fn what_is_not_given_stays_as_it_is() {
    let world = World::new();
    let created = create(&world).await.json();
    let path = format!("/webhook_endpoints/{}", created["id"].as_str().unwrap());
    let change = json!({ "events": ["dsync.deleted", "dsync.deleted"] }).to_string();
    let changed = world.send(Method::PATCH, &path, change).await;
    assert_eq!(changed.status, StatusCode::OK);
    let changed = changed.json();
    assert_eq!(changed["events"], json!(["dsync.deleted"]));
    assert_eq!(changed["endpoint_url"], URL);
    assert_eq!(changed["secret"], created["secret"]);
    assert_eq!(world.delete(&path).await.status, StatusCode::NO_CONTENT);
    let gone = world.delete(&path).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(gone.json()["code"], "entity_not_found");
}

#[tokio::test]
async fn without_events_an_endpoint_gets_all_that_webhooks_carry() {
    let world = World::new();
    let created = world.post("/webhook_endpoints", json!({ "endpoint_url": URL })).await.json();
    assert_eq!(created["events"].as_array().map(Vec::len), Some(10));
}

#[tokio::test]
async fn an_endpoint_chooses_its_format_and_may_choose_again() {
    let world = World::new();
    let body = json!({ "endpoint_url": URL, "format": "scim_set" });
    let created = world.post("/webhook_endpoints", body).await.json();
    assert_eq!(created["format"], "scim_set");
    let path = format!("/webhook_endpoints/{}", created["id"].as_str().unwrap());
    let patch = async |change: Value| world.send(Method::PATCH, &path, change.to_string()).await;
    assert_eq!(
        patch(json!({ "events": ["dsync.user.created"] })).await.json()["format"],
        "scim_set"
    );
    assert_eq!(patch(json!({ "format": "webhook" })).await.json()["format"], "webhook");
    for unknown in [json!("set"), json!(7)] {
        let refused = patch(json!({ "format": unknown })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        let refused = refused.json();
        assert_eq!(refused["code"], "invalid_request_parameters");
        let message = "format must be one of webhook, scim_set.";
        let error = json!({ "code": "invalid", "field": "format", "message": message });
        assert_eq!(refused["errors"], json!([error]));
    }
    assert_eq!(world.get(&path).await.json()["format"], "webhook");
}

#[tokio::test]
async fn anyone_may_read_what_tokens_are_checked_with_and_keep_it_for_an_hour() {
    let world = World::new();
    let request = Request::get("/.well-known/jwks.json").body(Body::empty()).unwrap();
    let answer = world.send_request(request).await;
    assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
    assert_eq!(answer.headers["cache-control"], "public, max-age=3600");
    let keys: Value = serde_json::from_str(&answer.text).unwrap();
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "thumbprint", "x": "key",
    });
    assert_eq!(keys, json!({ "keys": [key] }));
}

#[tokio::test]
async fn a_bad_endpoint_is_refused_in_the_form_that_sdks_read() {
    let world = World::new();
    create(&world).await;
    create(&world).await.is(
        409,
        &json!({
            "code": "duplicate_endpoint",
            "message": "A webhook endpoint with this URL exists already.",
        }),
    );
    let body = json!({ "endpoint_url": "http://app.example", "events": ["dsync.deleted"] });
    world
        .post("/webhook_endpoints", body)
        .await
        .is(422, &json!({ "code": "invalid_url", "message": "must be https" }));
    // Tokens and pending members are for the events API alone.
    let events = json!(["dsync.token.created", "dsync.group.pending_member_added", 7]);
    let body = json!({ "endpoint_url": URL, "events": events });
    let answer = world.post("/webhook_endpoints", body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = answer.json();
    assert_eq!(answer["code"], "invalid_request_parameters");
    let codes = answer["errors"].as_array().unwrap().iter().map(|error| &error["code"]);
    assert_eq!(codes.collect::<Vec<&Value>>(), ["unknown_event_type"; 3]);
    let answer = world.post("/webhook_endpoints", json!({ "events": [] })).await.json();
    assert_eq!(answer["errors"][0]["field"], "endpoint_url");
    assert_eq!(answer["errors"][1]["field"], "events");
}

async fn fields_of(world: &World, body: Value) -> Vec<String> {
    let refused = world.post("/webhook_endpoints", body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let errors = refused.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_endpoint_chooses_what_it_gets_and_when() {
    let world = World::new();
    let organization = world.organization("Acme").await;
    let directory = world.directory(&organization, "Okta").await;
    let body = json!({
        "endpoint_url": URL, "events": ["dsync.user.*", "dsync.user.created", "dsync.deleted"],
        "organizations": [organization], "directories": [directory, directory],
        "order": "directory", "retry_schedule": "1s, 90s", "start": "2026-01-01T00:00:00Z",
    });
    let created = world.post("/webhook_endpoints", body).await.json();
    let types = ["dsync.user.created", "dsync.user.updated", "dsync.user.deleted", "dsync.deleted"];
    assert_eq!(created["events"], json!(types));
    assert_eq!(created["organizations"], json!([organization]));
    assert_eq!(created["directories"], json!([directory]));
    assert_eq!(created["order"], "directory");
    assert_eq!(created["retry_schedule"], "1s,90s");
    let start = Start::At("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(world.fake.state().start, start);

    let path = format!("/webhook_endpoints/{}", created["id"].as_str().unwrap());
    let patch = async |change: Value| world.send(Method::PATCH, &path, change.to_string()).await;
    let kept = patch(json!({ "order": "none" })).await.json();
    assert_eq!((&kept["order"], &kept["retry_schedule"]), (&json!("none"), &json!("1s,90s")));
    let back = patch(json!({ "retry_schedule": null, "directories": [] })).await.json();
    assert_eq!((&back["retry_schedule"], &back["directories"]), (&json!(null), &json!([])));
    for fixed in [json!({ "kind": "directory" }), json!({ "start": "now" })] {
        assert_eq!(patch(fixed).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn each_field_that_is_wrong_is_named() {
    let world = World::new();
    let nobody = "org_00000000000000000000000000";
    let body = json!({
        "endpoint_url": URL, "events": ["dsync.*", "dsync.use*", "*"], "order": "fifo",
        "organizations": [nobody, "acme"], "directories": "all", "retry_schedule": "soon",
        "kind": "other", "start": "yesterday", "format": "xml",
    });
    let fields = [
        "events[1]",
        "events[2]",
        "organizations[1]",
        "directories",
        "order",
        "retry_schedule",
        "format",
        "kind",
        "start",
        "organizations[0]",
    ];
    assert_eq!(fields_of(&world, body).await, fields);
    let many: Vec<String> = (0..101).map(|n| format!("directory_{n:026}")).collect();
    let body = json!({ "endpoint_url": URL, "directories": many });
    assert_eq!(fields_of(&world, body).await, ["directories"]);
    assert!(world.fake.state().endpoints.is_empty());
}

#[tokio::test]
async fn an_operational_endpoint_gets_every_operational_event_and_nothing_else() {
    let world = World::new();
    let body = json!({ "endpoint_url": URL, "kind": "operational" });
    let created = world.post("/webhook_endpoints", body).await.json();
    let events = json!([
        "endpoint.failing",
        "endpoint.disabled",
        "endpoint.stalled",
        "endpoint.recovered",
        "delivery.exhausted",
        "directory.held",
        "directory.released",
    ]);
    assert_eq!((&created["kind"], &created["events"]), (&json!("operational"), &events));
    let body = json!({ "endpoint_url": "https://b.example", "kind": "operational", "order": "none",
        "events": ["dsync.deleted"], "directories": [], "format": "scim_set", "start": "beginning" });
    assert_eq!(
        fields_of(&world, body).await,
        ["events", "directories", "order", "format", "start"]
    );
}

#[tokio::test]
async fn two_spellings_of_a_url_are_one_endpoint() {
    let world = World::new();
    assert_eq!(create(&world).await.json()["endpoint_url"], URL);
    for spelling in [
        "HTTPS://app.example/hooks",
        " https://APP.example:443/hooks ",
        "https://app.example/a/../hooks",
    ] {
        let body = json!({ "endpoint_url": spelling });
        let refused = world.post("/webhook_endpoints", body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{spelling}: {}", refused.text);
        assert_eq!(refused.json()["code"], "duplicate_endpoint");
    }
    let other = json!({ "endpoint_url": "https://app.example/Hooks?a=B" });
    let other = world.post("/webhook_endpoints", other).await;
    assert_eq!(other.json()["endpoint_url"], "https://app.example/Hooks?a=B");
    let path = format!("/webhook_endpoints/{}", other.json()["id"].as_str().unwrap());
    let change = json!({ "endpoint_url": "https://app.example:443/hooks" }).to_string();
    assert_eq!(world.send(Method::PATCH, &path, change).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_post_that_needs_no_field_needs_no_body() {
    let world = World::new();
    let made = create(&world).await.json();
    let path = format!("/webhook_endpoints/{}", made["id"].as_str().unwrap());
    let post = async |path: &str| world.send(Method::POST, path, String::new()).await;
    let rotated = post(&format!("{path}/rotate_secret")).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);
    let rotated = rotated.json();
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["previous_secret_until"], "2026-03-03T10:15:30.123Z", "after a day");
    assert_eq!(post("/signing_keys").await.status, StatusCode::CREATED);

    // It is one of two, so that neither is required by itself.
    let refused = post(&format!("{path}/replay")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    // A body that got lost.
    assert_eq!(post("/webhook_endpoints").await.status, StatusCode::BAD_REQUEST);
    let lost = world.send(Method::PATCH, &path, String::new()).await;
    assert_eq!(lost.status, StatusCode::BAD_REQUEST, "{}", lost.text);
}
