//! Order, filters, and where an endpoint begins.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde_json::json;
use tests::{Delivery, Receiver, Server};

use super::world::{QUICK, events_of, history, in_order, member, title, users};

/// A number that depends on an event alone.
fn roll(delivery: &Delivery) -> u64 {
    let mut hasher = DefaultHasher::new();
    delivery.id().hash(&mut hasher);
    hasher.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_out_of_order_though_one_in_ten_fails_first_and_one_user_is_slow() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let people = users(&directory, "o", 21).await;
    let group = directory.group("Everyone").await;
    let slow = "o-0@acme.example";
    let receiver = Receiver::answering_after(
        move |delivery| {
            let is_slow = delivery.event["data"]["username"] == slow;
            Duration::from_millis(if is_slow { roll(delivery) % 50 } else { 0 })
        },
        |_, delivery| {
            let is_first = delivery.header("dsync-attempt") == "1";
            if is_first && roll(delivery).is_multiple_of(10) { 500 } else { 200 }
        },
    )
    .await;
    server.api().endpoint_with(receiver.url(), json!({ "start": "beginning" })).await;
    for round in 0..15 {
        for user in &people {
            title(&directory, user, &format!("Round {round}")).await;
        }
        member(&directory, &group, "add", &people[round]).await;
    }
    let expected = events_of(&server).await.len();
    let taken = receiver.wait_for_events(expected).await;
    in_order(&taken);
    assert_eq!(taken.len(), expected, "each was taken once");
    assert!(receiver.arrived().len() > expected + expected / 20, "some failed first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_strict_order_comes_one_after_the_other() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let receiver = Receiver::answering_after(
        |delivery| Duration::from_millis(roll(delivery) % 5),
        |_, delivery| {
            let is_first = delivery.header("dsync-attempt") == "1";
            if is_first && roll(delivery).is_multiple_of(7) { 500 } else { 200 }
        },
    )
    .await;
    server.api().endpoint_with(receiver.url(), json!({ "order": "directory" })).await;
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    history(&directory).await;
    let expected = events_of(&server).await;
    let taken = receiver.wait_for_events(expected.len()).await;
    let ids: Vec<&str> = taken.iter().map(Delivery::id).collect();
    let expected: Vec<&str> = expected.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, expected);
}

/// The types of what arrived, sorted: an event overtakes those of other users, though none of its own.
fn kinds(receiver: &Receiver) -> Vec<String> {
    let arrived = receiver.arrived();
    in_order(&arrived);
    let mut kinds: Vec<String> = arrived.iter().map(|one| one.kind().to_owned()).collect();
    kinds.sort();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_what_its_filters_let_through_from_where_it_starts() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = api.directory("okta scim v2.0", "Acme").await;
    let rival = api.directory("okta scim v2.0", "Rival").await;
    let organization =
        api.get(&format!("/directories/{}", rival.id)).await["organization_id"].clone();
    let early = users(&acme, "early", 2).await;
    let by_type = Receiver::start().await;
    let by_organization = Receiver::start().await;
    let by_both = Receiver::start().await;
    let late = Receiver::start().await;
    api.endpoint_with(by_type.url(), json!({ "events": ["dsync.user.*"], "start": "beginning" }))
        .await;
    let only = json!({ "organizations": [organization], "start": "2020-01-01T00:00:00Z" });
    api.endpoint_with(by_organization.url(), only).await;
    let neither = json!({ "organizations": [organization], "directories": [acme.id],
        "start": "beginning" });
    api.endpoint_with(by_both.url(), neither).await;
    api.endpoint_with(late.url(), json!({})).await;
    title(&acme, &early[0], "Chief").await;
    rival.user("bob@rival.example").await;

    by_type.wait_for(4).await;
    by_organization.wait_for(2).await;
    late.wait_for(3).await;
    assert!(server.terminate().success());
    let (activated, created, updated) =
        ("dsync.activated", "dsync.user.created", "dsync.user.updated");
    assert_eq!(kinds(&by_type), [created, created, created, updated]);
    assert_eq!(kinds(&by_organization), [activated, created]);
    assert_eq!(kinds(&late), [activated, created, updated]);
    assert_eq!(by_both.arrived().len(), 0, "no directory of the one is of the other");
}
