//! What apps see of users who turn inactive, under either policy.

use serde_json::{Value, json};
use tests::scim::user_body;
use tests::{Directory, Server};

use crate::attributes::{agrees, change, refreshed};

const ALL: &str = "dsync.user.created,dsync.user.updated,dsync.user.deleted,\
    dsync.group.created,dsync.group.user_added,dsync.group.user_removed";

async fn set_active(directory: &Directory, id: &str, active: bool) {
    let active = json!([{ "op": "replace", "path": "active", "value": active }]);
    directory.patch(&format!("/Users/{id}"), active).await.expect(200);
}

async fn add(directory: &Directory, group: &str, user: &str) {
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["event"].as_str().expect("a type"));
    kinds.map(|kind| kind.strip_prefix("dsync.").expect("ours")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_user_is_deleted_for_apps_lives_on_in_scim_and_returns_as_somebody_new() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    change(&api, &directory.id, json!({ "inactive_users": "delete" })).await;
    let (ada, bob) = (directory.user("ada@x.test").await, directory.user("bob@x.test").await);
    let (sales, ops) = (directory.group("Sales").await, directory.group("Ops").await);
    add(&directory, &sales, &ada).await;
    add(&directory, &sales, &bob).await;
    let before = api.events(ALL).await;

    set_active(&directory, &ada, false).await;
    add(&directory, &ops, &ada).await;
    let title = json!([{ "op": "replace", "path": "title", "value": "Countess" }]);
    directory.patch(&format!("/Users/{ada}"), title).await.expect(200);
    let scim = directory.send("GET", &format!("/Users/{ada}"), None).await.expect(200);
    assert_eq!(scim.body["active"], false);
    assert_eq!(scim.body["groups"].as_array().unwrap().len(), 2, "memberships are kept");
    let listed = directory.send("GET", "/Users", None).await.expect(200);
    assert_eq!(listed.body["totalResults"], 2, "the identity provider sees it");

    let while_away = api.events(ALL).await;
    assert_eq!(kinds(&while_away[before.len()..]), ["user.deleted"]);
    let gone = &while_away[before.len()]["data"];
    assert_eq!(gone["state"], "inactive");
    let gone = gone["id"].as_str().unwrap();
    assert_eq!(api.send("GET", &format!("/directory_users/{gone}"), None).await.0, 404);
    let users = async |filter: &str| {
        let page = api.get(&format!("/directory_users?{filter}")).await;
        page["data"].as_array().unwrap().len()
    };
    let of_directory = format!("directory={}", directory.id);
    assert_eq!(users(&of_directory).await, 1);
    assert_eq!(users(&format!("{of_directory}&email=ada@x.test")).await, 0);
    let group = while_away.iter().find(|event| event["event"] == "dsync.group.user_added");
    let group = group.unwrap()["data"]["group"]["id"].as_str().unwrap();
    assert_eq!(users(&format!("group={group}")).await, 1);
    let shown = api.get(&format!("/directories/{}", directory.id)).await;
    assert_eq!(shown["metadata"]["users"], json!({ "active": 1, "inactive": 0 }));
    // Nothing of it is in the events, under whatever name; the history has it.
    let everything = api.get("/events?limit=100").await["data"].clone();
    let told = everything.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap());
    assert!(told.into_iter().all(|kind| !kind.contains("inactive")));
    let path = "/events?events=dsync.inactive_user.changed";
    assert_eq!(api.send("GET", path, None).await.0, 422);
    let audited = api.get(&format!("/audit{path}")).await["data"].clone();
    let changes: Vec<_> =
        audited.as_array().unwrap().iter().map(|one| &one["data"]["change"]).collect();
    assert_eq!(changes, ["joined", "updated"]);
    let unseen = audited[0]["id"].as_str().unwrap();
    assert_eq!(api.send("GET", &format!("/events/{unseen}"), None).await.0, 404);

    set_active(&directory, &ada, true).await;
    let back = api.events(ALL).await;
    let back = &back[while_away.len()..];
    assert_eq!(kinds(back), ["user.created", "group.user_added", "group.user_added"]);
    assert_ne!(back[0]["data"]["id"], gone);
    assert_eq!(back[0]["data"]["job_title"], "Countess");
    assert_eq!(users(&of_directory).await, 2);
    let path = format!("/directory_users/{}", back[0]["data"]["id"].as_str().unwrap());
    let returned = api.get(&path).await;
    assert_eq!(returned["groups"].as_array().unwrap().len(), 2);
    assert_eq!(returned["created_at"], back[0]["data"]["created_at"]);
    let again = directory.send("GET", &format!("/Users/{ada}"), None).await.expect(200);
    assert_eq!(again.body["meta"]["created"], scim.body["meta"]["created"], "{}", again.body);

    set_active(&directory, &bob, false).await;
    let server = agrees(server, data.path());
    let shown = server.api().get(&format!("/directories/{}", directory.id)).await;
    assert_eq!(shown["metadata"]["users"], json!({ "active": 1, "inactive": 0 }));
    let listed = directory.at(server.base()).send("GET", "/Users", None).await.expect(200);
    assert_eq!(listed.body["totalResults"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_converts_who_is_there_and_the_general_one_follows_the_settings() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let keeps = api.directory("okta scim v2.0", "Other").await;
    change(&api, &keeps.id, json!({ "inactive_users": "keep" })).await;
    for directory in [&directory, &keeps] {
        let mut body = user_body("ada@x.test");
        body["active"] = false.into();
        let ada = directory.send("POST", "/Users", Some(body)).await.expect(201).id();
        let group = directory.group("Sales").await;
        add(directory, &group, &ada).await;
        directory.user("bob@x.test").await;
    }
    let before = api.events(ALL).await.len();
    server.terminate();

    let server = Server::start_with(data.path(), &[("DSYNC_INACTIVE_USERS", "delete")]);
    let api = server.api();
    refreshed(&api, &directory.id).await;
    let events = api.events(ALL).await;
    assert_eq!(kinds(&events[before..]), ["user.deleted"]);
    assert_eq!(events[before]["data"]["directory_id"], directory.id, "the other says it itself");
    assert_eq!(
        api.get(&format!("/directories/{}", directory.id)).await["inactive_users"],
        "delete"
    );

    let before = events.len();
    change(&api, &directory.id, json!({ "inactive_users": "keep" })).await;
    refreshed(&api, &directory.id).await;
    let events = api.events(ALL).await;
    assert_eq!(kinds(&events[before..]), ["user.created", "group.user_added"]);
    assert_eq!(events[before]["data"]["state"], "inactive");
    agrees(server, data.path());
}
