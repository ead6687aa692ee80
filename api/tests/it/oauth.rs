//! The OAuth client of a directory.

use api::digest;
use axum::http::{Method, StatusCode};
use schemas::TokenId;
use serde_json::{Value, json};

use crate::world::{World, id};

const TIME: &str = "2026-03-02T10:15:30.123Z";
const ENDPOINT: &str = "https://sync.example/scim/oauth/token";

async fn with_a_client() -> (World, String, String) {
    let world = World::new();
    let org = world.organization("Acme").await;
    let directory = world.directory(&org, "Entra").await;
    let path = format!("/directories/{directory}/oauth_client");
    (world, directory, path)
}

async fn update(world: &World, path: &str, body: &Value) -> crate::world::Answer {
    world.send(Method::PATCH, path, body.to_string()).await
}

#[tokio::test]
async fn a_secret_is_shown_once_with_all_that_an_identity_provider_asks_for() {
    let (world, directory, path) = with_a_client().await;
    let created = world.post(&format!("{path}/secrets"), json!({})).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let created = created.json();
    let text = created["client_secret"].as_str().unwrap();
    assert_eq!(text.len(), "dsync_secret_".len() + 43);
    let kept = world.fake.state().secrets[0].clone();
    assert_eq!((kept.0, kept.2), (directory.parse().unwrap(), digest(text)));
    let shown = json!({
        "id": kept.1.id, "suffix": text[text.len() - 4..], "created_at": TIME, "last_used_at": null,
    });
    let client_id = created["client_id"].clone();
    let expected = json!({
        "object": "oauth_client", "client_id": client_id, "token_endpoint": ENDPOINT,
        "token_lifetime_seconds": 3_600, "secrets": [shown],
    });
    world.get(&path).await.is(200, &expected);
    assert_eq!(created["token_endpoint"], ENDPOINT);
    assert_eq!(client_id.as_str().map(str::len), Some(32));
    assert!(!directory.contains(client_id.as_str().unwrap()));
    assert_eq!(world.fake.state().reconciled.len(), 2, "the stream tells of it");
}

#[tokio::test]
async fn two_secrets_live_at_once_and_a_third_conflicts() {
    let (world, _, path) = with_a_client().await;
    let secrets = format!("{path}/secrets");
    let first = world.post(&secrets, json!({})).await.json()["id"].clone();
    world.post(&secrets, json!({})).await;
    let third = world.post(&secrets, json!({})).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert_eq!(third.json()["code"], "too_many_secrets");

    let first = format!("{secrets}/{}", first.as_str().unwrap());
    let deleted = world.delete(&first).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(world.delete(&first).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.fake.state().reconciled.len(), 4);
    assert_eq!(world.get(&path).await.json()["secrets"].as_array().map(Vec::len), Some(1));
    let nobody = TokenId::from_bits(id(99));
    for unknown in [nobody.to_string(), "x".to_owned()] {
        let answer = world.delete(&format!("{secrets}/{unknown}")).await;
        let message = format!("Could not find client secret '{unknown}'.");
        let body = json!({ "message": message, "code": "entity_not_found", "entity_id": unknown });
        answer.is(404, &body);
    }
}

#[tokio::test]
async fn a_lifetime_is_a_whole_number_from_one_to_six_hours() {
    let (world, _, path) = with_a_client().await;
    for seconds in [21_600, 3_600] {
        let body = json!({ "token_lifetime_seconds": seconds });
        let answer = update(&world, &path, &body).await;
        assert_eq!(
            (answer.status, &answer.json()["token_lifetime_seconds"]),
            (StatusCode::OK, &body["token_lifetime_seconds"])
        );
    }
    for wrong in [json!(3_599), json!(21_601), json!("7200"), json!(7_200.5), json!(-1)] {
        let answer = update(&world, &path, &json!({ "token_lifetime_seconds": wrong })).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        let message = "token_lifetime_seconds must be a whole number from 3600 to 21600.";
        assert_eq!(answer.json()["errors"][0]["message"], message);
    }
    let unchanged = update(&world, &path, &json!({})).await;
    assert_eq!(unchanged.json(), world.get(&path).await.json());
}
