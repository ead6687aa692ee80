//! All of a partition in order, for tools that read the whole log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::OPEN_WITHIN;
use super::client::{Asker, Context};
use super::config::Config;
use super::error::{OpenError, unfit, unreachable, unusable};
use super::{hole, looking};
use crate::contract::{Entry, Offset, Partition, ReadError, Source};

/// How long the next record may take to arrive, while it is known to be there.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// An iterator over the records of a partition, with a consumer of its own. It ends at the tail as it was in the beginning.
pub struct Scan {
    config: Config,
    partition: Partition,
    begin: Offset,
    client: BaseConsumer<Context>,
    next: Offset,
    tail: Offset,
    failed: bool,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("next", &self.next).field("tail", &self.tail).finish()
    }
}

impl Scan {
    pub(super) fn open(
        config: &Config,
        partition: Partition,
        from: Option<Offset>,
    ) -> Result<Self, OpenError> {
        let context = Context::default();
        let asker = asker(config, &context)?;
        let found = asker.watermarks(partition);
        let (begin, tail) = found.map_err(|error| ReadError::Unavailable(error.into()))?;
        let from = from.unwrap_or(begin);
        if from < begin {
            return Err(ReadError::Lost { partition, offset: from, begin, tail }.into());
        }
        let mut settings = config.consumer();
        settings.set("enable.partition.eof", "true");
        let client: BaseConsumer<Context> = settings.create_with_context(context).map_err(unfit)?;
        let mut list = TopicPartitionList::new();
        let offset = rdkafka::Offset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
        let listed = list.add_partition_offset(&config.topic, partition.0.into(), offset);
        listed.and_then(|()| client.assign(&list)).map_err(unfit)?;
        let config = config.clone();
        Ok(Self { config, partition, begin: from, client, next: from, tail, failed: false })
    }

    /// Where it begins.
    #[must_use]
    pub const fn begin(&self) -> Offset {
        self.begin
    }

    /// How many records there are, as far as that can be told without reading them.
    #[must_use]
    pub fn len_hint(&self) -> u64 {
        self.tail.0.saturating_sub(self.next.0)
    }

    #[expect(clippy::disallowed_methods, reason = "it measures a wait, on a thread without tokio")]
    fn fetch(&mut self) -> Result<Option<Entry>, Source> {
        let begun = Instant::now();
        while begun.elapsed() < NEXT_WITHIN {
            match self.client.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => {
                    let offset = Offset(message.offset().unsigned_abs());
                    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
                    self.next = offset.next();
                    return Ok(Some(Entry::new(offset, value)));
                }
                // What lies between the last record and the tail are marks of transactions of somebody's.
                Some(Err(KafkaError::PartitionEOF(_))) if self.has_ended()? => return Ok(None),
                // It goes on behind a batch that cannot be read, and nobody would know of what is in it.
                Some(Err(error)) if is_unreadable(&error) => return Err(error.into()),
                // librdkafka tries again by itself.
                Some(Err(error)) => tracing::debug!(%error, "reading the log has failed"),
            }
        }
        let why: Source = "the brokers do not answer".into();
        Err(ReadError::Unavailable(why).into())
    }

    /// A leader that was just chosen may not know yet how far the log reaches. That it has no more is believed when somebody
    /// else finds nothing up to the tail either; otherwise what is missing may still come.
    fn has_ended(&self) -> Result<bool, Source> {
        let found = hole::reaches_to(&self.config, self.partition, (self.next, self.tail))?;
        Ok(found.is_some_and(|end| end >= self.tail))
    }
}

fn is_unreadable(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::BadMessage)
}

impl Iterator for Scan {
    type Item = Result<Entry, Source>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.next >= self.tail {
            return None;
        }
        let fetched = self.fetch();
        self.failed = !matches!(fetched, Ok(Some(_)));
        fetched.transpose()
    }
}

pub(super) fn count_partitions(config: &Config) -> Result<u16, OpenError> {
    let context = Context::default();
    let found = asker(config, &context)?.metadata(OPEN_WITHIN);
    let metadata = found.map_err(|error| unreachable(config, &context.0, &error))?;
    let shape = looking::shape(&metadata.topics()[0]);
    shape.map(|shape| shape.partitions).map_err(|code| unusable(&config.topic, code))
}

fn asker(config: &Config, context: &Context) -> Result<Asker, OpenError> {
    config.check()?;
    Asker::new(config, context.clone()).map_err(unfit)
}
