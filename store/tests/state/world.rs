//! A store in a place of its own, and streams to fill it with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use api::fixtures;
use api::ports::{Directories, Organizations, Reach};
use directory::resource::name_key;
use dispatcher::brake::{Counts, Seen, Watch};
use dispatcher::ports::{
    DeliveryStore, DispatcherId, Epoch, FeedPosition, Fenced, Flush, LaneId, Leases,
};
use log::{Durable, Entry, Offset, Partition, ReadError};
use projector::rebuild::{Generation as _, RebuildError, Scan, rebuild};
use projector::{Accepted, Batch, Position, ProjectionStore, StoreError};
use schemas::record::{Draft, Sealed, seal};
use schemas::samples::sample;
use schemas::scim::{Attributes, SharedAttributes, Value};
use schemas::wire::{DirectoryToken, TokenTag};
use schemas::{
    Actor, Brake, Change, DirectoryId, Edge, Event, EventId, EventType, GroupId, Head, Mapped,
    OrganizationId, Record, RequestId, ScimId, Shown, StoredChange, Timestamp, TokenId, UserId,
};
use store::{Generation, Store};

use super::Place;

pub(crate) const P: Partition = Partition(0);

/// A clock that stands still unless it is set, and dice that count.
#[derive(Debug)]
pub(crate) struct Still {
    ids: AtomicU64,
    secrets: AtomicU8,
    clock: AtomicI64,
}

impl Default for Still {
    fn default() -> Self {
        Self { ids: AtomicU64::new(0), secrets: AtomicU8::new(0), clock: AtomicI64::new(1_000) }
    }
}

impl Still {
    /// Sets the clock forward, or back.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

impl Edge for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::Relaxed))
    }

    fn id(&self) -> u128 {
        u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 1
    }

    fn secret(&self) -> [u8; 32] {
        [self.secrets.fetch_add(1, Ordering::Relaxed); 32]
    }

    fn dice(&self) -> f64 {
        0.5
    }
}

pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) store: Arc<Store>,
    pub(crate) edge: Arc<Still>,
    pub(crate) position: Position,
    /// The partition that is written to.
    pub(crate) partition: Partition,
    /// All of it.
    pub(crate) values: Vec<Vec<u8>>,
    /// The other partitions, and how far each was read.
    others: BTreeMap<Partition, (Position, Vec<Vec<u8>>)>,
    /// What the next commits are caused by.
    pub(crate) request: Option<RequestId>,
    /// Of which type the next events are; without it they tell of tokens.
    pub(crate) samples: Option<EventType>,
    /// The record that has been taken out of the log.
    pub(crate) lost: Option<usize>,
    /// By how many milliseconds the clock is behind that decides the next events.
    pub(crate) behind: i64,
    events: u128,
}

/// A directory and how far its stream has come.
pub(crate) struct Stream {
    pub(crate) id: DirectoryId,
    pub(crate) organization: OrganizationId,
    pub(crate) head: Head,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at(Place::new().await).await
    }

    pub(crate) async fn at(place: Place) -> Self {
        let edge = Arc::<Still>::default();
        let store = Arc::new(place.open(edge.clone()).await);
        Self {
            place,
            store,
            edge,
            position: Position::default(),
            partition: P,
            values: Vec::new(),
            others: BTreeMap::new(),
            request: None,
            samples: None,
            lost: None,
            behind: 0,
            events: 0,
        }
    }

    /// The same store once more, as another process opens it; with another clock and other dice.
    pub(crate) async fn reopened(&self) -> Store {
        self.open(Arc::default()).await
    }

    /// Writes what lanes have come to, as a dispatcher that takes them for it.
    pub(crate) async fn flush(&self, flushes: Vec<Flush>) {
        let own = DispatcherId::from_bits(self.edge.id());
        self.store.join(own, Duration::from_secs(60)).await.unwrap();
        let lanes = flushes.iter().map(|flush| flush.lane).collect();
        let leases = self.store.lease(own, lanes).await.unwrap();
        let epochs: BTreeMap<LaneId, Epoch> =
            leases.into_iter().map(|lease| (lease.lane, lease.epoch)).collect();
        let fenced = flushes.into_iter().map(|flush| Fenced { epoch: epochs[&flush.lane], flush });
        let refused = self.store.flush(fenced.collect()).await.unwrap();
        assert_eq!(refused, []);
        self.store.leave(own).await.unwrap();
    }

    /// The same.
    pub(crate) async fn open(&self, edge: Arc<Still>) -> Store {
        self.place.open(edge).await
    }

    pub(crate) async fn organization(&self, number: u128) -> OrganizationId {
        let organization = fixtures::organization(number);
        let id = organization.id;
        Organizations::create(&*self.store, organization).await.unwrap();
        id
    }

    pub(crate) async fn directory(&self, organization: OrganizationId, number: u8) -> Stream {
        let new = fixtures::directory(organization, number);
        let id = new.id;
        Directories::create(&*self.store, Reach::Everything, new).await.unwrap();
        Stream { id, organization, head: Head::default() }
    }

    /// The simplest world: one organization with one directory.
    pub(crate) async fn with_one_directory() -> (Self, Stream) {
        let world = Self::new().await;
        let organization = world.organization(1).await;
        let stream = world.directory(organization, 1).await;
        (world, stream)
    }

    /// Appends the changes and applies them in one batch; returns their events.
    pub(crate) async fn add(&mut self, stream: &mut Stream, changes: Vec<Change>) -> Vec<EventId> {
        let batch = self.batch(stream, changes);
        let ids = batch.accepted.iter().map(|accepted| accepted.id).collect();
        self.apply(batch).await.unwrap();
        ids
    }

    /// Writes to another partition from here on.
    pub(crate) fn turn_to(&mut self, partition: Partition) {
        let left = (self.position, std::mem::take(&mut self.values));
        self.others.insert(self.partition, left);
        (self.position, self.values) = self.others.remove(&partition).unwrap_or_default();
        self.partition = partition;
    }

    pub(crate) fn has_one_partition(&self) -> bool {
        self.others.is_empty()
    }

    /// The partition as a rebuild or a verification reads it.
    pub(crate) fn scan(&self) -> Scan<'static> {
        let (values, lost) = (self.values.clone().into_iter().enumerate(), self.lost);
        Box::new(values.map(move |(at, value)| {
            let offset = Offset(at as u64);
            if lost == Some(at) {
                return Err(ReadError::Corrupt { partition: P, offset }.into());
            }
            Ok(Entry::new(offset, value.into()))
        }))
    }

    /// A new state of what is scanned, beside the one in use.
    pub(crate) async fn rebuild(&self, scan: Scan<'static>) -> Result<Generation, RebuildError> {
        self.rebuild_all(vec![scan]).await
    }

    /// The same of several partitions.
    pub(crate) async fn rebuild_all(
        &self,
        scans: Vec<Scan<'static>>,
    ) -> Result<Generation, RebuildError> {
        let folder = tempfile::tempdir().unwrap();
        let count = u16::try_from(scans.len()).unwrap();
        let generation = self.store.new_generation(count, folder.path()).await.unwrap();
        Self::fill(generation, scans).await
    }

    /// Fills a state that was begun.
    pub(crate) async fn fill(
        mut generation: Generation,
        scans: Vec<Scan<'static>>,
    ) -> Result<Generation, RebuildError> {
        let rebuilt = tokio::task::spawn_blocking(move || {
            for (scan, number) in scans.into_iter().zip(0..) {
                rebuild(Partition(number), scan, &mut generation, &mut |_| ())?;
            }
            generation.finish()?;
            Ok(generation)
        });
        rebuilt.await.unwrap()
    }

    pub(crate) async fn apply(&mut self, batch: Batch) -> Result<(), StoreError> {
        let to = Position {
            next: batch.passed,
            applied: (batch.accepted.last())
                .map(|last| (last.offset, last.head.hash))
                .or(self.position.applied),
        };
        let durable = Durable::already();
        self.store.apply(self.partition, self.position, to, batch, durable).await?;
        self.position = to;
        Ok(())
    }

    /// The batch that a projector makes of one commit with these changes.
    pub(crate) fn batch(&mut self, stream: &mut Stream, changes: Vec<Change>) -> Batch {
        let drafts: Vec<Draft> = changes.iter().map(|change| self.draft(stream, change)).collect();
        let actor = Actor {
            token_suffix: Some("a1b2".into()),
            request_id: self.request.map(|request| request.to_string()),
            ..Actor::default()
        };
        let sealed = seal(&drafts, stream.id, &actor, stream.head.seq, stream.head);
        let first = self.values.len() as u64;
        let accepted = (first..).zip(sealed).zip(changes).map(|((offset, sealed), change)| {
            let accepted = accepted(Offset(offset), &sealed, change);
            stream.head = sealed.head;
            self.values.push(sealed.value.to_vec());
            accepted
        });
        let accepted = accepted.collect();
        Batch { passed: Offset(self.values.len() as u64), accepted, stopped: Vec::new() }
    }

    /// What apps are told of attributes: mostly what they are, and sometimes nothing.
    fn told(&self, attributes: &SharedAttributes) -> SharedAttributes {
        if self.events.is_multiple_of(3) { SharedAttributes::default() } else { attributes.clone() }
    }

    /// A store looks at no more of what apps are told than its type and, of users and groups, their attributes. So all
    /// other events say something of a token, unless samples are wanted.
    fn draft(&mut self, stream: &Stream, change: &Change) -> Draft {
        self.events += 1;
        let at = Timestamp::from_millis(time_of(self.events).millis() - self.behind);
        let token = DirectoryToken {
            object: TokenTag::Tag,
            id: TokenId::from_bits(self.events),
            directory_id: stream.id,
            organization_id: stream.organization,
            token_suffix: "a1b2".into(),
            created_at: at,
        };
        let event = match (self.samples, change) {
            (Some(kind), _) => serde_json::from_str(sample(kind)).unwrap(),
            (None, Change::User { attributes, .. }) => {
                updated(EventType::UserUpdated, &self.told(attributes))
            }
            (None, Change::Group { attributes, .. }) => {
                updated(EventType::GroupUpdated, &self.told(attributes))
            }
            (None, Change::UserGone { .. } | Change::GroupGone { .. }) => {
                Event::TokenRevoked(token)
            }
            (None, _) => Event::TokenCreated(token),
        };
        Draft { id: event_id(self.events), at, event, change: change.clone() }
    }
}

/// The sample of an event, of somebody with these attributes.
fn updated(kind: EventType, told: &SharedAttributes) -> Event {
    let mut event: serde_json::Value = serde_json::from_str(sample(kind)).unwrap();
    event["data"]["raw_attributes"] = serde_json::from_str(told.json().get()).unwrap();
    serde_json::from_str(&event.to_string()).unwrap()
}

/// Ids leave gaps, so that there are some of events that do not exist.
pub(crate) const fn event_id(number: u128) -> EventId {
    EventId::from_bits(number * 10)
}

/// When the event with this number is decided.
pub(crate) fn time_of(number: u128) -> Timestamp {
    Timestamp::from_millis(10_000 + i64::try_from(number).unwrap())
}

fn accepted(offset: Offset, sealed: &Sealed, change: Change) -> Accepted {
    let record = Record::decode(&sealed.value).unwrap();
    Accepted {
        offset,
        directory_id: record.directory_id,
        head: sealed.head,
        prev: record.prev,
        id: record.id,
        event: record.event,
        created_at: record.created_at,
        data: record.data.get().to_owned(),
        actor: record.actor.get().to_owned(),
        change: stored(&change),
    }
}

/// The change as it stands in a record.
fn stored(change: &Change) -> StoredChange {
    serde_json::from_str(&serde_json::to_string(change).unwrap()).unwrap()
}

pub(crate) const fn scim(number: u128) -> ScimId {
    ScimId::from_bits(number)
}

/// A user with more attributes than its name.
pub(crate) fn user_with(number: u128, name: &str, more: &str) -> Change {
    let json = format!(r#"{{"userName":"{name}"{more}}}"#);
    let attributes: Attributes = serde_json::from_str(&json).unwrap();
    Change::User {
        id: scim(number),
        user_id: UserId::from_bits(number),
        name_key: name_key(name),
        created_at: Timestamp::from_millis(5),
        attributes: attributes.into(),
        shown: Shown::default(),
    }
}

/// A user of whom apps are shown something else.
pub(crate) fn user_shown(number: u128, shown: Shown) -> Change {
    let mut change = user(number);
    if let Change::User { shown: kept, .. } = &mut change {
        *kept = shown;
    }
    change
}

/// A user with a mapped address and a mapped attribute.
pub(crate) fn mapped(number: u128, email: &str) -> Change {
    let custom_attributes = Attributes::from([("rank", Value::from("Countess"))]);
    let email = Some(email.to_owned());
    let mapped = Mapped { idp_id: "mapped".into(), email, custom_attributes, ..Mapped::default() };
    user_shown(number, Shown { mapped: Some(Box::new(mapped)), ..Shown::default() })
}

/// A user that apps do not see.
pub(crate) fn hidden(number: u128) -> Change {
    user_shown(number, Shown { hidden: true, ..Shown::default() })
}

pub(crate) fn user(number: u128) -> Change {
    user_with(number, &format!("User{number}"), "")
}

pub(crate) fn group_with(number: u128, name: &str, more: &str) -> Change {
    let json = format!(r#"{{"displayName":"{name}"{more}}}"#);
    let attributes: Attributes = serde_json::from_str(&json).unwrap();
    Change::Group {
        id: scim(number),
        group_id: GroupId::from_bits(number),
        idp_id: format!("idp-{number}"),
        name_key: name_key(name),
        created_at: Timestamp::from_millis(5),
        attributes: attributes.into(),
    }
}

pub(crate) fn group(number: u128) -> Change {
    group_with(number, &format!("Group{number}"), "")
}

pub(crate) const fn joins(group: u128, user: u128) -> Change {
    Change::MemberAdded { group: scim(group), user: scim(user) }
}

pub(crate) const fn leaves(group: u128, user: u128) -> Change {
    Change::MemberRemoved { group: scim(group), user: scim(user) }
}

pub(crate) fn waits_for(group: u128, value: &str) -> Change {
    let (value, name_key) = (value.to_owned(), name_key(value));
    Change::PendingMemberAdded { group: scim(group), value, name_key }
}

pub(crate) fn waits_no_more(group: u128, value: &str) -> Change {
    Change::PendingMemberRemoved { group: scim(group), value: value.to_owned() }
}

pub(crate) const fn user_gone(number: u128) -> Change {
    Change::UserGone { id: scim(number) }
}

pub(crate) const fn group_gone(number: u128) -> Change {
    Change::GroupGone { id: scim(number) }
}

/// A brake that holds soon.
pub(crate) fn rule() -> Brake {
    "20%,1h,1".parse().unwrap()
}

/// A watch that has seen more removals than the rule lets pass.
pub(crate) fn held() -> Watch {
    let mut watch = Watch::new(FeedPosition(0), Counts { users: 2, memberships: 0 });
    for position in 1..=2 {
        let seen = Seen {
            position: FeedPosition(position),
            at: Timestamp::from_millis(1_000),
            kind: EventType::UserDeleted,
            user: Some(scim(u128::from(position))),
            group: None,
            was_active: true,
            is_active: false,
            ended: 0,
        };
        watch.see(&seen, Some(rule()), false);
    }
    watch
}
