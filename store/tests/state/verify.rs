//! The state against the log.

use projector::verify::{VerifyError, verify};
use rusqlite::Connection;
use store::Snapshot;

use super::files::{before_attribute_maps, before_pending_members};
use super::world::{
    P, World, group, group_gone, hidden, joins, mapped, user, waits_for, waits_no_more,
};

/// What differs between the log and the files as they are.
fn difference(world: &World) -> Option<String> {
    let mut snapshot = Snapshot::open(world.place.folder()).unwrap();
    match verify(P, world.scan(), &mut snapshot, None, &mut |_| ()) {
        Ok(seen) => {
            assert_eq!(seen.events, world.values.len() as u64);
            None
        }
        Err(VerifyError::Difference(difference)) => Some(difference.to_string()),
        Err(error @ (VerifyError::Walk(_) | VerifyError::Store(_))) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_pending_member_that_differs_is_found() {
    for (damage, found) in [
        ("DELETE FROM pending_members WHERE value = 'a'", "the store holds 1 pending members, the log 2"),
        ("UPDATE pending_members SET value = 'c' WHERE value = 'a'", "\"c\" is pending in group"),
        ("UPDATE pending_members SET name_key = 'c' WHERE value = 'a'", "\"a\" is pending in group"),
        (
            "UPDATE pending_members SET group_key = (SELECT key FROM groups WHERE display = 'Group12')
             WHERE value = 'a'",
            "\"a\" is pending in group",
        ),
    ] {
        let (mut world, mut stream) = World::with_one_directory().await;
        let groups = vec![user(1), group(10), group(11), group(12), joins(10, 1)];
        world.add(&mut stream, groups).await;
        let waiting = vec![waits_for(10, "a"), waits_for(10, "b"), waits_for(11, "a")];
        world.add(&mut stream, waiting).await;
        let ended = vec![waits_no_more(10, "b"), group_gone(11), waits_for(10, "B")];
        world.add(&mut stream, ended).await;
        assert_eq!(difference(&world), None);
        world.store.close();
        let state = Connection::open(world.place.folder().join("state-1.db")).unwrap();
        assert_eq!(state.execute(damage, []).unwrap(), 1);
        drop(state);
        let what = difference(&world).unwrap();
        assert!(what.contains(found) && what.contains(&stream.id.to_string()), "{what}");
    }
}

#[tokio::test]
async fn a_state_from_before_pending_members_can_be_verified() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;
    world.store.close();
    before_pending_members(world.place.folder());
    assert_eq!(difference(&world), None);
}

#[tokio::test]
async fn what_apps_are_shown_of_a_user_is_compared() {
    for damage in [
        "UPDATE users SET shown = NULL WHERE name_key = 'user1'",
        "UPDATE users SET shown = '{\"hidden\":true}' WHERE name_key = 'user1'",
        "UPDATE users SET shown = '{\"hidden\":true}' WHERE name_key = 'user2'",
    ] {
        let (mut world, mut stream) = World::with_one_directory().await;
        world.add(&mut stream, vec![mapped(1, "a@x.test"), user(2), hidden(3)]).await;
        assert_eq!(difference(&world), None);
        world.store.close();
        let state = Connection::open(world.place.folder().join("state-1.db")).unwrap();
        assert_eq!(state.execute(damage, []).unwrap(), 1);
        drop(state);
        let what = difference(&world).unwrap();
        assert!(what.contains("has other attributes in the store"), "{what}");
    }
}

#[tokio::test]
async fn a_state_from_before_attribute_maps_can_be_verified() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;
    world.store.close();
    before_attribute_maps(world.place.folder());
    assert_eq!(difference(&world), None);
}
