//! Several processes on one PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use directory::Needs;
use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::Replica;
use log::{Durable, Offset, Partition};
use projector::{Batch, Position, ProjectionStore, StoreError};
use schemas::{Hash, Head, Seq, Timestamp};
use store::Store;
use tests::server::eventually;
use tokio_postgres::Client;

use super::world::{P, Still, Stream, World, scim, user, user_with};

async fn beside(world: &World) -> Arc<Store> {
    Arc::new(world.open(Arc::<Still>::default()).await)
}

fn to(from: Position, batch: &Batch) -> Position {
    let applied = batch.accepted.last().map(|last| (last.offset, last.head.hash));
    Position { next: batch.passed, applied: applied.or(from.applied) }
}

#[tokio::test]
async fn what_stands_still_is_known_to_every_process_at_once_and_to_those_that_start_later() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![user(1)]).await;
    let other = beside(&world).await;
    let waiting = other.wait_applied(P, Offset(1_000));
    let stop = world.store.stop(P, Some("DSYNC-005: it cannot be read".to_owned()));
    let (waited, stopped) = tokio::join!(waiting, stop);
    stopped.unwrap();
    assert!(waited.is_err(), "who waits is told");
    assert!(other.gather(stream.id, Needs::default()).await.is_err());
    let later = beside(&world).await;
    assert!(later.gather(stream.id, Needs::default()).await.is_err());
}

#[tokio::test]
async fn of_two_projectors_that_apply_at_once_one_is_replaced() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    let other = beside(&world).await;
    world.add(&mut stream, vec![user(1)]).await;
    let from = world.position;
    for number in 2..12 {
        let before = stream.head;
        let batch = world.batch(&mut stream, vec![user(number)]);
        world.values.pop();
        stream.head = before;
        let at = Position { next: Offset(from.next.0 + number as u64 - 2), ..from };
        let at = Position { applied: world.position.applied, ..at };
        let end = to(at, &batch);
        let (one, two) = tokio::join!(
            world.store.apply(P, world.position, end, batch.clone(), Durable::already()),
            other.apply(P, world.position, end, batch.clone(), Durable::already())
        );
        let replaced =
            |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Replaced));
        assert!(one.is_ok() != two.is_ok() && replaced(&one) != replaced(&two), "{one:?} {two:?}");
        world.position = end;
        stream.head = batch.accepted[0].head;
        world.values.push(Vec::new());
        assert_eq!(other.position(P).await.unwrap(), end);
    }
    let late = world.batch(&mut stream, vec![user(90)]);
    let refused = other.apply(P, from, to(from, &late), late, Durable::already()).await;
    assert!(matches!(refused, Err(StoreError::Replaced)), "the old one wakes up");
    assert_eq!(other.user(stream.id, scim(90)).await.unwrap(), None);
    assert_eq!(other.feed(FeedPosition(0), 100).await.unwrap().len(), 11);
}

#[tokio::test]
async fn what_one_replica_applies_wakes_who_waits_at_another() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    let other = beside(&world).await;
    let waits = async {
        tokio::join!(async { other.wait_applied(P, Offset(1)).await.unwrap() }, async {
            other.wait_feed(FeedPosition(1)).await.unwrap()
        });
        other.user(stream_id(&stream), scim(2)).await.unwrap()
    };
    let id = stream_id(&stream);
    let (found, _) = {
        let mut own = Stream { ..copy(&stream) };
        let applied = async {
            let ids = world.add(&mut own, vec![user(1), user(2)]).await;
            (ids, own.head)
        };
        let (found, (ids, head)) = tokio::join!(waits, applied);
        stream.head = head;
        (found, ids)
    };
    assert!(found.is_some());
    let records = vec![stream.head, Head { hash: schemas::Hash([9; 32]), ..stream.head }];
    assert_eq!(other.accepted(id, records).await.unwrap(), [true, false]);
}

fn stream_id(stream: &Stream) -> schemas::DirectoryId {
    stream.id
}

const fn copy(stream: &Stream) -> Stream {
    Stream { id: stream.id, organization: stream.organization, head: stream.head }
}

/// Nobody is told of what happens before the listener is there, nor when its connection is cut.
#[tokio::test]
async fn what_nobody_heard_of_is_found_by_looking() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let client = client!(world);
    let other = beside(&world).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE 'LISTEN dsync_state_' || md5(current_schema())";
    client.execute(cut, &[]).await.unwrap();
    world.add(&mut stream, vec![user(1)]).await;
    client.execute(cut, &[]).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(30), other.wait_applied(P, Offset(0)));
    waited.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_event_never_becomes_visible_behind_one_that_is_visible() {
    const EACH: u128 = 15;
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    let mut second = world.directory(stream.organization, 2).await;
    let (one, two) = (beside(&world).await, beside(&world).await);
    let reader = beside(&world).await;
    let batches = |stream: &mut Stream, world: &mut World, first: u128| -> Vec<Batch> {
        let users = first..first + EACH;
        let batches =
            users.map(|number| world.batch(stream, vec![user(number), user(number + 500)]));
        batches.collect()
    };
    let (here, there) =
        (batches(&mut stream, &mut world, 1), batches(&mut second, &mut world, 101));
    let project = async |store: &Store, partition: Partition, batches: Vec<Batch>| {
        let mut from = Position::default();
        for batch in batches {
            let end = to(from, &batch);
            store.apply(partition, from, end, batch, Durable::already()).await.unwrap();
            from = end;
        }
    };
    let read = async {
        let (mut seen, mut cursor) = (0, FeedPosition(0));
        while seen < 4 * EACH {
            for event in reader.feed(cursor, 100).await.unwrap() {
                seen += 1;
                assert_eq!(
                    event.position.0,
                    u64::try_from(seen).unwrap(),
                    "no gap that fills later"
                );
                cursor = event.position;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(project(&one, Partition(0), here), project(&two, Partition(1), there), read);
}

async fn months(client: &Client) -> Vec<String> {
    let sql = "SELECT inhrelid::regclass::text FROM pg_inherits
        WHERE inhparent = 'feed'::regclass ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn each_month_of_the_feed_is_a_partition_of_its_own() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let client = client!(world);
    let mut batch = world.batch(&mut stream, (1..=5).map(user).collect());
    let times = [
        "2026-01-31T23:59:59.999Z",
        "2026-02-01T00:00:00.000Z",
        "2026-01-31T23:00:00.000Z",
        "2026-04-01T00:00:00.000Z",
        "2026-04-02T00:00:00.000Z",
    ];
    for (accepted, time) in batch.accepted.iter_mut().zip(times) {
        accepted.created_at = time.parse::<Timestamp>().unwrap();
    }
    world.apply(batch).await.unwrap();
    assert_eq!(months(&client).await, ["feed_2026_01", "feed_2026_02", "feed_2026_04"]);
    let count = |month: &str| format!("SELECT count(*) FROM feed_2026_{month}");
    for (month, events) in [("01", 1), ("02", 2), ("04", 2)] {
        let found: i64 = client.query_one(&count(month), &[]).await.unwrap().get(0);
        assert_eq!(found, events, "{month}: what falls back stays with what is before it");
    }
    for (after, left) in [(0, 5), (1, 4), (2, 3), (3, 2), (4, 1), (5, 0)] {
        assert_eq!(world.store.feed(FeedPosition(after), 10).await.unwrap().len(), left);
    }
    world.add(&mut stream, vec![user(6)]).await;
    assert_eq!(world.store.feed(FeedPosition(5), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_may_change_hands_within_a_batch() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let _client = client!(world);
    world.add(&mut stream, vec![user_with(1, "a", ""), user_with(2, "b", "")]).await;
    let swapped = vec![user_with(1, "c", ""), user_with(2, "a", ""), user_with(1, "b", "")];
    world.add(&mut stream, swapped).await;
    let found = world.store.user(stream.id, scim(1)).await.unwrap().unwrap();
    assert_eq!(found.user.name_key, "b");
}

#[tokio::test]
async fn replicas_have_their_turns_at_a_directory_one_after_the_other() {
    let (world, stream) = World::with_one_directory().await;
    let _client = client!(world);
    let (one, other) = (&world.store, beside(&world).await);
    let turn = Replica::turn(&**one, stream.id).await.unwrap();
    let elsewhere = Replica::turn(&**one, schemas::DirectoryId::from_bits(99)).await;
    elsewhere.expect("nobody is there").end().await;
    let mut waits = std::pin::pin!(Replica::turn(&*other, stream.id));
    tokio::select! {
        biased;
        _ = &mut waits => panic!("two have a turn at once"),
        // By now the server has been asked.
        looked = Replica::user(&*other, stream.id, scim(1)) => drop(looked.unwrap()),
    }
    turn.end().await;
    let turn = waits.await.unwrap();

    // One that is dropped, or not waited for any longer, is nobody's.
    drop(turn);
    let turn = Replica::turn(&**one, stream.id).await.unwrap();
    tokio::select! {
        biased;
        _ = Replica::turn(&*other, stream.id) => panic!("two have a turn at once"),
        looked = Replica::user(&*other, stream.id, scim(1)) => drop(looked.unwrap()),
    }
    turn.end().await;
    Replica::turn(&**one, stream.id).await.unwrap().end().await;
}

#[tokio::test]
async fn who_has_waited_too_long_for_a_turn_leaves_nobody_waiting_at_the_server() {
    let (world, stream) = World::with_one_directory().await;
    let client = client!(world);
    let other = beside(&world).await;
    let turn = Replica::turn(&*world.store, stream.id).await.unwrap();
    assert!(Replica::turn(&*other, stream.id).await.is_none(), "it is another's for long");
    let within = std::time::Duration::from_millis(50);
    let dropped = tokio::time::timeout(within, Replica::turn(&*other, stream.id)).await;
    assert!(dropped.is_err());
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let begun = tokio::time::Instant::now();
    eventually("nobody who waits", async || {
        let count: i64 = client.query_one(waiting, &[]).await.unwrap().get(0);
        (count == 0).then_some(())
    })
    .await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    turn.end().await;
    Replica::turn(&*other, stream.id).await.unwrap().end().await;
}

/// A month in milliseconds, and some days.
const MONTH: i64 = 40 * 86_400_000;

#[tokio::test]
async fn a_verdict_looks_at_the_head_and_then_at_the_latest_months_alone() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let client = client!(world);
    let mut heads = Vec::new();
    for number in 1..=6 {
        world.add(&mut stream, vec![user(number)]).await;
        heads.push(stream.head);
        world.behind -= MONTH;
    }
    let other = beside(&world).await;
    let [old, .., recent, last] = heads[..] else { panic!("six") };
    let rival = Head { hash: Hash([1; 32]), ..old };
    let ahead = Head { seq: Seq(7), ..last };
    let verdicts = async |records| other.accepted(stream.id, records).await.unwrap();
    assert_eq!(verdicts(vec![old, rival]).await, [true, false], "in whatever month it is");
    assert_eq!(verdicts(vec![recent, ahead]).await, [true, false]);

    let months = "SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid)
        FROM pg_inherits WHERE inhparent = 'feed'::regclass";
    let months: String = client.query_one(months, &[]).await.unwrap().get(0);
    let (months, _latest) = months.rsplit_once(", ").unwrap();
    let (months, _before) = months.rsplit_once(", ").unwrap();
    let held = format!("BEGIN; LOCK TABLE ONLY {months} IN ACCESS EXCLUSIVE MODE");
    client.batch_execute(&held.replace(", ", ", ONLY ")).await.unwrap();
    assert_eq!(verdicts(vec![recent, ahead]).await, [true, false]);
    client.batch_execute("LOCK TABLE feed IN ACCESS EXCLUSIVE MODE").await.unwrap();
    assert_eq!(verdicts(vec![recent, last]).await, [true, true]);
    assert_eq!(verdicts(vec![ahead]).await, [false]);
    client.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_years_ahead_does_not_end_the_months() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let client = client!(world);
    world.add(&mut stream, vec![user(1)]).await;
    // The year 2099.
    world.behind = -4_080_000_000_000;
    world.add(&mut stream, vec![user(2)]).await;
    let latest = "SELECT (extract(year FROM now() AT TIME ZONE 'UTC') * 12
        + extract(month FROM now() AT TIME ZONE 'UTC'))::integer";
    let latest: i32 = client.query_one(latest, &[]).await.unwrap().get(0);
    let month = async || -> i32 {
        client.query_one("SELECT max(month) FROM feed_months", &[]).await.unwrap().get(0)
    };
    assert!(month().await <= latest);
    let generation = world.rebuild(world.scan()).await.unwrap();
    world.store.swap_in(generation).await.unwrap();
    assert!(month().await <= latest);
}
