//! The server ends in the middle of deliveries, in peace or not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tests::{Delivery, Receiver, Server};

use super::world::{events_of, in_order, title, users};

const ROUNDS: usize = 25;
const USERS: usize = 20;

/// The most completions that a crash sends again: a flush window, and what was in flight.
const WINDOW: usize = 500 + 64;

/// Events that no endpoint has got yet, on a server that is not running.
async fn backlog(data: &std::path::Path) -> usize {
    let server = Server::start(data);
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let people = users(&directory, "c", USERS).await;
    for round in 0..ROUNDS {
        for user in &people {
            title(&directory, user, &format!("Round {round}")).await;
        }
    }
    let events = events_of(&server).await.len();
    assert!(server.terminate().success());
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_event_arrives_and_only_the_last_window_twice() {
    let data = tempfile::tempdir().unwrap();
    let expected = backlog(data.path()).await;
    let receiver = Receiver::answering_after(|_| Duration::from_millis(2), |_, _| 200).await;
    let mut server = Server::start(data.path());
    server.api().endpoint_with(receiver.url(), json!({ "start": "beginning" })).await;
    let mut kills = 0;
    for part in 1..4 {
        receiver.wait_for(expected * part / 4).await;
        server.kill();
        kills += 1;
        server = Server::start(data.path());
    }
    let taken = receiver.wait_for_events(expected).await;
    in_order(&taken);
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in &taken {
        *times.entry(delivery.id()).or_default() += 1;
    }
    let twice = taken.len() - times.len();
    assert_eq!(times.len(), expected);
    assert!(twice <= kills * WINDOW, "{twice} came again");
    assert!(taken.iter().all(|delivery| delivery.header("webhook-id") == delivery.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_end_sends_nothing_twice() {
    let data = tempfile::tempdir().unwrap();
    let expected = backlog(data.path()).await;
    let receiver = Receiver::answering_after(|_| Duration::from_millis(2), |_, _| 200).await;
    let mut server = Server::start(data.path());
    server.api().endpoint_with(receiver.url(), json!({ "start": "beginning" })).await;
    for part in 1..4 {
        receiver.wait_for(expected * part / 4).await;
        assert!(server.terminate().success());
        server = Server::start(data.path());
    }
    receiver.wait_for_events(expected).await;
    assert!(server.terminate().success());
    let arrived = receiver.arrived();
    let ids: Vec<&str> = arrived.iter().map(Delivery::id).collect();
    assert_eq!(ids.len(), expected, "each event once");
    in_order(&arrived);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_end_waits_for_an_app_that_takes_five_seconds() {
    let data = tempfile::tempdir().unwrap();
    let receiver = Receiver::answering_after(|_| Duration::from_secs(5), |_, _| 200).await;
    let server = Server::start(data.path());
    server.api().endpoint_with(receiver.url(), json!({ "events": ["dsync.user.created"] })).await;
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    users(&directory, "s", 3).await;
    receiver.wait_for(3).await;
    assert!(server.terminate().success());

    let server = Server::start(data.path());
    let other = server.api().directory("okta scim v2.0", "Beta").await;
    users(&other, "t", 1).await;
    receiver.wait_for_events(4).await;
    assert!(server.terminate().success());
    assert_eq!(receiver.arrived().len(), 4, "each event once");
}
