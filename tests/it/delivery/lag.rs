//! How far apps are behind, as the metric has it that somebody is woken by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;
use tests::server::eventually;
use tests::{Api, Receiver, Server};

use super::world::users;

const USERS: usize = 20;

/// Long enough for an event to be tried until the test has seen that it waits.
const SCHEDULE: &str = "500ms,5s,5s,5s,5s,5s,5s,5s,5s,5s,5s";

async fn behind(api: &Api, what: &str, is_right: impl Fn(f64) -> bool) {
    eventually(what, || async {
        let behind = api.metric("dispatcher_lag_events").await;
        is_right(behind).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_counts_though_others_are_delivered() {
    one_user_is_refused("resource").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_holds_up_a_directory_in_strict_order_counts() {
    one_user_is_refused("directory").await;
}

async fn one_user_is_refused(order: &str) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    // The operator's events are counted on their own, and there are fewer of them.
    let operator = Receiver::start().await;
    api.endpoint_with(operator.url(), json!({ "kind": "operational" })).await;
    let gives_up = Receiver::answering(|_, _| 422).await;
    let once = json!({ "events": ["dsync.user.created"], "retry_schedule": "10ms" });
    api.endpoint_with(gives_up.url(), once).await;
    let status = Arc::new(AtomicU16::new(500));
    let answer = Arc::clone(&status);
    let receiver = Receiver::answering(move |_, delivery| {
        let is_bad = delivery.event["data"]["username"] == "bad@acme.example";
        if is_bad { answer.load(Ordering::Relaxed) } else { 200 }
    })
    .await;
    let fields = json!({ "order": order, "retry_schedule": SCHEDULE });
    api.endpoint_with(receiver.url(), fields).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    directory.user("bad@acme.example").await;
    users(&directory, "l", USERS).await;
    operator.wait_for_events(USERS + 1).await;

    behind(&api, "what waits", |behind| behind >= USERS as f64 && behind < 3.0 * USERS as f64)
        .await;
    status.store(200, Ordering::Relaxed);
    receiver.wait_for_events(1 + 1 + USERS).await;
    behind(&api, "an end of all waiting", |behind| behind == 0.0).await;
}
