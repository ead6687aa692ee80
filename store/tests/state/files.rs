//! What the files of a state survive: versions and ends of processes.

use std::path::Path;
use std::sync::Arc;

use api::ports::Counts;
use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::Replica;
use log::Offset;
use projector::ProjectionStore;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use store::Store;

use super::projection::{counts, members, pending};
use super::rebuild::eventful;
use super::verify::difference;
use super::world::{P, Still, World, group, hidden, joins, scim, user, waits_for};
use crate::folder::MASTER_KEY;

/// Makes the first state of a closed store what the version before attribute maps left.
pub(crate) fn before_attribute_maps(folder: &Path) {
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
             created_at, updated_at, version, attributes, hidden, mapped_email, shown FROM users
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
        "SELECT name, sql FROM sqlite_master ORDER BY 1",
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
