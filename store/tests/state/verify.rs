//! The state against the log.

use projector::verify::{VerifyError, verify};
use tokio::task::spawn_blocking;

use super::world::{
    World, group, group_gone, hidden, joins, mapped, user, waits_for, waits_no_more,
};

/// What differs between the log and the state as it is.
pub(super) async fn difference(world: &World) -> Option<String> {
    let (mut snapshot, scan) = (world.store.snapshot().await.unwrap(), world.scan());
    let folder = tempfile::tempdir().unwrap();
    let mut scratch = store::Scratch::create(folder.path()).unwrap();
    let partition = world.partition;
    let verified = spawn_blocking(move || {
        verify(partition, scan, &mut snapshot, &mut scratch, None, &mut |_| ())
    });
    match verified.await.unwrap() {
        Ok(seen) => {
            assert_eq!(seen.events, world.values.len() as u64);
            None
        }
        Err(VerifyError::Difference(difference)) => Some(difference.to_string()),
        Err(error @ (VerifyError::Walk(_) | VerifyError::Store(_) | VerifyError::Scratch(_))) => {
            panic!("{error:?}")
        }
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
        assert_eq!(difference(&world).await, None);
        assert_eq!(world.place.damage(damage).await, 1);
        let what = difference(&world).await.unwrap();
        assert!(what.contains(found) && what.contains(&stream.id.to_string()), "{what}");
    }
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
        assert_eq!(difference(&world).await, None);
        assert_eq!(world.place.damage(damage).await, 1);
        let what = difference(&world).await.unwrap();
        assert!(what.contains("has other attributes in the store"), "{what}");
    }
}
