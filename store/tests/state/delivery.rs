//! The feed, as the dispatcher reads it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dispatcher::ports::{
    BrakeStore, DeliveryStore, FeedEvent, FeedPosition, HeldEvent, Judgement, Line,
};
use schemas::{Change, EventType, RequestId, ScimId};

use super::world::{Stream, World, event_id, group, joins, scim, user, user_gone};

/// Two streams that take turns, with events about users, groups, both and neither.
async fn with_two_streams() -> (World, [Stream; 2]) {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut other = world.directory(one.organization, 2).await;
    world.add(&mut one, vec![Change::DirectoryActivated]).await;
    for number in 1..=12 {
        world.add(&mut one, vec![user(number), group(100 + number)]).await;
        world.add(&mut other, vec![user(200 + number)]).await;
        world.add(&mut one, vec![joins(100 + number, number), user_gone(number)]).await;
        if number % 4 == 0 {
            world.add(&mut other, vec![Change::DirectoryActivated]).await;
        }
    }
    (world, [one, other])
}

fn stands_in(event: &FeedEvent, line: Line) -> bool {
    match line {
        Line::User(id) => event.user == Some(id),
        Line::Group(id) => event.group == Some(id),
        Line::Directory(id) => {
            event.directory_id == id && event.user.is_none() && event.group.is_none()
        }
        Line::Held(id) => event.directory_id == id && event.held.is_some(),
        Line::Stream(id) | Line::HeldStream(id) => event.directory_id == id,
        Line::Event(id) => event.id == id,
    }
}

#[tokio::test]
async fn the_feed_holds_every_event_once_in_order() {
    let (world, _) = with_two_streams().await;
    let whole = world.store.feed(FeedPosition(0), 1_000).await.unwrap();
    assert_eq!(whole.len(), world.values.len());
    assert!(whole.iter().zip(1..).all(|(event, number)| event.position == FeedPosition(number)));

    let mut paged: Vec<FeedEvent> = Vec::new();
    loop {
        let after = paged.last().map_or(FeedPosition(0), |last| last.position);
        let page = world.store.feed(after, 7).await.unwrap();
        paged.extend_from_slice(&page);
        if page.len() < 7 {
            break;
        }
    }
    assert_eq!(paged, whole);
}

#[tokio::test]
async fn what_is_judged_to_be_held_stands_in_a_line_of_its_own_until_it_is_closed() {
    let (world, [one, _]) = with_two_streams().await;
    let store = &world.store;
    let whole = store.feed(FeedPosition(0), 1_000).await.unwrap();
    let of_one = whole.iter().filter(|event| event.directory_id == one.id);
    let held: Vec<HeldEvent> = of_one
        .filter(|event| event.user.is_some())
        .map(|event| HeldEvent {
            directory: one.id,
            position: event.position,
            hold: FeedPosition(3),
            subjects: event.user.into_iter().chain(event.group).collect(),
        })
        .collect();
    let subjects: BTreeSet<ScimId> =
        held.iter().flat_map(|event| event.subjects.iter().copied()).collect();
    let judged = FeedPosition(7);
    let judgement = Judgement { judged, held: held.clone(), ..Judgement::default() };
    store.judge(judgement.clone()).await.unwrap();
    // Who does not know whether it was written writes it again.
    store.judge(judgement).await.unwrap();
    assert_eq!(store.kept().await.unwrap().judged, judged);
    let asked = store.held_subjects(one.id, subjects.clone()).await.unwrap();
    assert_eq!(asked, subjects);

    let marked = store.feed(FeedPosition(0), 1_000).await.unwrap();
    let marked = marked.iter().filter(|event| event.held == Some(FeedPosition(3)));
    let positions: Vec<FeedPosition> = held.iter().map(|event| event.position).collect();
    assert!(marked.map(|event| event.position).eq(positions.iter().copied()));
    let (mut paged, mut after) = (Vec::new(), FeedPosition(0));
    loop {
        let end = FeedPosition(whole.len() as u64);
        let page = store.line(Line::Held(one.id), after, end, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        paged.extend(page.iter().map(|event| event.position));
    }
    assert_eq!(paged, positions);

    let closed = vec![one.id];
    let revision = store.kept().await.unwrap().revision;
    let judgement = Judgement { revision, judged, closed, ..Judgement::default() };
    assert!(store.judge(judgement).await.unwrap().is_some());
    assert_eq!(store.feed(FeedPosition(0), 1_000).await.unwrap(), whole);
    assert!(store.held_subjects(one.id, subjects).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_brake_counts_who_was_active_and_the_memberships_that_end_with_a_group() {
    let (mut world, mut stream) = World::with_one_directory().await;
    for (kind, changes) in [
        (EventType::UserCreated, vec![user(1), user(2)]),
        (EventType::GroupCreated, vec![group(7)]),
        (EventType::GroupUserAdded, vec![joins(7, 1), joins(7, 2)]),
        (EventType::UserDeleted, vec![user_gone(1)]),
        (EventType::GroupDeleted, vec![Change::GroupGone { id: scim(7) }]),
    ] {
        world.samples = Some(kind);
        world.add(&mut stream, changes).await;
    }
    let watched = Arc::new(BTreeSet::from([stream.id]));
    let page = world.store.seen(FeedPosition(0), 100, watched).await.unwrap();
    let ended: Vec<(EventType, u64)> =
        page.events.iter().map(|(_, seen)| (seen.kind, seen.ended)).collect();
    assert!(page.events[5].1.was_active);
    assert_eq!(ended[5..], [(EventType::UserDeleted, 1), (EventType::GroupDeleted, 1)]);
    assert_eq!(page.read_to, FeedPosition(7));
    let nobody = Arc::new(BTreeSet::new());
    let page = world.store.seen(FeedPosition(0), 100, nobody).await.unwrap();
    assert_eq!((page.events.len(), page.read_to), (0, FeedPosition(7)));
    let (end, counts) = world.store.census(stream.id).await.unwrap();
    assert_eq!((end, counts.users, counts.memberships), (FeedPosition(7), 1, 0));
}

#[tokio::test]
async fn a_line_holds_the_events_of_the_feed_that_stand_in_it() {
    let (world, [one, other]) = with_two_streams().await;
    let whole = world.store.feed(FeedPosition(0), 1_000).await.unwrap();
    let end = whole.len() as u64;
    let lines = [
        Line::User(scim(5)),
        Line::User(scim(999)),
        Line::Group(scim(105)),
        Line::Directory(one.id),
        Line::Directory(other.id),
        Line::Stream(one.id),
        Line::Stream(other.id),
        Line::Stream(schemas::DirectoryId::from_bits(99)),
        Line::Directory(schemas::DirectoryId::from_bits(99)),
        Line::Event(event_id(9)),
    ];
    for line in lines {
        for (after, up_to) in
            (0..=end).flat_map(|after| [(after, end), (after / 2, after), (after, 0)])
        {
            for limit in [1, 5, 1_000] {
                let read = world.store.line(line, FeedPosition(after), FeedPosition(up_to), limit);
                let expected: Vec<FeedEvent> = (whole.iter())
                    .filter(|event| event.position.0 > after && event.position.0 <= up_to)
                    .filter(|event| stands_in(event, line))
                    .take(limit)
                    .cloned()
                    .collect();
                assert_eq!(read.await.unwrap(), expected, "{line:?} {after} {up_to} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn an_event_leaves_the_house_as_the_record_has_it() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let event = world.store.feed(FeedPosition(0), 1).await.unwrap().remove(0);
    let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&world.values[0]).unwrap();
    let keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 6);
    for key in keys {
        assert_eq!(body[key], record[key]);
    }
}

#[tokio::test]
async fn the_events_of_a_request_name_it() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user(2)]).await;
    let request = RequestId::from_bits(77);
    world.request = Some(request);
    world.add(&mut stream, vec![user(3), user(4)]).await;
    let feed = world.store.feed(FeedPosition(0), 10).await.unwrap();
    let requests: Vec<Option<RequestId>> = feed.iter().map(|event| event.request).collect();
    assert_eq!(requests, [None, None, Some(request), Some(request)]);
}

#[tokio::test]
async fn waiting_for_the_feed_ends_with_the_next_event() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let store = world.store.clone();
    let (waited, _) =
        tokio::join!(store.wait_feed(FeedPosition(0)), world.add(&mut stream, vec![user(1)]));
    waited.unwrap();
    store.wait_feed(FeedPosition(0)).await.unwrap();
}
