//! The state made anew from the log.

use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::Replica;
use projector::ProjectionStore;
use projector::rebuild::Scan;
use schemas::{Change, TokenId};

use super::verify::difference;
use super::world::{
    P, World, group, group_gone, group_with, hidden, joins, leaves, mapped, scim, user, user_gone,
    user_with, waits_for, waits_no_more,
};

/// A bit of everything that can happen to a directory.
pub(super) async fn eventful() -> (World, schemas::DirectoryId) {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    let mut gone = world.directory(one.organization, 3).await;
    let token = |bits| TokenId::from_bits(bits);
    let made = vec![Change::TokenMade { id: token(1) }, Change::TokenMade { id: token(2) }];
    world.add(&mut two, made).await;
    world.add(&mut one, vec![Change::DirectoryActivated, user(1), user(2), group(10)]).await;
    world.add(&mut gone, vec![user(31), group(32), joins(32, 31)]).await;
    world.add(&mut gone, vec![waits_for(32, "x"), Change::DirectoryGone]).await;
    let email = r#","emails":[{"value":"a@b.example"}],"displayName":"A","externalId":"x""#;
    world.add(&mut two, vec![user_with(21, "a", email), group(22), joins(22, 21)]).await;
    world.add(&mut one, vec![joins(10, 1), joins(10, 2), group(11), joins(11, 1)]).await;
    let waiting = vec![waits_for(10, "Ada"), waits_for(10, "x"), waits_for(11, "x")];
    world.add(&mut one, waiting).await;
    world.add(&mut one, vec![waits_no_more(10, "x"), waits_for(10, "y")]).await;
    let off = r#","active":false"#;
    world.add(&mut one, vec![user_with(2, "Second", off), leaves(10, 2), user(3)]).await;
    world.add(&mut one, vec![joins(10, 3), user_gone(1), group_gone(11), joins(10, 3)]).await;
    world.add(&mut one, vec![group_with(10, "Renamed", r#","externalId":"g""#)]).await;
    world.add(&mut one, vec![hidden(4), mapped(5, "Five@x.test"), hidden(6), user(6)]).await;
    world.add(&mut one, vec![user(7), hidden(7), hidden(8), user_gone(8)]).await;
    world.add(&mut two, vec![Change::TokenRevoked { id: token(1) }, leaves(22, 21)]).await;
    (world, one.id)
}

#[tokio::test]
async fn a_rebuild_says_what_the_log_says() {
    let (mut world, directory) = eventful().await;
    let before = world.store.feed(FeedPosition(0), 1_000).await.unwrap();
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    world.store.close();
    world.store = std::sync::Arc::new(world.reopened().await);
    assert_eq!(difference(&world).await, None);
    assert_eq!(world.store.position(P).await.unwrap(), world.position);
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(world.values.len() as u64));
    assert!(world.store.user(directory, scim(3)).await.unwrap().is_some());
    let after = world.store.feed(FeedPosition(0), 1_000).await.unwrap();
    let places = |feed: &[dispatcher::ports::FeedEvent]| {
        feed.iter().map(|event| (event.position, event.id)).collect::<Vec<_>>()
    };
    assert_eq!(places(&after), places(&before), "cursors are positions");
}

#[tokio::test]
async fn a_rebuild_that_breaks_off_leaves_the_old_state_in_use() {
    let (world, directory) = eventful().await;
    let broken: Scan<'_> = Box::new(world.scan().take(3).chain([Err("unreadable".into())]));
    assert!(world.rebuild(broken).await.is_err());

    world.store.close();
    let reopened = world.reopened().await;
    assert_eq!(reopened.position(P).await.unwrap(), world.position);
    assert!(reopened.user(directory, scim(3)).await.unwrap().is_some());
    assert!(!world.place.holds_another_generation().await);
}

#[tokio::test]
async fn a_record_that_no_state_can_be_made_of_is_named() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    world.add(&mut stream, vec![user(2)]).await;
    // What a later version might write: nothing is wrong with it but that the attributes are elsewhere.
    let last = world.values.last_mut().unwrap();
    *last = String::from_utf8(last.clone()).unwrap().replace("raw_attributes", "more").into_bytes();
    let error = world.rebuild(world.scan()).await.unwrap_err();
    let causes =
        std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let said: Vec<String> = causes.map(ToString::to_string).collect();
    let named = said.iter().any(|said| said == "DSYNC-005: the record with seq 2 cannot be read");
    assert!(named, "{said:?}");
}

#[tokio::test]
async fn a_rebuilt_state_is_applied_to_like_any_other() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    world.store.close();
    world.store = std::sync::Arc::new(world.reopened().await);
    world.add(&mut stream, vec![user(2), group(10), joins(10, 1)]).await;
    let found = world.store.user(stream.id, scim(1)).await.unwrap().unwrap();
    assert_eq!(found.groups.len(), 1);
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(4));
}
