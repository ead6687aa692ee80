//! Directories in several partitions of the log.

use api::fixtures;
use api::ports::{Directories, NewDirectory, Reach};
use directory::Needs;
use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::{Replica, ReplicaError};
use log::Partition;
use projector::ProjectionStore;
use projector::rebuild::Scan;
use schemas::{DirectoryId, EventId, Timestamp};
use store::Store;

use super::verify::difference;
use super::world::{P, Stream, World, group, joins, scim, user, user_with};

/// The partition beside the first one.
const Q: Partition = Partition(1);

/// A directory, and the partition that it has come to.
async fn created(store: &Store, new: NewDirectory) -> (DirectoryId, u16) {
    let id = new.id;
    Directories::create(store, Reach::Everything, new).await.unwrap();
    (id, store.partition(id).await.unwrap().unwrap().0)
}

#[tokio::test]
async fn new_directories_are_spread_over_the_partitions_there_are_and_stay_where_they_are() {
    let world = World::new().await;
    let organization = world.organization(1).await;
    let create =
        async |number| created(&world.store, fixtures::directory(organization, number)).await;
    assert_eq!(world.store.last_partition(), None);
    let (first, partition) = create(1).await;
    assert_eq!(partition, 0, "there is one as long as nobody says more");

    world.store.set_partitions(3);
    let mut all = vec![(first, 0)];
    for number in 2..7 {
        all.push(create(number).await);
    }
    assert_eq!(all.iter().map(|(_, partition)| *partition).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    assert_eq!(world.store.last_partition(), Some(Partition(2)));

    let (gone, _) = all[4];
    let at = Timestamp::from_millis(2_000);
    Directories::delete(&*world.store, Reach::Everything, gone, at).await.unwrap();
    assert_eq!(create(7).await.1, 1, "where one has gone");

    world.store.set_partitions(4);
    let added = [create(8).await.1, create(9).await.1, create(10).await.1];
    assert_eq!(added, [3, 3, 0], "one that was added is filled first");
    let reopened = world.reopened().await;
    for (id, partition) in all {
        let found = reopened.partition(id).await.unwrap().unwrap().0;
        assert_eq!(found, partition, "it stays where it is");
    }
    assert_eq!(reopened.last_partition(), Some(Partition(3)));
}

#[tokio::test]
async fn directories_that_two_replicas_create_at_once_are_spread_as_evenly() {
    let world = World::new().await;
    let organization = world.organization(1).await;
    let other = match world.place.client().await {
        Some(_) => std::sync::Arc::new(world.reopened().await),
        // One process has an embedded store for itself.
        None => world.store.clone(),
    };
    world.store.set_partitions(4);
    other.set_partitions(4);
    let both = (1_u8..9).map(|number| {
        let store = if number % 2 == 0 { &world.store } else { &other };
        created(store, fixtures::directory(organization, number))
    });
    let mut chosen: Vec<u16> = Vec::new();
    for (_, partition) in futures_util::future::join_all(both).await {
        chosen.push(partition);
    }
    chosen.sort_unstable();
    assert_eq!(chosen, [0, 0, 1, 1, 2, 2, 3, 3]);
}

/// Two directories in two partitions, of which the projectors have met the events in another order than that in which
/// they were decided.
async fn interleaved() -> (World, Stream, Stream) {
    let mut world = World::new().await;
    let organization = world.organization(1).await;
    let mut here = world.directory(organization, 1).await;
    let mut there = world.directory(organization, 2).await;
    let early = world.batch(&mut here, vec![user(1), group(10), joins(10, 1)]);
    world.turn_to(Q);
    world.add(&mut there, vec![user(21), group(30)]).await;
    world.turn_to(P);
    world.apply(early).await.unwrap();
    world.turn_to(Q);
    world.add(&mut there, vec![joins(30, 21)]).await;
    world.turn_to(P);
    world.add(&mut here, vec![user(2)]).await;
    (world, here, there)
}

#[tokio::test]
async fn a_partition_that_cannot_be_written_holds_up_no_directory_of_another() {
    let mut world = World::new().await;
    let organization = world.organization(1).await;
    world.store.set_partitions(2);
    let here = world.directory(organization, 1).await;
    let mut there = world.directory(organization, 2).await;
    world.turn_to(Q);
    let clash = world.batch(&mut there, vec![user_with(1, "same", ""), user_with(2, "same", "")]);
    assert!(world.apply(clash).await.is_err());
    let gathers = async |stream: &Stream| {
        world.store.gather(stream.id, Needs::default()).await.map(|found| found.is_some())
    };
    assert!(matches!(gathers(&there).await, Err(ReplicaError::Unavailable(_))));
    assert!(gathers(&here).await.unwrap());
}

/// Both partitions, whole.
fn scans(world: &mut World) -> Vec<Scan<'static>> {
    let mut scans = Vec::new();
    for partition in [P, Q] {
        world.turn_to(partition);
        scans.push(world.scan());
    }
    scans
}

async fn feed(world: &World) -> Vec<(u64, EventId)> {
    let feed = world.store.feed(FeedPosition(0), 1_000).await.unwrap();
    feed.into_iter().map(|event| (event.position.0, event.id)).collect()
}

/// Makes the state anew of these and opens the store again.
async fn rebuild(world: &mut World, scans: Vec<Scan<'static>>) {
    let generation = world.rebuild_all(scans).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    world.store.close();
    world.store = std::sync::Arc::new(world.reopened().await);
}

#[tokio::test]
async fn a_rebuild_of_two_partitions_leaves_every_position_as_it_was() {
    let (mut world, mut here, mut there) = interleaved().await;
    let before = feed(&world).await;
    assert_eq!(before.len(), 7);
    let times = before.iter().map(|(_, id)| *id).collect::<Vec<_>>();
    assert!(!times.is_sorted(), "the order is not that of the times");
    let scans = scans(&mut world);
    rebuild(&mut world, scans).await;
    assert_eq!(feed(&world).await, before);

    // Both go on where they were.
    for (partition, stream, number) in [(P, &mut here, 3), (Q, &mut there, 23)] {
        world.turn_to(partition);
        assert_eq!(world.store.position(partition).await.unwrap(), world.position);
        assert_eq!(difference(&world).await, None);
        world.add(stream, vec![user(number)]).await;
        assert_eq!(difference(&world).await, None);
        assert!(world.store.user(stream.id, scim(number)).await.unwrap().is_some());
    }
    assert_eq!(feed(&world).await[..7], before);
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(9));
}

#[tokio::test]
async fn what_no_projector_has_met_comes_behind_in_the_order_of_its_times() {
    let (mut world, mut here, mut there) = interleaved().await;
    let before = feed(&world).await;
    let mut unmet = Vec::new();
    for number in 3..6 {
        for (partition, stream) in [(Q, &mut there), (P, &mut here)] {
            world.turn_to(partition);
            let batch = world.batch(stream, vec![user(number + 20 * u128::from(partition.0))]);
            unmet.extend(batch.accepted.iter().map(|accepted| accepted.id));
        }
    }
    let scans = scans(&mut world);
    rebuild(&mut world, scans).await;
    let after = feed(&world).await;
    assert_eq!(after[..7], before);
    let behind: Vec<EventId> = after[7..].iter().map(|(_, id)| *id).collect();
    assert_eq!(behind, unmet);
    let positions: Vec<u64> = after.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, (1..=13).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_feed_that_is_lost_is_made_anew_in_the_order_of_its_times() {
    let (mut world, ..) = interleaved().await;
    let mut ids: Vec<EventId> = feed(&world).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(world.place.damage("DELETE FROM feed").await, 7);
    let scans = scans(&mut world);
    rebuild(&mut world, scans).await;
    ids.sort();
    let after = feed(&world).await;
    assert_eq!(after.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
    for partition in [P, Q] {
        world.turn_to(partition);
        assert_eq!(difference(&world).await, None);
    }
}

#[tokio::test]
async fn what_the_log_has_lost_leaves_a_hole_and_moves_nothing_else() {
    let (mut world, ..) = interleaved().await;
    let before = feed(&world).await;
    world.turn_to(Q);
    world.values.pop();
    let scans = scans(&mut world);
    rebuild(&mut world, scans).await;
    let without: Vec<_> = before.iter().copied().filter(|(position, _)| *position != 6).collect();
    assert_eq!(feed(&world).await, without);
    world.turn_to(P);
    assert_eq!(difference(&world).await, None, "a hole is no difference");
}
