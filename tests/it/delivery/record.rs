//! The record of attempts, and samples.

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Receiver, Server};

use super::world::{QUICK, member, title, users};

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_found_by_what_they_were_about_and_what_came_of_them() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let api = server.api();
    let receiver = Receiver::answering(|_, delivery| {
        let is_first = delivery.header("dsync-attempt") == "1";
        if is_first && delivery.kind() == "dsync.user.updated" { 503 } else { 200 }
    })
    .await;
    let (endpoint, _) = api.endpoint_with(receiver.url(), json!({})).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let people = users(&directory, "a", 5).await;
    let group = directory.group("Everyone").await;
    title(&directory, &people[1], "Chief").await;
    member(&directory, &group, "add", &people[1]).await;
    let count = 5 + 1 + 1 + 2 + 1;
    let list = async |filter: &str| -> Vec<Value> {
        let page = api.get(&format!("{endpoint}/deliveries?limit=100&{filter}")).await;
        page["data"].as_array().unwrap().clone()
    };
    eventually("the record of all attempts", || async {
        (list("").await.len() == count).then_some(())
    })
    .await;
    let found = api.get(&format!("/directory_users?directory={}", directory.id)).await;
    let named = |name: &str| {
        let users = found["data"].as_array().unwrap();
        let user = users.iter().find(|user| user["username"] == name).unwrap();
        user["id"].as_str().unwrap().to_owned()
    };
    let of_user = list(&format!("resource={}", named("a-1@acme.example"))).await;
    let kinds: Vec<&str> = of_user.iter().map(|one| one["event"].as_str().unwrap()).collect();
    let (created, updated) = ("dsync.user.created", "dsync.user.updated");
    assert_eq!(kinds, ["dsync.group.user_added", updated, updated, created]);
    assert_eq!(of_user[2]["status"], "failed");
    assert_eq!(of_user[2]["response_status"], 503);
    assert!(of_user[2]["request_body"].as_str().unwrap().contains("Chief"));
    assert_eq!(of_user[2]["response_body"], Value::Null, "the app is inside our network");
    assert_eq!(list("status=failed").await.len(), 1);
    assert_eq!(list("status=503").await.len(), 1);
    assert_eq!(list("event=dsync.user.created").await.len(), 5);
    assert_eq!(list("event=dsync.user.created&status=failed").await.len(), 0);
    assert_eq!(list("since=2100-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(list("until=2100-01-01T00:00:00Z").await.len(), count);

    // Page by page, there and back.
    let all = list("").await;
    let (mut walked, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{endpoint}/deliveries?limit=3{after}")).await;
        walked.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["list_metadata"]["after"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(walked, all);
    let before = all[4]["id"].as_str().unwrap();
    let page = api.get(&format!("{endpoint}/deliveries?limit=3&before={before}")).await;
    assert_eq!(page["data"], json!(all[1..4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_signed_as_every_delivery_is_and_recorded_nowhere() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let receiver = Receiver::answering(|_, delivery| {
        if delivery.event["event"] == "dsync.group.user_added" { 500 } else { 200 }
    })
    .await;
    let (endpoint, secret) = api.endpoint_with(receiver.url(), json!({})).await;
    let off = json!({ "status": "disabled" });
    assert_eq!(api.send("PATCH", &endpoint, Some(&off)).await.0, 200);
    let test = async |event: &str| {
        let body = json!({ "event": event });
        api.send("POST", &format!("{endpoint}/test"), Some(&body)).await
    };
    let (status, answer) = test("dsync.user.created").await;
    assert_eq!(
        (status, &answer["delivered"], &answer["response_status"]),
        (200, &json!(true), &json!(200))
    );
    let arrived = receiver.arrived();
    arrived[0].verify(&secret);
    assert_eq!(arrived[0].header("dsync-test"), "true");
    assert_eq!(answer["event_id"], arrived[0].id());
    assert_eq!(answer["request_body"].as_str().unwrap().as_bytes(), arrived[0].body);
    assert_eq!(answer["request_headers"]["webhook-id"], arrived[0].id());
    let (_, answer) = test("dsync.group.user_added").await;
    assert_eq!((&answer["delivered"], &answer["failure"]), (&json!(false), &json!("status")));
    assert_eq!(test("dsync.token.created").await.0, 422);
    let set = json!({ "format": "scim_set" });
    assert_eq!(api.send("PATCH", &endpoint, Some(&set)).await.0, 200);
    assert_eq!(test("dsync.activated").await.0, 422);
    assert_eq!(test("dsync.user.updated").await.1["delivered"], true);
    assert_eq!(receiver.arrived()[2].header("content-type"), "application/secevent+jwt");
    assert_eq!(api.get(&format!("{endpoint}/deliveries")).await["data"], json!([]));
}
