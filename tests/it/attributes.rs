//! Attribute maps, from the call that changes one to what apps are told of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tests::scim::user_body;
use tests::server::{command, eventually};
use tests::{Api, Directory, Server};
use tokio::task::JoinSet;

const USERS: &str = "dsync.user.created,dsync.user.updated,dsync.user.deleted";

/// Changes a directory, which has to succeed.
pub(crate) async fn change(api: &Api, directory: &str, change: Value) -> Value {
    let path = format!("/directories/{directory}");
    let (status, body) = api.send("PATCH", &path, Some(&change)).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Waits until all users follow the rules.
pub(crate) async fn refreshed(api: &Api, directory: &str) -> Value {
    let path = format!("/directories/{directory}");
    eventually("the end of the job", || async {
        let refresh = api.get(&path).await["refresh"].clone();
        (refresh["state"] == "done").then_some(refresh)
    })
    .await
}

/// The log, the chain and the store say the same, and a state made anew does too.
pub(crate) fn agrees(server: Server, folder: &std::path::Path) -> Server {
    server.terminate();
    for _ in 0..2 {
        let verified = command(folder).arg("verify").output().unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success(), "{said}");
        assert!(command(folder).arg("rebuild").output().unwrap().status.success());
    }
    Server::start(folder)
}

async fn users(api: &Api, directory: &str) -> Vec<Value> {
    let (mut users, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/directory_users?directory={directory}&limit=100{after}");
        let page = api.get(&path).await;
        users.extend(page["data"].as_array().unwrap().clone());
        let Some(last) = page["list_metadata"]["after"].as_str() else { return users };
        after = format!("&after={last}");
    }
}

/// What an app has that is told of users, checking that each update follows from what it was told before.
fn told(events: &[Value]) -> BTreeMap<String, Map<String, Value>> {
    let mut users = BTreeMap::<String, Map<String, Value>>::new();
    for event in events {
        let mut now = event["data"].as_object().unwrap().clone();
        let id = now["id"].as_str().unwrap().to_owned();
        match event["event"].as_str().unwrap() {
            "dsync.user.created" => assert_eq!(users.insert(id, now), None),
            "dsync.user.updated" => {
                let previous = now.remove("previous_attributes").unwrap();
                let before = users.insert(id, now.clone()).expect("it was there");
                assert_eq!(previous, difference(&before, &now), "{event}");
                assert_ne!(previous, json!({}), "an update tells of something: {event}");
            }
            "dsync.user.deleted" => assert!(users.remove(&id).is_some()),
            other => panic!("{other} was not asked for"),
        }
    }
    users
}

fn difference(before: &Map<String, Value>, now: &Map<String, Value>) -> Value {
    let mut difference = Map::new();
    for (name, new) in now.iter().filter(|(name, _)| *name != "updated_at") {
        let old = before.get(name).unwrap_or(&Value::Null);
        let nested = ["raw_attributes", "custom_attributes"].contains(&name.as_str());
        if let (true, Some(old), Some(new)) = (nested, old.as_object(), new.as_object()) {
            let names = old.keys().chain(new.keys());
            let changed = names.filter(|name| at(old, name) != at(new, name));
            let changed: Map<_, _> =
                changed.map(|name| (name.clone(), at(old, name).clone())).collect();
            if !changed.is_empty() {
                difference.insert(name.clone(), changed.into());
            }
        } else if old != new {
            difference.insert(name.clone(), old.clone());
        }
    }
    difference.into()
}

fn at<'v>(of: &'v Map<String, Value>, name: &str) -> &'v Value {
    of.get(name).unwrap_or(&Value::Null)
}

async fn create_many(directory: &Directory, count: usize) -> Vec<String> {
    let mut creating = JoinSet::new();
    for number in 0..count {
        let directory = directory.clone();
        creating.spawn(async move {
            let mut body = user_body(&format!("user{number}@acme.example"));
            if number % 3 == 0 {
                body.as_object_mut().unwrap().remove("title");
            }
            directory.send("POST", "/Users", Some(body)).await.expect(201).id()
        });
    }
    creating.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_changed_field_by_field_and_what_is_wrong_is_named() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let path = format!("/directories/{}", directory.id);
    let before = api.get(&path).await;
    assert_eq!(before["inactive_users"], "keep");
    assert_eq!(before["attribute_map"], json!({ "standard": {}, "predefined": [], "custom": {} }));
    assert_eq!(before["refresh"], json!({ "state": "done", "done": 0, "total": 0 }));

    let map = json!({ "predefined": ["department_name"],
        "custom": { "office": "addresses[type eq \"work\"].locality" },
        "standard": { "email": ["emails", "userName"] } });
    let set = json!({ "name": "Acme Okta", "inactive_users": "delete", "attribute_map": map });
    let after = change(&api, &directory.id, set).await;
    assert_eq!(after["name"], "Acme Okta");
    assert_eq!(after["inactive_users"], "delete");
    assert_eq!(
        after["attribute_map"]["custom"]["office"],
        json!(["addresses[type eq \"work\"].locality"])
    );
    let same = change(&api, &directory.id, json!({ "name": "Acme" })).await;
    assert_eq!(same["attribute_map"], after["attribute_map"], "what is not mentioned stays");
    let reset = json!({ "inactive_users": null, "attribute_map": null });
    let reset = change(&api, &directory.id, reset).await;
    assert_eq!(reset["attribute_map"], before["attribute_map"]);
    assert_eq!(reset["inactive_users"], "keep");

    for (wrong, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "inactive_users": "forget" }), "inactive_users"),
        (json!({ "state": "linked" }), "state"),
        (json!({ "attribute_map": [] }), "attribute_map"),
        (json!({ "attribute_map": { "custom": { "x": "groups" } } }), "attribute_map.custom.x"),
        (json!({ "attribute_map": { "standard": { "id": "x" } } }), "attribute_map.standard.id"),
    ] {
        let (status, said) = api.send("PATCH", &path, Some(&wrong)).await;
        assert_eq!((status, said["errors"][0]["field"].as_str()), (422, Some(field)), "{said}");
    }
    assert_eq!(api.send("PATCH", "/directories/directory_0", Some(&json!({}))).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_map_is_told_once_to_each_user_whom_it_changes() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let others = api.directory("okta scim v2.0", "Other").await;
    others.user("other@acme.example").await;
    create_many(&directory, 300).await;
    let map = json!({ "custom": { "position": "title", "nick": "nickName" },
        "predefined": ["department_name", "addresses"] });
    let mapped = change(&api, &directory.id, json!({ "attribute_map": map })).await;
    assert_eq!(mapped["refresh"]["state"], "running");
    let refresh = refreshed(&api, &directory.id).await;
    assert_eq!(refresh, json!({ "state": "done", "done": 300, "total": 300 }));

    let events = api.events(USERS).await;
    let updates = events.iter().filter(|event| event["event"] == "dsync.user.updated").count();
    assert_eq!(updates, 300);
    let mut told = told(&events);
    for mut user in users(&api, &directory.id).await {
        user.as_object_mut().unwrap().remove("groups");
        let custom = &user["custom_attributes"];
        assert_eq!(custom["department_name"], "Retail");
        assert_eq!(custom["addresses"][0]["street_address"], "18/2111");
        assert!(custom.as_object().unwrap().contains_key("nick"), "null, and not missing");
        assert_eq!(
            Some(&user),
            told.remove(user["id"].as_str().unwrap()).map(Value::from).as_ref()
        );
    }

    // Only those with a title change now.
    let map = json!({ "predefined": ["department_name", "addresses"] });
    change(&api, &directory.id, json!({ "attribute_map": map })).await;
    refreshed(&api, &directory.id).await;
    let events = api.events("dsync.user.updated").await;
    assert_eq!(events.len(), 300 + 200);
    let previous = json!({ "custom_attributes": { "position": "Retail Manager" } });
    assert!(events[300..].iter().all(|event| event["data"]["previous_attributes"] == previous));
    // And the same map again changes nobody.
    change(&api, &directory.id, json!({ "attribute_map": map, "name": "Acme" })).await;
    refreshed(&api, &directory.id).await;
    assert_eq!(api.events("dsync.user.updated").await.len(), 500);
    let server = agrees(server, data.path());
    assert_eq!(server.api().events("dsync.user.updated").await.len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_while_a_map_is_carried_out_are_told_once_and_whole() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let ids = create_many(&directory, 400).await;
    let mut working = JoinSet::new();
    for (worker, ids) in ids.chunks(100).map(<[String]>::to_vec).enumerate() {
        let directory = directory.clone();
        working.spawn(async move {
            for (number, id) in ids.iter().enumerate() {
                let title =
                    json!([{ "op": "replace", "path": "title", "value": format!("T{number}") }]);
                directory.patch(&format!("/Users/{id}"), title).await.expect(200);
                directory.user(&format!("new{worker}-{number}@acme.example")).await;
            }
        });
    }
    for map in [
        json!({ "custom": { "position": "title" } }),
        json!({ "custom": { "position": "title" }, "standard": { "first_name": "title" } }),
        json!({ "predefined": ["job_title"], "standard": { "email": "userName" } }),
    ] {
        change(&api, &directory.id, json!({ "attribute_map": map })).await;
    }
    working.join_all().await;
    let refresh = refreshed(&api, &directory.id).await;
    assert!(refresh["done"].as_u64().unwrap() >= 400, "{refresh}");

    let mut told = told(&api.events(USERS).await);
    assert_eq!(told.len(), 800);
    for mut user in users(&api, &directory.id).await {
        user.as_object_mut().unwrap().remove("groups");
        assert_eq!(user["custom_attributes"], json!({ "job_title": user["job_title"] }));
        assert_eq!(
            Some(&user),
            told.remove(user["id"].as_str().unwrap()).map(Value::from).as_ref()
        );
    }
    assert!(told.is_empty());
    agrees(server, data.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_is_carried_out_to_the_end_after_a_crash_and_nobody_is_told_twice() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    create_many(&directory, 600).await;
    let map = json!({ "predefined": ["department_name"] });
    change(&server.api(), &directory.id, json!({ "attribute_map": map })).await;
    eventually("the first update", || async {
        let updates = server.api().get("/events?events=dsync.user.updated&limit=1").await;
        (!updates["data"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    server.kill();
    let server = Server::start(data.path());
    refreshed(&server.api(), &directory.id).await;
    let events = server.api().events(USERS).await;
    assert_eq!(events.len(), 1_200, "each was created, and each was told of the map once");
    told(&events);
    agrees(server, data.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_falls_back_to_the_user_name_and_users_are_found_by_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let mut body = user_body("Ada@acme.example");
    body.as_object_mut().unwrap().remove("emails");
    directory.send("POST", "/Users", Some(body)).await.expect(201);
    directory.user("bob@acme.example").await;
    let path = format!("/directory_users?directory={}", directory.id);
    let found = async |email: &str| {
        let page = api.get(&format!("{path}&email={email}")).await;
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(found("ada@acme.example").await, 0, "no address came through");

    let preview = format!("/directories/{}/attribute_map/preview", directory.id);
    let map = json!({ "standard": { "email": ["emails", "userName"], "idp_id": "userName" } });
    let (status, shown) = api.send("POST", &preview, Some(&json!({ "attribute_map": map }))).await;
    assert_eq!((status, &shown["looked_at"]), (200, &json!(2)), "{shown}");
    let ada = &shown["changed"][1];
    assert_eq!(ada["before"]["email"], Value::Null);
    assert_eq!(ada["after"]["email"], "Ada@acme.example");
    let previous = json!({ "email": null, "idp_id": "ext-Ada@acme.example" });
    assert_eq!(ada["previous_attributes"], previous);
    let only = json!({ "attribute_map": map, "users": [ada["before"]["id"]] });
    let (_, only) = api.send("POST", &preview, Some(&only)).await;
    assert_eq!(only["changed"].as_array().unwrap().len(), 1);
    for (wrong, field) in [
        (json!({}), "attribute_map"),
        (json!({ "attribute_map": { "custom": { "x": "[" } } }), "attribute_map.custom.x"),
        (json!({ "attribute_map": {}, "users": ["ada"] }), "users"),
    ] {
        let (status, said) = api.send("POST", &preview, Some(&wrong)).await;
        assert_eq!((status, said["errors"][0]["field"].as_str()), (422, Some(field)), "{said}");
    }
    assert_eq!(api.events("dsync.user.updated").await.len(), 0, "a preview changes nothing");

    change(&api, &directory.id, json!({ "attribute_map": map })).await;
    refreshed(&api, &directory.id).await;
    assert_eq!(found("ada@acme.example").await, 1);
    assert_eq!(found("bob@acme.example").await, 1);
    let page = api.get(&format!("{path}&idp_id=bob@acme.example")).await;
    assert_eq!(page["data"][0]["email"], "bob@acme.example");
    let page = api.get(&format!("{path}&idp_id=ext-bob@acme.example")).await;
    assert_eq!(page["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_sent_empty_where_the_settings_have_it_so_with_their_keys() {
    let data = tempfile::tempdir().unwrap();
    let emptied = [("DSYNC_EMPTIED_FIELDS", "raw_attributes,emails,username,job_title,groups")];
    let server = Server::start_with(data.path(), &emptied);
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let map = json!({ "predefined": ["job_title", "username"] });
    change(&api, &directory.id, json!({ "attribute_map": map })).await;
    let (user, group) = (directory.user("ada@x.test").await, directory.group("Sales").await);
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
    let title = json!([{ "op": "replace", "path": "title", "value": "Countess" }]);
    directory.patch(&format!("/Users/{user}"), title).await.expect(200);
    let is_empty = |user: &Value| {
        assert_eq!(user["raw_attributes"], json!({}), "{user}");
        assert_eq!(user["emails"], json!([]));
        assert_eq!(
            (user.get("username"), user.get("job_title")),
            (Some(&Value::Null), Some(&Value::Null))
        );
        assert_eq!(user["email"], "ada@x.test");
    };
    let shown = users(&api, &directory.id).await.remove(0);
    is_empty(&shown);
    assert_eq!(shown["groups"], json!([]));
    assert_eq!(
        shown["custom_attributes"],
        json!({ "job_title": "Countess", "username": "ada@x.test" })
    );
    let groups = api.get(&format!("/directory_groups?directory={}", directory.id)).await;
    assert_eq!(groups["data"][0]["raw_attributes"], json!({}));
    let events = api.events("dsync.user.created,dsync.user.updated,dsync.group.user_added").await;
    is_empty(&events[0]["data"]);
    is_empty(&events[1]["data"]["user"]);
    assert_eq!(events[1]["data"]["group"]["raw_attributes"], json!({}));
    is_empty(&events[2]["data"]);
    let previous = json!({ "custom_attributes": { "job_title": "Retail Manager" } });
    assert_eq!(events[2]["data"]["previous_attributes"], previous);

    server.terminate();
    let server = Server::start(data.path());
    let shown = users(&server.api(), &directory.id).await.remove(0);
    assert_eq!(shown["job_title"], "Countess", "the setting says what is sent, not what is kept");
    assert_eq!(shown["groups"].as_array().unwrap().len(), 1);
    let wrong = command(data.path()).args(["serve", "--emptied-fields", "name"]).output().unwrap();
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("raw_attributes"));
}
