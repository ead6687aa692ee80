//! The reading side: one consumer for all partitions, on a thread of its own, which fills their windows.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::client::{Asker, Context, Reach};
use super::looking::PARTITIONS_MAX;
use super::window::{Taken, Window};
use crate::contract::{Entry, Offset, Partition};

/// How long to wait before something that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long what was fetched may wait while nobody reads any of it. Then whoever read it follows the partition no longer,
/// or stands still, and a window of it is let go: of every partition that this process has followed once there is one.
const UNREAD_MAX: Duration = Duration::from_secs(60);

pub(super) type Client = StreamConsumer<Context>;

/// What readers and the follower share.
#[derive(Debug)]
pub(super) struct Shared {
    /// A place for each that there may ever be; filled when it is first asked for. Who was told of a partition by
    /// another process may ask before this one has heard of it.
    followed: Box<[OnceLock<Box<Followed>>]>,
    /// How many there are. It only rises.
    partitions: AtomicU16,
    /// Somebody wants to read elsewhere, or has read so much that fetching may go on, or the log closes.
    woken: Notify,
    closing: AtomicBool,
}

#[derive(Debug)]
struct Followed {
    /// A lock of the standard library: held to look or to put, never over an await.
    window: Mutex<Window>,
    /// Tells whoever waits for this partition to look again.
    changed: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(partitions: u16) -> Self {
        Self {
            followed: (0..PARTITIONS_MAX).map(|_| OnceLock::new()).collect(),
            partitions: AtomicU16::new(partitions),
            woken: Notify::new(),
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn partitions(&self) -> u16 {
        self.partitions.load(Ordering::Acquire)
    }

    /// There are so many by now.
    pub(super) fn grows(&self, partitions: u16) {
        self.partitions.fetch_max(partitions, Ordering::AcqRel);
    }

    fn followed(&self, partition: Partition) -> &Followed {
        self.followed[usize::from(partition.0)].get_or_init(|| {
            let window = Mutex::new(Window::new(partition));
            Box::new(Followed { window, changed: watch::Sender::new(()) })
        })
    }

    /// Those that somebody has asked for.
    fn asked_for(&self) -> impl Iterator<Item = Partition> + '_ {
        let all = (0..).map(Partition).zip(&self.followed);
        all.filter_map(|(partition, followed)| followed.get().map(|_| partition))
    }

    pub(super) fn window(&self, partition: Partition) -> MutexGuard<'_, Window> {
        self.followed(partition).window.lock().expect("nothing panics while it is held")
    }

    /// Subscribe first, then look: what changes in between is not missed.
    pub(super) fn subscribe(&self, partition: Partition) -> watch::Receiver<()> {
        self.followed(partition).changed.subscribe()
    }

    /// Something is known to be written up to here.
    pub(super) fn reaches(&self, partition: Partition, tail: Offset) {
        self.window(partition).reaches(tail);
        self.tell(partition);
    }

    pub(super) fn tell(&self, partition: Partition) {
        self.followed(partition).changed.send_replace(());
    }

    pub(super) fn wake_follower(&self) {
        self.woken.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.woken.notify_one();
        self.asked_for().for_each(|partition| self.tell(partition));
    }
}

/// Fetches where readers stand.
pub(super) struct Follower {
    pub(super) client: Client,
    pub(super) asker: Arc<Asker>,
    pub(super) shared: Arc<Shared>,
    pub(super) reach: Arc<Reach>,
    pub(super) topic: String,
    /// When to try again where fetching did not begin.
    pub(super) again_at: Cell<Option<Instant>>,
    /// Where fetching rests: since when nothing was read, and where reading stands.
    pub(super) resting: RefCell<BTreeMap<Partition, (Instant, Offset)>>,
}

impl Follower {
    /// Starts the thread. It ends when the log closes.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new()
            .name("log-kafka-reader".to_owned())
            .spawn(move || runtime.block_on(self.run()))
    }

    async fn run(self) {
        let mut questions = Questions::new();
        while !self.shared.is_closing() {
            tokio::select! {
                biased;
                () = self.shared.woken.notified() => self.serve(),
                message = self.client.recv() => match message {
                    Ok(message) => self.take(&message),
                    Err(error) => self.look_into(&error, &mut questions),
                },
                Some(answer) = questions.join_next() => self.answered(answer, &mut questions),
                () = self.again() => {
                    self.again_at.set(None);
                    self.serve();
                }
                () = self.unread() => self.leave_unread(),
            }
        }
    }

    /// Ends when something is to be tried again; never, if nothing is.
    async fn again(&self) {
        match self.again_at.get() {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Ends when something may have waited for too long; never, if nothing waits.
    async fn unread(&self) {
        let first = self.resting.borrow().values().map(|(since, _)| *since).min();
        match first {
            Some(since) => tokio::time::sleep_until(since + UNREAD_MAX).await,
            None => std::future::pending().await,
        }
    }

    /// Lets go of what nobody has read any of for so long.
    fn leave_unread(&self) {
        let now = Instant::now();
        self.resting.borrow_mut().retain(|partition, (since, stood)| {
            if *since + UNREAD_MAX > now {
                return true;
            }
            let mut window = self.shared.window(*partition);
            match window.rests_at() {
                None => false,
                Some(stands) if stands != *stood => {
                    (*since, *stood) = (now, stands);
                    true
                }
                Some(_) => {
                    window.leave();
                    drop(window);
                    self.unassign(*partition);
                    false
                }
            }
        });
    }

    fn unassign(&self, partition: Partition) {
        let here = self.list(partition, None);
        let ended =
            self.client.resume(&here).and_then(|()| self.client.incremental_unassign(&here));
        if let Err(error) = ended {
            tracing::warn!(%error, "fetching from the log does not end");
        }
    }

    /// Lets fetching begin where readers want it, and go on where it rested.
    fn serve(&self) {
        for partition in self.shared.asked_for() {
            self.shared.window(partition).go_on();
            self.move_to_wanted(partition);
        }
    }

    fn move_to_wanted(&self, partition: Partition) {
        let moved = self.shared.window(partition).move_to_wanted();
        let Some(from) = moved else { return };
        if let Err(error) = self.assign(partition, from) {
            tracing::warn!(%error, "the log cannot be read from offset {}, which is tried again", from.0);
            self.shared.window(partition).want(from);
            self.again_at.set(Some(Instant::now() + AGAIN_AFTER));
        }
        self.shared.tell(partition);
    }

    /// What was fetched for the old place and not delivered yet is thrown away with it.
    fn assign(&self, partition: Partition, from: Offset) -> KafkaResult<()> {
        let here = self.list(partition, None);
        if self.client.assignment()?.find_partition(&self.topic, partition.0.into()).is_some() {
            self.client.resume(&here)?;
            self.client.incremental_unassign(&here)?;
        }
        self.client.incremental_assign(&self.list(partition, Some(from)))
    }

    fn list(&self, partition: Partition, from: Option<Offset>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let mut added = list.add_partition(&self.topic, partition.0.into());
        if let Some(from) = from {
            let from = i64::try_from(from.0).unwrap_or(i64::MAX);
            added.set_offset(rdkafka::Offset::Offset(from)).expect("it is not negative");
        }
        list
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        self.reach.answered();
        let number = u16::try_from(message.partition()).unwrap_or(u16::MAX);
        if usize::from(number) >= PARTITIONS_MAX {
            return;
        }
        let partition = Partition(number);
        let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        let offset = Offset(message.offset().unsigned_abs());
        let taken = self.shared.window(partition).take(Entry::new(offset, value));
        match taken {
            Taken::Yes => self.shared.tell(partition),
            Taken::Full => {
                let stands = self.shared.window(partition).rests_at().unwrap_or(offset);
                self.resting.borrow_mut().insert(partition, (Instant::now(), stands));
                self.shared.tell(partition);
                if let Err(error) = self.client.pause(&self.list(partition, None)) {
                    tracing::warn!(%error, "fetching from the log does not rest");
                }
            }
            Taken::No => {}
            Taken::Hole => self.move_to_wanted(partition),
        }
    }

    /// An error of the consumer does not say of which partition. Where a reader stands outside of what the broker holds,
    /// records are gone; everywhere else fetching begins anew.
    fn look_into(&self, error: &KafkaError, questions: &mut Questions) {
        let moved = [
            RDKafkaErrorCode::OffsetOutOfRange,
            RDKafkaErrorCode::AutoOffsetReset,
            RDKafkaErrorCode::LogTruncation,
        ];
        let code = error.rdkafka_error_code();
        if !code.is_some_and(|code| moved.contains(&code)) {
            tracing::debug!(%error, "fetching from the log has failed, and goes on");
            return;
        }
        tracing::warn!(%error, "the log does not hold what is read from it");
        for partition in self.shared.asked_for() {
            self.ask(partition, Duration::ZERO, questions);
        }
    }

    /// Asks what the broker holds of a partition, on a thread for blocking: of one without a leader the answer takes
    /// seconds, in which the others are read.
    fn ask(&self, partition: Partition, after: Duration, questions: &mut Questions) {
        let asker = Arc::clone(&self.asker);
        questions.spawn(async move {
            tokio::time::sleep(after).await;
            let asked = tokio::task::spawn_blocking(move || asker.watermarks(partition)).await;
            (partition, asked.unwrap_or(Err(KafkaError::Canceled)))
        });
    }

    fn answered(&self, answer: Result<Answer, JoinError>, questions: &mut Questions) {
        match answer {
            Ok((partition, Ok(held))) => self.compare(partition, held),
            Ok((partition, Err(_))) => self.ask(partition, AGAIN_AFTER, questions),
            Err(error) => tracing::error!(%error, "asking for the ends of the log has failed"),
        }
    }

    fn compare(&self, partition: Partition, (begin, tail): (Offset, Offset)) {
        let mut window = self.shared.window(partition);
        let Some(end) = window.end() else { return };
        if (begin..=tail).contains(&end) {
            window.want(end);
            drop(window);
            self.move_to_wanted(partition);
        } else {
            window.lose(end, begin, tail);
            drop(window);
            self.shared.tell(partition);
        }
    }
}

/// What was asked about a partition: its first record and its tail.
type Answer = (Partition, KafkaResult<(Offset, Offset)>);

/// Questions on their way.
type Questions = JoinSet<Answer>;
