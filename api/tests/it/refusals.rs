//! Who may not do what, and what is not there at all.

use api::ports::{Permission, StoredEvent};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use schemas::{EventId, EventType};
use serde_json::json;

use crate::fake::FakeEvent;
use crate::world::{World, id};

/// Every call that reads.
const READS: [&str; 12] = [
    "/organizations",
    "/organizations/external_id/x",
    "/directories",
    "/directories/directory_x/tokens",
    "/directories/directory_x/oauth_client",
    "/directories/directory_x/role_mapping",
    "/directory_users",
    "/directory_groups/directory_group_x",
    "/events",
    "/webhook_endpoints",
    "/api_keys",
    "/signing_keys",
];

#[tokio::test]
async fn without_a_known_key_every_call_is_unauthorized() {
    let world = World::new();
    let body = json!({ "message": "Unauthorized" });
    for path in READS {
        world.with_key("sk_wrong").get(path).await.is(401, &body);
        let bare = Request::get(path).body(Body::empty()).unwrap();
        let answer = world.send_request(bare).await;
        answer.is(401, &body);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let basic = Request::get("/events").header("authorization", "Basic sk_full");
    world.send_request(basic.body(Body::empty()).unwrap()).await.is(401, &body);
    let lower = Request::get("/events").header("authorization", "bearer sk_full");
    let answer = world.send_request(lower.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_for_reading_does_not_write() {
    let world = World::new().add_key("sk_read", Permission::Read, None);
    let reader = world.with_key("sk_read");
    assert_eq!(reader.get("/organizations").await.status, StatusCode::OK);
    let refused = json!({ "message": "This API key may only read." });
    for (method, path) in [
        (Method::POST, "/organizations"),
        (Method::PUT, "/organizations/org_x"),
        (Method::DELETE, "/organizations/org_x"),
        (Method::POST, "/directories"),
        (Method::PATCH, "/directories/directory_x"),
        (Method::DELETE, "/directories/directory_x"),
        (Method::PUT, "/directories/directory_x/role_mapping"),
        (Method::POST, "/directories/directory_x/tokens"),
        (Method::POST, "/signing_keys"),
        (Method::DELETE, "/directories/directory_x/tokens/y"),
        (Method::PATCH, "/directories/directory_x/oauth_client"),
        (Method::POST, "/directories/directory_x/oauth_client/secrets"),
        (Method::DELETE, "/directories/directory_x/oauth_client/secrets/y"),
        (Method::POST, "/webhook_endpoints"),
        (Method::PATCH, "/webhook_endpoints/we_x"),
        (Method::DELETE, "/webhook_endpoints/we_x"),
        (Method::POST, "/webhook_endpoints/we_x/rotate_secret"),
        (Method::POST, "/api_keys"),
        (Method::DELETE, "/api_keys/api_key_x"),
    ] {
        reader.send(method, path, "{}".to_owned()).await.is(403, &refused);
    }
}

#[tokio::test]
async fn a_key_for_audit_reads_the_audit_trail_and_nothing_else() {
    let world = World::new().add_key("sk_audit", Permission::Audit, None);
    let auditor = world.with_key("sk_audit");
    for path in ["/audit/events", "/audit/verify"] {
        assert_eq!(auditor.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in READS {
        assert_eq!(auditor.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_key_of_one_organization_sees_nothing_of_another() {
    let world = World::new();
    let (own, other) = (world.organization("Own").await, world.organization("Other").await);
    let (mine, theirs) = (world.directory(&own, "A").await, world.directory(&other, "B").await);
    let event = EventId::from_bits(id(70));
    let stored = StoredEvent { id: event, body: "{}".into() };
    let organization = other.parse().unwrap();
    let event_of_other = FakeEvent { stored, kind: EventType::Activated, organization };
    world.fake.state().events.push(event_of_other);
    let world = world.add_key("sk_limited", Permission::Full, own.parse().ok());
    let limited = world.with_key("sk_limited");

    for (list, expected) in [("/organizations", &own), ("/directories", &mine)] {
        let data = limited.get(list).await.json()["data"].clone();
        assert_eq!(data.as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(data[0]["id"], **expected, "{list}");
    }
    assert_eq!(limited.get("/events").await.json()["data"], json!([]));
    for path in [
        format!("/organizations/{other}"),
        format!("/directories/{theirs}"),
        format!("/directories/{theirs}/tokens"),
        format!("/directories/{theirs}/oauth_client"),
        format!("/directories/{theirs}/role_mapping"),
        format!("/directory_users?directory={theirs}"),
        format!("/directory_groups?directory={theirs}"),
        format!("/events/{event}"),
    ] {
        assert_eq!(limited.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in [format!("/directories/{theirs}"), format!("/organizations/{other}")] {
        assert_eq!(limited.delete(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let map = json!({ "attribute_map": {} });
    for (method, path) in [
        (Method::PATCH, format!("/directories/{theirs}")),
        (Method::POST, format!("/directories/{theirs}/attribute_map/preview")),
    ] {
        let answer = limited.send(method, &path, map.to_string()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let path = format!("/directories/{theirs}/role_mapping");
    let answer = limited.send(Method::PUT, &path, "{}".to_owned()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let foreign = limited.get(&format!("/directories?organization_id={other}")).await;
    foreign.is(403, &json!({ "message": format!("Organization not found: '{other}'.") }));
    let body = json!({ "organization_id": other, "type": "okta scim v2.0", "name": "C" });
    assert_eq!(limited.post("/directories", body).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_of_one_organization_does_not_reach_what_belongs_to_none() {
    let world = World::new();
    let own = world.organization("Own").await;
    let world = world.add_key("sk_limited", Permission::Full, own.parse().ok());
    let limited = world.with_key("sk_limited");
    let refused = json!({ "message": "This API key is limited to one organization." });
    limited.get("/webhook_endpoints").await.is(403, &refused);
    limited.get("/webhook_endpoints/we_x").await.is(403, &refused);
    limited.post("/webhook_endpoints", json!({})).await.is(403, &refused);
    limited.get("/signing_keys").await.is(403, &refused);
    limited.post("/signing_keys", json!({})).await.is(403, &refused);
    limited.post("/organizations", json!({ "name": "New" })).await.is(403, &refused);
    limited.post("/api_keys", json!({ "name": "k", "scope": "full" })).await.is(403, &refused);
    let change = json!({ "external_id": "guess" }).to_string();
    limited.send(Method::PUT, &format!("/organizations/{own}"), change).await.is(403, &refused);
    let body = json!({ "name": "k", "scope": "read", "organization_id": own });
    assert_eq!(limited.post("/api_keys", body).await.status, StatusCode::CREATED);
    let keys = limited.get("/api_keys").await.json();
    assert_eq!(keys["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let world = World::new();
    world
        .get("/nothing")
        .await
        .is(404, &json!({ "code": "not_found", "message": "There is no such path." }));
    let answer = world.delete("/events").await;
    let message = "The path does not know this method.";
    answer.is(405, &json!({ "code": "method_not_allowed", "message": message }));
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
    assert_eq!(world.get("/organizations/%FF").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_that_is_no_json_object_or_too_large_is_refused() {
    let world = World::new();
    for body in ["{", "[]", "null", "\"x\""] {
        let answer = world.send(Method::POST, "/organizations", body.to_owned()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let answer = answer.json();
        assert_eq!(answer["code"], "invalid_json");
        assert_eq!(answer["errors"][0]["code"], "invalid_json");
    }
    let encoded = Request::post("/organizations").header("authorization", "Bearer sk_full");
    let encoded = encoded.header("content-encoding", "gzip").body(Body::from("{}")).unwrap();
    let encoded = world.send_request(encoded).await;
    assert_eq!(encoded.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(encoded.json()["code"], "unsupported_media_type");
    let large = json!({ "name": "x".repeat(1024 * 1024) });
    let answer = world.post("/organizations", large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["code"], "payload_too_large");
}
