//! The state against the log.

use projector::verify::{VerifyError, check_partitions, check_store, verify};
use schemas::{Change, DirectoryId, TokenId};
use tokio::task::spawn_blocking;

use super::world::{
    World, group, group_gone, hidden, joins, mapped, user, user_with, waits_for, waits_no_more,
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
    let (partition, is_all) = (world.partition, only.is_none() && world.has_one_partition());
    let verified = spawn_blocking(move || {
        if is_all {
            check_partitions(&[partition], &mut snapshot)?;
        }
        let seen = verify(partition, scan, &mut snapshot, &mut scratch, only, &mut |_| ())?;
        if is_all {
            check_store(seen.events, &mut snapshot)?;
        }
        Ok(seen)
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

/// What somebody does to the rows beside the log, and what is said of it.
const DAMAGES: &[(&str, &str)] = &[
    ("UPDATE feed SET actor = '{\"ip\":\"203.0.113.66\"}' WHERE seq = 3", "the actor differs"),
    ("UPDATE feed SET created_at = created_at - 1 WHERE seq = 3", "created_at differs"),
    ("UPDATE feed SET event = 'dsync.user.deleted' WHERE seq = 3", "the type differs"),
    ("UPDATE feed SET event_id = user_id WHERE seq = 3", "the id differs"),
    ("UPDATE feed SET prev = hash WHERE seq = 3", "prev_hash differs"),
    ("UPDATE feed SET user_id = NULL WHERE seq = 3", "the user that it is listed with differs"),
    (
        "UPDATE feed SET group_id = user_id WHERE seq = 3",
        "the group that it is listed with differs",
    ),
    (
        "UPDATE users SET user_id = (SELECT scim_id FROM groups) WHERE name_key = 'user3'",
        "another user_id",
    ),
    (
        "UPDATE users SET attributes = '{\"userName\":\"x\"}' WHERE name_key = 'user3'",
        "other attributes",
    ),
    (
        "UPDATE groups SET attributes = '{\"displayName\":\"x\"}' WHERE name_key = 'group10'",
        "other attributes",
    ),
    ("UPDATE users SET name_key = 'x' WHERE name_key = 'user3'", "another name_key"),
    ("UPDATE users SET external_id = 'x' WHERE name_key = 'user3'", "another external_id"),
    ("UPDATE users SET email = 'x@x.test' WHERE name_key = 'user3'", "another email"),
    ("UPDATE users SET display = 'x' WHERE name_key = 'user3'", "another display"),
    ("UPDATE users SET active = NOT active WHERE name_key = 'user3'", "another active"),
    ("UPDATE users SET created_at = 1 WHERE name_key = 'user3'", "another created_at"),
    ("UPDATE users SET updated_at = 1 WHERE name_key = 'user3'", "another updated_at"),
    ("UPDATE users SET hidden = NOT hidden WHERE name_key = 'user3'", "another hidden"),
    ("UPDATE users SET mapped_email = 'x@x.test' WHERE name_key = 'user3'", "another mapped_email"),
    (
        "INSERT INTO emails SELECT directory, 'x@x.test', key FROM users WHERE name_key = 'user3'",
        "another emails",
    ),
    (
        "UPDATE groups SET group_id = (SELECT scim_id FROM users WHERE name_key = 'user3') WHERE name_key = 'group10'",
        "another group_id",
    ),
    ("UPDATE groups SET idp_id = 'x' WHERE name_key = 'group10'", "another idp_id"),
    ("UPDATE groups SET name_key = 'x' WHERE name_key = 'group10'", "another name_key"),
    ("UPDATE groups SET external_id = 'x' WHERE name_key = 'group10'", "another external_id"),
    ("UPDATE groups SET display = 'x' WHERE name_key = 'group10'", "another display"),
    ("UPDATE groups SET created_at = 1 WHERE name_key = 'group10'", "another created_at"),
    ("UPDATE groups SET updated_at = 1 WHERE name_key = 'group10'", "another updated_at"),
    ("UPDATE groups SET modified_at = 1 WHERE name_key = 'group10'", "another modified_at"),
    ("UPDATE memberships SET user_id = NULL", "the list of the members of a group is wrong"),
    (
        "UPDATE directories SET activated = NOT activated",
        "whether its identity provider has connected differs",
    ),
    ("UPDATE tokens SET revoked = NOT revoked", "other tokens than the log"),
    ("DELETE FROM tokens", "other tokens than the log"),
    ("UPDATE directories SET active_users = 7", "the number of active users is wrong"),
    ("UPDATE directories SET inactive_users = 7", "the number of inactive users is wrong"),
    ("UPDATE directories SET hidden_users = 7", "the number of hidden users is wrong"),
    ("UPDATE directories SET groups = 7", "the number of groups is wrong"),
    ("UPDATE directories SET pending_members = 7", "the number of pending members is wrong"),
];

/// What auditors read, and what people and apps are found, listed and counted by, is in the rows beside the attributes
/// and the events. Whoever changes it changes what they are shown.
#[tokio::test]
async fn whatever_is_shown_of_an_event_or_found_by_is_compared() {
    for (damage, found) in DAMAGES {
        let (mut world, mut stream) = World::with_one_directory().await;
        let token = Change::TokenMade { id: TokenId::from_bits(7) };
        world.add(&mut stream, vec![Change::DirectoryActivated, token]).await;
        world.add(&mut stream, vec![user(3), mapped(1, "a@x.test"), hidden(2), group(10)]).await;
        world.add(&mut stream, vec![joins(10, 3), waits_for(10, "a"), user(3)]).await;
        assert_eq!(difference(&world).await, None);
        assert_eq!(world.place.damage(damage).await, 1, "{damage}");
        let what = difference(&world).await.unwrap_or_else(|| panic!("not found: {damage}"));
        assert!(what.contains(found), "{damage}: {what}");
    }
}

/// What is put where the walk of no directory comes by, or is written otherwise than the log has it.
const STRAYS: &[(&str, &str)] = &[
    (
        "INSERT INTO directories (id, partition, seq, hash)
         SELECT scim_id, 9, 1, (SELECT hash FROM directories) FROM groups",
        "DSYNC-011: the log has no partition 9",
    ),
    ("UPDATE emails SET directory = directory + 1 WHERE value = 'second@x.test'", "another emails"),
    (
        "INSERT INTO emails SELECT directory + 1, 'more@x.test', user_key FROM emails",
        "another emails",
    ),
    (
        "UPDATE users SET attributes = '{\"USERNAME\":\"User3\"}' WHERE name_key = 'user3'",
        "other attributes",
    ),
    (
        "UPDATE groups SET attributes = '{\"DISPLAYNAME\":\"Group10\"}' WHERE name_key = 'group10'",
        "other attributes",
    ),
    (
        "UPDATE users SET shown = '{\"mapped\":{\"idp_id\":\"mapped\",\"email\":\"a@x.test\",
             \"custom_attributes\":{\"RANK\":\"Countess\"}}}' WHERE shown IS NOT NULL",
        "other attributes",
    ),
];

#[tokio::test]
async fn what_strays_from_its_directory_or_is_spelt_otherwise_is_found() {
    for (damage, found) in STRAYS {
        let (mut world, mut stream) = World::with_one_directory().await;
        let emails =
            r#","emails":[{"value":"first@x.test","primary":true},{"value":"second@x.test"}]"#;
        let changes = vec![user(3), user_with(4, "Four", emails), mapped(1, "a@x.test"), group(10)];
        world.add(&mut stream, changes).await;
        assert_eq!(difference(&world).await, None);
        assert_eq!(world.place.damage(damage).await, 1, "{damage}");
        let what = difference(&world).await.unwrap_or_else(|| panic!("not found: {damage}"));
        assert!(what.contains(found), "{damage}: {what}");
    }
}

#[tokio::test]
async fn an_event_of_no_directory_is_found() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user(2), user(3)]).await;
    assert_eq!(difference(&world).await, None);
    let month = if world.place.client().await.is_some() { "month, " } else { "" };
    let invent = format!(
        "INSERT INTO feed ({month}position, event_id, directory, event, seq, hash, prev, created_at, user_id, actor, data)
         SELECT {month}position + 1, substr(hash, 1, 16), directory + 1, event, seq, hash, prev, created_at,
             user_id, actor, data FROM feed WHERE seq = 3"
    );
    assert_eq!(world.place.damage(&invent).await, 1);
    let what = difference(&world).await.unwrap();
    assert_eq!(what, "the feed holds 4 events, the log 3: some are of no directory");
}

#[tokio::test]
async fn pending_members_that_lie_in_each_others_directories_are_found() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    world.add(&mut one, vec![group(10), waits_for(10, "a")]).await;
    world.add(&mut two, vec![group(20), waits_for(20, "b")]).await;
    assert_eq!(difference(&world).await, None);
    // Each directory has as many as before.
    let swap = "UPDATE pending_members
        SET directory = (SELECT min(key) + max(key) FROM directories) - directory";
    assert_eq!(world.place.damage(swap).await, 2);
    let what = difference(&world).await.unwrap();
    assert!(what.contains("is pending in group"), "{what}");
}

/// What somebody does to the times of a feed that has them of two blocks, and what takes that back.
const MISLEADING_TIMES: [(&str, &str); 3] = [
    (
        "UPDATE feed_times SET earliest = earliest - 1 WHERE block = 1",
        "UPDATE feed_times SET earliest = earliest + 1 WHERE block = 1",
    ),
    (
        "UPDATE feed_times SET latest = latest + 1 WHERE block = 0",
        "UPDATE feed_times SET latest = latest - 1 WHERE block = 0",
    ),
    (
        "INSERT INTO feed_times SELECT 7, earliest, latest FROM feed_times WHERE block = 1",
        "DELETE FROM feed_times WHERE block = 7",
    ),
];

#[tokio::test]
async fn times_that_lead_past_events_or_to_too_many_are_found() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, (1..=2_100).map(user).collect()).await;
    for (damage, undone) in MISLEADING_TIMES {
        assert_eq!(world.place.damage(damage).await, 1, "{damage}");
        let what = difference(&world).await.unwrap_or_else(|| panic!("not found: {damage}"));
        // In a file each event is asked first whether there is a way to it.
        let said = ["a range of times", "lists do not come upon it"];
        assert!(said.iter().any(|said| what.contains(said)), "{damage}: {what}");
        assert_eq!(world.place.damage(undone).await, 1, "{undone}");
    }
    assert_eq!(difference(&world).await, None);
}

#[tokio::test]
async fn a_record_behind_what_the_store_has_read_that_cannot_be_read_is_named() {
    let no_record = |_: String| "{".to_owned();
    let no_attributes = |value: String| value.replace("raw_attributes", "more");
    for written in [no_record, no_attributes] {
        let (mut world, mut stream) = World::with_one_directory().await;
        world.add(&mut stream, vec![user(1)]).await;
        world.batch(&mut stream, vec![user(2)]);
        let last = world.values.last_mut().unwrap();
        *last = written(String::from_utf8(last.clone()).unwrap()).into_bytes();
        let what = difference(&world).await.unwrap();
        assert!(what.starts_with("DSYNC-005: record 1 of partition 0, behind"), "{what}");
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
