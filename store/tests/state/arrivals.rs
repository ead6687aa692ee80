//! What has arrived in a directory, as far as it is looked at.

use console::ports::{Arrivals, Arrived, Looks};
use schemas::DirectoryId;

use super::world::{World, group, hidden, joins, leaves, user, user_with, waits_for};

const LOOKS: Looks = Looks { users: 3, groups: 3, memberships: 4 };

async fn look(world: &World, directory: DirectoryId, looks: Looks) -> Arrived {
    Arrivals::arrived(&*world.store, directory, looks).await.unwrap()
}

fn names(arrived: &Arrived) -> Vec<&str> {
    arrived.users.iter().map(|user| user.name_key.as_str()).collect()
}

#[tokio::test]
async fn the_users_that_changed_last_come_first_and_hidden_ones_not_at_all() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    assert_eq!(look(&world, one.id, LOOKS).await, Arrived::default());
    assert_eq!(look(&world, DirectoryId::from_bits(99), LOOKS).await, Arrived::default());
    for number in 1..=4 {
        world.add(&mut one, vec![user(number)]).await;
    }
    world.add(&mut two, vec![user(31)]).await;
    assert_eq!(names(&look(&world, one.id, LOOKS).await), ["user4", "user3", "user2"]);
    world.add(&mut one, vec![user_with(1, "User1", r#","title":"Boss""#)]).await;
    assert_eq!(names(&look(&world, one.id, LOOKS).await), ["user1", "user4", "user3"]);
    world.add(&mut one, vec![hidden(5)]).await;
    assert_eq!(names(&look(&world, one.id, LOOKS).await), ["user1", "user4"]);
}

#[tokio::test]
async fn the_latest_groups_are_counted_with_those_that_are_empty() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    world.add(&mut one, vec![user(1), user(2), user(3)]).await;
    world.add(&mut one, vec![group(101), group(102), group(103)]).await;
    world.add(&mut two, vec![user(31), group(131), joins(131, 31)]).await;
    let arrived = look(&world, one.id, LOOKS).await;
    assert_eq!((arrived.groups, arrived.empty_groups, arrived.memberships), (3, 3, 0));
    assert_eq!(arrived.empty_group.as_deref(), Some("Group103"));
    let all = [101, 103].into_iter().flat_map(|group| [1, 2, 3].map(|user| joins(group, user)));
    world.add(&mut one, all.collect()).await;
    let arrived = look(&world, one.id, LOOKS).await;
    assert_eq!((arrived.groups, arrived.empty_groups, arrived.memberships), (3, 1, 4));
    assert_eq!(arrived.empty_group.as_deref(), Some("Group102"));
    let arrived = look(&world, one.id, Looks { groups: 1, memberships: 9, ..LOOKS }).await;
    assert_eq!((arrived.groups, arrived.empty_groups, arrived.memberships), (1, 0, 3));
    assert_eq!(arrived.empty_group, None);
    world.add(&mut one, vec![leaves(101, 1), waits_for(102, "u-9")]).await;
    let arrived = look(&world, one.id, Looks { memberships: 9, ..LOOKS }).await;
    assert_eq!((arrived.memberships, arrived.waiting_members), (5, 1));
}
