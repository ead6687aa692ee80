//! Members that are named before they exist, from the identity provider to the app.

use serde_json::{Value, json};
use tests::scim::{patch_body, user_body};
use tests::server::command;
use tests::{Directory, Receiver, Server};

const EVERYTHING: &str = "dsync.user.created,dsync.user.updated,dsync.group.created,\
    dsync.group.user_added,dsync.group.user_removed,dsync.group.pending_member_added,\
    dsync.group.pending_member_removed";

async fn let_members_wait(server: &Server, directory: &Directory) {
    let path = format!("/directories/{}/scim_settings", directory.id);
    let (status, settings) = server.api().send("GET", &path, None).await;
    assert_eq!((status, &settings["unknown_member"]), (200, &json!("reject")), "unless it is set");
    let wrong = json!({ "unknown_member": "invent" });
    assert_eq!(server.api().send("PATCH", &path, Some(&wrong)).await.0, 422);
    let pending = json!({ "unknown_member": "pending" });
    let (status, settings) = server.api().send("PATCH", &path, Some(&pending)).await;
    assert_eq!((status, &settings["unknown_member"]), (200, &json!("pending")));
    assert_eq!(settings["unknown_schema"], "ignore", "what is not mentioned stays");
}

fn group_body(name: &str, members: &[&str]) -> Value {
    let members: Vec<_> = members.iter().map(|value| json!({ "value": value })).collect();
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name,
        "members": members })
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["event"].as_str().expect("a type"));
    kinds.map(|kind| kind.strip_prefix("dsync.").expect("ours")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_waits_for_its_members_and_the_app_hears_of_them_when_they_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let receiver = Receiver::start().await;
    let (_, secret) = server.api().endpoint(receiver.url()).await;
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let names = ["ext-ada@x.test", "BOB@x.test", "nobody"];
    let refused = directory.send("POST", "/Groups", Some(group_body("Team", &names))).await;
    refused.expect_error(400, Some("invalidValue"));
    let_members_wait(&server, &directory).await;

    let group = directory.send("POST", "/Groups", Some(group_body("Team", &names))).await;
    let group = group.expect(201);
    assert_eq!(group.body.get("members"), None, "nobody that could be read");
    let ada = directory.send("POST", "/Users", Some(user_body("ada@x.test"))).await.expect(201);
    assert_eq!(ada.body["groups"][0]["value"], group.id(), "{}", ada.body);
    let bob = directory.send("POST", "/Users", Some(user_body("bob@x.test"))).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    let nobody = json!([{ "op": "remove", "path": "members[value eq \"nobody\"]" }]);
    directory.patch(&path, nobody).await.expect(204);
    let read = directory.send("GET", &path, None).await.expect(200);
    let members = read.body["members"].as_array().expect("members").iter();
    let members: Vec<_> = members.map(|member| member["value"].as_str().expect("an id")).collect();
    assert_eq!(members, [ada.id(), bob.id()]);

    let events = server.api().events(EVERYTHING).await;
    let (waits, no_more) = ("group.pending_member_added", "group.pending_member_removed");
    let arrives = ["user.created", "group.user_added", no_more];
    let expected = [&["group.created", waits, waits, waits], &arrives[..], &arrives, &[no_more]];
    assert_eq!(kinds(&events), expected.concat());
    assert_eq!(events[1]["data"]["member"]["value"], names[0]);
    assert_eq!(events[1]["data"]["group"]["name"], "Team");
    assert_eq!(events[8]["data"]["user"]["id"], events[7]["data"]["id"]);
    assert_eq!(events[10]["data"]["member"], json!({ "value": "nobody" }));

    let told = ["activated", "group.created"].into_iter();
    let told: Vec<_> = told.chain([arrives[0], arrives[1], arrives[0], arrives[1]]).collect();
    directory.group("Afterwards").await;
    let arrived = receiver.wait_for(told.len() + 1).await;
    arrived.iter().for_each(|delivery| delivery.verify(&secret));
    assert_eq!(arrived.len(), told.len() + 1);
    let mut heard: Vec<_> = arrived.iter().map(|one| one.kind().replace("dsync.", "")).collect();
    let mut expected = [told, vec!["group.created"]].concat();
    heard.sort_unstable();
    expected.sort_unstable();
    assert_eq!(heard, expected, "of those who wait, apps hear nothing");

    let verified = command(server.data()).arg("verify").output().expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_user_or_its_membership_comes_first_it_is_a_member_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let_members_wait(&server, &directory).await;
    let path = format!("/Groups/{}", directory.group("Team").await);
    let mut racing = tokio::task::JoinSet::new();
    for number in 0..60 {
        let name = format!("user{number}@x.test");
        let value = if number % 2 == 0 { format!("ext-{name}") } else { name.to_uppercase() };
        let (users, groups, path) = (directory.clone(), directory.clone(), path.clone());
        racing.spawn(async move {
            users.send("POST", "/Users", Some(user_body(&name))).await.expect(201);
        });
        racing.spawn(async move {
            let add = json!([{ "op": "add", "path": "members", "value": [{ "value": value }] }]);
            groups.send("PATCH", &path, Some(patch_body(&add))).await.expect(204);
        });
    }
    racing.join_all().await;
    let read = directory.send("GET", &path, None).await.expect(200);
    assert_eq!(read.body["members"].as_array().map(Vec::len), Some(60));
}

#[tokio::test]
async fn a_bulk_request_may_name_members_before_it_creates_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let_members_wait(&server, &directory).await;
    let mut ada = user_body("ada@x.test");
    // The user refers to the group, so that the group comes first although it refers to the user.
    ada["urn:example:Teams"] = json!({ "lead": { "$ref": "bulkId:team" } });
    let team = group_body("Team", &["bulkId:ada", "ext-bob@x.test"]);
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        { "method": "POST", "path": "/Users", "bulkId": "ada", "data": ada },
        { "method": "POST", "path": "/Groups", "bulkId": "team", "data": team },
        { "method": "POST", "path": "/Users", "bulkId": "bob", "data": user_body("bob@x.test") },
    ] });
    let done = directory.send("POST", "/Bulk", Some(body)).await.expect(200);
    let operations = done.body["Operations"].as_array().expect("a list");
    assert!(operations.iter().all(|one| one["status"] == "201"), "{}", done.body);
    let location = operations[1]["location"].as_str().expect("a place");
    let (_, group) = location.rsplit_once('/').expect("an id");
    let read = directory.send("GET", &format!("/Groups/{group}"), None).await.expect(200);
    assert_eq!(read.body["members"].as_array().map(Vec::len), Some(2));
    let waited = server.api().events("dsync.group.pending_member_removed").await;
    assert_eq!(waited.len(), 2, "{waited:?}");
}

#[tokio::test]
async fn a_group_that_is_read_and_put_back_goes_on_waiting_and_a_list_of_the_clients_own_is_whole()
{
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let_members_wait(&server, &directory).await;
    let team = group_body("Team", &["ext-ada@x.test", "ext-bob@x.test"]);
    let group = directory.send("POST", "/Groups", Some(team)).await.expect(201).id();
    let path = format!("/Groups/{group}");
    let cy = directory.user("cy@x.test").await;
    let mut read = directory.send("GET", &path, None).await.expect(200).body;
    read["members"] = json!([{ "value": cy }]);
    directory.send("PUT", &path, Some(read)).await.expect(200);
    let members = async || {
        let read = directory.send("GET", &path, None).await.expect(200);
        let members = read.body["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| member["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(members().await, [json!(cy)]);
    let ada = directory.user("ada@x.test").await;
    assert_eq!(members().await, [json!(cy), json!(ada)], "it has waited");

    let own = group_body("Team", &[&cy, &ada]);
    directory.send("PUT", &path, Some(own)).await.expect(200);
    directory.user("bob@x.test").await;
    assert_eq!(members().await, [json!(cy), json!(ada)], "who is left out waits no more");
}
