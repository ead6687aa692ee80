//! What is sent once more leaves room for what is new, and for what has failed.

use std::time::Duration;

use serde_json::json;
use tests::{Delivery, Receiver, Server};

use super::fairness::wait;
use super::world::{QUICK, events_of, title, users};

/// Each with as many replays as it may have: far more than there is room for, were each to have as much as one that is
/// alone.
const ENDPOINTS: usize = 10;
const REPLAYS: usize = 4;

/// After so many answers a replay has as many requests in flight as it ever has.
const WARM: usize = 12;

/// How long the app takes for what is replayed: long, and not so long that it counts as slow.
const THINKING: Duration = Duration::from_millis(800);

/// Of that nobody who waits his turn among replays gets away with so little.
const SOON_MS: u128 = 700;

const PEOPLE: usize = 30;

fn is_replayed(delivery: &Delivery) -> bool {
    delivery.headers.contains_key("dsync-replay")
}

fn is_first(delivery: &Delivery) -> bool {
    delivery.header("dsync-attempt") == "1"
}

/// One in ten, the same ones at every endpoint.
fn is_unlucky(delivery: &Delivery) -> bool {
    delivery.header("dsync-sequence").parse::<u64>().unwrap().is_multiple_of(10)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_replays_delays_neither_what_is_new_nor_what_is_tried_again() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUICK]);
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let people = users(&directory, "b", PEOPLE).await;
    for round in 0..4 {
        for user in &people {
            title(&directory, user, &format!("Before {round}")).await;
        }
    }
    let before = events_of(&server).await.len();
    let receiver = Receiver::answering_after(
        |delivery| if is_replayed(delivery) { THINKING } else { Duration::ZERO },
        |_, delivery| {
            let fails = !is_replayed(delivery) && is_first(delivery) && is_unlucky(delivery);
            if fails { 503 } else { 200 }
        },
    )
    .await;
    let all = json!({ "from": "2020-01-01T00:00:00Z", "rate": 1_000 });
    let mut replays = Vec::new();
    for number in 0..ENDPOINTS {
        let url = format!("{}?{number}", receiver.url());
        let (endpoint, _) = api.endpoint_with(&url, json!({})).await;
        for _ in 0..REPLAYS {
            replays.push(api.replay(&endpoint, &all).await.0);
        }
    }
    // By then they have begun slowly, and have all the room that they get.
    receiver.wait_for(WARM * ENDPOINTS * REPLAYS).await;

    for user in &people {
        title(&directory, user, "Now").await;
    }
    let last = events_of(&server).await.len();
    let wanted = (last - before) * ENDPOINTS;
    let is_live = |delivery: &Delivery| !is_replayed(delivery) && delivery.status == 200;
    let live = tests::server::eventually("the arrival of what is new", || async {
        let live: Vec<Delivery> = receiver.arrived().into_iter().filter(is_live).collect();
        (live.len() >= wanted).then_some(live)
    })
    .await;
    for replay in &replays {
        let shown = api.get(replay).await;
        assert_eq!(
            shown["status"], "running",
            "it is over before it could delay anything: {shown}"
        );
    }
    let (new, again): (Vec<&Delivery>, Vec<&Delivery>) = live.iter().partition(|one| is_first(one));
    assert!(again.len() >= 2 * ENDPOINTS, "{}", again.len());
    for (what, deliveries) in [("new", new), ("tried again", again)] {
        let mut waits: Vec<u128> = deliveries.into_iter().map(wait).collect();
        waits.sort_unstable();
        let middle = waits[waits.len() / 2];
        assert!(middle < SOON_MS, "what is {what} takes {middle} ms: {waits:?}");
    }
}
