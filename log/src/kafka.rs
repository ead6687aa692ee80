//! The log past one machine: one topic of Apache Kafka, spoken to through librdkafka.
//!
//! ```text
//!  append ──▶ producer ──▶ brokers ──▶ follower ──▶ window of each partition ──▶ read, wait_past
//!             (acks=all)               (a thread)
//! ```
//!
//! A partition of the log is a partition of the topic, with the same number and the same offsets. Kafka has no
//! conditional append and no leases of ours are on it: which records count is settled by the chain in them.
//!
//! The follower fetches where readers stand. Reading takes what it has fetched, or says that there is nothing when
//! nothing is known to be written; only what is known to be there is waited for, and not for long.
//!
//! Nothing here blocks a thread of the runtime: librdkafka's questions that do are asked on threads for blocking.
//!
//! [`Publisher`] is beside the log: it writes single records to topics of others, for whoever delivers events there.

mod breaker;
mod client;
mod config;
mod error;
mod follower;
mod group;
mod headers;
mod hole;
mod looking;
mod producer;
mod publisher;
mod scan;
mod topic;
mod window;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::error::KafkaResult;
use tokio::time::{Instant, timeout_at};

use crate::contract::{
    Append, AppendError, Entry, EventLog, Offset, Partition, ReadError, ReadLimit, Source,
    check_sizes,
};
use breaker::Breaker;
use client::{Asker, Context, Reach};
pub use config::{Config, check_setting, check_setting_for_others, is_secret};
pub use error::OpenError;
use error::unfit;
use follower::{Follower, Shared};
pub use group::Group;
use looking::Looking;
use producer::Producer;
pub use publisher::{Message, Publisher, Trouble, Unpublished};
pub use scan::Scan;
use window::Found;

/// How long a broker may take to answer a question.
const QUESTION_WITHIN: Duration = Duration::from_secs(5);

/// How long a cluster may take to be found, and a topic to have its leaders, when the log is opened.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// How long records that are known to be there may take to arrive.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// How long nothing may arrive of what is known to be there, before it is found out whether that can be read at all. Rather
/// more than a broker waits before it answers that there is nothing.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// How long appends on their way may take when the log is closed. Whoever waited for one has been answered by then, so
/// they are on their way only because no broker answers.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How long to wait before it is looked once more whether records are lost.
const LOOK_TWICE_AFTER: Duration = Duration::from_millis(500);

/// How often a cluster that was not reachable is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The log in a topic.
pub struct Kafka {
    config: Config,
    asker: Arc<Asker>,
    producer: Producer,
    breaker: Breaker,
    shared: Arc<Shared>,
    reach: Arc<Reach>,
    /// When the cluster was last asked whether it is there again. Held while it is asked.
    asked: tokio::sync::Mutex<Option<Instant>>,
    /// Held while it is found out whether a silent partition can be read.
    passing_over: tokio::sync::Mutex<()>,
    follower: Mutex<Option<JoinHandle<()>>>,
}

impl Kafka {
    /// Opens the log. A topic that is missing is made; one that would lose records is refused.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be reached, or the topic not be used.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        config.check()?;
        let context = Context::default();
        let reach = Arc::clone(&context.0);
        let asker = Arc::new(Asker::new(&config, context.clone()).map_err(unfit)?);
        let admin = config.admin().create_with_context(context.clone()).map_err(unfit)?;
        let looking = Looking { config: &config, asker: &asker, reach: &reach };
        let shape = looking.shape(&admin).await?;
        topic::check(&admin, &config.topic, shape).await?;
        tracing::info!(
            topic = config.topic,
            partitions = shape.partitions,
            copies = shape.copies,
            "the log is a topic of Kafka"
        );

        let shared = Arc::new(Shared::new(shape.partitions));
        let producer = Producer::new(&config, Arc::clone(&reach)).map_err(unfit)?;
        let follower = Follower {
            client: config.consumer().create_with_context(context).map_err(unfit)?,
            asker: Arc::clone(&asker),
            shared: Arc::clone(&shared),
            reach: Arc::clone(&reach),
            topic: config.topic.clone(),
            again_at: std::cell::Cell::default(),
            resting: std::cell::RefCell::default(),
        };
        let follower = follower.start();
        let follower = follower.map_err(|error| OpenError::Client { why: error.to_string() })?;
        Ok(Self {
            config,
            asker,
            producer,
            breaker: Breaker::default(),
            shared,
            reach,
            asked: tokio::sync::Mutex::new(None),
            passing_over: tokio::sync::Mutex::new(()),
            follower: Mutex::new(Some(follower)),
        })
    }

    /// Everything from an offset on, up to the tail as it is; for tools that read all of it. Blocks.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or does not hold the offset.
    pub fn scan(config: &Config, partition: Partition, from: Offset) -> Result<Scan, OpenError> {
        Scan::open(config, partition, Some(from))
    }

    /// The same of everything that is left: from the first record that the brokers hold, which is not the first that
    /// there was if somebody has deleted records.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn scan_what_is_left(config: &Config, partition: Partition) -> Result<Scan, OpenError> {
        Scan::open(config, partition, None)
    }

    /// How many partitions the topic has. Blocks; for tools that read the log without opening it.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be reached, or there is no such topic.
    pub fn count_partitions(config: &Config) -> Result<u16, OpenError> {
        scan::count_partitions(config)
    }

    /// Asks how many partitions the topic has by now: some may have been added. From then on they are this log's too.
    ///
    /// The answer is what the cluster says. It is less than [`EventLog::partitions`] if somebody has made the topic anew.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer, or a partition has no leader yet.
    pub async fn look_for_partitions(&self) -> Result<u16, ReadError> {
        self.reachable().await.map_err(ReadError::Unavailable)?;
        let count = self.ask(Asker::count_partitions).await.map_err(ReadError::Unavailable)?;
        if count > self.partitions() {
            // It refuses partitions that it has not heard of.
            self.producer.look().await.map_err(ReadError::Unavailable)?;
            tracing::info!(partitions = count, "partitions were added to the topic of the log");
            self.shared.grows(count);
        }
        Ok(count)
    }

    /// Lets what is on its way arrive, and ends the thread. Blocks; for shutdown.
    pub fn close(&self) {
        self.producer.close();
        self.shared.close();
        let follower = self.follower.lock().expect("locked here alone").take();
        if follower.is_some_and(|follower| follower.join().is_err()) {
            tracing::error!("the reader of the log has panicked");
        }
    }

    /// What is wrong while no broker answers. Every now and then one is asked, so that the first who comes after an
    /// outage finds its end.
    async fn reachable(&self) -> Result<(), Source> {
        if !self.reach.is_down() {
            return Ok(());
        }
        let mut asked = self.asked.lock().await;
        let rests = asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN_AFTER);
        if self.reach.is_down() && !rests {
            let there = self.ask(|asker| asker.metadata(ASK_AGAIN_AFTER).map(drop)).await;
            *asked = Some(Instant::now());
            if there.is_ok() {
                self.reach.answered();
            }
        }
        if !self.reach.is_down() {
            return Ok(());
        }
        let complaint = self.reach.complaint().unwrap_or_default();
        Err(format!("no broker answers at {}: {complaint}", self.config.brokers).into())
    }

    /// Asks what takes a round trip, on a thread for blocking.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Asker) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, Source> {
        let asker = Arc::clone(&self.asker);
        let answer = tokio::task::spawn_blocking(move || question(&asker)).await;
        answer.map_err(Source::from)?.map_err(Source::from)
    }

    /// Asks the broker for the first record and the tail of a partition.
    async fn watermarks(&self, partition: Partition) -> Result<(Offset, Offset), ReadError> {
        self.reachable().await.map_err(ReadError::Unavailable)?;
        let found = self.ask(move |asker| asker.watermarks(partition)).await;
        let found = found.map_err(ReadError::Unavailable)?;
        self.reach.answered();
        Ok(found)
    }

    /// Passes over what is known to be written and cannot be read, if that is all there is. A failure is no news: whoever
    /// waits is told that nothing arrives.
    ///
    /// Takes a client of its own, so it is done for one partition at a time: false, if it is another's turn.
    async fn pass_over(&self, partition: Partition) -> bool {
        let Ok(_turn) = self.passing_over.try_lock() else { return false };
        let silent = self.shared.window(partition).awaited();
        let Some(span) = silent.filter(|_| !self.reach.is_down()) else { return true };
        let config = self.config.clone();
        let asked =
            tokio::task::spawn_blocking(move || hole::reaches_to(&config, partition, span)).await;
        match asked {
            Ok(Ok(Some(end))) => {
                tracing::info!(
                    partition = partition.0,
                    "offsets {} to {} of the log hold marks of somebody's transactions and no records",
                    span.0.0,
                    end.0.saturating_sub(1)
                );
                self.shared.window(partition).pass_over(span.0, end);
                self.shared.tell(partition);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "whether the log goes on is not known"),
            Err(error) => tracing::error!(%error, "asking where the log goes on has failed"),
        }
        true
    }

    /// Looks at what the broker holds, and lets fetching begin at `from`. Looks twice before it says that records are lost:
    /// it is not tried again soon, and a leader that has just been replaced may lag for a moment.
    async fn go_to(&self, partition: Partition, from: Offset) -> Result<Offset, ReadError> {
        let known = self.shared.window(partition).tail();
        let mut held = self.watermarks(partition).await?;
        if !window::is_whole(from, held, known) {
            tokio::time::sleep(LOOK_TWICE_AFTER).await;
            held = self.watermarks(partition).await?;
        }
        {
            let mut window = self.shared.window(partition);
            window.look(from, held, known)?;
            window.want(from);
        }
        self.shared.tell(partition);
        self.shared.wake_follower();
        Ok(held.1)
    }
}

#[async_trait]
impl EventLog for Kafka {
    fn partitions(&self) -> u16 {
        self.shared.partitions()
    }

    async fn append(
        &self,
        partition: Partition,
        records: Vec<Append>,
    ) -> Result<Offset, AppendError> {
        check_sizes(&records)?;
        self.reachable().await.map_err(AppendError::Unavailable)?;
        let Some(leave) = self.breaker.leave(partition, Instant::now()) else {
            let why = "the outcome of the last append to this partition is unknown; it is tried again in a while";
            return Err(AppendError::Unavailable(why.into()));
        };
        let appended = self.producer.append(partition, &records).await;
        match &appended {
            Ok(_) => leave.arrived(),
            Err(AppendError::Indeterminate(_)) => leave.unknown(Instant::now()),
            Err(
                AppendError::Unavailable(_) | AppendError::Full(_) | AppendError::TooLarge { .. },
            ) => drop(leave),
        }
        let last = appended?;
        self.reach.answered();
        self.shared.reaches(partition, last.next());
        Ok(last)
    }

    async fn read(
        &self,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        let deadline = Instant::now() + READ_WITHIN;
        let mut silence = Silence::default();
        let mut changed = self.shared.subscribe(partition);
        if self.shared.window(partition).is_lost() {
            // Whoever asks again may do so because the records are back.
            self.go_to(partition, from).await?;
        }
        // What was written when the question came is answered in one piece. What comes meanwhile is not waited for.
        let mut goal = self.shared.window(partition).tail();
        while !self.shared.is_closing() {
            let (found, is_low) = {
                let mut window = self.shared.window(partition);
                (window.read(from, limit, goal)?, window.is_low())
            };
            if is_low {
                self.shared.wake_follower();
            }
            match found {
                Found::Entries(entries) => return Ok(entries),
                Found::Tail => return Ok(Vec::new()),
                Found::Elsewhere if self.go_to(partition, from).await? <= from => {
                    return Ok(Vec::new());
                }
                Found::Elsewhere => {}
                Found::Coming => {
                    let until = silence.ends_at(self.shared.window(partition).end()).min(deadline);
                    if timeout_at(until, changed.changed()).await.is_ok() {
                        continue;
                    }
                    if Instant::now() < deadline {
                        // What can be read comes, and what cannot is passed over. A broker may be slow to say so.
                        let has_asked = self.pass_over(partition).await;
                        let again = Instant::now() + SILENT_FOR;
                        let is_time = again + hole::WITHIN < deadline;
                        silence.at = has_asked.then_some(if is_time { again } else { deadline });
                    } else if goal.take().is_none() {
                        // Whatever holds it up, the next reader begins anew.
                        self.shared.window(partition).want(from);
                        self.shared.wake_follower();
                        let why = "records that are there do not arrive from the broker";
                        return Err(ReadError::Unavailable(why.into()));
                    }
                }
            }
        }
        Err(closing())
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), ReadError> {
        let mut changed = self.shared.subscribe(partition);
        while !self.shared.is_closing() {
            let (past, must_wake) = {
                let mut window = self.shared.window(partition);
                let past = window.is_past(offset)?;
                (past, !past && window.watch(offset))
            };
            if past {
                return Ok(());
            }
            if must_wake {
                self.shared.wake_follower();
            }
            if changed.changed().await.is_err() {
                break;
            }
        }
        Err(closing())
    }

    async fn tail(&self, partition: Partition) -> Result<Offset, ReadError> {
        let (_, tail) = self.watermarks(partition).await?;
        self.shared.reaches(partition, tail);
        Ok(tail)
    }
}

/// Since when nothing has arrived where a reader waits.
#[derive(Default)]
struct Silence {
    end: Option<Offset>,
    at: Option<Instant>,
}

impl Silence {
    /// When it has lasted long enough, if fetching has come to this place.
    fn ends_at(&mut self, end: Option<Offset>) -> Instant {
        if self.end != end {
            *self = Self { end, at: None };
        }
        *self.at.get_or_insert_with(|| Instant::now() + SILENT_FOR)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("config", &self.config).finish_non_exhaustive()
    }
}

fn closing() -> ReadError {
    ReadError::Unavailable("the log is closing".into())
}
