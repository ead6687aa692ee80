//! A log and a store that fail when they are told to, and records for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use log::{
    Ahead, Append, AppendError, Durable, Entry, EventLog, Offset, Partition, ReadError, ReadLimit,
};
use projector::run::Progress;
use projector::{Batch, Error, Position, ProjectionStore, Projector, StoreError, StoredHead};
use schemas::record::{Draft, Sealed, seal, seal_anew};
use schemas::wire::{DirectoryToken, TokenTag};
use schemas::{
    Actor, Change, DirectoryId, Event, EventId, Head, OrganizationId, Seq, Timestamp, TokenId,
};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::task::TaskTracker;

pub(crate) const P: Partition = Partition(0);

/// Of the clock of a test, which stands still while there is work.
pub(crate) const LOOKS_AGAIN_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

/// A log of one partition in memory, and what is on its way into it.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) records: Mutex<Vec<Bytes>>,
    pub(crate) ahead: Mutex<Option<Ahead>>,
    /// The next read fails.
    pub(crate) broken: AtomicBool,
    /// Wakes who waits.
    pub(crate) grown: Notify,
}

impl Log {
    pub(crate) fn put(&self, values: impl IntoIterator<Item = Vec<u8>>) {
        self.records.lock().unwrap().extend(values.into_iter().map(Bytes::from));
        self.grown.notify_one();
    }

    /// Shows a reader what is on its way. Sending says that it is durable, dropping that it is not.
    pub(crate) fn announce(
        &self,
        values: impl IntoIterator<Item = Vec<u8>>,
    ) -> oneshot::Sender<()> {
        let places = (self.records.lock().unwrap().len() as u64..).map(Offset);
        let entries = places.zip(values).map(|(at, value)| Entry::new(at, value.into()));
        let (tells, told) = oneshot::channel();
        let ahead = Ahead { entries: entries.collect(), durable: Durable::once(told) };
        *self.ahead.lock().unwrap() = Some(ahead);
        self.grown.notify_one();
        tells
    }

    pub(crate) fn change(&self, offset: usize, value: &[u8]) {
        self.records.lock().unwrap()[offset] = Bytes::copy_from_slice(value);
    }
}

#[async_trait]
impl EventLog for Log {
    fn partitions(&self) -> u16 {
        1
    }

    async fn append(&self, _: Partition, records: Vec<Append>) -> Result<Offset, AppendError> {
        self.put(records.into_iter().map(|record| record.value.to_vec()));
        Ok(Offset(self.records.lock().unwrap().len() as u64 - 1))
    }

    async fn read(
        &self,
        _: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        if self.broken.swap(false, Ordering::SeqCst) {
            return Err(ReadError::Unavailable("as a test wants it".into()));
        }
        let records = self.records.lock().unwrap();
        let entries = records.iter().enumerate().skip(usize::try_from(from.0).unwrap());
        let entries = entries.take(limit.records.get());
        Ok(entries
            .map(|(offset, value)| Entry::new(Offset(offset as u64), value.clone()))
            .collect())
    }

    async fn wait_past(&self, _: Partition, offset: Offset) -> Result<(), ReadError> {
        while self.records.lock().unwrap().len() as u64 <= offset.0 {
            self.grown.notified().await;
        }
        Ok(())
    }

    async fn read_ahead(
        &self,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Ahead, ReadError> {
        let ahead = self.ahead.lock().unwrap().take();
        match ahead {
            Some(ahead) => Ok(ahead),
            None => Ok(Ahead::durable(self.read(partition, from, limit).await?)),
        }
    }

    async fn wait_ahead(&self, _: Partition, offset: Offset) -> Result<(), ReadError> {
        while self.records.lock().unwrap().len() as u64 <= offset.0
            && self.ahead.lock().unwrap().is_none()
            && !self.broken.load(Ordering::SeqCst)
        {
            self.grown.notified().await;
        }
        Ok(())
    }

    async fn tail(&self, _: Partition) -> Result<Offset, ReadError> {
        Ok(Offset(self.records.lock().unwrap().len() as u64))
    }
}

/// A store that remembers what was applied.
#[derive(Default)]
pub(crate) struct Store(pub(crate) Arc<Mutex<Stored>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) position: Position,
    pub(crate) events: Vec<EventId>,
    pub(crate) heads: Vec<StoredHead>,
    pub(crate) full: bool,
    pub(crate) passed: Offset,
    /// Why the partition stands still.
    pub(crate) why: Option<String>,
    /// Tells that this may have changed.
    pub(crate) noted: watch::Sender<()>,
    /// How many slices of rows there are to remove.
    pub(crate) left: usize,
    /// It has no place for what the records say.
    pub(crate) refuses: bool,
}

impl Store {
    pub(crate) fn events(&self) -> Vec<EventId> {
        self.0.lock().unwrap().events.clone()
    }
}

async fn apply(
    stored: Arc<Mutex<Stored>>,
    from: Position,
    to: Position,
    batch: Batch,
    durable: Durable,
) -> Result<(), StoreError> {
    if !durable.wait().await {
        return Err(StoreError::Withdrawn);
    }
    let mut stored = stored.lock().unwrap();
    if stored.full {
        return Err(StoreError::Full("no room".into()));
    }
    if stored.refuses {
        return Err(StoreError::Unwritable("too long".into()));
    }
    if stored.position != from {
        return Err(StoreError::Replaced);
    }
    stored.position = to;
    for accepted in batch.accepted {
        stored.events.push(accepted.id);
        stored.heads.retain(|head| head.directory_id != accepted.directory_id);
        stored.heads.push(StoredHead {
            directory_id: accepted.directory_id,
            head: accepted.head,
            stopped: false,
        });
    }
    for stopped in batch.stopped {
        let head = stored.heads.iter_mut().find(|head| head.directory_id == stopped);
        head.unwrap().stopped = true;
    }
    stored.why = None;
    stored.passed = batch.passed;
    Ok(())
}

#[async_trait]
impl ProjectionStore for Store {
    async fn position(&self, _: Partition) -> Result<Position, StoreError> {
        Ok(self.0.lock().unwrap().position)
    }

    async fn heads(&self, _: Partition) -> Result<Vec<StoredHead>, StoreError> {
        Ok(self.0.lock().unwrap().heads.clone())
    }

    async fn apply(
        &self,
        _: Partition,
        from: Position,
        to: Position,
        batch: Batch,
        durable: Durable,
    ) -> Result<(), StoreError> {
        // It goes on with it whether or not somebody waits.
        let stored = Arc::clone(&self.0);
        TaskTracker::new().spawn(apply(stored, from, to, batch, durable)).await.unwrap()
    }

    async fn passed(&self, _: Partition) -> Result<Offset, StoreError> {
        Ok(self.0.lock().unwrap().passed)
    }

    async fn stop(&self, _: Partition, why: Option<String>) -> Result<(), StoreError> {
        let mut stored = self.0.lock().unwrap();
        stored.why = why;
        stored.noted.send_replace(());
        Ok(())
    }

    async fn wait_stopped(&self, _: Partition) -> Result<(), StoreError> {
        let mut noted = self.0.lock().unwrap().noted.subscribe();
        noted.wait_for(|()| self.0.lock().unwrap().why.is_some()).await.unwrap();
        Ok(())
    }

    async fn stopped_directories(&self) -> Result<Vec<DirectoryId>, StoreError> {
        let heads = self.0.lock().unwrap().heads.clone();
        Ok(heads.iter().filter(|head| head.stopped).map(|head| head.directory_id).collect())
    }

    async fn sweep(&self, _: Partition) -> Result<bool, StoreError> {
        let mut stored = self.0.lock().unwrap();
        stored.left = stored.left.saturating_sub(1);
        Ok(stored.left > 0)
    }
}

/// A commit of so many events after `tail`; their ids begin at `first`.
pub(crate) fn commit(directory: u128, first: u128, len: u128, tail: Head) -> Vec<Sealed> {
    let changes = (first..first + len).map(made).collect();
    commit_of(directory, first, changes, tail)
}

pub(crate) fn made(bits: u128) -> Change {
    Change::TokenMade { id: TokenId::from_bits(bits) }
}

/// The same of these changes.
pub(crate) fn commit_of(
    directory: u128,
    first: u128,
    changes: Vec<Change>,
    tail: Head,
) -> Vec<Sealed> {
    let drafts = drafts(directory, first, changes);
    seal(&drafts, DirectoryId::from_bits(directory), &Actor::default(), tail.seq, tail)
}

pub(crate) fn drafts(directory: u128, first: u128, changes: Vec<Change>) -> Vec<Draft> {
    let directory_id = DirectoryId::from_bits(directory);
    (first..)
        .zip(changes)
        .map(|(bits, change)| Draft {
            id: EventId::from_bits(bits),
            at: Timestamp::from_millis(7),
            event: Event::TokenCreated(DirectoryToken {
                object: TokenTag::Tag,
                id: TokenId::from_bits(bits),
                directory_id,
                organization_id: OrganizationId::from_bits(1),
                token_suffix: "a1b2".into(),
                created_at: Timestamp::from_millis(7),
            }),
            change,
        })
        .collect()
}

/// A record with which the stream begins anew.
pub(crate) fn anew(directory: u128, id: u128, at: Seq) -> Sealed {
    let directory_id = DirectoryId::from_bits(directory);
    seal_anew(&drafts(directory, id, vec![made(id)])[0], directory_id, &Actor::default(), at)
}

pub(crate) fn values(sealed: &[Sealed]) -> Vec<Vec<u8>> {
    sealed.iter().map(|record| record.value.to_vec()).collect()
}

pub(crate) fn ids(range: std::ops::Range<u128>) -> Vec<EventId> {
    range.map(EventId::from_bits).collect()
}

pub(crate) async fn open(log: &Arc<Log>, store: &Arc<Store>) -> Result<Projector, Error> {
    Projector::open(log.clone(), store.clone(), P).await
}

pub(crate) async fn run_to_tail(projector: &mut Projector) -> Result<(), Error> {
    while projector.step().await? == Progress::Moved {}
    Ok(())
}
