//! Two dispatchers on one PostgreSQL, and apps that listen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::ports::{Endpoint, Endpoints, Start};
use dispatcher::ports::{DeliveryStore, FeedPosition};
use schemas::{Edge, EventId, EventType, ScimId, Timestamp};
use store::{PostgresSettings, Store};
use tests::Receiver;
use tests::server::eventually;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{Stream, World, user};
use crate::folder::MASTER_KEY;

const APPS: u128 = 4;
const USERS: u128 = 5;

/// A clock that goes, and ids that no other process has.
struct Moving {
    begun: tokio::time::Instant,
    ids: AtomicU64,
    process: u64,
}

impl Edge for Moving {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_772_446_530_123).after(self.begun.elapsed())
    }

    fn id(&self) -> u128 {
        u128::from(self.process) << 64 | u128::from(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    fn secret(&self) -> [u8; 32] {
        [3; 32]
    }

    fn dice(&self) -> f64 {
        0.5
    }
}

/// A process with a dispatcher: a runtime of its own, so that it can be killed.
struct Process {
    runtime: Runtime,
    end: CancellationToken,
    run: JoinHandle<()>,
}

impl Process {
    fn start(server: PostgresSettings, process: u64, lease: Duration) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let end = CancellationToken::new();
        let shutdown = end.clone();
        let run = runtime.spawn(async move {
            let begun = tokio::time::Instant::now();
            let edge = Arc::new(Moving { begun, ids: AtomicU64::new(1), process });
            let store = Store::connect(server, Some(MASTER_KEY), edge.clone()).await.unwrap();
            let policy = dispatcher::Policy {
                allow_private: true,
                allow_http: true,
                ..dispatcher::Policy::default()
            };
            let client = Arc::new(dispatcher::Client::new(policy.into()).unwrap());
            let config = dispatcher::Config { lease, ..dispatcher::Config::of("https://sync") };
            dispatcher::run(Arc::new(store), client, edge, config, shutdown).await;
        });
        Self { runtime, end, run }
    }

    /// Nothing of it happens any more, and nobody is told.
    fn kill(self) {
        self.runtime.shutdown_background();
    }

    async fn stop(self) {
        self.end.cancel();
        self.run.await.unwrap();
        self.runtime.shutdown_background();
    }
}

struct Apps(Vec<Receiver>);

impl Apps {
    async fn listening(world: &World) -> Self {
        let mut apps = Vec::new();
        for number in 1..=APPS {
            let app = Receiver::start().await;
            let url = app.url().to_owned();
            let endpoint = Endpoint { url, ..super::deliveries::endpoint_of(number) };
            Endpoints::create(&*world.store, endpoint, Start::Beginning).await.unwrap();
            apps.push(app);
        }
        Self(apps)
    }

    /// Waits until each has everything that the feed holds, and looks at the order for each user.
    async fn have_everything(&self, world: &World) {
        let feed = world.store.feed(FeedPosition(0), 10_000).await.unwrap();
        let places: BTreeMap<String, (ScimId, u64)> = feed
            .iter()
            .map(|event| (name(event.id), (event.user.unwrap(), event.position.0)))
            .collect();
        for app in &self.0 {
            app.wait_for_events(feed.len()).await;
            let mut seen = BTreeSet::new();
            let mut last = BTreeMap::<ScimId, u64>::new();
            for delivery in app.taken() {
                let (user, place) = places[delivery.id()];
                if seen.insert(place) {
                    let before = last.insert(user, place).unwrap_or(0);
                    assert!(before < place, "event {place} came after {before}");
                }
            }
        }
    }
}

fn name(id: EventId) -> String {
    id.to_string()
}

async fn happens(world: &mut World, stream: &mut Stream, rounds: u32) {
    world.samples = Some(EventType::UserUpdated);
    for _ in 0..rounds {
        world.add(stream, (1..=USERS).map(user).collect()).await;
    }
}

/// How many lanes each dispatcher holds.
async fn holdings(client: &tokio_postgres::Client) -> Vec<i64> {
    let sql = "SELECT count(*) FROM endpoints JOIN dispatchers ON dispatchers.id = holder
        WHERE expires_at > clock_timestamp() GROUP BY holder ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn share_fairly(client: &tokio_postgres::Client, expected: &[i64]) {
    eventually(&format!("holdings of {expected:?}"), async || {
        (holdings(client).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn when_one_is_killed_the_other_takes_over_and_every_event_arrives_in_order() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let Some(client) = world.place.client().await else { return };
    let lease = Duration::from_secs(2);
    let apps = Apps::listening(&world).await;
    let server = || PostgresSettings::from(world.place.config().unwrap());
    let (one, two) = (Process::start(server(), 1, lease), Process::start(server(), 2, lease));
    share_fairly(&client, &[2, 2]).await;
    happens(&mut world, &mut stream, 10).await;
    for app in &apps.0 {
        app.wait_for(3).await;
    }
    one.kill();
    let killed = tokio::time::Instant::now();
    happens(&mut world, &mut stream, 10).await;
    share_fairly(&client, &[4]).await;
    let took = killed.elapsed();
    apps.have_everything(&world).await;
    println!("taken over after {took:?}");
    assert!(took < lease + Duration::from_secs(4), "{took:?}");
    two.stop().await;
    assert_eq!(holdings(&client).await, [] as [i64; 0]);
}

#[tokio::test]
async fn who_is_told_to_end_hands_its_lanes_over_at_once() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let Some(client) = world.place.client().await else { return };
    // So long that nobody waits for its end.
    let lease = Duration::from_secs(600);
    let apps = Apps::listening(&world).await;
    let server = || PostgresSettings::from(world.place.config().unwrap());
    let one = Process::start(server(), 1, lease);
    share_fairly(&client, &[4]).await;
    let two = Process::start(server(), 2, lease);
    share_fairly(&client, &[2, 2]).await;
    happens(&mut world, &mut stream, 5).await;
    one.stop().await;
    let stopped = tokio::time::Instant::now();
    share_fairly(&client, &[4]).await;
    println!("handed over {:?} after the end", stopped.elapsed());
    happens(&mut world, &mut stream, 5).await;
    apps.have_everything(&world).await;
    two.stop().await;
}
