//! Whether there is nothing to read between two offsets. Marks of transactions of somebody's take offsets too, and what such
//! a transaction took back; nobody is shown either.
//!
//! That nothing came says little: a leader that was just chosen may not know yet how far the log reaches. What
//! librdkafka says by events names no offset. Its statistics do: the offset at which it told of the end of the partition, behind
//! everything that it had fetched before. They are asked of a client of its own, which has never been elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientContext, Message as _};

use super::client::Context;
use super::config::Config;
use crate::contract::{Offset, Partition};

/// How long it may take to find out. Much less than records may take to arrive, since who asks waits for those.
pub(super) const WITHIN: Duration = Duration::from_secs(3);

/// How often librdkafka says how far it has come.
const TOLD_EVERY_MS: &str = "100";

/// How far nothing is to be read from an offset on: at least to the tail that is known. None if something is, or if that
/// cannot be found out. Blocks.
#[expect(clippy::disallowed_methods, reason = "it measures a wait, on a thread without tokio")]
pub(super) fn reaches_to(
    config: &Config,
    partition: Partition,
    (from, tail): (Offset, Offset),
) -> KafkaResult<Option<Offset>> {
    let mut settings = config.consumer();
    settings.set("enable.partition.eof", "true").set("statistics.interval.ms", TOLD_EVERY_MS);
    let told = Told::default();
    let client: BaseConsumer<Told> = settings.create_with_context(told.clone())?;
    let mut list = TopicPartitionList::new();
    let begin = rdkafka::Offset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
    list.add_partition_offset(&config.topic, partition.0.into(), begin)?;
    client.assign(&list)?;
    let begun = Instant::now();
    while begun.elapsed() < WITHIN {
        match client.poll(Duration::from_millis(50)) {
            // Behind what is read anyway it is not asked any further.
            Some(Ok(message)) => {
                let found = Offset(message.offset().unsigned_abs());
                return Ok((found >= tail).then_some(found));
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(error),
        }
        // Statistics wait in the same queue, so what was fetched before has been handed out by now.
        let end = told.end();
        if end >= Some(tail) {
            return Ok(end);
        }
    }
    Ok(None)
}

/// Where librdkafka told of the end of the one partition that it reads.
#[derive(Clone, Debug)]
struct Told {
    others: Context,
    end: Arc<AtomicI64>,
}

impl Default for Told {
    fn default() -> Self {
        Self { others: Context::default(), end: Arc::new(AtomicI64::new(-1)) }
    }
}

impl Told {
    fn end(&self) -> Option<Offset> {
        u64::try_from(self.end.load(Ordering::Acquire)).ok().map(Offset)
    }
}

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.others.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        let topic = statistics.topics.into_values().next();
        // Beside the partitions there is a place for records without one.
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions.into_values());
        let end = partitions.filter(|one| one.partition >= 0).map(|one| one.eof_offset).max();
        self.end.store(end.unwrap_or(-1), Ordering::Release);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.others.error(error, reason);
    }
}

impl ConsumerContext for Told {}
