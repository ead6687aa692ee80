//! What is accepted arrives.

use std::time::Duration;

use dispatcher::ports::{LaneId, LaneState, Outcome};
use dispatcher::{Endpoint, Failure, FeedPosition};
use schemas::{EndpointId, Format};

use crate::store::{Kept, LANE, Store};
use crate::world::{App, start};

#[tokio::test]
async fn what_is_accepted_is_delivered_in_order_whatever_fails_first() {
    let store = Store::new();
    store.accept(500, 7);
    let app = App::new(|body, attempt| {
        (body.ends_with('3') && attempt < 3).then_some(Failure::Status(422))
    });
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) >= 100).await;
    store.accept(500, 7);
    store.until(|kept| Store::cursor(kept) == 1_000 && kept.lanes[&LANE].blocked.is_empty()).await;
    shutdown.cancel();
    run.await.unwrap();
    let seen: Vec<u64> = app.seen.lock().unwrap().iter().map(|n| n.parse().unwrap()).collect();
    assert_eq!(seen.len(), 1_000);
    for user in 0..7 {
        assert!(seen.iter().filter(|n| **n % 7 == user).is_sorted());
    }
    assert!(store.inner.lock().unwrap().attempts.len() >= 1_200);
}

#[tokio::test]
async fn a_store_that_is_busy_costs_nothing_but_time() {
    let store = Store::new();
    store.inner.lock().unwrap().fails = 1;
    store.accept(10, 10);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 10).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(app.seen.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn shutdown_gives_up_what_hangs_and_the_next_start_sends_it_again() {
    let store = Store::new();
    store.accept(3, 3);
    let hanging = App::with(|_, _| None, true);
    let (shutdown, run) = start(&store, &hanging);
    tokio::task::yield_now().await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
    assert_eq!(Store::cursor(&store.inner.lock().unwrap()), 0);

    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 3).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(app.seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_keeps_its_place() {
    let store = Store::new();
    store.accept(5, 1);
    let app = App::new(|_, _| Some(Failure::Status(410)));
    let (shutdown, run) = start(&store, &app);
    let mut endpoints = store.endpoints.subscribe();
    let disabled = endpoints.wait_for(|endpoints| !endpoints.list[0].enabled);
    tokio::time::timeout(Duration::from_secs(20), disabled).await.unwrap().unwrap();
    store.until(|kept| kept.attempts.len() == 1).await;

    // Turned on again, it gets everything from where it stood.
    let well = App::new(|_, _| None);
    shutdown.cancel();
    run.await.unwrap();
    store.endpoints.send_modify(|endpoints| {
        endpoints.version += 1;
        endpoints.list[0].enabled = true;
    });
    let (shutdown, run) = start(&store, &well);
    store.until(|kept| Store::cursor(kept) == 5 && kept.lanes[&LANE].blocked.is_empty()).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(*well.seen.lock().unwrap(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn an_event_that_no_token_can_tell_of_is_not_sent_and_stops_nothing() {
    let store = Store::new();
    store.endpoints.send_modify(|endpoints| endpoints.list[0].format = Format::ScimSet);
    // Numbers are no events.
    store.accept(3, 3);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store
        .until(|kept| {
            Store::cursor(kept) == 3 && kept.attempts.iter().filter(|a| a.exhausted).count() == 3
        })
        .await;
    shutdown.cancel();
    run.await.unwrap();
    assert!(app.seen.lock().unwrap().is_empty());
    let kept = store.inner.lock().unwrap();
    let unreadable = Outcome::Failed(Failure::Unreadable);
    assert!(kept.attempts.iter().all(|attempt| attempt.outcome == unreadable));
}

#[tokio::test]
async fn a_hundred_lanes_that_have_caught_up_read_each_event_once() {
    let store = Store::new();
    store.endpoints.send_modify(|endpoints| {
        let one = endpoints.list[0].clone();
        let more = (2..=100).map(|id| Endpoint { id: EndpointId::from_bits(id), ..one.clone() });
        endpoints.list.extend(more);
    });
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    for round in 1..=20 {
        store.accept(1, 1);
        let all_have_it = |kept: &Kept| {
            kept.lanes.len() == 100 && kept.lanes.values().all(|lane| lane.cursor.0 == round)
        };
        store.until(all_have_it).await;
    }
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(app.seen.lock().unwrap().len(), 2_000);
    let reads = store.inner.lock().unwrap().feed_reads;
    assert!(reads <= 60, "{reads} reads of 20 events for 100 endpoints");
}

/// Until everybody waits for something: on one thread all of them have had their turn by then.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_lane_that_stands_alone_at_the_end_is_told_of_what_comes() {
    let store = Store::new();
    store.accept(5, 5);
    let end = LaneState { cursor: FeedPosition(5), ..LaneState::default() };
    store.inner.lock().unwrap().lanes.insert(LANE, end);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    settle().await;
    store.accept(1, 1);
    store.until(|kept| Store::cursor(kept) == 6).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(*app.seen.lock().unwrap(), ["6"]);
}

#[tokio::test]
async fn a_lane_that_begins_before_those_at_the_end_waits_for_no_other_event() {
    let store = Store::new();
    let first = store.endpoints.borrow().list[0].clone();
    store.endpoints.send_modify(|endpoints| endpoints.list.clear());
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    settle().await;
    // The feed was empty at the start, and nobody has asked for what came.
    store.accept(5, 5);
    let at = |place| LaneState { cursor: FeedPosition(place), ..LaneState::default() };
    for (id, place) in [(1, 5), (2, 0), (3, 2)] {
        let endpoint = Endpoint { id: EndpointId::from_bits(id), ..first.clone() };
        let lane = LaneId { endpoint: endpoint.id, replay: None };
        store.inner.lock().unwrap().lanes.insert(lane, at(place));
        store.endpoints.send_modify(|endpoints| {
            endpoints.version += 1;
            endpoints.list.push(endpoint);
        });
        store.until(|kept| kept.lanes[&lane].cursor == FeedPosition(5)).await;
        settle().await;
    }
    shutdown.cancel();
    run.await.unwrap();
    let mut seen = app.seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["1", "2", "3", "3", "4", "4", "5", "5"]);
}
