//! What the operator is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Delivery, Receiver, Server};

use super::world::{QUICK, events_of, sample_is_like, users};

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_told_that_an_endpoint_fails_recovers_and_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let api = server.api();
    let operator = Receiver::start().await;
    let (_, secret) = api.endpoint_with(operator.url(), json!({ "kind": "operational" })).await;
    let status = Arc::new(AtomicU16::new(503));
    let answers = Arc::clone(&status);
    let app = Receiver::answering(move |_, _| answers.load(Ordering::Relaxed)).await;
    let (endpoint, _) = api.endpoint_with(app.url(), json!({})).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    users(&directory, "a", 10).await;
    let told = operator.wait_for(1).await;
    assert_eq!(told[0].kind(), "endpoint.failing");
    let data = &told[0].event["data"];
    assert_eq!((&data["endpoint_url"], &data["failure"]), (&json!(app.url()), &json!("status")));
    assert_eq!((&data["response_status"], data["disables_at"].is_string()), (&json!(503), true));
    assert_eq!(api.get(&endpoint).await["health"]["last_error"]["status"], 503);

    status.store(200, Ordering::Relaxed);
    let told = operator.wait_for(2).await;
    assert_eq!(told[1].kind(), "endpoint.recovered");
    assert_eq!(told[1].event["data"]["failing_since"], data["failing_since"]);
    app.wait_for_events(11).await;
    eventually("that it is well again", || async {
        let health = api.get(&endpoint).await["health"].clone();
        (health["state"] == "healthy" && health["lag_events"] == 0).then_some(())
    })
    .await;

    status.store(410, Ordering::Relaxed);
    users(&directory, "b", 1).await;
    let told = operator.wait_for(3).await;
    assert_eq!(told[2].kind(), "endpoint.disabled");
    assert_eq!(told[2].event["data"]["reason"], "gone");
    assert_eq!(api.get(&endpoint).await["health"]["state"], "disabled");
    for delivery in &told {
        sample_is_like(&api, delivery).await;
        delivery.verify(&secret);
        assert_eq!(delivery.event["object"], "event");
    }
    // They are nobody's directory: no list of events has them, and the chain is whole.
    let names = |event: &Value| event["event"].as_str().unwrap().to_owned();
    assert!(events_of(&server).await.iter().all(|event| names(event).starts_with("dsync.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operational_endpoint_that_fails_is_not_reported_to_itself() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let api = server.api();
    let operator = Receiver::answering(|arrived, _| if arrived < 12 { 500 } else { 200 }).await;
    let witness = Receiver::start().await;
    let fields = json!({ "kind": "operational", "retry_schedule": "10ms,10ms" });
    api.endpoint_with(operator.url(), fields).await;
    api.endpoint_with(witness.url(), json!({ "kind": "operational" })).await;
    let app = Receiver::answering(|_, _| 422).await;
    api.endpoint_with(app.url(), json!({ "retry_schedule": "10ms", "order": "none" })).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    users(&directory, "a", 9).await;
    let told = witness.wait_for(10).await;
    let about = |delivery: &Delivery| delivery.event["data"]["endpoint_url"].clone();
    assert!(told.iter().all(|delivery| delivery.kind() == "delivery.exhausted"));
    assert!(told.iter().all(|delivery| about(delivery) == app.url()));
    sample_is_like(&api, &told[0]).await;
    operator.wait_for(16).await;
    assert!(server.terminate().success());
    assert_eq!(witness.arrived().len(), 10, "nothing was told of the operator's own endpoint");
}
