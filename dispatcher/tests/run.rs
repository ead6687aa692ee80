//! The whole dispatcher over a store in memory and an app that answers as it is told.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dispatcher::brake::Counts;
use dispatcher::client::{Answer, Request, Sender};
use dispatcher::lane::lines_of;
use dispatcher::ports::{
    self, Attempt, BrakeStore, Brakes, DisableReason, DispatcherId, Endpoints, Epoch, Fenced,
    Filter, Judgement, LaneId, LaneState, Lease, Leases, Line, Order, Outcome, SeenPage, Standing,
    StoreError, Topic,
};
use dispatcher::security_event::SigningKey;
use dispatcher::{Config, DeliveryStore, Endpoint, Failure, FeedEvent, FeedPosition, Secret};
use schemas::{
    DirectoryId, Edge, EndpointId, EndpointKind, EventId, EventType, Format, ScimId, Seq, Timestamp,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const ENDPOINT: EndpointId = EndpointId::from_bits(1);
const LANE: LaneId = LaneId { endpoint: ENDPOINT, replay: None };

#[derive(Default)]
struct Kept {
    lanes: BTreeMap<LaneId, LaneState>,
    attempts: Vec<Attempt>,
    fails: u32,
    /// Whether leases cannot be renewed either while it fails.
    is_mute: bool,
    feed_reads: usize,
    dispatcher: Option<DispatcherId>,
    epoch: Epoch,
    released: Vec<LaneId>,
}

struct Store {
    endpoints: watch::Sender<Endpoints>,
    feed: watch::Sender<Vec<FeedEvent>>,
    kept: watch::Sender<u64>,
    moves: watch::Sender<u64>,
    inner: Mutex<Kept>,
}

impl Store {
    fn new() -> Arc<Self> {
        let endpoint = Endpoint {
            id: ENDPOINT,
            kind: EndpointKind::Directory,
            url: "https://app.example/".to_owned(),
            secrets: vec![Secret::new("whsec_AAAA".to_owned())],
            filter: Filter::default(),
            enabled: true,
            order: Order::Resource,
            retry_schedule: None,
            format: Format::Webhook,
            timeout: None,
            identity: None,
            created_at: Timestamp::from_millis(0),
        };
        Arc::new(Self {
            endpoints: watch::Sender::new(Endpoints {
                version: 1,
                list: vec![endpoint],
                replays: Vec::new(),
            }),
            feed: watch::Sender::new(Vec::new()),
            kept: watch::Sender::new(0),
            moves: watch::Sender::new(0),
            inner: Mutex::default(),
        })
    }

    fn accept(&self, count: u64, users: u64) {
        self.feed.send_modify(|feed| {
            let begin = feed.len() as u64;
            feed.extend((begin + 1..=begin + count).map(|n| FeedEvent {
                position: FeedPosition(n),
                id: EventId::from_bits(n.into()),
                topic: Topic::Directory(EventType::UserUpdated),
                organization_id: None,
                directory_id: DirectoryId::from_bits(3),
                seq: Seq(n),
                user: Some(ScimId::from_bits((n % users).into())),
                group: None,
                request: None,
                held: None,
                body: Bytes::from(n.to_string()),
            }));
        });
    }

    async fn until(&self, holds: impl Fn(&Kept) -> bool) {
        let mut changed = self.kept.subscribe();
        let wait = changed.wait_for(|_| holds(&self.inner.lock().unwrap()));
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap().unwrap();
    }

    fn cursor(kept: &Kept) -> u64 {
        kept.lanes.get(&LANE).map_or(0, |lane| lane.cursor.0)
    }
}

/// Every lane is given to whoever joined last.
#[async_trait]
impl Leases for Store {
    async fn join(&self, dispatcher: DispatcherId, _: Duration) -> Result<(), StoreError> {
        let mut inner = self.inner.lock().unwrap();
        inner.dispatcher = Some(dispatcher);
        inner.epoch.0 += 1;
        Ok(())
    }

    async fn renew(
        &self,
        dispatcher: DispatcherId,
        _: Duration,
    ) -> Result<Option<Standing>, StoreError> {
        let inner = self.inner.lock().unwrap();
        if inner.fails > 0 && inner.is_mute {
            return Err(StoreError::Unavailable("away".into()));
        }
        Ok((inner.dispatcher == Some(dispatcher)).then(Standing::default))
    }

    async fn lease(
        &self,
        dispatcher: DispatcherId,
        lanes: Vec<LaneId>,
    ) -> Result<Vec<Lease>, StoreError> {
        let inner = self.inner.lock().unwrap();
        let is_own = inner.dispatcher == Some(dispatcher);
        let lease = |lane| Lease { lane, epoch: inner.epoch };
        Ok(if is_own { lanes.into_iter().map(lease).collect() } else { Vec::new() })
    }

    async fn release(&self, _: DispatcherId, leases: Vec<Lease>) -> Result<(), StoreError> {
        let mut inner = self.inner.lock().unwrap();
        inner.released.extend(leases.into_iter().map(|lease| lease.lane));
        Ok(())
    }

    async fn leave(&self, dispatcher: DispatcherId) -> Result<(), StoreError> {
        let mut inner = self.inner.lock().unwrap();
        inner.dispatcher.take_if(|own| *own == dispatcher);
        Ok(())
    }

    fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }
}

#[async_trait]
impl DeliveryStore for Store {
    async fn endpoints(&self) -> Result<Endpoints, StoreError> {
        Ok(self.endpoints.borrow().clone())
    }

    async fn signing_key(&self) -> Result<Arc<SigningKey>, StoreError> {
        Ok(Arc::new(SigningKey::from_seed(&[1; 32])))
    }

    async fn wait_endpoints_changed(&self, version: u64) -> Result<(), StoreError> {
        let mut changed = self.endpoints.subscribe();
        changed.wait_for(|endpoints| endpoints.version != version).await.unwrap();
        Ok(())
    }

    async fn lane(&self, id: LaneId) -> Result<Option<LaneState>, StoreError> {
        let inner = self.inner.lock().unwrap();
        Ok(Some(inner.lanes.get(&id).cloned().unwrap_or_default()))
    }

    async fn feed(&self, after: FeedPosition, limit: usize) -> Result<Vec<FeedEvent>, StoreError> {
        self.inner.lock().unwrap().feed_reads += 1;
        let feed = self.feed.borrow();
        let found = feed.iter().filter(|event| event.position > after);
        Ok(found.take(limit).cloned().collect())
    }

    async fn line(
        &self,
        line: Line,
        after: FeedPosition,
        up_to: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError> {
        let feed = self.feed.borrow();
        let range = feed.iter().filter(|e| e.position > after && e.position <= up_to);
        let stands = |e: &&FeedEvent| lines_of(e, Order::Resource).iter().any(|own| own == line);
        Ok(range.filter(stands).take(limit).cloned().collect())
    }

    async fn wait_feed(&self, after: FeedPosition) -> Result<(), StoreError> {
        let mut changed = self.feed.subscribe();
        let has_more = |feed: &Vec<FeedEvent>| feed.last().is_some_and(|e| e.position > after);
        changed.wait_for(has_more).await.unwrap();
        Ok(())
    }

    async fn operational(&self, _: FeedPosition, _: usize) -> Result<Vec<FeedEvent>, StoreError> {
        Ok(Vec::new())
    }

    async fn wait_operational(&self, _: FeedPosition) -> Result<(), StoreError> {
        std::future::pending().await
    }

    async fn feed_end(&self) -> Result<FeedPosition, StoreError> {
        Ok(self.feed.borrow().last().map_or(FeedPosition(0), |event| event.position))
    }

    async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, StoreError> {
        let mut refused = Vec::new();
        {
            let mut inner = self.inner.lock().unwrap();
            if inner.fails > 0 {
                inner.fails -= 1;
                return Err(StoreError::Unavailable("busy".into()));
            }
            for Fenced { epoch, flush } in flushes {
                if epoch != inner.epoch {
                    refused.push(flush.lane);
                    continue;
                }
                let lane = inner.lanes.entry(flush.lane).or_default();
                lane.cursor = flush.cursor;
                lane.done = flush.done;
                let new = |line| flush.blocked.iter().any(|row| row.line == line);
                lane.blocked.retain(|row| !new(row.line) && !flush.unblocked.contains(&row.line));
                lane.blocked.extend(flush.blocked);
                inner.attempts.extend(flush.attempts);
            }
        }
        self.kept.send_modify(|version| *version += 1);
        Ok(refused)
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn disable(&self, endpoint: EndpointId, _: DisableReason) -> Result<(), StoreError> {
        self.endpoints.send_modify(|endpoints| {
            endpoints.version += 1;
            let found = endpoints.list.iter_mut().find(|one| one.id == endpoint);
            found.unwrap().enabled = false;
        });
        Ok(())
    }
}

/// There is no brake.
#[async_trait]
impl BrakeStore for Store {
    async fn brakes(&self) -> Result<Brakes, StoreError> {
        Ok(Brakes { version: 1, list: Vec::new() })
    }

    async fn wait_brakes_changed(&self, version: u64) -> Result<(), StoreError> {
        if version == 1 { std::future::pending().await } else { Ok(()) }
    }

    async fn kept(&self) -> Result<ports::Kept, StoreError> {
        Ok(ports::Kept {
            revision: 0,
            is_shared: false,
            judged: FeedPosition(0),
            watches: Vec::new(),
        })
    }

    async fn census(&self, _: DirectoryId) -> Result<(FeedPosition, Counts), StoreError> {
        Ok((FeedPosition(0), Counts::default()))
    }

    async fn seen(
        &self,
        after: FeedPosition,
        _: usize,
        _: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, StoreError> {
        Ok(SeenPage { events: Vec::new(), read_to: after })
    }

    async fn held_subjects(
        &self,
        _: DirectoryId,
        _: BTreeSet<ScimId>,
    ) -> Result<BTreeSet<ScimId>, StoreError> {
        Ok(BTreeSet::new())
    }

    async fn judge(&self, judgement: Judgement) -> Result<Option<u64>, StoreError> {
        Ok(Some(judgement.revision + 1))
    }

    async fn is_drained(&self, _: DirectoryId) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// An app that fails each event as often as `fails` says.
struct App {
    fails: fn(&str, u64) -> Option<Failure>,
    seen: Mutex<Vec<String>>,
    hangs: bool,
    /// How many requests it has, and how many were given up.
    begun: watch::Sender<u32>,
    given_up: watch::Sender<u32>,
}

/// Counts a request that is dropped.
struct Open<'a>(&'a watch::Sender<u32>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl App {
    fn new(fails: fn(&str, u64) -> Option<Failure>) -> Arc<Self> {
        Self::with(fails, false)
    }

    fn with(fails: fn(&str, u64) -> Option<Failure>, hangs: bool) -> Arc<Self> {
        let (begun, given_up) = (watch::Sender::new(0), watch::Sender::new(0));
        Arc::new(Self { fails, seen: Mutex::default(), hangs, begun, given_up })
    }
}

#[async_trait]
impl Sender for App {
    async fn send(&self, request: Request, _: Timestamp) -> Answer {
        if self.hangs {
            let _open = Open(&self.given_up);
            self.begun.send_modify(|count| *count += 1);
            std::future::pending::<()>().await;
        }
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let attempt = request.headers["dsync-attempt"].to_str().unwrap().parse().unwrap();
        tokio::task::yield_now().await;
        let failure = (self.fails)(&body, attempt);
        if failure.is_none() {
            self.seen.lock().unwrap().push(body);
        }
        let outcome = failure.map_or(Outcome::Delivered { status: Some(200) }, Outcome::Failed);
        Answer { outcome, retry_after: None, excerpt: None }
    }
}

/// A clock that goes along with tokio's.
struct World {
    begin: tokio::time::Instant,
    ids: AtomicU64,
}

impl Edge for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_772_446_530_123).after(self.begin.elapsed())
    }
    fn id(&self) -> u128 {
        self.ids.fetch_add(1, Ordering::Relaxed).into()
    }
    fn secret(&self) -> [u8; 32] {
        [0; 32]
    }
    fn dice(&self) -> f64 {
        0.5
    }
}

fn start(store: &Arc<Store>, app: &Arc<App>) -> (CancellationToken, JoinHandle<()>) {
    start_with(store, app, Duration::from_secs(60))
}

fn start_with(
    store: &Arc<Store>,
    app: &Arc<App>,
    lease: Duration,
) -> (CancellationToken, JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let edge = World { begin: tokio::time::Instant::now(), ids: AtomicU64::new(0) };
    let config = Config {
        schedule: "20ms,20ms,20ms".parse().unwrap(),
        grace: Duration::from_millis(200),
        lease,
        ..Config::of("https://sync.example")
    };
    let (store, app) = (Arc::clone(store), Arc::clone(app));
    let run = dispatcher::run(store, app, Arc::new(edge), config, shutdown.clone());
    (shutdown, TaskTracker::new().spawn(run))
}

#[tokio::test]
async fn what_is_accepted_is_delivered_in_order_whatever_fails_first() {
    let store = Store::new();
    store.accept(500, 7);
    let app = App::new(|body, attempt| {
        (body.ends_with('3') && attempt < 3).then_some(Failure::Status(422))
    });
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) >= 100).await;
    store.accept(500, 7);
    store.until(|kept| Store::cursor(kept) == 1_000 && kept.lanes[&LANE].blocked.is_empty()).await;
    shutdown.cancel();
    run.await.unwrap();
    let seen: Vec<u64> = app.seen.lock().unwrap().iter().map(|n| n.parse().unwrap()).collect();
    assert_eq!(seen.len(), 1_000);
    for user in 0..7 {
        assert!(seen.iter().filter(|n| **n % 7 == user).is_sorted());
    }
    assert!(store.inner.lock().unwrap().attempts.len() >= 1_200);
}

#[tokio::test]
async fn a_store_that_is_busy_costs_nothing_but_time() {
    let store = Store::new();
    store.inner.lock().unwrap().fails = 1;
    store.accept(10, 10);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 10).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(app.seen.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn shutdown_gives_up_what_hangs_and_the_next_start_sends_it_again() {
    let store = Store::new();
    store.accept(3, 3);
    let hanging = App::with(|_, _| None, true);
    let (shutdown, run) = start(&store, &hanging);
    tokio::task::yield_now().await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
    assert_eq!(Store::cursor(&store.inner.lock().unwrap()), 0);

    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 3).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(app.seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_keeps_its_place() {
    let store = Store::new();
    store.accept(5, 1);
    let app = App::new(|_, _| Some(Failure::Status(410)));
    let (shutdown, run) = start(&store, &app);
    let mut endpoints = store.endpoints.subscribe();
    let disabled = endpoints.wait_for(|endpoints| !endpoints.list[0].enabled);
    tokio::time::timeout(Duration::from_secs(20), disabled).await.unwrap().unwrap();
    store.until(|kept| kept.attempts.len() == 1).await;

    // Turned on again, it gets everything from where it stood.
    let well = App::new(|_, _| None);
    shutdown.cancel();
    run.await.unwrap();
    store.endpoints.send_modify(|endpoints| {
        endpoints.version += 1;
        endpoints.list[0].enabled = true;
    });
    let (shutdown, run) = start(&store, &well);
    store.until(|kept| Store::cursor(kept) == 5 && kept.lanes[&LANE].blocked.is_empty()).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(*well.seen.lock().unwrap(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn an_event_that_no_token_can_tell_of_is_not_sent_and_stops_nothing() {
    let store = Store::new();
    store.endpoints.send_modify(|endpoints| endpoints.list[0].format = Format::ScimSet);
    // Numbers are no events.
    store.accept(3, 3);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store
        .until(|kept| {
            Store::cursor(kept) == 3 && kept.attempts.iter().filter(|a| a.exhausted).count() == 3
        })
        .await;
    shutdown.cancel();
    run.await.unwrap();
    assert!(app.seen.lock().unwrap().is_empty());
    let kept = store.inner.lock().unwrap();
    let unreadable = Outcome::Failed(Failure::Unreadable);
    assert!(kept.attempts.iter().all(|attempt| attempt.outcome == unreadable));
}

#[tokio::test]
async fn a_hundred_lanes_that_have_caught_up_read_each_event_once() {
    let store = Store::new();
    store.endpoints.send_modify(|endpoints| {
        let one = endpoints.list[0].clone();
        let more = (2..=100).map(|id| Endpoint { id: EndpointId::from_bits(id), ..one.clone() });
        endpoints.list.extend(more);
    });
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    for round in 1..=20 {
        store.accept(1, 1);
        let all_have_it = |kept: &Kept| {
            kept.lanes.len() == 100 && kept.lanes.values().all(|lane| lane.cursor.0 == round)
        };
        store.until(all_have_it).await;
    }
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(app.seen.lock().unwrap().len(), 2_000);
    let reads = store.inner.lock().unwrap().feed_reads;
    assert!(reads <= 60, "{reads} reads of 20 events for 100 endpoints");
}

#[tokio::test]
async fn a_lane_that_stands_alone_at_the_end_is_told_of_what_comes() {
    let store = Store::new();
    store.accept(5, 5);
    let end = LaneState { cursor: FeedPosition(5), ..LaneState::default() };
    store.inner.lock().unwrap().lanes.insert(LANE, end);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    store.accept(1, 1);
    store.until(|kept| Store::cursor(kept) == 6).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(*app.seen.lock().unwrap(), ["6"]);
}

#[tokio::test]
async fn what_a_replaced_dispatcher_wrote_is_refused_and_it_begins_anew() {
    let store = Store::new();
    store.accept(10, 10);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 10).await;
    {
        let mut inner = store.inner.lock().unwrap();
        inner.dispatcher = None;
        inner.epoch.0 += 1;
    }
    // Its next flush is refused, so its lane ends; and it hears of it when it renews.
    store.accept(10, 10);
    store.moves.send_modify(|moves| *moves += 1);
    store.until(|kept| Store::cursor(kept) == 20).await;
    shutdown.cancel();
    run.await.unwrap();
    let seen: std::collections::BTreeSet<String> = app.seen.lock().unwrap().drain(..).collect();
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn who_cannot_renew_gives_up_what_is_in_flight_before_its_lease_ends() {
    let store = Store::new();
    store.accept(1, 1);
    let app = App::with(|_, _| None, true);
    let lease = Duration::from_secs(2);
    let (shutdown, run) = start_with(&store, &app, lease);
    let mut begun = app.begun.subscribe();
    begun.wait_for(|count| *count == 1).await.unwrap();
    let last_renewed = tokio::time::Instant::now();
    {
        let mut inner = store.inner.lock().unwrap();
        inner.is_mute = true;
        inner.fails = u32::MAX;
    }
    let mut given_up = app.given_up.subscribe();
    let dropped = given_up.wait_for(|count| *count == 1);
    tokio::time::timeout(Duration::from_secs(20), dropped).await.unwrap().unwrap();
    assert!(last_renewed.elapsed() < lease * 2, "{:?}", last_renewed.elapsed());
    shutdown.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn who_ends_gives_its_lanes_back() {
    let store = Store::new();
    store.accept(5, 5);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 5).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(store.inner.lock().unwrap().dispatcher, None);
}
