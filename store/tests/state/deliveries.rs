//! What was sent, what is sent once more, and what the operator is told.

use std::num::NonZeroU32;
use std::time::Duration;

use api::ports::{
    AttemptFilter, Conflict, Cursor, Deliveries, Endpoint, EndpointChange, Endpoints, NewReplay,
    Order, Outward, Page, PageRequest, Point, PortError, Range, Reach, Secret, Start,
};
use bytes::Bytes;
use dispatcher::Failure;
use dispatcher::ports::{
    Attempt, Blocked, DeliveryStore, DisableReason, FeedPosition, Flush, LaneId, LaneState, Line,
    Notice, Outcome, Topic,
};
use schemas::{
    AttemptId, DeliveryOrder, Edge as _, EndpointId, EndpointKind, EventId, EventType, Format,
    ReplayId, Timestamp,
};
use store::Retention;

use super::world::{Stream, World, event_id, group, joins, scim, user};

const ID: EndpointId = EndpointId::from_bits(1);
pub(crate) const LANE: LaneId = LaneId { endpoint: ID, replay: None };

/// An endpoint that gets everything.
pub(crate) fn endpoint_of(id: u128) -> Endpoint {
    Endpoint {
        id: EndpointId::from_bits(id),
        kind: EndpointKind::Directory,
        url: format!("https://app.example/{id}"),
        secret: Secret::new("whsec_AAAA".to_owned()),
        enabled: true,
        events: Vec::new(),
        organizations: Vec::new(),
        directories: Vec::new(),
        order: DeliveryOrder::Resource,
        retry_schedule: None,
        format: Format::Webhook,
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(1),
        outward: Outward::default(),
        previous_secret_until: None,
    }
}

pub(crate) async fn endpoint(
    world: &World,
    id: u128,
    kind: EndpointKind,
    start: Start,
) -> Endpoint {
    let endpoint = Endpoint { kind, ..endpoint_of(id) };
    Endpoints::create(&*world.store, endpoint.clone(), start).await.unwrap();
    endpoint
}

pub(crate) fn attempt(position: u64, failure: Option<Failure>) -> Attempt {
    Attempt {
        event_id: event_id(position.into()),
        topic: Topic::Directory(EventType::UserCreated),
        position: FeedPosition(position),
        attempt: 1,
        at: Timestamp::from_millis(1_000),
        duration: Duration::from_millis(3),
        outcome: failure.map_or(Outcome::Delivered { status: Some(200) }, Outcome::Failed),
        exhausted: false,
        excerpt: None,
    }
}

pub(crate) fn flush(lane: LaneId, cursor: u64, attempts: Vec<Attempt>) -> Flush {
    Flush {
        lane,
        cursor: FeedPosition(cursor),
        done: Vec::new(),
        blocked: Vec::new(),
        unblocked: Vec::new(),
        failing_since: None,
        is_told: false,
        is_paused: false,
        notices: Vec::new(),
        attempts,
        is_finished: false,
    }
}

fn page(limit: u32, cursor: Option<Cursor<AttemptId>>) -> PageRequest<AttemptId> {
    PageRequest { reach: Reach::Everything, limit, order: Order::Descending, cursor }
}

async fn attempts(world: &World, limit: u32) -> Page<api::ports::Attempt> {
    let filter = AttemptFilter::default();
    Deliveries::attempts(&*world.store, ID, page(limit, None), filter).await.unwrap()
}

/// A directory with five users, a group and a member.
pub(crate) async fn with_events() -> (World, Stream) {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.samples = Some(EventType::UserCreated);
    world.add(&mut stream, (1..=5).map(user).collect()).await;
    world.samples = Some(EventType::GroupCreated);
    world.add(&mut stream, vec![group(100)]).await;
    world.samples = Some(EventType::GroupUserAdded);
    world.add(&mut stream, vec![joins(100, 3)]).await;
    (world, stream)
}

#[tokio::test]
async fn what_a_lane_flushed_is_where_the_next_one_stands() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Beginning).await;
    let row = Blocked {
        line: Line::User(scim(2)),
        from: FeedPosition(2),
        failures: 3,
        due: Some(Timestamp::from_millis(9)),
    };
    let done = vec![FeedPosition(5), FeedPosition(7)];
    let written = Flush {
        done: done.clone(),
        blocked: vec![row],
        failing_since: Some(Timestamp::from_millis(7)),
        is_told: true,
        ..flush(LANE, 4, Vec::new())
    };
    world.flush(vec![written]).await;
    let stands = LaneState {
        cursor: FeedPosition(4),
        done,
        blocked: vec![row],
        failing_since: Some(Timestamp::from_millis(7)),
        is_told: true,
    };
    assert_eq!(world.store.lane(LANE).await.unwrap(), Some(stands));
}

#[tokio::test]
async fn of_failures_the_beginning_of_request_and_answer_is_kept() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    let answer = Bytes::from_static(b"no room");
    let failed =
        Attempt { excerpt: Some(answer.clone()), ..attempt(2, Some(Failure::Status(507))) };
    let written = flush(LANE, 7, vec![attempt(1, None), failed]);
    world.flush(vec![written]).await;
    let listed = attempts(&world, 10).await.items;
    assert_eq!((listed[0].status, listed[0].failure.as_deref()), (Some(507), Some("status")));
    assert_eq!(listed[0].response, Some(answer));
    assert_eq!(listed[0].event.as_deref(), Some("dsync.user.created"));
    assert!(listed[0].request.is_some());
    assert_eq!((&listed[1].request, &listed[1].response), (&None, &None));
}

/// How many attempts at an endpoint are remembered.
async fn kept(world: &World, id: EndpointId) -> usize {
    let (mut kept, mut cursor) = (0, None);
    loop {
        let filter = AttemptFilter::default();
        let page =
            Deliveries::attempts(&*world.store, id, page(100, cursor), filter).await.unwrap();
        kept += page.items.len();
        cursor = page.items.last().map(|last| Cursor::After(last.id));
        if !page.has_after {
            return kept;
        }
    }
}

#[tokio::test]
async fn an_endpoint_is_paused_as_its_lane_says_until_it_is_turned_on_anew() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    let is_paused = || async {
        let now = world.edge.now();
        Endpoints::delivering(&*world.store, ID, now).await.unwrap().is_paused
    };
    let failed = vec![attempt(1, Some(Failure::Status(404)))];
    world.flush(vec![flush(LANE, 7, failed)]).await;
    assert!(!is_paused().await);
    world.flush(vec![Flush { is_paused: true, ..flush(LANE, 7, Vec::new()) }]).await;
    assert!(is_paused().await);
    let on = EndpointChange { enabled: Some(true), ..EndpointChange::default() };
    Endpoints::update(&*world.store, ID, on).await.unwrap();
    assert!(!is_paused().await);
}

#[tokio::test]
async fn attempts_are_dropped_by_number_and_by_age() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    world.store.remember_attempts(Retention { count: 100, age: Duration::from_secs(60) });
    // Another endpoint gets as much, in turns.
    let other = endpoint(&world, 2, EndpointKind::Directory, Start::Now).await.id;
    let lanes = [LANE, LaneId { endpoint: other, ..LANE }];
    for _ in 0..20 {
        for lane in lanes {
            let batch = (0..250).map(|_| attempt(1, None)).collect();
            world.flush(vec![flush(lane, 7, batch)]).await;
        }
    }
    for id in [ID, other] {
        let kept = kept(&world, id).await;
        assert!((100..=1_100).contains(&kept), "{kept}");
    }
    world.edge.pass(61);
    world.store.tidy().await.unwrap();
    assert_eq!(attempts(&world, 10).await.items.len(), 0);
}

#[tokio::test]
async fn how_an_endpoint_does_goes_by_its_latest_attempts_however_many_are_kept() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    let other = endpoint(&world, 2, EndpointKind::Directory, Start::Now).await.id;
    world.store.remember_attempts(Retention { count: 100_000, age: Duration::from_secs(86_400) });
    let at =
        |millis, failure| Attempt { at: Timestamp::from_millis(millis), ..attempt(1, failure) };
    let now = 86_400_000;
    let rated = async || {
        let now = Timestamp::from_millis(now + 10_500);
        let found = Endpoints::delivering(&*world.store, ID, now).await.unwrap();
        (found.attempts, found.delivered)
    };
    assert_eq!(rated().await, (0, 0));
    let failure = Some(Failure::Status(500));
    // One is too old, and two of three have failed.
    let few = vec![at(10_499, None), at(now, failure), at(now, failure), at(now, None)];
    let others = vec![at(now, failure), at(now, None)];
    let elsewhere = flush(LaneId { endpoint: other, ..LANE }, 7, others);
    world.flush(vec![flush(LANE, 7, few), elsewhere]).await;
    assert_eq!(rated().await, (3, 1));
    for batch in 0..20 {
        let batch = (0..500).map(|n| at(now + 1 + batch * 500 + n, None)).collect();
        world.flush(vec![flush(LANE, 7, batch)]).await;
    }
    assert_eq!(rated().await, (10_000, 10_000), "what failed before is no news");
    world.flush(vec![flush(LANE, 7, vec![at(now + 10_001, failure)])]).await;
    assert_eq!(rated().await, (10_000, 9_999));
}

fn new_replay(id: u128, from: Point, to: Option<Point>) -> NewReplay {
    NewReplay {
        id: ReplayId::from_bits(id),
        endpoint: ID,
        range: Range { from, to },
        directory: None,
        events: Vec::new(),
        rate: NonZeroU32::new(10).unwrap(),
        created_at: Timestamp::from_millis(5),
    }
}

#[tokio::test]
async fn a_replay_knows_how_much_it_sends_and_where_it_stands() {
    let (mut world, _) = with_events().await;
    let mut other = {
        let organization = world.organization(2).await;
        world.directory(organization, 2).await
    };
    world.samples = Some(EventType::UserCreated);
    world.add(&mut other, vec![user(50)]).await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    let store = &*world.store;
    let total = async |new: NewReplay| {
        let replay = store.start_replay(new).await.unwrap();
        store.cancel_replay(ID, replay.id).await.unwrap();
        replay.total
    };
    let always = Point::At(Timestamp::from_millis(0));
    let feed = world.store.feed(FeedPosition(0), 100).await.unwrap();
    let ids: Vec<EventId> = feed.iter().map(|event| event.id).collect();
    assert_eq!(total(new_replay(9, always, None)).await, ids.len() as u64);
    let (from, to) = (Point::Event(ids[1]), Some(Point::Event(ids[3])));
    assert_eq!(total(new_replay(9, from, to)).await, 3);
    assert_eq!(
        total(NewReplay { directory: Some(other.id), ..new_replay(9, always, None) }).await,
        1
    );
    let users = NewReplay { events: vec![EventType::UserCreated], ..new_replay(9, always, None) };
    assert_eq!(total(users).await, 6);
    let never = Point::At(Timestamp::from_millis(i64::MAX / 2));
    assert_eq!(total(new_replay(9, never, None)).await, 0);
    assert_eq!(total(new_replay(9, never, Some(never))).await, 0);
    assert_eq!(total(new_replay(9, always, Some(Point::Event(ids[0])))).await, 1);
    let (early, late) = (Point::Event(ids[1]), Point::Event(ids[3]));
    for (from, to) in [(late, early), (early, always), (never, early)] {
        let backwards = store.start_replay(new_replay(9, from, Some(to))).await;
        assert!(matches!(backwards, Err(PortError::Conflict(Conflict::Backwards))));
    }

    let replay = store.start_replay(new_replay(10, always, None)).await.unwrap();
    let lane = LaneId { replay: Some(replay.id), ..LANE };
    let live = DeliveryStore::endpoints(store).await.unwrap();
    assert_eq!(live.replays[0].id, replay.id);
    assert_eq!(store.lane(lane).await.unwrap(), Some(LaneState::default()));
    let half = Flush { done: vec![FeedPosition(5)], ..flush(lane, 3, vec![attempt(1, None)]) };
    world.flush(vec![half]).await;
    let stands = store.lane(lane).await.unwrap().unwrap();
    assert_eq!((stands.cursor, stands.done), (FeedPosition(3), vec![FeedPosition(5)]));
    let gone = Attempt { exhausted: true, ..attempt(4, Some(Failure::Status(422))) };
    let end = Flush { is_finished: true, ..flush(lane, 8, vec![gone]) };
    world.flush(vec![end]).await;
    store.wait_endpoints_changed(live.version).await.unwrap();
    assert_eq!(DeliveryStore::endpoints(store).await.unwrap().replays, []);
    assert_eq!(store.lane(lane).await.unwrap(), None);
    let shown = store.replay(ID, replay.id).await.unwrap();
    assert_eq!((shown.delivered, shown.exhausted), (1, 1));
    assert!(shown.finished_at.is_some());
    let own = store.lane(LANE).await.unwrap().unwrap();
    assert_eq!(own.cursor, FeedPosition(feed.len() as u64), "the live lane stands where it stood");
}

#[tokio::test]
async fn a_fifth_replay_waits_until_one_has_ended() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    let always = Point::At(Timestamp::from_millis(0));
    for id in 1..=4 {
        world.store.start_replay(new_replay(id, always, None)).await.unwrap();
    }
    let fifth = world.store.start_replay(new_replay(5, always, None)).await;
    assert!(matches!(fifth, Err(PortError::Conflict(Conflict::LiveReplays))));
    world.store.cancel_replay(ID, ReplayId::from_bits(2)).await.unwrap();
    world.store.start_replay(new_replay(6, always, None)).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_starts_at_a_time_stands_before_its_first_event() {
    let (world, _) = with_events().await;
    let feed = world.store.feed(FeedPosition(0), 100).await.unwrap();
    let cursor = async |id: u128, start| {
        endpoint(&world, id, EndpointKind::Directory, start).await;
        let lane = LaneId { endpoint: EndpointId::from_bits(id), replay: None };
        world.store.lane(lane).await.unwrap().unwrap().cursor.0
    };
    assert_eq!(cursor(1, Start::Beginning).await, 0);
    assert_eq!(cursor(2, Start::Now).await, feed.len() as u64);
    assert_eq!(cursor(3, Start::At(Timestamp::from_millis(0))).await, 0);
    assert_eq!(cursor(4, Start::At(Timestamp::from_millis(i64::MAX / 2))).await, feed.len() as u64);
    let body: serde_json::Value = serde_json::from_slice(&feed[3].body).unwrap();
    let time: Timestamp = body["created_at"].as_str().unwrap().parse().unwrap();
    let first = feed.iter().position(|event| {
        let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        body["created_at"].as_str().unwrap().parse::<Timestamp>().unwrap() >= time
    });
    assert_eq!(cursor(5, Start::At(time)).await, first.unwrap() as u64);
}

#[tokio::test]
async fn the_operator_is_told_in_the_transaction_that_it_happened_in() {
    let (world, _) = with_events().await;
    endpoint(&world, 1, EndpointKind::Directory, Start::Now).await;
    endpoint(&world, 2, EndpointKind::Operational, Start::Now).await;
    let since = Timestamp::from_millis(7);
    let failure = Failure::Timeout;
    let failing = Notice::Failing { since, failure, disables_at: Timestamp::from_millis(9) };
    let gone = Attempt { exhausted: true, ..attempt(2, Some(Failure::Status(422))) };
    let stalled = (since, Notice::Stalled { lines: 10_000 });
    let notices = vec![(since, failing), stalled, (since, Notice::Recovered { since })];
    let written = Flush { notices: notices.clone(), ..flush(LANE, 7, vec![gone.clone()]) };
    let waits = world.store.wait_operational(FeedPosition(0));
    let (told, ()) = tokio::join!(waits, world.flush(vec![written]));
    told.unwrap();
    world.store.disable(ID, DisableReason::Gone).await.unwrap();
    world.store.disable(ID, DisableReason::Gone).await.unwrap();
    // Nothing is told of an operational endpoint.
    let operational = LaneId { endpoint: EndpointId::from_bits(2), replay: None };
    let own = Flush { notices, ..flush(operational, 0, vec![gone]) };
    world.flush(vec![own]).await;
    world.store.disable(EndpointId::from_bits(2), DisableReason::Failing).await.unwrap();

    let events = world.store.operational(FeedPosition(0), 100).await.unwrap();
    let names: Vec<&str> = events.iter().map(|event| event.topic.name()).collect();
    let expected = [
        "endpoint.failing",
        "endpoint.stalled",
        "endpoint.recovered",
        "delivery.exhausted",
        "endpoint.disabled",
    ];
    assert_eq!(names, expected);
    assert_eq!(world.store.operational_end().await.unwrap(), events[4].position);
    assert!(events.iter().zip(1..).all(|(event, number)| event.position == FeedPosition(number)));
    let body: serde_json::Value = serde_json::from_slice(&events[0].body).unwrap();
    assert_eq!(body["object"], "event");
    assert_eq!(body["data"]["endpoint_url"], "https://app.example/1");
    assert_eq!(body["data"]["failure"], "timeout");
    let again = world.store.operational(FeedPosition(0), 100).await.unwrap();
    assert_eq!(again, events, "reading twice gives the same bytes");
}
