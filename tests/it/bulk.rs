//! Bulk requests: references among operations, and what becomes of those that fail.

use serde_json::{Value, json};
use tests::scim::{patch_body, user_body};
use tests::{Directory, Server};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn server() -> (tempfile::TempDir, Server, Directory) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let directory = server.api().directory("generic scim v2.0", "Bulk").await;
    (folder, server, directory)
}

fn bulk(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations })
}

fn post(id: &str, name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": id, "data": user_body(name) })
}

#[tokio::test]
async fn a_bulk_request_resolves_references_forwards_and_in_a_circle() {
    let (_folder, _server, directory) = server().await;
    let user = |name: &str, manager: &str| {
        json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": name,
            ENTERPRISE: { "manager": { "value": manager } } })
    };
    let operations = json!([
        { "method": "POST", "path": "/Groups", "bulkId": "team", "data": {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Team",
            "members": [{ "value": "bulkId:ada" }] } },
        { "method": "POST", "path": "/Users", "bulkId": "ada", "data": user("ada", "bulkId:bob") },
        { "method": "POST", "path": "/Users", "bulkId": "bob", "data": user("bob", "bulkId:ada") },
        { "method": "PATCH", "path": "/Groups/bulkId:team", "data": patch_body(&json!([
            { "op": "add", "path": "members", "value": [{ "value": "bulkId:bob" }] }])) },
    ]);
    let answer = directory.send("POST", "/Bulk", Some(bulk(&operations))).await.expect(200);
    let done = answer.body["Operations"].as_array().expect("a list");
    let statuses: Vec<_> = done.iter().map(|one| one["status"].as_str().expect("a text")).collect();
    assert_eq!(statuses, ["201", "201", "201", "200"], "{}", answer.body);
    let ids: Vec<_> = done
        .iter()
        .map(|one| one["location"].as_str().expect("a place").rsplit('/').next().expect("an id"))
        .collect();
    let ada = directory.send("GET", &format!("/Users/{}", ids[1]), None).await.expect(200);
    assert_eq!(ada.body[ENTERPRISE]["manager"]["value"], ids[2]);
    assert_eq!(ada.etag.as_deref(), done[1]["version"].as_str());
    let bob = directory.send("GET", &format!("/Users/{}", ids[2]), None).await.expect(200);
    assert_eq!(bob.body[ENTERPRISE]["manager"]["value"], ids[1]);
    let team = directory.send("GET", &format!("/Groups/{}", ids[0]), None).await.expect(200);
    let members: std::collections::BTreeSet<_> =
        (team.body["members"].as_array().expect("members"))
            .iter()
            .map(|member| member["value"].as_str().expect("an id"))
            .collect();
    assert_eq!(members, [ids[1], ids[2]].into());
}

#[tokio::test]
async fn in_a_bulk_request_each_operation_stands_for_itself_until_there_are_too_many_errors() {
    let (_folder, _server, directory) = server().await;
    let operations = json!([
        post("a", "same@x.test"), post("b", "SAME@x.test"),
        { "method": "PATCH", "path": "/Users/bulkId:b", "data": patch_body(&json!([
            { "op": "replace", "path": "title", "value": "T" }])) },
        post("c", "other@x.test"),
    ]);
    let answer = directory.send("POST", "/Bulk", Some(bulk(&operations))).await.expect(200);
    let done = answer.body["Operations"].as_array().expect("a list");
    let of = |at: usize| (done[at]["status"].as_str(), done[at]["response"]["scimType"].as_str());
    assert_eq!(of(0), (Some("201"), None));
    assert_eq!(of(1), (Some("409"), Some("uniqueness")));
    assert_eq!(of(2), (Some("409"), None));
    assert_eq!(of(3), (Some("201"), None));

    let mut request = bulk(&json!([post("a", "same@x.test"), post("b", "third@x.test")]));
    request["failOnErrors"] = json!(1);
    let answer = directory.send("POST", "/Bulk", Some(request)).await.expect(200);
    assert_eq!(answer.body["Operations"].as_array().map(Vec::len), Some(1));
    let listed = directory.send("GET", "/Users?attributes=userName", None).await.expect(200);
    let listed = listed.body["Resources"].as_array().expect("a list");
    let names: Vec<_> =
        listed.iter().map(|user| user["userName"].as_str().expect("a name")).collect();
    assert_eq!(names, ["same@x.test", "other@x.test"]);
}

#[tokio::test]
async fn an_operation_that_makes_no_sense_fails_alone_and_counts_as_an_error() {
    let (_folder, _server, directory) = server().await;
    let operations = json!([
        { "method": "GET", "path": "/Users", "bulkId": "get" },
        post("a", "ada@x.test"),
        { "method": "POST", "path": "/Users", "data": user_body("nobody@x.test") },
        { "method": "PATCH", "bulkId": "patch", "data": {} },
        7,
        post("a", "other@x.test"),
        post("b", "bob@x.test"),
        { "method": "POST", "path": "/Groups", "bulkId": "team", "data": {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Team",
            "members": [{ "value": "bulkId:get" }] } },
    ]);
    let mut request = bulk(&operations);
    let answer = directory.send("POST", "/Bulk", Some(request.clone())).await.expect(200);
    let done = answer.body["Operations"].as_array().expect("a list").clone();
    let statuses: Vec<_> = done.iter().map(|one| one["status"].as_str().expect("a text")).collect();
    assert_eq!(statuses, ["400", "201", "400", "400", "400", "400", "201", "409"]);
    assert_eq!((&done[0]["method"], &done[0]["bulkId"]), (&json!("GET"), &json!("get")));
    for failed in [0, 2, 3, 4, 5] {
        let response = &done[failed]["response"];
        assert_eq!(response["status"], "400", "{response}");
        assert!(response["detail"].as_str().is_some_and(|text| !text.is_empty()), "{response}");
    }

    request["Operations"][1] = post("a", "third@x.test");
    request["failOnErrors"] = json!(2);
    let answer = directory.send("POST", "/Bulk", Some(request)).await.expect(200);
    let done = answer.body["Operations"].as_array().expect("a list");
    assert_eq!(done.len(), 3, "the third is the second error: {}", answer.body);
}

#[tokio::test]
async fn every_operation_but_a_failed_post_says_where_its_resource_is() {
    let (_folder, _server, directory) = server().await;
    let id = directory.user("ada@x.test").await;
    let place = format!("/Users/{id}");
    let operations = json!([
        { "method": "PUT", "path": place, "data": { "userName": 7 } },
        { "method": "PATCH", "path": place, "data": {} },
        { "method": "PATCH", "path": place },
        { "method": "DELETE", "path": place, "version": "W/\"0\"" },
        { "method": "DELETE", "path": "/Users/nobody" },
        post("b", "ADA@x.test"),
        { "method": "DELETE", "path": place },
    ]);
    let answer = directory.send("POST", "/Bulk", Some(bulk(&operations))).await.expect(200);
    let done = answer.body["Operations"].as_array().expect("a list");
    let statuses: Vec<_> = done.iter().map(|one| one["status"].as_str().expect("a text")).collect();
    assert_eq!(statuses, ["400", "400", "400", "412", "404", "409", "204"], "{}", answer.body);
    let location = |at: usize| {
        let location: Option<&str> = done[at]["location"].as_str();
        location.map(|all| all[all.find("/Users").expect("it is a user")..].to_owned())
    };
    for at in [0, 1, 2, 3, 6] {
        assert_eq!(location(at).as_ref(), Some(&place), "{}", done[at]);
    }
    assert_eq!(location(4).as_deref(), Some("/Users/nobody"));
    assert_eq!(location(5), None);
}

#[tokio::test]
async fn what_only_looks_like_a_reference_is_kept_as_it_is() {
    let (_folder, _server, directory) = server().await;
    let mut odd = user_body("bulkId:b");
    odd["title"] = json!("bulkId:nobody");
    let operations = json!([
        { "method": "POST", "path": "/Users", "bulkId": "a", "data": odd },
        post("b", "bob@x.test"),
    ]);
    let answer = directory.send("POST", "/Bulk", Some(bulk(&operations))).await.expect(200);
    let statuses: Vec<_> = (answer.body["Operations"].as_array().expect("a list").iter())
        .map(|one| &one["status"])
        .collect();
    assert_eq!(statuses, ["201", "201"], "{}", answer.body);
    let listed = directory.send("GET", "/Users", None).await.expect(200);
    let first = &listed.body["Resources"][0];
    assert_eq!(
        (&first["userName"], &first["title"]),
        (&json!("bulkId:b"), &json!("bulkId:nobody"))
    );
}
