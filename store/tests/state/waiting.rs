//! How much waits for an endpoint.

use api::ports::{Endpoint, Endpoints, Start};
use dispatcher::ports::{Blocked, DeliveryStore, FeedPosition, Flush, LaneId, Line, Notice, Topic};
use schemas::{DirectoryId, Edge as _, EndpointId, EndpointKind, EventType, Timestamp};

use super::deliveries::{LANE, endpoint, endpoint_of, flush, with_events};
use super::world::World;

/// How much waits for an endpoint, and since when.
async fn waiting(world: &World, id: u128) -> (u64, Option<Timestamp>) {
    let (id, now) = (EndpointId::from_bits(id), world.edge.now());
    let delivering = Endpoints::delivering(&*world.store, id, now).await.unwrap();
    (delivering.lag_events, delivering.oldest_waiting)
}

#[tokio::test]
async fn what_waits_is_what_an_endpoint_subscribes_to_and_all_that_stands_behind() {
    let (world, stream) = with_events().await;
    let feed = world.store.feed(FeedPosition(0), 100).await.unwrap();
    let end = feed.last().unwrap().position.0;
    let created_at = |event: &dispatcher::FeedEvent| -> Timestamp {
        let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        body["created_at"].as_str().unwrap().parse().unwrap()
    };
    let is_user =
        |event: &&dispatcher::FeedEvent| event.topic == Topic::Directory(EventType::UserCreated);
    let first = feed.iter().find(is_user).unwrap();
    let users = Endpoint { events: vec![EventType::UserCreated], ..endpoint_of(1) };
    Endpoints::create(&*world.store, users, Start::Beginning).await.unwrap();
    assert_eq!(waiting(&world, 1).await, (5, Some(created_at(first))));
    // What is behind the cursor is of types that it does not get.
    let last = feed.iter().rfind(is_user).unwrap().position.0;
    assert!(last < end);
    world.flush(vec![flush(LANE, last, Vec::new())]).await;
    assert_eq!(waiting(&world, 1).await, (0, None));
    // One user waits, and then everything behind it.
    let row = |line| Blocked { line, from: first.position, failures: 1, due: None };
    let user = Line::User(first.user.unwrap());
    let one = Flush { blocked: vec![row(user)], ..flush(LANE, last, Vec::new()) };
    world.flush(vec![one]).await;
    assert_eq!(waiting(&world, 1).await, (1, Some(created_at(first))));
    let all = Flush {
        blocked: vec![row(Line::Stream(stream.id))],
        unblocked: vec![user],
        ..flush(LANE, end, Vec::new())
    };
    world.flush(vec![all]).await;
    assert_eq!(waiting(&world, 1).await, (5, Some(created_at(first))));

    let other = Endpoint { directories: vec![DirectoryId::from_bits(99)], ..endpoint_of(2) };
    Endpoints::create(&*world.store, other, Start::Beginning).await.unwrap();
    assert_eq!(waiting(&world, 2).await, (0, None));
}

#[tokio::test]
async fn of_what_the_operator_is_told_all_waits_that_stands_behind() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    endpoint(&world, 2, EndpointKind::Operational, Start::Now).await;
    let at = Timestamp::from_millis;
    let notices = (1..=3).map(|n| (at(n * 10), Notice::Recovered { since: at(0) })).collect();
    world.flush(vec![Flush { notices, ..flush(LANE, 7, Vec::new()) }]).await;
    assert_eq!(waiting(&world, 2).await, (3, Some(at(10))));
    let line = Line::Stream(dispatcher::ports::OPERATIONAL);
    let row = Blocked { line, from: FeedPosition(2), failures: 1, due: None };
    let lane = LaneId { endpoint: EndpointId::from_bits(2), replay: None };
    world.flush(vec![Flush { blocked: vec![row], ..flush(lane, 3, Vec::new()) }]).await;
    assert_eq!(waiting(&world, 2).await, (2, Some(at(20))));
}
