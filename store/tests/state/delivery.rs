//! The feed, as the dispatcher reads it.

use dispatcher::ports::{DeliveryStore, FeedEvent, FeedPosition, Line};
use schemas::{Change, RequestId};

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
        Line::Stream(id) => event.directory_id == id,
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
