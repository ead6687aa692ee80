//! Two judges on one PostgreSQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dispatcher::brake::Watch;
use dispatcher::ports::{BrakeStore, Brakes, DeliveryStore, FeedPosition, HeldEvent, Judgement};
use schemas::Timestamp;

use api::ports::{Directories, DirectoryChange, Reach};

use super::world::{Still, Stream, World, held, rule, scim, user, user_gone};

fn judgement(stream: &Stream, revision: u64, judged: u64, watch: Watch) -> Judgement {
    let judged = FeedPosition(judged);
    let watches = vec![(stream.id, watch)];
    Judgement { revision, judged, watches, ..Judgement::default() }
}

#[tokio::test]
async fn of_two_judgements_made_of_the_same_the_second_writes_nothing() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let Some(_) = world.place.client().await else { return };
    let other = world.open(Arc::<Still>::default()).await;
    world.add(&mut stream, vec![user(1), user(2)]).await;
    world.add(&mut stream, vec![user_gone(1), user_gone(2)]).await;
    let kept = world.store.kept().await.unwrap();
    assert!(kept.is_shared);
    assert_eq!(other.kept().await.unwrap(), kept);

    let first = judgement(&stream, kept.revision, 3, Watch::default());
    let revision = world.store.judge(first).await.unwrap().unwrap();
    let event = HeldEvent {
        directory: stream.id,
        position: FeedPosition(2),
        hold: FeedPosition(2),
        subjects: vec![scim(2)],
    };
    let second = judgement(&stream, kept.revision, 2, held());
    let second = Judgement { held: vec![event], ..second };
    assert_eq!(other.judge(second.clone()).await.unwrap(), None);
    let after = other.kept().await.unwrap();
    assert_eq!((after.revision, after.judged), (revision, FeedPosition(3)));
    assert_eq!(BTreeMap::from_iter(after.watches)[&stream.id], Watch::default());
    let whole = other.feed(FeedPosition(0), 10).await.unwrap();
    assert!(whole.iter().all(|event| event.held.is_none()));

    // Made of what is kept it is written, and every process sees it.
    let second = Judgement { revision, judged: FeedPosition(3), ..second };
    assert!(other.judge(second).await.unwrap().is_some());
    let whole = world.store.feed(FeedPosition(0), 10).await.unwrap();
    assert_eq!(whole[1].held, Some(FeedPosition(2)));
}

#[tokio::test]
async fn a_judge_hears_of_a_brake_and_of_a_release_on_another_replica() {
    let (world, stream) = World::with_one_directory().await;
    let Some(_) = world.place.client().await else { return };
    let other = world.open(Arc::<Still>::default()).await;
    let before = other.brakes().await.unwrap();
    assert!(before.list.is_empty());
    let brake = Some(schemas::BrakeChoice::Of(rule()));
    let change = DirectoryChange { brake, ..DirectoryChange::default() };
    let at = Timestamp::from_millis(5);
    let updated = Directories::update(&*world.store, Reach::Everything, stream.id, change, at);
    updated.await.unwrap();
    let is_braked = |now: &Brakes| now.list.iter().any(|braked| braked.rule == Some(rule()));
    let braked = heard(&other, before.version, is_braked).await;

    let first = judgement(&stream, other.kept().await.unwrap().revision, 0, held());
    assert!(other.judge(first).await.unwrap().is_some());
    let released = Directories::release(&*world.store, Reach::Everything, stream.id, at);
    released.await.unwrap();
    let is_released = |now: &Brakes| now.list.iter().any(|braked| braked.release);
    heard(&other, braked.version, is_released).await;
}

/// What it comes to without being asked again. The count says that something *may* have changed: a connection that is
/// new raises it as well.
async fn heard(store: &store::Store, mut version: u64, is_it: impl Fn(&Brakes) -> bool) -> Brakes {
    loop {
        let changed = store.wait_brakes_changed(version);
        tokio::time::timeout(Duration::from_secs(10), changed).await.unwrap().unwrap();
        let now = store.brakes().await.unwrap();
        if is_it(&now) {
            return now;
        }
        version = now.version;
    }
}
