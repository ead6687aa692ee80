//! The state against the log.

use projector::verify::{VerifyError, verify};
use schemas::DirectoryId;
use tokio::task::spawn_blocking;

use super::world::{
    World, group, group_gone, hidden, joins, mapped, user, waits_for, waits_no_more,
};

/// What differs between the log and the state as it is.
pub(super) async fn difference(world: &World) -> Option<String> {
    difference_of(world, None).await
}

/// The same of one directory, or of all.
async fn difference_of(world: &World, only: Option<DirectoryId>) -> Option<String> {
    let (mut snapshot, scan) = (world.store.snapshot().await.unwrap(), world.scan());
    let folder = tempfile::tempdir().unwrap();
    let mut scratch = store::Scratch::create(folder.path()).unwrap();
    let partition = world.partition;
    let verified = spawn_blocking(move || {
        verify(partition, scan, &mut snapshot, &mut scratch, only, &mut |_| ())
    });
    match verified.await.unwrap() {
        Ok(seen) => {
            assert!(only.is_some() || seen.events == world.values.len() as u64);
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

/// What somebody does to a log of two directories, whose records take turns.
struct Tampering {
    name: &'static str,
    with: fn(&mut World),
    /// The place that has to be named of the first directory, and of the second.
    seqs: [Option<u64>; 2],
}

/// The first directory has the records 0, 2, 4… and the second 1, 3, 5…; each has three.
const TAMPERINGS: [Tampering; 5] = [
    Tampering {
        name: "one byte of the first is changed",
        with: |world| {
            let text = String::from_utf8(world.values[2].clone()).unwrap();
            world.values[2] = text.replace("User3", "Uses3").into_bytes();
        },
        seqs: [Some(2), None],
    },
    Tampering {
        name: "one of the first cannot be read any more",
        with: |world| world.values[2] = b"{".to_vec(),
        seqs: [Some(2), None],
    },
    Tampering {
        name: "one of the first is gone",
        with: |world| world.lost = Some(2),
        seqs: [Some(2), None],
    },
    Tampering {
        name: "two of the first are swapped",
        with: |world| world.values.swap(2, 4),
        seqs: [Some(2), None],
    },
    Tampering {
        name: "the last of the second is cut off",
        with: |world| world.lost = Some(5),
        seqs: [None, Some(3)],
    },
];

#[tokio::test]
async fn whoever_asks_for_one_directory_is_told_of_that_one_alone() {
    for Tampering { name, with, seqs } in TAMPERINGS {
        let (mut world, mut one) = World::with_one_directory().await;
        let mut two = world.directory(one.organization, 2).await;
        for number in 1..=6 {
            let stream = if number % 2 == 1 { &mut one } else { &mut two };
            world.add(stream, vec![user(number)]).await;
        }
        for stream in [&one, &two] {
            assert_eq!(difference_of(&world, Some(stream.id)).await, None, "{name}");
        }
        with(&mut world);
        for (stream, seq) in [&one, &two].into_iter().zip(seqs) {
            let found = difference_of(&world, Some(stream.id)).await;
            let said = seq.map(|seq| format!("{}: seq {seq}: ", stream.id));
            match (found, said) {
                (None, None) => {}
                (Some(found), Some(said)) => assert!(found.starts_with(&said), "{name}: {found}"),
                (found, said) => panic!("{name}: {found:?} and not {said:?}"),
            }
        }
    }
}
