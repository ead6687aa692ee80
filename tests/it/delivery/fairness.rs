//! What is not well holds up nobody else.

use std::collections::BTreeSet;

use serde_json::json;
use tests::{Delivery, Directory, Receiver, Server, Sink};

use super::world::{title, users};

const EVENTS: usize = 1_000;

/// What a busy machine adds to a latency of a few milliseconds, whoever is to blame.
const NOISE_MS: u128 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_hang_or_drip_do_not_slow_a_healthy_one_of_the_same_organization() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let organization =
        api.get(&format!("/directories/{}", directory.id)).await["organization_id"].clone();
    let receiver = Receiver::start().await;
    let of_organization = json!({ "organizations": [organization], "events": ["dsync.user.*"] });
    let people = users(&directory, "f", 50).await;
    api.endpoint_with(receiver.url(), of_organization.clone()).await;
    work(&directory, &people, "alone").await;
    let alone = p99(&receiver.wait_for_events(EVENTS).await);

    let (silent, dripping) = (Sink::silent().await, Sink::dripping().await);
    for sink in [&silent, &dripping] {
        api.endpoint_with(sink.url(), of_organization.clone()).await;
    }
    work(&directory, &people, "beside").await;
    let taken = receiver.wait_for_events(2 * EVENTS).await;
    let beside = p99(&taken[EVENTS..]);
    assert!(silent.connections() > 0 && dripping.connections() > 0);
    assert!(beside <= 2 * alone.max(NOISE_MS), "{beside} ms beside them, {alone} ms alone");
    let ids: BTreeSet<&str> = taken.iter().map(Delivery::id).collect();
    assert_eq!((taken.len(), ids.len()), (2 * EVENTS, 2 * EVENTS), "every event once");
}

/// Changes until there were as many events as wanted.
async fn work(directory: &Directory, people: &[String], word: &str) {
    for number in 0..EVENTS {
        title(directory, &people[number % people.len()], &format!("{word} {number}")).await;
    }
}

/// From the decision to the arrival.
fn p99(deliveries: &[Delivery]) -> u128 {
    let mut waits: Vec<u128> = deliveries
        .iter()
        .map(|delivery| {
            let created = delivery.event["created_at"].as_str().unwrap();
            delivery.at_ms.saturating_sub(millis(created))
        })
        .collect();
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

/// Milliseconds since the epoch, of a time as events have it: `2026-03-02T10:15:30.123Z`.
fn millis(time: &str) -> u128 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from civil, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60 + number(17..19);
    u128::try_from(seconds * 1_000 + number(20..23)).unwrap()
}

#[test]
fn the_clock_of_this_test_is_right() {
    assert_eq!(millis("1970-01-01T00:00:00.000Z"), 0);
    assert_eq!(millis("2026-03-02T10:15:30.123Z"), 1_772_446_530_123);
}
