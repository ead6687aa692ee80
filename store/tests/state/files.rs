//! What the files of a state survive: versions and ends of processes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::ports::{Audit, AuditFilter, Counts, Order, PageRequest, Reach, UserFilter};
use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::Replica;
use log::Offset;
use projector::ProjectionStore;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use store::Store;

use super::projection::{counts, found, listed, members, pending};
use super::rebuild::eventful;
use super::verify::difference;
use super::world::{
    P, Still, World, group, group_gone, hidden, joins, mapped, scim, time_of, user, user_gone,
    waits_for,
};
use crate::folder::MASTER_KEY;
use schemas::{EventId, EventType, Hash, UserId};

/// Makes the first state of a closed store what the version before the blocks of the feed left.
pub(crate) fn before_blocks(folder: &Path) {
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    let undo = "DROP TABLE feed_blocks; CREATE INDEX feed_stream ON feed (directory);
        CREATE INDEX feed_event ON feed (event);
        CREATE INDEX feed_directory_event ON feed (directory, event);
        DROP INDEX users_hidden; CREATE INDEX users_directory ON users (directory, user_id);
        PRAGMA user_version = 7";
    state.execute_batch(undo).unwrap();
}

/// Makes the first state of a closed store what the version before the column for mapped ids left.
pub(crate) fn before_mapped_ids(folder: &Path) {
    before_blocks(folder);
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    let undo = "DROP INDEX users_mapped_idp_id; ALTER TABLE users DROP COLUMN mapped_idp_id;
        CREATE INDEX users_mapped_idp_id ON users (directory, shown ->> '$.mapped.idp_id')
            WHERE shown IS NOT NULL;
        PRAGMA user_version = 6";
    state.execute_batch(undo).unwrap();
}

/// Makes the first state of a closed store what the version before the indexes of what lists pass over left.
pub(crate) fn before_runs(folder: &Path) {
    before_mapped_ids(folder);
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    let undo = "DROP INDEX users_seen; DROP INDEX feed_stream; DROP INDEX users_directory;
        CREATE INDEX users_directory ON users (directory, user_id, hidden);
        PRAGMA user_version = 5";
    state.execute_batch(undo).unwrap();
}

/// Makes the first state of a closed store what the version before the times of the feed left.
pub(crate) fn before_times(folder: &Path) {
    before_runs(folder);
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    state.execute_batch("DROP TABLE feed_times; PRAGMA user_version = 4").unwrap();
}

/// Makes the first state of a closed store what the version before the indexes of lists left.
pub(crate) fn before_lists(folder: &Path) {
    before_times(folder);
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    let undo = "DROP INDEX memberships_user_id; DROP INDEX feed_event;
        DROP INDEX feed_directory_event; DROP INDEX users_email;
        ALTER TABLE memberships DROP COLUMN user_id;
        CREATE INDEX users_email ON users (directory, email) WHERE email IS NOT NULL;
        PRAGMA user_version = 3";
    state.execute_batch(undo).unwrap();
}

/// Makes the first state of a closed store what the version before attribute maps left.
pub(crate) fn before_attribute_maps(folder: &Path) {
    before_lists(folder);
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    let undo =
        "DROP INDEX users_directory; DROP INDEX users_mapped_email; DROP INDEX users_mapped_idp_id;
        ALTER TABLE users DROP COLUMN hidden; ALTER TABLE users DROP COLUMN mapped_email;
        ALTER TABLE users DROP COLUMN shown; ALTER TABLE directories DROP COLUMN hidden_users;
        CREATE INDEX users_directory ON users (directory, user_id);
        PRAGMA user_version = 2";
    state.execute_batch(undo).unwrap();
}

/// Makes the first state of a closed store what the version before pending members left.
pub(crate) fn before_pending_members(folder: &Path) {
    before_attribute_maps(folder);
    let state = Connection::open(folder.join("state-1.db")).unwrap();
    let undo = "DROP TABLE pending_members; ALTER TABLE directories DROP COLUMN pending_members;
        PRAGMA user_version = 1";
    state.execute_batch(undo).unwrap();
}

/// What somebody does to what leads lists to events, in a feed that has it of 2,048 positions.
const MISLEADINGS: &[&str] = &[
    "DELETE FROM feed_blocks WHERE directory = 0 AND block = 7",
    "DELETE FROM feed_blocks WHERE directory > 0 AND event = '' AND block = 7",
    "DELETE FROM feed_blocks WHERE directory > 0 AND event <> '' AND block = 7",
    "UPDATE feed_blocks SET event = 'dsync.user.deleted' WHERE directory = 0 AND block = 7",
    "UPDATE feed_times SET latest = latest - 1 WHERE block = 1",
    "UPDATE feed_times SET earliest = earliest + 1 WHERE block = 0",
    "DELETE FROM feed_times WHERE block = 0",
];

#[tokio::test]
async fn an_event_that_lists_would_pass_over_is_found_by_a_verification() {
    for misleading in MISLEADINGS {
        let (mut world, mut stream) = World::with_one_directory().await;
        world.add(&mut stream, (1..=2_100).map(user).collect()).await;
        assert_eq!(difference(&world).await, None);
        assert_eq!(world.place.damage(misleading).await, 1, "{misleading}");
        let what = difference(&world).await.unwrap_or_else(|| panic!("not found: {misleading}"));
        assert!(what.contains("lists do not come upon it"), "{misleading}: {what}");
    }
}

#[tokio::test]
async fn a_state_from_before_pending_members_is_upgraded_where_it_stands() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), group(10)]).await;
    world.store.close();
    before_pending_members(world.place.folder());
    world.store = Arc::new(world.reopened().await);
    assert_eq!(world.store.position(P).await.unwrap(), world.position);
    world.add(&mut stream, vec![joins(10, 1), waits_for(10, "a")]).await;
    assert_eq!(members(&world, &stream, 10).await, [1]);
    assert_eq!(pending(&world, &stream, [10, 11]).await, (1, [1, 0]));
}

#[tokio::test]
async fn a_store_that_was_killed_goes_on_where_it_was() {
    let (mut world, mut stream) = World::with_one_directory().await;
    for number in 1..=20 {
        world.add(&mut stream, vec![user(number)]).await;
    }
    // What a kill leaves: the files as they are, write-ahead logs and all, and nobody who closed them.
    let copied = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(world.place.folder()).unwrap().map(Result::unwrap) {
        if !file.file_name().to_str().unwrap().ends_with("-shm") {
            std::fs::copy(file.path(), copied.path().join(file.file_name())).unwrap();
        }
    }
    let reopened = Store::open(copied.path(), MASTER_KEY, Arc::<Still>::default()).unwrap();
    assert_eq!(reopened.position(P).await.unwrap(), world.position);
    assert_eq!(reopened.feed_end().await.unwrap(), FeedPosition(20));
    assert!(reopened.user(stream.id, scim(20)).await.unwrap().is_some());
    reopened.wait_applied(P, Offset(19)).await.unwrap();
}

#[tokio::test]
async fn a_state_from_before_attribute_maps_is_upgraded_where_it_stands() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user(2), group(10)]).await;
    world.store.close();
    before_attribute_maps(world.place.folder());
    world.store = Arc::new(world.reopened().await);
    world.add(&mut stream, vec![hidden(1), user(3)]).await;
    let expected = Counts { active_users: 2, inactive_users: 0, groups: 1 };
    assert_eq!(counts(&world, &stream).await, expected);
    assert!(world.store.user(stream.id, scim(1)).await.unwrap().unwrap().user.shown.hidden);
}

/// All that a state says, without the keys, which only that file understands.
fn dump(path: &Path) -> Vec<Vec<Vec<Value>>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let queries = [
        "SELECT * FROM positions ORDER BY 1",
        "SELECT id, partition, activated, gone, stopped, seq, hash, active_users, inactive_users,
             groups, pending_members, hidden_users FROM directories ORDER BY 1",
        "SELECT directories.id, tokens.id, revoked FROM tokens
             JOIN directories ON directories.key = directory ORDER BY 1, 2",
        "SELECT directories.id, scim_id, user_id, name_key, external_id, email, display, active,
             created_at, updated_at, version, attributes, hidden, mapped_email, mapped_idp_id, shown FROM users
             JOIN directories ON directories.key = directory ORDER BY 2",
        "SELECT directories.id, scim_id, group_id, idp_id, name_key, external_id, display,
             created_at, updated_at, modified_at, version, attributes FROM groups
             JOIN directories ON directories.key = directory ORDER BY 2",
        "SELECT groups.scim_id, users.scim_id FROM memberships
             JOIN groups ON groups.key = group_key JOIN users ON users.key = user_key ORDER BY 1, 2",
        "SELECT count(*) FROM memberships",
        "SELECT directories.id, groups.scim_id, value, pending_members.name_key
             FROM pending_members JOIN groups ON groups.key = group_key
             JOIN directories ON directories.key = pending_members.directory ORDER BY 2, 3",
        "SELECT count(*) FROM pending_members",
        "SELECT position, event_id, directories.id, event, feed.seq, feed.hash, prev, created_at,
             user_id, group_id, actor, data FROM feed
             JOIN directories ON directories.key = directory ORDER BY 1",
        // Of two indexes that serve a statement as well, the one that was made last is taken.
        "SELECT name, sql FROM sqlite_master ORDER BY rowid",
        "PRAGMA user_version",
        "PRAGMA integrity_check",
    ];
    let tables = queries.iter().map(|sql| {
        let mut select = connection.prepare(sql).unwrap();
        let columns = select.column_count();
        let rows = select.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
        rows.unwrap().map(Result::unwrap).collect()
    });
    tables.collect()
}

#[tokio::test]
async fn a_rebuild_says_what_applying_said() {
    let (world, directory) = eventful().await;
    while world.store.sweep(P).await.unwrap() {}
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    let (old, new) =
        (world.place.folder().join("state-1.db"), world.place.folder().join("state-2.db"));
    let rebuilt = dump(&new);
    for (table, (rebuilt, applied)) in rebuilt.iter().zip(dump(&old)).enumerate() {
        assert_eq!(*rebuilt, applied, "query {table}");
    }
    assert_eq!(rebuilt.last().unwrap(), &[[Value::Text("ok".into())]]);

    world.store.close();
    let reopened = world.reopened().await;
    assert!(!old.exists(), "the old generation goes at the next opening");
    assert_eq!(reopened.position(P).await.unwrap(), world.position);
    assert_eq!(reopened.feed_end().await.unwrap(), FeedPosition(world.values.len() as u64));
    assert!(reopened.user(directory, scim(3)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_state_from_before_pending_members_can_be_verified() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;
    world.store.close();
    before_pending_members(world.place.folder());
    assert_eq!(difference(&world).await, None);
}

#[tokio::test]
async fn a_state_from_before_attribute_maps_can_be_verified() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;
    world.store.close();
    before_attribute_maps(world.place.folder());
    assert_eq!(difference(&world).await, None);
}

#[tokio::test]
async fn a_state_from_before_the_column_for_mapped_ids_is_verified_and_upgraded_where_it_stands() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), mapped(2, "a@x.test"), hidden(3)]).await;
    world.store.close();
    before_mapped_ids(world.place.folder());
    assert_eq!(difference(&world).await, None);
    for (by, found) in [(1, Some("the number of active users is wrong")), (-1, None)] {
        let state = Connection::open(world.place.folder().join("state-1.db")).unwrap();
        state.execute("UPDATE directories SET active_users = active_users + ?1", [by]).unwrap();
        drop(state);
        let what = difference(&world).await;
        assert_eq!(what.is_some(), found.is_some(), "{what:?}");
        assert!(what.is_none_or(|what| what.contains(found.unwrap())));
    }
    world.store = Arc::new(world.reopened().await);
    let filter = UserFilter { idp_id: Some("mapped".into()), ..UserFilter::default() };
    assert_eq!(found(&world, filter).await, [UserId::from_bits(2)]);
    assert_eq!(difference(&world).await, None);
}

#[tokio::test]
async fn a_state_from_before_the_blocks_of_the_feed_is_upgraded_where_it_stands() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let mut other = world.directory(stream.organization, 2).await;
    let mut groups = Vec::new();
    for number in 1..=3 {
        world.add(&mut stream, (1..=70).map(|one| user(100 * number + one)).collect()).await;
        world.add(&mut other, (1..=70).map(|one| user(100 * (number + 3) + one)).collect()).await;
        world.samples = Some(EventType::GroupCreated);
        groups.extend(world.add(&mut other, vec![user(100 * (number + 3) + 1)]).await);
        world.samples = None;
        if number == 2 {
            world.store.close();
            before_blocks(world.place.folder());
            world.store = Arc::new(world.reopened().await);
        }
    }
    for directory in [None, Some(other.id)] {
        let types = vec![EventType::GroupCreated];
        let filter = AuditFilter { types, directory, ..AuditFilter::default() };
        assert_eq!(history(&world, filter).await, groups);
    }
    let of_none = AuditFilter {
        types: vec![EventType::GroupCreated],
        directory: Some(stream.id),
        ..AuditFilter::default()
    };
    assert_eq!(history(&world, of_none).await, []);
    let after = AuditFilter { directory: Some(other.id), ..AuditFilter::default() };
    assert_eq!(history(&world, after).await.len(), 213);
}

/// What the history has of it, in the order of the feed.
async fn history(world: &World, filter: AuditFilter) -> Vec<EventId> {
    let request = PageRequest {
        reach: Reach::Everything,
        limit: 1_000,
        order: Order::Ascending,
        cursor: None,
    };
    let found = world.store.audit(request, filter).await.unwrap();
    found.page.items.iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn a_state_from_before_the_indexes_of_lists_is_upgraded_where_it_stands() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let members = vec![user(1), hidden(2), user(3), group(10), joins(10, 3), joins(10, 1)];
    world.add(&mut stream, members).await;
    world.add(&mut stream, vec![joins(10, 2)]).await;
    world.store.close();
    before_lists(world.place.folder());
    world.store = Arc::new(world.reopened().await);
    assert_eq!(listed(&world).await, [1, 3].map(UserId::from_bits));
    world.add(&mut stream, vec![user(2), hidden(3)]).await;
    assert_eq!(listed(&world).await, [1, 2].map(UserId::from_bits));
}

#[tokio::test]
async fn whatever_the_store_has_otherwise_is_found() {
    for (damage, found) in [
        ("DELETE FROM users WHERE name_key = 'user1'", "is in the log and not in the store"),
        ("UPDATE users SET version = 9 WHERE name_key = 'user1'", "is in the store and not in the log"),
        ("UPDATE users SET version = 1 WHERE name_key = 'user2'", "has version 1 in the store"),
        ("UPDATE users SET attributes = '{}' WHERE name_key = 'user1'", "has other attributes in the store"),
        ("UPDATE users SET mapped_idp_id = 'x' WHERE name_key = 'user1'", "another mapped_idp_id"),
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
        assert_eq!(difference(&world).await, None);
        world.store.close();
        let state = Connection::open(world.place.folder().join("state-1.db")).unwrap();
        assert_eq!(state.execute(damage, []).unwrap(), 1, "{damage}");
        drop(state);
        let what = difference(&world).await.unwrap();
        assert!(what.contains(found) && what.contains(&stream.id.to_string()), "{damage}: {what}");
    }
}

#[tokio::test]
async fn a_record_that_another_version_has_applied_and_this_one_cannot_read_is_named() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    world.add(&mut stream, vec![user(2)]).await;
    world.store.close();
    let last = world.values.last_mut().unwrap();
    *last = String::from_utf8(last.clone()).unwrap().replace("raw_attributes", "more").into_bytes();
    let hash = Hash::of(last);
    let state = Connection::open(world.place.folder().join("state-1.db")).unwrap();
    for applied in [
        "UPDATE feed SET hash = ?1, data = replace(data, 'raw_attributes', 'more') WHERE seq = 2",
        "UPDATE directories SET hash = ?1",
        "UPDATE positions SET applied_hash = ?1",
    ] {
        assert_eq!(state.execute(applied, [hash.0]).unwrap(), 1);
    }
    drop(state);
    let what = difference(&world).await.unwrap();
    let expected = "seq 2: DSYNC-005: the record with seq 2 cannot be read: the record cannot be decoded: \
                    missing field `raw_attributes`";
    assert!(what.contains(expected), "{what}");
}

#[tokio::test]
async fn what_a_walk_remembers_leaves_no_file() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user_gone(1)]).await;
    assert_eq!(difference(&world).await, None);
    let files = std::fs::read_dir(world.place.folder()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("verify")), "{names:?}");
}

#[tokio::test]
async fn a_state_from_before_the_times_of_the_feed_gathers_them_beside_the_work() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1); 2_100]).await;
    world.store.close();
    before_times(world.place.folder());
    world.store = Arc::new(world.reopened().await);
    let gathered = || times_of(world.place.folder(), "state-1.db");
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while gathered().len() < 2 && tokio::time::Instant::now() < until {
        tokio::task::yield_now().await;
    }
    let time = |number| time_of(number).millis();
    let expected = [[0, time(1), time(1_024)], [1, time(1_025), time(2_048)]];
    assert_eq!(gathered(), expected);
    world.add(&mut stream, vec![user(1); 1_000]).await;
    let gathered = times_of(world.place.folder(), "state-1.db");
    assert_eq!(gathered[2], [2, time(2_049), time(3_072)]);
}

#[tokio::test]
async fn a_state_that_is_made_anew_has_the_times_of_the_feed_that_it_was_told() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1); 1_500]).await;
    // A clock that was set back.
    world.behind = 700;
    world.add(&mut stream, vec![user(1); 1_600]).await;
    let followed = times_of(world.place.folder(), "state-1.db");
    assert_eq!(followed.len(), 3);
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    // Before anything is opened that would gather what it lacks.
    assert_eq!(times_of(world.place.folder(), "state-2.db"), followed);
}

/// Of each block of the feed of a state, its number and its times.
fn times_of(folder: &Path, state: &str) -> Vec<[i64; 3]> {
    let state =
        Connection::open_with_flags(folder.join(state), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut select =
        state.prepare("SELECT block, earliest, latest FROM feed_times ORDER BY block").unwrap();
    let rows = select.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_is_written_is_moved_into_the_file_of_the_state_while_the_store_is_open() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let state = world.place.folder().join("state-1.db");
    let moved = || std::fs::metadata(&state).unwrap().len();
    world.add(&mut stream, (1..=400).map(user).collect()).await;
    let before = moved();
    world.add(&mut stream, (401..=600).map(user).collect()).await;
    let waits = async {
        while moved() <= before + (256 << 10) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("600 events are moved");
}
