//! What is not well holds up nobody else.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tests::{Delivery, Directory, Receiver, Server, Sink};

use super::world::{title, users};

/// How often the two are compared. The middle of these is what counts, so that two rounds in which the machine did
/// something else say nothing.
const ROUNDS: usize = 5;

/// Events in a round, each at both servers at the same moment: whatever the machine does then meets both.
const EVENTS: usize = 400;

/// Times are whole milliseconds at both ends, so a wait may be so much longer than it seems.
const ROUNDING_MS: u128 = 1;

/// How many endpoints take their time: more than there is room for, were each to have as much as one that is alone.
const SLOW: usize = 20;

/// How long they take.
const SLOWNESS: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_hang_or_drip_do_not_slow_a_healthy_one_of_the_same_organization() {
    let sinks = [Sink::silent().await, Sink::dripping().await];
    compare(sinks.iter().map(Sink::url)).await;
    assert!(sinks.iter().all(|sink| sink.connections() > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_endpoints_that_take_their_time_do_not_slow_a_healthy_one() {
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(Receiver::answering_after(|_| SLOWNESS, |_, _| 200).await);
    }
    compare(slow.iter().map(Receiver::url)).await;
    for receiver in slow {
        // They answer, and have not got all of it yet.
        let taken = receiver.taken().len();
        assert!((1..ROUNDS * EVENTS).contains(&taken), "{taken}");
    }
}

/// Compares a healthy endpoint that is alone with one beside others.
async fn compare(others: impl Iterator<Item = &str>) {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (alone, beside) = (Healthy::new(here.path()).await, Healthy::new(there.path()).await);
    for url in others {
        beside.subscribe(url).await;
    }
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        for number in 0..EVENTS {
            let word = format!("{round} {number}");
            tokio::join!(alone.change(number, &word), beside.change(number, &word));
        }
        let (alone, beside) = (alone.p99(round).await, beside.p99(round).await);
        ratios.push(beside as f64 / (alone + ROUNDING_MS) as f64);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    assert!(ratios[ROUNDS / 2] <= 2.0, "beside them it takes longer by {ratios:?}");
    for side in [alone, beside] {
        let taken = side.receiver.taken();
        let ids: BTreeSet<&str> = taken.iter().map(Delivery::id).collect();
        let all = ROUNDS * EVENTS;
        assert_eq!((taken.len(), ids.len()), (all, all), "every event once");
    }
}

/// A server of its own with one endpoint that is well.
struct Healthy {
    server: Server,
    directory: Directory,
    organization: serde_json::Value,
    people: Vec<String>,
    receiver: Receiver,
}

impl Healthy {
    async fn new(data: &Path) -> Self {
        let server = Server::start(data);
        let api = server.api();
        let directory = api.directory("okta scim v2.0", "Acme").await;
        let path = format!("/directories/{}", directory.id);
        let organization = api.get(&path).await["organization_id"].clone();
        let people = users(&directory, "f", 50).await;
        let receiver = Receiver::start().await;
        let healthy = Self { server, directory, organization, people, receiver };
        healthy.subscribe(healthy.receiver.url()).await;
        healthy
    }

    async fn subscribe(&self, url: &str) {
        let fields =
            json!({ "organizations": [self.organization], "events": ["dsync.user.updated"] });
        self.server.api().endpoint_with(url, fields).await;
    }

    async fn change(&self, number: usize, word: &str) {
        title(&self.directory, &self.people[number % self.people.len()], word).await;
    }

    /// From the decision to the arrival, of the events of a round.
    async fn p99(&self, round: usize) -> u128 {
        let taken = self.receiver.wait_for_events((round + 1) * EVENTS).await;
        let mut waits: Vec<u128> = taken[round * EVENTS..].iter().map(wait).collect();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100]
    }
}

/// From the decision to the arrival, in milliseconds.
pub(crate) fn wait(delivery: &Delivery) -> u128 {
    let created = delivery.event["created_at"].as_str().unwrap();
    delivery.at_ms.saturating_sub(millis(created))
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
