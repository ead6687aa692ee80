//! The state made anew from the log.

use std::path::Path;

use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::Replica;
use projector::ProjectionStore;
use projector::rebuild::{Scan, rebuild};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use schemas::{Change, TokenId};

use super::world::{
    P, World, group, group_gone, group_with, hidden, joins, leaves, mapped, scim, user, user_gone,
    user_with, waits_for, waits_no_more,
};

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

/// A bit of everything that can happen to a directory.
async fn eventful() -> (World, schemas::DirectoryId) {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    let mut gone = world.directory(one.organization, 3).await;
    let token = |bits| TokenId::from_bits(bits);
    let made = vec![Change::TokenMade { id: token(1) }, Change::TokenMade { id: token(2) }];
    world.add(&mut two, made).await;
    world.add(&mut one, vec![Change::DirectoryActivated, user(1), user(2), group(10)]).await;
    world.add(&mut gone, vec![user(31), group(32), joins(32, 31)]).await;
    world.add(&mut gone, vec![waits_for(32, "x"), Change::DirectoryGone]).await;
    let email = r#","emails":[{"value":"a@b.example"}],"displayName":"A","externalId":"x""#;
    world.add(&mut two, vec![user_with(21, "a", email), group(22), joins(22, 21)]).await;
    world.add(&mut one, vec![joins(10, 1), joins(10, 2), group(11), joins(11, 1)]).await;
    let waiting = vec![waits_for(10, "Ada"), waits_for(10, "x"), waits_for(11, "x")];
    world.add(&mut one, waiting).await;
    world.add(&mut one, vec![waits_no_more(10, "x"), waits_for(10, "y")]).await;
    let off = r#","active":false"#;
    world.add(&mut one, vec![user_with(2, "Second", off), leaves(10, 2), user(3)]).await;
    world.add(&mut one, vec![joins(10, 3), user_gone(1), group_gone(11), joins(10, 3)]).await;
    world.add(&mut one, vec![group_with(10, "Renamed", r#","externalId":"g""#)]).await;
    world.add(&mut one, vec![hidden(4), mapped(5, "Five@x.test"), hidden(6), user(6)]).await;
    world.add(&mut one, vec![user(7), hidden(7), hidden(8), user_gone(8)]).await;
    world.add(&mut two, vec![Change::TokenRevoked { id: token(1) }, leaves(22, 21)]).await;
    (world, one.id)
}

#[tokio::test]
async fn a_rebuild_says_what_applying_said() {
    let (world, directory) = eventful().await;
    let mut generation = world.store.new_generation().await.unwrap();
    let seen = rebuild(P, world.scan(), &mut generation, &mut |_| ()).unwrap();
    assert_eq!(seen.events, world.values.len() as u64);
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
async fn a_rebuild_that_breaks_off_leaves_the_old_state_in_use() {
    let (world, directory) = eventful().await;
    let mut generation = world.store.new_generation().await.unwrap();
    let broken: Scan<'_> = Box::new(world.scan().take(3).chain([Err("unreadable".into())]));
    assert!(rebuild(P, broken, &mut generation, &mut |_| ()).is_err());
    drop(generation);

    world.store.close();
    let reopened = world.reopened().await;
    assert_eq!(reopened.position(P).await.unwrap(), world.position);
    assert!(reopened.user(directory, scim(3)).await.unwrap().is_some());
    assert!(!world.place.folder().join("state-2.db").exists());
}

#[tokio::test]
async fn a_rebuilt_state_is_applied_to_like_any_other() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let mut generation = world.store.new_generation().await.unwrap();
    rebuild(P, world.scan(), &mut generation, &mut |_| ()).unwrap();
    world.store.swap_in(generation).await.unwrap();
    world.store.close();
    world.store = std::sync::Arc::new(world.reopened().await);
    world.add(&mut stream, vec![user(2), group(10), joins(10, 1)]).await;
    let found = world.store.user(stream.id, scim(1)).await.unwrap().unwrap();
    assert_eq!(found.groups.len(), 1);
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(4));
}
