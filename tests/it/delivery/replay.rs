//! What was sent is sent once more: a directory, a range, one event.

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Delivery, Receiver, Server};

use super::world::{Folded, QUICK, events_of, history, in_order, users};

#[tokio::test(flavor = "multi_thread")]
async fn the_replayed_history_of_a_directory_rebuilds_it_at_a_new_endpoint() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let other = api.directory("okta scim v2.0", "Rival").await;
    other.user("bob@rival.example").await;
    history(&directory).await;
    users(&other, "r", 5).await;
    let receiver = Receiver::start().await;
    let (endpoint, secret) = api.endpoint_with(receiver.url(), json!({})).await;
    let body = json!({ "from": "2020-01-01T00:00:00Z", "directory": directory.id, "rate": 1000 });
    let (replay, events) = api.replay(&endpoint, &body).await;
    let finished = api.finished(&replay).await;
    assert_eq!(finished["delivered"], json!(events));
    assert_eq!(finished["exhausted"], 0);
    // What the projection had yet to take in when the endpoint was made is not part of it.
    let mut taken = receiver.taken();
    taken.retain(|delivery| delivery.headers.contains_key("dsync-replay"));
    assert_eq!(taken.len() as u64, events);
    in_order(&taken);
    let mut folded = Folded::default();
    let id = finished["id"].as_str().unwrap();
    for delivery in &taken {
        delivery.verify(&secret);
        assert_eq!(delivery.header("dsync-replay"), id);
        folded.take(&delivery.event);
    }
    assert!(folded.users.len() > 5 && folded.members.len() > 5);
    assert_eq!(folded, Folded::of_api(&server, &directory.id).await);
    let attempts = api.get(&format!("{endpoint}/deliveries?limit=100")).await;
    let attempts = attempts["data"].as_array().unwrap();
    let of_replay = attempts.iter().filter(|attempt| attempt["replay_id"] == *id).count();
    assert!(of_replay + 1 >= attempts.len() && of_replay > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_its_pace_and_goes_on_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    users(&directory, "p", 60).await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = api.endpoint_with(receiver.url(), json!({})).await;
    let all = events_of(&server).await;
    let (from, to) = (all[1]["id"].clone(), all[50]["id"].clone());
    let (replay, events) =
        api.replay(&endpoint, &json!({ "from": from, "to": to, "rate": 25 })).await;
    assert_eq!(events, 50);
    receiver.wait_for(10).await;
    let shown = api.get(&replay).await;
    assert_eq!(shown["status"], "running", "{shown}");
    server.kill();
    let server = Server::start(data.path());
    let taken = receiver.wait_for_events(50).await;
    server.api().finished(&replay).await;
    let wanted: Vec<&str> = all[1..=50].iter().map(|event| event["id"].as_str().unwrap()).collect();
    let mut ids: Vec<&str> = taken.iter().map(Delivery::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, wanted);
    // 50 events at 25 a second, with some at once where it begins.
    let span = taken.last().unwrap().at_ms - taken[0].at_ms;
    assert!(span > 1_500, "{span} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exhausted_is_told_and_can_be_sent_again() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let api = server.api();
    let operator = Receiver::start().await;
    api.endpoint_with(operator.url(), json!({ "kind": "operational" })).await;
    let receiver = Receiver::answering(|_, delivery| {
        let is_bad = delivery.event["data"]["username"] == "bad@acme.example";
        let is_replay = delivery.headers.contains_key("dsync-replay");
        if is_bad && !is_replay { 422 } else { 200 }
    })
    .await;
    let fields = json!({ "events": ["dsync.user.created"], "retry_schedule": "10ms,10ms" });
    let (endpoint, _) = api.endpoint_with(receiver.url(), fields).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    directory.user("bad@acme.example").await;
    directory.user("good@acme.example").await;

    let told = operator.wait_for(1).await;
    assert_eq!(told[0].kind(), "delivery.exhausted");
    let event = told[0].event["data"]["event_id"].clone();
    assert_eq!(told[0].event["data"]["attempts"], 3, "{}", told[0].event);
    assert_eq!(told[0].event["data"]["response_status"], 422);
    let list = async |filter: &str| -> Vec<Value> {
        let path = format!("{endpoint}/deliveries?{filter}");
        api.get(&path).await["data"].as_array().unwrap().clone()
    };
    let id = event.as_str().unwrap();
    let failed = list(&format!("event={id}")).await;
    let statuses: Vec<&Value> = failed.iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, ["exhausted", "failed", "failed"]);
    assert!(failed[0]["request_body"].as_str().unwrap().contains("bad@acme.example"));

    let (replay, events) = api.replay(&endpoint, &json!({ "event_id": event })).await;
    assert_eq!(events, 1);
    assert_eq!(api.finished(&replay).await["delivered"], 1);
    let attempts = list(&format!("event={id}&limit=1")).await;
    assert_eq!((&attempts[0]["status"], &attempts[0]["attempt"]), (&json!("delivered"), &json!(1)));
    let seen = receiver.arrived().into_iter().filter(|one| one.id() == id).count();
    assert_eq!(seen, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_can_be_ended_before_its_time() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    users(&directory, "e", 20).await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = api.endpoint_with(receiver.url(), json!({})).await;
    let slowly = json!({ "from": "2020-01-01T00:00:00Z", "rate": 1 });
    let mut replays = Vec::new();
    for _ in 0..4 {
        replays.push(api.replay(&endpoint, &slowly).await.0);
    }
    let path = format!("{endpoint}/replay");
    assert_eq!(api.send("POST", &path, Some(&slowly)).await.0, 409);
    for replay in &replays {
        assert_eq!(api.send("DELETE", replay, None).await.0, 204);
        assert_eq!(api.send("GET", replay, None).await.0, 404);
    }
    assert_eq!(api.get(&format!("{endpoint}/replays")).await["data"], json!([]));
    let (again, _) =
        api.replay(&endpoint, &json!({ "from": "2020-01-01T00:00:00Z", "rate": 1000 })).await;
    eventually("the end of the new replay", || async {
        Some(()).filter(|()| receiver.arrived().len() >= 21)
    })
    .await;
    api.finished(&again).await;
}
