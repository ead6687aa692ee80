//! What stands in a topic, as an app reads it that gets its events there.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use super::{Kafka, QUESTION};
use crate::Delivery;
use crate::server::{eventually, json_of};

/// How long one look for a record takes.
const POLL: Duration = Duration::from_millis(200);

/// How many looks in vain are enough: some seconds' worth.
const IN_VAIN_MAX: u32 = 25;

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    /// What an app makes of it.
    pub delivery: Delivery,
    /// Its key.
    pub key: String,
    /// Where it is.
    pub partition: i32,
}

impl Kafka {
    /// Every record of a topic, partition by partition, in the order of their offsets.
    #[must_use]
    pub fn records(&self, topic: &str) -> Vec<Record> {
        let mut config = self.client();
        let consumer: BaseConsumer =
            config.set("group.id", topic).create().expect("the settings are sound");
        let metadata = consumer.fetch_metadata(Some(topic), QUESTION).expect("a broker answers");
        let partitions = metadata.topics()[0].partitions().iter().map(|one| one.id());
        let mut records = Vec::new();
        for partition in partitions.collect::<BTreeSet<i32>>() {
            let (begin, end) =
                consumer.fetch_watermarks(topic, partition, QUESTION).expect("a broker answers");
            let mut at = TopicPartitionList::new();
            at.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
            consumer.assign(&at).expect("the partition is there");
            let (mut next, mut in_vain) = (begin, 0);
            while next < end && in_vain < IN_VAIN_MAX {
                // Nothing is also the answer where something else happened than that a record came.
                let Some(message) = consumer.poll(POLL) else {
                    in_vain += 1;
                    continue;
                };
                let message = message.expect("a record");
                next = message.offset() + 1;
                records.push(record(&message));
            }
        }
        records
    }

    /// Writes a record into partition 0 as anybody may who is let into the topic.
    pub async fn put(&self, topic: &str, key: &str, value: &[u8]) {
        let producer: FutureProducer = self.client().create().expect("the settings are sound");
        let header = Header { key: "ce_specversion", value: Some("1.0") };
        let headers = OwnedHeaders::new().insert(header);
        let record = FutureRecord::to(topic).partition(0).key(key).payload(value).headers(headers);
        producer.send(record, QUESTION).await.expect("a broker takes it");
    }

    /// A new topic with the first records of partition 0 of another: what is left of it in an old backup.
    pub async fn copy(&self, from: &str, count: usize) -> String {
        let to = self.fresh_name();
        let safe =
            [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
        self.create_topic(&to, 1, &safe).await;
        let records = tokio::task::block_in_place(|| self.records(from));
        for record in &records[..count] {
            self.put(&to, &record.key, &record.delivery.body).await;
        }
        to
    }

    /// Waits until there are records of so many different events.
    pub async fn wait_for_records(&self, topic: &str, count: usize) -> Vec<Record> {
        let what = format!("the arrival of {count} different events in {topic}");
        eventually(&what, || async {
            let records = tokio::task::block_in_place(|| self.records(topic));
            let ids: BTreeSet<&str> = records.iter().map(|one| one.delivery.id()).collect();
            let is_enough = ids.len() >= count;
            Some(records).filter(|_| is_enough)
        })
        .await
    }
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let mut headers = HeaderMap::new();
    for header in message.headers().expect("it has headers").iter() {
        let name = HeaderName::try_from(header.key).expect("a name");
        let value = HeaderValue::from_bytes(header.value.expect("a value")).expect("a text");
        headers.insert(name, value);
    }
    let body = message.payload().expect("it has a value").to_vec();
    let at_ms = message.timestamp().to_millis().expect("it has a time").unsigned_abs().into();
    let delivery = Delivery { event: json_of(&body), body, headers, status: 200, at_ms };
    let key = message.key().expect("it has a key").to_vec();
    let key = String::from_utf8(key).expect("the key is text");
    Record { delivery, key, partition: message.partition() }
}
