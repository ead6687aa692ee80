//! Organizations, directories, tokens, keys.

use api::ports::{Permission, PortError};
use api::{FirstKey, digest, first_key};
use axum::http::{Method, StatusCode};
use schemas::{ApiKeyId, DirectoryId, OrganizationDomainId, OrganizationId, UserId};
use serde_json::json;

use crate::fake::{Fake, broken};
use crate::world::{Counting, World, id};

const TIME: &str = "2026-03-02T10:15:30.123Z";

#[tokio::test]
async fn an_organization_is_created_read_changed_and_deleted() {
    let world = World::new();
    let body = json!({
        "name": "Acme", "external_id": "crm/7", "metadata": { "tier": "gold", "old": "x" },
        "domain_data": [{ "domain": "Acme.Example", "state": "pending" }],
    });
    let created = world.post("/organizations", body).await;
    // The first id is that of the action in the audit trail.
    let org = OrganizationId::from_bits(id(2));
    let domain = OrganizationDomainId::from_bits(id(1));
    let shown = json!({
        "object": "organization", "id": org, "name": "Acme",
        "allow_profiles_outside_organization": false,
        "domains": [{
            "object": "organization_domain", "id": domain, "organization_id": org,
            "domain": "acme.example", "state": "pending", "created_at": TIME, "updated_at": TIME,
        }],
        "metadata": { "old": "x", "tier": "gold" }, "external_id": "crm/7",
        "created_at": TIME, "updated_at": TIME,
    });
    created.is(201, &shown);
    world.get(&format!("/organizations/{org}")).await.is(200, &shown);
    world.get("/organizations/external_id/crm%2F7").await.is(200, &shown);
    let list = json!({
        "object": "list", "data": [shown], "list_metadata": { "before": null, "after": null },
    });
    world.get("/organizations?domains=acme.example&search=Ac").await.is(200, &list);
    world.get("/organizations?domains=%20ACME.Example").await.is(200, &list);

    let change = json!({ "name": "Acme Ltd", "external_id": null, "metadata": { "old": null } });
    let path = format!("/organizations/{org}");
    let changed = world.send(Method::PUT, &path, change.to_string()).await.json();
    assert_eq!(changed["name"], "Acme Ltd");
    assert_eq!(changed["external_id"], json!(null));
    assert_eq!(changed["metadata"], json!({ "tier": "gold" }));
    assert_eq!(changed["domains"], shown["domains"]);

    let directory = world.directory(&org.to_string(), "Okta").await;
    assert_eq!(world.delete(&path).await.status, StatusCode::ACCEPTED);
    let last = world.fake.state().reconciled.last().copied();
    assert_eq!(last, directory.parse::<DirectoryId>().ok());
    world.get(&path).await.is(
        404,
        &json!({
            "message": format!("Could not find organization '{org}'."),
            "code": "entity_not_found", "entity_id": org,
        }),
    );
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let world = World::new();
    let body = json!({ "name": "  ", "metadata": { "a": 1 }, "domain_data": [{ "domain": "x" }] });
    let answer = world.post("/organizations", body).await.json();
    assert_eq!(answer["message"], "Validation failed.");
    let errors = answer["errors"].as_array().unwrap();
    let fields = errors.iter().map(|error| &error["field"]).collect::<Vec<_>>();
    assert_eq!(fields, ["name", "metadata", "domain_data[0]"]);

    let answer = world.post("/directories", json!({ "type": "ldap" })).await;
    let named = answer.json()["errors"].clone();
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let named = named.as_array().unwrap().iter();
    let named = named.map(|error| format!("{} {}", error["field"], error["code"]));
    let named = named.collect::<Vec<_>>();
    assert_eq!(
        named,
        [r#""organization_id" "required""#, r#""type" "invalid""#, r#""name" "required""#]
    );
}

#[tokio::test]
async fn two_organizations_do_not_share_an_external_id() {
    let world = World::new();
    let body = json!({ "name": "Acme", "external_id": "7" });
    world.post("/organizations", body.clone()).await;
    let answer = world.post("/organizations", body).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.json()["code"], "duplicate_external_id");
}

#[tokio::test]
async fn a_new_directory_shows_its_token_once_and_tells_its_stream() {
    let world = World::new();
    let org = world.organization("Acme").await;
    let body = json!({ "organization_id": org, "type": "azure scim v2.0", "name": "Acme Entra" });
    let created = world.post("/directories", body).await;
    let mut created_json = created.json();
    assert_eq!(created.status, StatusCode::CREATED);
    let scim = created_json["scim"].as_object_mut().unwrap();
    let token = scim.remove("bearer_token").unwrap().as_str().unwrap().to_owned();
    let endpoint = scim["endpoint"].as_str().unwrap().to_owned();
    assert!(endpoint.starts_with("https://sync.example/scim/v2.0/"), "{endpoint}");
    assert_eq!(token.len(), "dsync_".len() + 43);

    let directory = created_json["id"].as_str().unwrap().to_owned();
    assert!(!endpoint.contains(&directory));
    let shown = json!({
        "object": "directory", "id": directory, "organization_id": org,
        "external_key": created_json["external_key"], "type": "azure scim v2.0",
        "state": "unlinked", "name": "Acme Entra",
        "metadata": { "users": { "active": 0, "inactive": 0 }, "groups": 0 },
        "scim": { "endpoint": endpoint },
        "attribute_map": { "standard": {}, "predefined": [], "custom": {} },
        "inactive_users": "keep", "refresh": { "state": "done", "done": 0, "total": 0 }, "brake": null, "hold": null,
        "created_at": TIME, "updated_at": TIME,
    });
    assert_eq!(created_json, shown);
    world.get(&format!("/directories/{directory}")).await.is(200, &shown);
    let state = world.fake.state();
    assert_eq!(state.reconciled, [directory.parse().unwrap()]);
    assert_eq!(state.tokens[0].2, digest(&token));
}

#[tokio::test]
async fn a_directory_is_deleted_a_little_later() {
    let world = World::new();
    let org = world.organization("Acme").await;
    let path = format!("/directories/{}", world.directory(&org, "Okta").await);
    let answer = world.delete(&path).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert_eq!(world.get(&path).await.json()["state"], "deleting");
    assert_eq!(world.fake.state().reconciled.len(), 2);
    let by = world.fake.state().actors.pop().unwrap();
    assert!(by.api_key_id.is_some() && by.token_suffix.is_some(), "{by:?}");
}

#[tokio::test]
async fn a_directory_needs_an_organization_that_exists() {
    let world = World::new();
    let nobody = OrganizationId::from_bits(id(99));
    let body = json!({ "organization_id": nobody, "type": "okta scim v2.0", "name": "Okta" });
    let answer = world.post("/directories", body).await;
    assert_eq!(answer.json()["entity_id"], json!(nobody));
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    world
        .get(&format!("/directories?organization_id={nobody}"))
        .await
        .is(403, &json!({ "message": format!("Organization not found: '{nobody}'.") }));
}

#[tokio::test]
async fn a_third_live_token_is_refused_until_one_is_revoked() {
    let world = World::new();
    let org = world.organization("Acme").await;
    let directory = world.directory(&org, "Okta").await;
    let path = format!("/directories/{directory}/tokens");
    let refused = world.post(&path, json!({ "overlap_seconds": 2_592_001 })).await.json();
    assert_eq!(refused["errors"][0]["field"], "overlap_seconds");
    let made = world.post(&path, json!({ "overlap_seconds": 60 })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert!(made["token"].as_str().unwrap().ends_with(made["suffix"].as_str().unwrap()));

    let refused = world.post(&path, json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "too_many_tokens");

    let list = world.get(&path).await.json();
    let shown = json!({
        "object": "directory_token", "id": made["id"], "directory_id": directory,
        "suffix": made["suffix"], "created_at": TIME, "last_used_at": null, "expires_at": null,
    });
    assert_eq!(list["data"][0], shown);
    assert_eq!(list["data"][1]["expires_at"], "2026-03-02T10:16:30.123Z");
    assert_eq!(list["list_metadata"], json!({ "before": null, "after": null }));

    let first = format!("{path}/{}", list["data"][1]["id"].as_str().unwrap());
    assert_eq!(world.delete(&first).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.delete(&first).await.json()["code"], "entity_not_found");
    assert_eq!(world.send(Method::POST, &path, String::new()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_preview_names_the_users_that_are_not_there() {
    let world = World::new();
    let organization = world.organization("Acme").await;
    let directory = world.directory(&organization, "Okta").await;
    let nobody = UserId::from_bits(id(99));
    let body = json!({ "attribute_map": {}, "users": [nobody] });
    let answer = world.post(&format!("/directories/{directory}/attribute_map/preview"), body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let error = answer.json()["errors"][0].clone();
    assert_eq!((&error["field"], &error["code"]), (&json!("users[0]"), &json!("not_found")));
    assert!(error["message"].as_str().unwrap().contains(&nobody.to_string()), "{error}");
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_deleted() {
    let world = World::new();
    let org = world.organization("Acme").await;
    let body = json!({ "name": "auditor", "scope": "read", "organization_id": org });
    let made = world.post("/api_keys", body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let mut made = made.json();
    let text = made.as_object_mut().unwrap().remove("key").unwrap().as_str().unwrap().to_owned();
    assert!(text.starts_with("sk_"));
    let shown = json!({
        "object": "api_key", "id": made["id"], "name": "auditor", "scope": "read",
        "organization_id": org, "suffix": &text[text.len() - 4..], "created_at": TIME,
        "last_used_at": null,
    });
    assert_eq!(made, shown);
    let limited = world.with_key(&text);
    assert_eq!(limited.get("/api_keys").await.json()["data"], json!([shown]));
    let id = made["id"].as_str().unwrap();
    assert_eq!(world.delete(&format!("/api_keys/{id}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(limited.get("/api_keys").await.status, StatusCode::UNAUTHORIZED);
    let touched = world.fake.state().touched.clone();
    assert_eq!(touched, [id.parse::<ApiKeyId>().unwrap()]);
}

#[tokio::test]
async fn the_first_start_makes_a_key_unless_the_operator_brought_one() {
    let (fake, edge) = (Fake::default(), Counting::default());
    let Ok(FirstKey::Made(text)) = first_key(&fake, &edge, None).await else { panic!("no key") };
    assert_eq!(fake.state().keys[0].1, digest(&text));
    assert!(matches!(first_key(&fake, &edge, None).await, Ok(FirstKey::Known)));
    for _ in 0..2 {
        assert!(matches!(first_key(&fake, &edge, Some("mine")).await, Ok(FirstKey::Known)));
    }
    let state = fake.state();
    assert_eq!(state.keys.len(), 2);
    assert_eq!(state.keys[1].0.permission, Permission::Full);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503_that_tells_nothing_of_why() {
    let world = World::new();
    world.fake.state().failure = Some(PortError::Unavailable(broken("disk on fire")));
    let answer = world.get("/organizations").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.json()["code"], "unavailable");
    assert!(!answer.text.contains("fire"));
    world.fake.state().failure = Some(PortError::Full(broken("no room")));
    assert_eq!(world.get("/organizations").await.status, StatusCode::INSUFFICIENT_STORAGE);
}
