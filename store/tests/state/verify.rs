//! The state against the log.

use projector::verify::{VerifyError, verify};
use rusqlite::Connection;
use store::{Scratch, Snapshot};

use crate::world::{
    P, World, before_attribute_maps, before_pending_members, group, group_gone, hidden, joins,
    mapped, user, user_gone, waits_for, waits_no_more,
};

/// What differs between the log and the files as they are.
fn difference(world: &World) -> Option<String> {
    let mut snapshot = Snapshot::open(world.folder.path()).unwrap();
    let mut scratch = Scratch::create(world.folder.path()).unwrap();
    match verify(P, world.scan(), &mut snapshot, &mut scratch, None, &mut |_| ()) {
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
        assert_eq!(difference(&world), None);
        world.store.close();
        let state = Connection::open(world.folder.path().join("state-1.db")).unwrap();
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
    before_pending_members(world.folder.path());
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
        let state = Connection::open(world.folder.path().join("state-1.db")).unwrap();
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
    before_attribute_maps(world.folder.path());
    assert_eq!(difference(&world), None);
}

#[tokio::test]
async fn whatever_the_store_has_otherwise_is_found() {
    for (damage, found) in [
        ("DELETE FROM users WHERE name_key = 'user1'", "is in the log and not in the store"),
        ("UPDATE users SET version = 9 WHERE name_key = 'user1'", "is in the store and not in the log"),
        ("UPDATE users SET version = 1 WHERE name_key = 'user2'", "has version 1 in the store"),
        ("UPDATE users SET attributes = '{}' WHERE name_key = 'user1'", "has other attributes in the store"),
        (
            "INSERT INTO users (directory, scim_id, user_id, name_key, active, created_at, updated_at, version,
                 attributes) VALUES (1, zeroblob(16), zeroblob(16), 'x', 1, 1, 1, 1, '{}')",
            "is in the store and not in the log",
        ),
        ("DELETE FROM groups WHERE name_key = 'group10'", "is in the log and not in the store"),
        ("UPDATE groups SET version = 1 WHERE name_key = 'group10'", "has version 1 in the store"),
        ("UPDATE groups SET attributes = '{}' WHERE name_key = 'group10'", "has other attributes in the store"),
        (
            "UPDATE groups SET scim_id = zeroblob(16) WHERE name_key = 'group10'",
            "is in the store and not in the log",
        ),
        ("DELETE FROM memberships", "the store holds 0 memberships, the log 1"),
        (
            "INSERT INTO memberships SELECT groups.key, users.key, NULL FROM groups, users
             WHERE groups.name_key = 'group10' AND users.name_key = 'user2'",
            "in the store and not in the log",
        ),
    ] {
        let (mut world, mut stream) = World::with_one_directory().await;
        world.add(&mut stream, vec![user(1), user(2), user(3), group(10), group(11)]).await;
        world.add(&mut stream, vec![joins(10, 1), joins(10, 3), joins(11, 1), joins(11, 2)]).await;
        world.add(&mut stream, vec![user(2), user_gone(3), group_gone(11), user(2)]).await;
        assert_eq!(difference(&world), None);
        world.store.close();
        let state = Connection::open(world.folder.path().join("state-1.db")).unwrap();
        assert_eq!(state.execute(damage, []).unwrap(), 1, "{damage}");
        drop(state);
        let what = difference(&world).unwrap();
        assert!(what.contains(found) && what.contains(&stream.id.to_string()), "{damage}: {what}");
    }
}

#[tokio::test]
async fn what_a_walk_remembers_leaves_no_file() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user_gone(1)]).await;
    assert_eq!(difference(&world), None);
    let files = std::fs::read_dir(world.folder.path()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("verify")), "{names:?}");
}
