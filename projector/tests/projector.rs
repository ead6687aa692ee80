//! The projector between a log and a store that fail when they are told to.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use log::{
    Ahead, Append, AppendError, Durable, Entry, EventLog, Offset, Partition, ReadError, ReadLimit,
};
use projector::judge::Reader;
use projector::run::{Progress, run};
use projector::{Batch, Error, Position, ProjectionStore, Projector, StoreError, StoredHead};
use schemas::record::{Draft, Sealed, seal, seal_anew};
use schemas::wire::{DirectoryToken, TokenTag};
use schemas::{
    Actor, Change, DirectoryId, Event, EventId, Hash, Head, OrganizationId, Seq, Timestamp, TokenId,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const P: Partition = Partition(0);

/// A log of one partition in memory, and what is on its way into it.
#[derive(Default)]
struct Log {
    records: Mutex<Vec<Bytes>>,
    ahead: Mutex<Option<Ahead>>,
    /// The next read fails.
    broken: AtomicBool,
    /// Wakes who waits.
    grown: Notify,
}

impl Log {
    fn put(&self, values: impl IntoIterator<Item = Vec<u8>>) {
        self.records.lock().unwrap().extend(values.into_iter().map(Bytes::from));
        self.grown.notify_one();
    }

    /// Shows a reader what is on its way. Sending says that it is durable, dropping that it is not.
    fn announce(&self, values: impl IntoIterator<Item = Vec<u8>>) -> oneshot::Sender<()> {
        let places = (self.records.lock().unwrap().len() as u64..).map(Offset);
        let entries = places.zip(values).map(|(at, value)| Entry::new(at, value.into()));
        let (tells, told) = oneshot::channel();
        let ahead = Ahead { entries: entries.collect(), durable: Durable::once(told) };
        *self.ahead.lock().unwrap() = Some(ahead);
        self.grown.notify_one();
        tells
    }

    fn change(&self, offset: usize, value: &[u8]) {
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
struct Store(Arc<Mutex<Stored>>);

#[derive(Clone, Debug, Default)]
struct Stored {
    position: Position,
    events: Vec<EventId>,
    heads: Vec<StoredHead>,
    full: bool,
    passed: Offset,
    /// Why the partition stands still.
    why: Option<String>,
    /// How many slices of rows there are to remove.
    left: usize,
    /// It has no place for what the records say.
    refuses: bool,
}

impl Store {
    fn events(&self) -> Vec<EventId> {
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
        self.0.lock().unwrap().why = why;
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
fn commit(directory: u128, first: u128, len: u128, tail: Head) -> Vec<Sealed> {
    let changes = (first..first + len).map(made).collect();
    commit_of(directory, first, changes, tail)
}

fn made(bits: u128) -> Change {
    Change::TokenMade { id: TokenId::from_bits(bits) }
}

/// The same of these changes.
fn commit_of(directory: u128, first: u128, changes: Vec<Change>, tail: Head) -> Vec<Sealed> {
    let drafts = drafts(directory, first, changes);
    seal(&drafts, DirectoryId::from_bits(directory), &Actor::default(), tail.seq, tail)
}

fn drafts(directory: u128, first: u128, changes: Vec<Change>) -> Vec<Draft> {
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
fn anew(directory: u128, id: u128, at: Seq) -> Sealed {
    let directory_id = DirectoryId::from_bits(directory);
    seal_anew(&drafts(directory, id, vec![made(id)])[0], directory_id, &Actor::default(), at)
}

fn values(sealed: &[Sealed]) -> Vec<Vec<u8>> {
    sealed.iter().map(|record| record.value.to_vec()).collect()
}

fn ids(range: std::ops::Range<u128>) -> Vec<EventId> {
    range.map(EventId::from_bits).collect()
}

async fn open(log: &Arc<Log>, store: &Arc<Store>) -> Result<Projector, Error> {
    Projector::open(log.clone(), store.clone(), P).await
}

async fn run_to_tail(projector: &mut Projector) -> Result<(), Error> {
    while projector.step().await? == Progress::Moved {}
    Ok(())
}

#[tokio::test]
async fn accepted_events_reach_the_store_once_and_in_order() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 2, Head::default());
    let second = commit(1, 20, 1, first[1].head);
    log.put(values(&first));
    log.put(values(&second));
    log.put(values(&second));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(10..12), ids(20..21)].concat());
}

#[tokio::test]
async fn a_restart_goes_on_before_the_half_commit_it_had_read() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let half = commit(1, 10, 3, Head::default());
    let other = commit(2, 50, 1, Head::default());
    log.put(values(&half[..2]));
    log.put(values(&other));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), ids(50..51), "another directory does not wait");
    assert_eq!(store.0.lock().unwrap().position.next, Offset(0));

    log.put(values(&half[2..]));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(50..51), ids(10..13)].concat(), "each once");
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_is_made_up_for() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    store.0.lock().unwrap().full = true;
    let mut projector = open(&log, &store).await.unwrap();
    let written = run_to_tail(&mut projector).await;
    assert!(matches!(written, Err(Error::Store(StoreError::Full(_)))));
    assert!(store.events().is_empty());
    store.0.lock().unwrap().full = false;
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), ids(10..12));
}

#[tokio::test]
async fn what_is_on_its_way_is_judged_at_once_and_written_when_it_is_durable() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 2, Head::default());
    let durable = log.announce(values(&first));
    let mut projector = open(&log, &store).await.unwrap();
    assert_eq!(projector.step().await.unwrap(), Progress::Moved);
    assert!(store.events().is_empty());
    log.put(values(&first));
    durable.send(()).unwrap();
    log.put(values(&commit(1, 20, 1, first[1].head)));
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(store.events(), [ids(10..12), ids(20..21)].concat());
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_not_kept_leaves_no_trace_and_what_stands_there_is_judged() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    drop(log.announce(values(&commit(1, 10, 2, Head::default()))));
    let mut projector = open(&log, &store).await.unwrap();
    assert_eq!(projector.step().await.unwrap(), Progress::Moved);
    let lost = projector.step().await;
    assert!(matches!(lost, Err(Error::Store(StoreError::Withdrawn))), "{lost:?}");

    drop(log.announce(values(&commit(1, 20, 2, Head::default()))));
    log.put(values(&commit(1, 30, 1, Head::default())));
    let end = CancellationToken::new();
    let look = async {
        while store.events().is_empty() {
            tokio::time::sleep(LOOKS_AGAIN_WITHIN / 1_000).await;
        }
        end.cancel();
    };
    let ran = async { tokio::join!(run(log.clone(), store.clone(), P, end.clone()), look).0 };
    tokio::time::timeout(LOOKS_AGAIN_WITHIN, ran).await.expect("it goes on").unwrap();
    assert_eq!(store.events(), ids(30..31));
}

#[tokio::test(start_paused = true)]
async fn who_follows_after_an_error_waits_for_what_was_begun_before() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    let second = commit(1, 20, 1, first[0].head);
    log.put(values(&first));
    let end = CancellationToken::new();
    let look = async {
        let moment = || tokio::time::sleep(LOOKS_AGAIN_WITHIN / 1_000);
        while store.events().is_empty() {
            moment().await;
        }
        let durable = log.announce(values(&second));
        while log.ahead.lock().unwrap().is_some() {
            moment().await;
        }
        log.broken.store(true, Ordering::SeqCst);
        log.grown.notify_one();
        while log.broken.load(Ordering::SeqCst) {
            moment().await;
        }
        // Whoever would look where it stands has done so by now.
        tokio::time::sleep(LOOKS_AGAIN_WITHIN / 10).await;
        durable.send(()).unwrap();
        log.put(values(&second));
        log.put(values(&commit(1, 30, 1, second[0].head)));
        while store.events().len() < 3 {
            moment().await;
        }
        end.cancel();
    };
    let ran = async {
        let run = run(log.clone(), store.clone(), P, end.clone());
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => return ended,
            () = look => {}
        }
        run.await
    };
    tokio::time::timeout(LOOKS_AGAIN_WITHIN, ran).await.expect("it goes on").unwrap();
    assert_eq!(store.events(), [ids(10..11), ids(20..21), ids(30..31)].concat());
}

#[tokio::test]
async fn what_is_judged_on_what_the_log_has_not_kept_stops_nothing() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let unreadable = || [b"{}".to_vec()];
    for first in [values(&commit(1, 10, 2, Head::default())), unreadable().to_vec()] {
        drop(log.announce(first));
        let mut projector = open(&log, &store).await.unwrap();
        let begun = projector.step().await;
        log.announce(unreadable()).send(()).unwrap();
        let lost = if begun.is_err() { begun } else { projector.step().await };
        assert!(matches!(lost, Err(Error::Store(StoreError::Withdrawn))), "{lost:?}");
    }
    let stopped = open(&log, &store).await.unwrap().step().await;
    assert!(matches!(stopped, Err(Error::Poison(_))), "this one is durable: {stopped:?}");
}

#[tokio::test]
async fn a_store_that_does_not_take_a_record_stops_the_partition_and_is_not_asked_for_ever() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    {
        let mut stored = store.0.lock().unwrap();
        stored.refuses = true;
        stored.why = Some("it was so before".to_owned());
    }
    let stopped = run(log.clone(), store.clone(), P, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(stopped, Error::Unwritable { first: Offset(0), passed: Offset(2), .. }),
        "{stopped}"
    );
    assert!(stopped.to_string().starts_with("DSYNC-012: records 0 to 1"), "{stopped}");
    assert!(store.events().is_empty(), "nothing is skipped");
    let why = store.0.lock().unwrap().why.clone();
    assert!(why.is_some(), "nobody is told that it goes on, while it has only been tried");
}

#[tokio::test]
async fn what_a_directory_leaves_behind_is_removed_slice_by_slice_between_records() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    store.0.lock().unwrap().left = 3;
    let mut projector = open(&log, &store).await.unwrap();
    assert_eq!(projector.sweep().await.unwrap(), Progress::Moved);
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(store.events(), ids(10..11), "it has not waited");
    assert_eq!(projector.sweep().await.unwrap(), Progress::Moved);
    assert_eq!(projector.sweep().await.unwrap(), Progress::AtTail);

    store.0.lock().unwrap().left = 2;
    assert_eq!(projector.sweep().await.unwrap(), Progress::AtTail, "nothing has gone since");
    log.put(values(&commit_of(1, 20, vec![Change::DirectoryGone], first[0].head)));
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(projector.sweep().await.unwrap(), Progress::Moved);
    assert_eq!(projector.sweep().await.unwrap(), Progress::AtTail);
}

#[tokio::test]
async fn a_projector_that_was_replaced_writes_nothing_more() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    let mut old = open(&log, &store).await.unwrap();
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    log.put(values(&commit(1, 20, 1, first[0].head)));
    assert!(matches!(run_to_tail(&mut old).await, Err(Error::Store(StoreError::Replaced))));
    assert_eq!(store.events(), ids(10..11));
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_not_followed() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    log.records.lock().unwrap().pop();
    assert!(matches!(open(&log, &store).await, Err(Error::Behind { offset: Offset(1), .. })));
}

#[tokio::test]
async fn a_gap_stops_its_directory_and_no_other() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    let elsewhere = Head { seq: first[0].head.seq, hash: Hash::of(b"another past") };
    log.put(values(&commit(1, 20, 1, elsewhere)));
    log.put(values(&commit(1, 30, 1, first[0].head)));
    log.put(values(&commit(2, 50, 1, Head::default())));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(10..11), ids(50..51)].concat());
    assert!(store.0.lock().unwrap().heads.iter().any(|head| head.stopped));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_partition_and_says_where() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    log.change(1, b"{}");
    let error = open(&log, &store).await.unwrap().step().await.unwrap_err();
    assert!(error.to_string().contains("record 1 of partition 0"), "{error}");
    assert!(store.events().is_empty(), "nothing of the step is written");
}

#[tokio::test]
async fn a_step_is_bounded() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let mut tail = Head::default();
    for first in 0..3_000_u128 {
        let sealed = commit(1, first, 1, tail);
        tail = sealed[0].head;
        log.put(values(&sealed));
    }
    let mut projector = open(&log, &store).await.unwrap();
    projector.step().await.unwrap();
    assert!(store.events().len() < 3_000);
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(store.events().len(), 3_000);
    let one = ReadLimit { records: NonZeroUsize::MIN, bytes: NonZeroUsize::MIN };
    assert_eq!(log.read(P, Offset(2_999), one).await.unwrap().len(), 1);
}

/// Of the clock of a test, which stands still while there is work.
const LOOKS_AGAIN_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_projector_that_panics_is_told_as_one_that_has_stopped_and_tries_again() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let (held, mended) = (Arc::clone(&log), Arc::clone(&log));
    let broken = std::thread::spawn(move || {
        let _held = held.records.lock().unwrap();
        panic!("whoever reads the log from now on panics too");
    });
    assert!(broken.join().is_err());
    let (_assigning, assigned) = tokio::sync::watch::channel([P].into());
    let (stopped, mut told) = tokio::sync::watch::channel(projector::Stopped::new());
    let end = tokio_util::sync::CancellationToken::new();
    let sharing = projector::share(log, store, assigned, stopped, end.clone());
    let looking = async {
        let found = told.wait_for(|stopped| !stopped.is_empty()).await.unwrap().clone();
        mended.records.clear_poison();
        told.wait_for(projector::Stopped::is_empty).await.unwrap();
        end.cancel();
        found
    };
    let both = async { tokio::join!(sharing, looking).1 };
    let found =
        tokio::time::timeout(LOOKS_AGAIN_WITHIN, both).await.expect("it does not look again");
    assert!(found[&P].contains("has panicked"), "{found:?}");
}

#[tokio::test]
async fn a_stream_that_a_gap_has_stopped_goes_on_where_it_begins_anew_and_nowhere_else() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    let lost = Head { seq: Seq(4), hash: Hash::of(b"lost") };
    log.put(values(&commit(1, 20, 1, lost)));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.stopped_directories().await.unwrap(), [DirectoryId::from_bits(1)]);

    log.put(values(&commit(1, 30, 1, first[0].head)));
    let mark = anew(1, 40, Seq(6));
    log.put([mark.value.to_vec()]);
    log.put(values(&commit(1, 50, 1, mark.head)));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(10..11), ids(40..41), ids(50..51)].concat());
    assert!(store.stopped_directories().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_stands_still_is_told_of_through_the_store_and_goes_on_when_it_is_mended()
{
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    let sound = log.records.lock().unwrap()[1].clone();
    log.change(1, b"{}");
    let (_assigning, assigned) = tokio::sync::watch::channel([P].into());
    let (stopped, mut told) = tokio::sync::watch::channel(projector::Stopped::new());
    let end = tokio_util::sync::CancellationToken::new();
    let sharing = projector::share(log.clone(), store.clone(), assigned, stopped, end.clone());
    let mending = async {
        told.wait_for(|stopped| stopped.contains_key(&P)).await.unwrap();
        tokio::task::yield_now().await;
        let why = store.0.lock().unwrap().why.clone().unwrap();
        assert!(why.starts_with("DSYNC-005: record 1 of partition 0"), "{why}");
        log.change(1, &sound);
        told.wait_for(|stopped| !stopped.contains_key(&P)).await.unwrap();
        end.cancel();
    };
    tokio::join!(sharing, mending);
    assert_eq!(store.events(), ids(10..12));
    assert_eq!(store.0.lock().unwrap().why, None);
}

#[tokio::test]
async fn a_half_commit_that_nobody_completes_is_no_lag() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 3, Head::default())[..2]));
    log.put(values(&commit(2, 50, 1, Head::default())));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.position(P).await.unwrap().next, Offset(0), "a restart begins before it");
    assert_eq!(projector::lag::lags(&*log, &*store).await, [(P, 0)]);
    log.put(values(&commit(3, 70, 1, Head::default())));
    assert_eq!(projector::lag::lags(&*log, &*store).await, [(P, 1)]);
}

#[test]
fn a_half_commit_is_told_of_until_its_directory_writes_something_else() {
    let mut reader = Reader::resume(P, Position::default(), &[]);
    let mut offset = 0;
    let mut judge = |reader: &mut Reader, sealed: &[Sealed]| {
        for value in values(sealed) {
            let entry = Entry::new(Offset(offset), value.into());
            reader.judge(&[entry]).unwrap();
            offset += 1;
        }
    };
    let whole = commit(1, 5, 1, Head::default());
    judge(&mut reader, &whole);
    assert_eq!(reader.half_commit(), None);
    judge(&mut reader, &commit(1, 10, 3, whole[0].head)[..2]);
    let mut tail = Head::default();
    for first in 50..60 {
        let other = commit(2, first, 1, tail);
        tail = other[0].head;
        judge(&mut reader, &other);
    }
    let half = reader.half_commit().unwrap();
    assert_eq!(half.directory_id, DirectoryId::from_bits(1));
    assert_eq!((half.first, half.judged_since), (Offset(1), 12));
    assert_eq!(reader.position().next, half.first, "a restart begins there");

    judge(&mut reader, &commit(1, 90, 1, whole[0].head));
    assert_eq!(reader.half_commit(), None);
    assert_eq!(reader.position().next, reader.read_to());
}
