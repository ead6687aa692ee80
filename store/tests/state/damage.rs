//! A file of the state that is damaged in itself.

use rusqlite::Connection;

use super::verify::difference;
use super::world::{World, user};

const INDEX: &str = "CREATE UNIQUE INDEX users_name ON users (directory, name_key)";

#[tokio::test]
async fn an_index_that_lacks_a_row_is_found_by_a_verification() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user(2)]).await;
    world.store.close();
    assert_eq!(difference(&world).await, None);
    let open = || Connection::open(world.place.folder().join("state-1.db")).unwrap();
    let say = |sql: &str| {
        let state = open();
        state.pragma_update(None, "writable_schema", true).unwrap();
        let update = "UPDATE sqlite_schema SET sql = ?1 WHERE name = 'users_name'";
        assert_eq!(state.execute(update, [sql]).unwrap(), 1);
    };
    // Made without one row, it is said to have all.
    say(&format!("{INDEX} WHERE name_key <> 'user1'"));
    open().execute_batch("REINDEX users_name").unwrap();
    say(INDEX);
    let what = difference(&world).await.unwrap();
    assert!(what.starts_with("the file of the state is damaged: "), "{what}");
    assert!(what.contains("users_name"), "{what}");
}
