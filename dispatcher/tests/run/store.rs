//! A store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dispatcher::brake::Counts;
use dispatcher::lane::lines_of;
use dispatcher::ports::{
    self, Attempt, BrakeStore, Brakes, DisableReason, DispatcherId, Endpoints, Epoch, Fenced,
    Filter, Judgement, LaneId, LaneState, Lease, Leases, Line, Order, SeenPage, Standing,
    StoreError, Topic,
};
use dispatcher::security_event::SigningKey;
use dispatcher::{DeliveryStore, Endpoint, FeedEvent, FeedPosition, Secret};
use schemas::{
    DirectoryId, EndpointId, EndpointKind, EventId, EventType, Format, ScimId, Seq, Timestamp,
};
use tokio::sync::watch;

pub(crate) const ENDPOINT: EndpointId = EndpointId::from_bits(1);
pub(crate) const LANE: LaneId = LaneId { endpoint: ENDPOINT, replay: None };

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) lanes: BTreeMap<LaneId, LaneState>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) fails: u32,
    /// Whether leases cannot be renewed either while it fails.
    pub(crate) is_mute: bool,
    pub(crate) feed_reads: usize,
    pub(crate) dispatcher: Option<DispatcherId>,
    pub(crate) epoch: Epoch,
    pub(crate) released: Vec<LaneId>,
}

pub(crate) struct Store {
    pub(crate) endpoints: watch::Sender<Endpoints>,
    pub(crate) feed: watch::Sender<Vec<FeedEvent>>,
    pub(crate) kept: watch::Sender<u64>,
    pub(crate) moves: watch::Sender<u64>,
    pub(crate) brakes: watch::Sender<Brakes>,
    /// How many directories are being counted, and whether any count ends.
    pub(crate) counting: watch::Sender<u32>,
    pub(crate) is_counted: watch::Sender<bool>,
    pub(crate) inner: Mutex<Kept>,
}

impl Store {
    pub(crate) fn new() -> Arc<Self> {
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
            brakes: watch::Sender::new(Brakes { version: 1, list: Vec::new() }),
            counting: watch::Sender::new(0),
            is_counted: watch::Sender::new(false),
            inner: Mutex::default(),
        })
    }

    pub(crate) fn accept(&self, count: u64, users: u64) {
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

    pub(crate) async fn until(&self, holds: impl Fn(&Kept) -> bool) {
        self.until_within(Duration::from_secs(20), holds).await;
    }

    pub(crate) async fn until_within(&self, within: Duration, holds: impl Fn(&Kept) -> bool) {
        let mut changed = self.kept.subscribe();
        let wait = changed.wait_for(|_| holds(&self.inner.lock().unwrap()));
        tokio::time::timeout(within, wait).await.unwrap().unwrap();
    }

    pub(crate) fn cursor(kept: &Kept) -> u64 {
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

    async fn operational_end(&self) -> Result<FeedPosition, StoreError> {
        Ok(FeedPosition(0))
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

/// Brakes never hold anything: there is nothing to count.
#[async_trait]
impl BrakeStore for Store {
    async fn brakes(&self) -> Result<Brakes, StoreError> {
        Ok(self.brakes.borrow().clone())
    }

    async fn wait_brakes_changed(&self, version: u64) -> Result<(), StoreError> {
        let mut changed = self.brakes.subscribe();
        changed.wait_for(|brakes| brakes.version != version).await.unwrap();
        Ok(())
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
        self.counting.send_modify(|counting| *counting += 1);
        self.is_counted.subscribe().wait_for(|is_counted| *is_counted).await.unwrap();
        Ok((self.feed_end().await?, Counts::default()))
    }

    async fn seen(
        &self,
        after: FeedPosition,
        _: usize,
        _: Arc<BTreeSet<DirectoryId>>,
    ) -> Result<SeenPage, StoreError> {
        Ok(SeenPage { events: Vec::new(), read_to: self.feed_end().await?.max(after) })
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
