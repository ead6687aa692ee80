//! What librdkafka tells by callback: its log, and whether any broker can be reached. And a client for questions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::QUESTION_WITHIN;
use super::config::Config;
use super::looking;
use crate::contract::{Offset, Partition};

/// How long a leader that is being replaced is given before it is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How many lines of log and errors are taken from librdkafka after each question: more than come between two.
const HEARD_AT_ONCE: usize = 64;

/// What is known of the cluster as a whole.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// No broker could be reached, and none has answered since.
    down: AtomicBool,
    /// The last thing that librdkafka complained about.
    complaint: Mutex<Option<Complaint>>,
}

#[derive(Clone, Debug)]
struct Complaint {
    code: Option<RDKafkaErrorCode>,
    reason: String,
}

impl Reach {
    /// A broker has answered.
    pub(super) fn answered(&self) {
        if self.is_down() && self.down.swap(false, Ordering::AcqRel) {
            tracing::info!("the brokers of the log answer again");
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// What was wrong last, in librdkafka's words, which name the broker.
    pub(super) fn complaint(&self) -> Option<String> {
        let complaint = self.complaint.lock().expect("nothing panics while it is held");
        complaint.as_ref().map(|complaint| complaint.reason.clone())
    }

    /// Whether a broker was found and does not let us in, which waiting will not change.
    pub(super) fn is_refused(&self) -> bool {
        let complaint = self.complaint.lock().expect("nothing panics while it is held");
        let code = complaint.as_ref().and_then(|complaint| complaint.code);
        matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL))
    }

    fn complain(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut complaint = self.complaint.lock().expect("nothing panics while it is held");
            *complaint = Some(Complaint { code, reason: reason.to_owned() });
        } else if !self.down.swap(true, Ordering::AcqRel) {
            tracing::warn!("no broker of the log can be reached");
        }
    }
}

/// The context of every client of the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Context(pub(super) Arc<Reach>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A setting of consumers given to a producer, or the other way round: all of them get all of `[kafka]`.
        if facility == "CONFWARN" {
            return;
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, "librdkafka: {message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(facility, "librdkafka: {message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.complain(&error, reason);
    }
}

impl ConsumerContext for Context {}

/// A client for questions alone: a connection on which a fetch waits for records answers nothing else meanwhile. All of
/// its methods block.
pub(super) struct Asker {
    client: BaseConsumer<Context>,
    topic: String,
}

impl Asker {
    pub(super) fn new(config: &Config, context: Context) -> KafkaResult<Self> {
        let mut settings = config.consumer();
        // How far the log reaches is asked here, and what a transaction of somebody's that is open holds back is there:
        // to a client that shows committed records alone it would seem that records had been lost.
        settings.set("isolation.level", "read_uncommitted");
        let client = settings.create_with_context(context)?;
        Ok(Self { client, topic: config.topic.clone() })
    }

    /// The cluster and the topic in it.
    pub(super) fn metadata(&self, within: Duration) -> KafkaResult<Metadata> {
        let found = self.client.fetch_metadata(Some(&self.topic), within);
        self.hear();
        found
    }

    /// How many partitions the topic has, all of them with a leader.
    pub(super) fn count_partitions(&self) -> KafkaResult<u16> {
        let metadata = self.metadata(QUESTION_WITHIN)?;
        let shape = looking::shape(&metadata.topics()[0]);
        shape.map(|shape| shape.partitions).map_err(KafkaError::MetadataFetch)
    }

    /// The first record that the broker holds of a partition, and the tail. Asks again while a leader is being replaced.
    #[expect(clippy::disallowed_methods, reason = "it measures a wait, on a thread without tokio")]
    pub(super) fn watermarks(&self, partition: Partition) -> KafkaResult<(Offset, Offset)> {
        let deadline = Instant::now() + QUESTION_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let found = self.client.fetch_watermarks(&self.topic, partition.0.into(), left);
            self.hear();
            match found {
                Ok((begin, tail)) => {
                    return Ok((Offset(begin.unsigned_abs()), Offset(tail.unsigned_abs())));
                }
                Err(error) if left.is_zero() => return Err(error),
                Err(error) => {
                    std::thread::sleep(ASK_AGAIN_AFTER.min(left));
                    self.learn_of_a_new_partition(&error, left);
                }
            }
        }
    }

    /// A client takes a partition that it has not heard of for one that is not there, and hears of new ones every five
    /// minutes, or when it asks for the topic.
    fn learn_of_a_new_partition(&self, error: &KafkaError, within: Duration) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) {
            // Whether that went well shows when the question is put again.
            let _ = self.metadata(within);
        }
    }

    /// Hands what has queued up to the callbacks, which a poll does not tell from an empty queue. There are no messages,
    /// since no partition is assigned.
    fn hear(&self) {
        for _ in 0..HEARD_AT_ONCE {
            let _ = self.client.poll(Duration::ZERO);
        }
    }
}
