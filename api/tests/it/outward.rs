//! How requests to an endpoint leave, and the rotation of its secret.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const CHAIN: &str = "-----BEGIN CERTIFICATE-----";

async fn created(world: &World, more: Value) -> (String, Value) {
    let mut body = json!({ "endpoint_url": "https://app.example/hooks" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let endpoint = world.post("/webhook_endpoints", body).await.json();
    (format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap_or_default()), endpoint)
}

#[tokio::test]
async fn an_endpoint_may_have_a_time_a_certificate_and_a_pair_of_keys_of_its_own() {
    let world = World::new();
    let wishes = json!({
        "timeout_seconds": 5, "ed25519": true,
        "client_certificate": CHAIN, "client_certificate_key": "sealed away",
    });
    let (path, endpoint) = created(&world, wishes).await;
    assert_eq!(endpoint["timeout_seconds"], 5);
    assert_eq!(endpoint["client_certificate"], CHAIN);
    assert!(endpoint["public_key"].as_str().unwrap().starts_with("whpk_"));
    let shown = world.get(&path).await;
    assert!(!shown.text.contains("sealed away") && !shown.text.contains("whsk_"));

    let patch =
        async |change: Value| world.send(Method::PATCH, &path, change.to_string()).await.json();
    let same = patch(json!({ "ed25519": true, "status": "enabled" })).await;
    assert_eq!(same["public_key"], endpoint["public_key"], "apps have it already");
    assert_eq!(same["timeout_seconds"], 5);
    let nothing = json!({ "timeout_seconds": null, "ed25519": false, "client_certificate": null });
    let bare = patch(nothing).await;
    for key in ["timeout_seconds", "client_certificate", "public_key"] {
        assert_eq!(bare[key], Value::Null, "{key}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_field() {
    let world = World::new();
    for (wish, field) in [
        (json!({ "timeout_seconds": 0 }), "timeout_seconds"),
        (json!({ "timeout_seconds": 31 }), "timeout_seconds"),
        (json!({ "timeout_seconds": "5" }), "timeout_seconds"),
        (json!({ "ed25519": "yes" }), "ed25519"),
        (json!({ "client_certificate": CHAIN }), "client_certificate"),
        (json!({ "client_certificate_key": "key" }), "client_certificate"),
        (
            json!({ "client_certificate": "none", "client_certificate_key": "key" }),
            "client_certificate",
        ),
    ] {
        let (_, refused) = created(&world, wish.clone()).await;
        assert_eq!(refused["code"], "invalid_request_parameters", "{wish}");
        assert_eq!(refused["errors"][0]["field"], field, "{wish}");
    }
}

#[tokio::test]
async fn a_rotation_shows_the_new_secret_and_until_when_the_old_one_signs() {
    let world = World::new();
    let (path, before) = created(&world, json!({})).await;
    let rotate = format!("{path}/rotate_secret");
    let hour = json!({ "overlap_seconds": 3_600 });
    let rotated = world.post(&rotate, hour).await;
    assert_eq!(rotated.status, StatusCode::OK);
    let rotated = rotated.json();
    assert_ne!(rotated["secret"], before["secret"]);
    assert_eq!(rotated["secret"], world.get(&path).await.json()["secret"]);
    assert_eq!(rotated["previous_secret_until"], "2026-03-02T11:15:30.123Z");
    let day = world.post(&rotate, json!({})).await.json();
    assert_eq!(day["previous_secret_until"], "2026-03-03T10:15:30.123Z");

    for wrong in [json!(-1), json!(2_592_001), json!("1")] {
        let refused = world.post(&rotate, json!({ "overlap_seconds": wrong })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.json()["errors"][0]["field"], "overlap_seconds");
    }
    let nowhere = "/webhook_endpoints/we_01K0ZD0B1C2D3E4F5G6H7J8K9M/rotate_secret";
    assert_eq!(world.post(nowhere, json!({})).await.status, StatusCode::NOT_FOUND);
}
