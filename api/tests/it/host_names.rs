//! Host names, as far as HTTP is concerned.

use axum::http::StatusCode;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_name_of_the_installation_itself_is_given_to_nobody() {
    let world = World::new();
    let organization = world.organization("Acme").await;
    let add = async |name: &str| {
        let body = json!({ "host_name": name, "organization_id": organization });
        world.post("/host_names", body).await
    };
    for own in ["sync.example", "SYNC.example."] {
        let refused = add(own).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.json()["errors"][0]["field"], "host_name");
    }
    assert_eq!(add("scim.sync.example").await.status, StatusCode::CREATED);
    assert_eq!(world.get("/host_names").await.json()["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_name_needs_somebody_who_is_there() {
    let world = World::new();
    let nobody = format!("directory_{}", "0".repeat(26));
    let answer =
        world.post("/host_names", json!({ "host_name": "a.test", "directory_id": nobody }));
    let answer = answer.await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["entity_id"], json!(nobody));
}
