//! What a generation is when it is whole.

use rusqlite::types::FromSql;
use schemas::{EventId, EventType, Hash, Head, Seq, Timestamp};

use super::*;
use crate::state::State;

fn generation(folder: &Path) -> Generation {
    generation_of(1, folder)
}

fn generation_of(partitions: u16, folder: &Path) -> Generation {
    let in_use = folder.join("state-1.db");
    Generation::create(&folder.join("state-2.db"), 2, &in_use, (partitions, folder)).unwrap()
}

fn rows<T: FromSql>(connection: &Connection, sql: &str) -> Vec<T> {
    let mut select = connection.prepare(sql).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Events of a few users and groups by turns.
fn entry(number: u64) -> FeedEntry {
    let subject = |of: u64| ScimId::from_bits(u128::from(number * 7_919 % of).reverse_bits());
    let head = Head { seq: Seq(number), hash: Hash::of(&number.to_be_bytes()) };
    FeedEntry {
        directory_id: DirectoryId::from_bits(1),
        head,
        prev: head.hash,
        id: EventId::from_bits(number.into()),
        event: EventType::GroupUserAdded,
        created_at: Timestamp::from_millis(0),
        data: "{}".into(),
        actor: "{}".into(),
        user: (!number.is_multiple_of(3)).then(|| subject(101)),
        group: (!number.is_multiple_of(5)).then(|| subject(7)),
    }
}

#[test]
fn a_generation_has_the_schema_of_any_state() {
    let folder = tempfile::tempdir().unwrap();
    generation(folder.path()).complete().unwrap();
    drop(State::open(&folder.path().join("state-1.db")).unwrap());
    let schema = |file| {
        let connection = Connection::open(folder.path().join(file)).unwrap();
        let sql =
            "SELECT concat_ws(' ', type, name, tbl_name, sql) FROM sqlite_schema ORDER BY rowid";
        rows::<String>(&connection, sql)
    };
    assert_eq!(schema("state-2.db"), schema("state-1.db"));
    assert!(schema("state-1.db").iter().any(|row| row.starts_with("index feed_user feed")));
}

fn is_whole(connection: &Connection, events: usize) {
    assert_eq!(rows::<String>(connection, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(rows::<i64>(connection, "SELECT count(*) FROM feed"), [events as i64]);
    for (index, column) in [("feed_user", "user_id"), ("feed_group", "group_id")] {
        let of = |by: &str| {
            let sql = format!(
                "SELECT position FROM feed {by} WHERE {column} IS NOT NULL ORDER BY {column}, position"
            );
            rows::<i64>(connection, &sql)
        };
        assert_eq!(of(&format!("INDEXED BY {index}")), of("NOT INDEXED"), "{index}");
        assert!(of("NOT INDEXED").len() > events / 2, "{index}");
    }
}

#[test]
fn what_a_user_or_group_is_found_by_is_whole_however_often_it_is_written() {
    for entries_max in [1, 1_000, usize::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let mut generation = generation(folder.path());
        generation.by_subject.as_mut().unwrap().entries_max = entries_max;
        let entries: Vec<_> = (1..=3_000).map(entry).collect();
        for some in entries.chunks(100) {
            generation.push(Partition(0), some).unwrap();
        }
        // Some 147 entries of each hundred events.
        let sql = "SELECT count(*) FROM feed_user_entries";
        let written = rows::<i64>(&generation.connection, sql)[0];
        let (least, most) = match entries_max {
            1 => (2_000, 2_000),
            1_000 => (1_500, 1_999),
            _ => (0, 0),
        };
        assert!((least..=most).contains(&written), "{written} with {entries_max}");
        generation.complete().unwrap();
        drop(generation);
        is_whole(&Connection::open(folder.path().join("state-2.db")).unwrap(), 3_000);
    }
}

#[test]
fn it_is_whole_where_events_keep_their_positions_and_others_come_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (1..=3_000).map(entry).collect();
    let keys = BTreeMap::from([(entries[0].directory_id, 1)]);
    drop(State::open(&folder.path().join("state-1.db")).unwrap());
    let in_use = Connection::open(folder.path().join("state-1.db")).unwrap();
    let kept: Vec<_> = (1..).zip(entries[..1_000].iter().rev()).collect();
    feed::insert(&in_use, &keys, &kept).unwrap();
    drop(in_use);

    let mut generation = generation_of(2, folder.path());
    for (number, some) in (0..).zip(entries.chunks(300)) {
        generation.push(Partition(number % 2), some).unwrap();
    }
    projector::rebuild::Generation::finish(&mut generation).unwrap();
    drop(generation);
    let path = folder.path().join("state-2.db");
    let connection = Connection::open(&path).unwrap();
    is_whole(&connection, 3_000);
    let first = "SELECT seq FROM feed ORDER BY position LIMIT 1";
    assert_eq!(rows::<i64>(&connection, first), [1_000]);
    drop(connection);

    // And goes on to be, as any other.
    drop(State::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let more: Vec<_> = (3_001..=3_500).map(entry).collect();
    feed::insert(&connection, &keys, &(3_001..).zip(&more).collect::<Vec<_>>()).unwrap();
    is_whole(&connection, 3_500);
}

#[test]
fn a_generation_that_is_not_whole_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state-2.db");
    drop(generation(folder.path()));
    let refused = State::open(&path).unwrap_err().to_string();
    assert!(refused.contains("already exists"), "{refused}");
    generation(folder.path()).complete().unwrap();
    drop(State::open(&path).unwrap());
}
