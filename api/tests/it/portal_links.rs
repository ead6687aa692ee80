//! Links to the setup page, as far as HTTP is concerned.

use api::digest;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const TIME: &str = "2026-03-02T10:15:30.123Z";

async fn with_acme() -> (World, String) {
    let world = World::new();
    let organization = world.organization("Acme").await;
    (world, organization)
}

#[tokio::test]
async fn a_link_is_shown_once_and_waits_for_five_minutes() {
    let (world, organization) = with_acme().await;
    let body = json!({ "organization": organization, "intent": "dsync",
        "return_url": "https://app.example", "success_url": null });
    let made = world.post("/portal/generate_link", body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    let token = made["link"].as_str().unwrap().strip_prefix("https://sync.example/setup/").unwrap();
    assert_eq!((made.as_object().unwrap().len(), token.len()), (1, 43));
    let list = world.get("/portal/links").await;
    assert!(!list.text.contains(token));
    let link = list.json()["data"][0].clone();
    let shown = json!({
        "object": "portal_link", "id": link["id"], "organization_id": organization,
        "intent": "dsync", "state": "live", "return_url": "https://app.example/",
        "success_url": null, "created_by": link["created_by"], "created_at": TIME,
        "expires_at": "2026-03-02T10:20:30.123Z", "used_at": null, "revoked_at": null,
    });
    assert_eq!(link, shown);
    assert!(link["created_by"].as_str().unwrap().starts_with("api_key_"));
    assert_eq!(world.fake.state().links[0].1, digest(token));

    let path = format!("/portal/links/{}", link["id"].as_str().unwrap());
    assert_eq!(world.delete(&path).await.status, StatusCode::NO_CONTENT);
    let of = format!("/portal/links?organization={organization}");
    assert_eq!(world.get(&of).await.json()["data"][0]["state"], "revoked");
}

#[tokio::test]
async fn an_intent_that_is_not_directory_sync_is_refused_with_what_is() {
    let (world, organization) = with_acme().await;
    let generate = async |intent: Value| {
        let body = json!({ "organization": organization, "intent": intent });
        world.post("/portal/generate_link", body).await
    };
    for intent in ["sso", "audit_logs", "log_streams", "domain_verification", "certificate_renewal"]
    {
        let refused = generate(json!(intent)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        let error = refused.json()["errors"][0].clone();
        assert_eq!((&error["field"], &error["code"]), (&json!("intent"), &json!("unsupported")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(intent) && message.contains("dsync"), "{message}");
    }
    assert_eq!(generate(json!("ldap")).await.json()["errors"][0]["code"], "invalid");
    assert_eq!(generate(Value::Null).await.status, StatusCode::CREATED);
    assert_eq!(world.fake.state().links.len(), 1);
}

#[tokio::test]
async fn a_link_leads_nowhere_but_to_websites_and_for_nobody_who_is_not_there() {
    let (world, organization) = with_acme().await;
    for url in ["javascript:alert(1)", "/settings", "ftp://a.example", ""] {
        let body = json!({ "organization": organization, "return_url": url, "success_url": url });
        let refused = world.post("/portal/generate_link", body).await.json();
        let fields: Vec<&Value> =
            refused["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
        assert_eq!(fields, ["return_url", "success_url"], "{url}");
        let message = refused["errors"][1]["message"].as_str().unwrap();
        assert!(url.is_empty() || message.contains("https:// or http://"), "{message}");
    }
    let nobody = format!("org_{}", "0".repeat(26));
    let answer = world.post("/portal/generate_link", json!({ "organization": nobody })).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["entity_id"], json!(nobody));
    let missing = world.post("/portal/generate_link", json!({})).await.json();
    assert_eq!(missing["errors"][0]["field"], "organization");
}
