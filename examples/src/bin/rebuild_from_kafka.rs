//! Rebuilds a directory from the topic of dsync alone, and prints it as JSON.
//!
//! ```sh
//! cargo run -p examples --features kafka --bin rebuild-from-kafka -- localhost:9092 dsync directory_…
//! ```
//!
//! It reads up to where the topic ends when it starts, and needs nothing of dsync: no API, no database. Further settings
//! of librdkafka come after the directory as `name=value`, such as `security.protocol=SASL_SSL`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use examples::copy::Copy;
use examples::ends::Ends;
use examples::stream::{Record, Stream};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long the brokers may keep silent.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, directory, settings @ ..] = arguments.as_slice() else {
        bail!("usage: rebuild-from-kafka BROKERS TOPIC DIRECTORY [NAME=VALUE]…");
    };
    let consumer = consumer(brokers, settings)?;
    let (mut stream, mut copy) = (Stream::default(), Copy::default());
    read_to_the_end(&consumer, topic, |message| {
        // The key is the directory: what belongs to others need not be parsed.
        if message.key() != Some(directory.as_bytes()) {
            return Ok(());
        }
        let value = message.payload().context("a record without a value")?;
        for record in stream.take(value, Record::read(value)?) {
            copy.apply(&record)?;
        }
        Ok(())
    })?;
    stream.is_whole().with_context(|| directory.clone())?;
    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    {
        println!("{}", serde_json::to_string(&copy)?);
    }
    Ok(())
}

fn consumer(brokers: &str, settings: &[String]) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    // Partitions are assigned by hand, so the group never has members.
    config.set("group.id", "rebuild-from-kafka").set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true").set("auto.offset.reset", "error");
    for setting in settings {
        let (name, value) = setting.split_once('=').context("a setting is NAME=VALUE")?;
        config.set(name, value);
    }
    Ok(config.create()?)
}

/// Hands on every record that the topic has now. Records of one directory come in their order: it stays in one partition.
fn read_to_the_end(
    consumer: &BaseConsumer,
    topic: &str,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics()[0].partitions();
    anyhow::ensure!(!partitions.is_empty(), "there is no topic {topic}");
    let (mut assigned, mut ends) = (TopicPartitionList::new(), Ends::default());
    for partition in partitions {
        let (begin, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
        assigned.add_partition_offset(topic, partition.id(), Offset::Offset(begin))?;
        ends.expect(partition.id(), begin, end);
    }
    consumer.assign(&assigned)?;
    while !ends.are_reached() {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                if ends.reads(message.partition(), message.offset()) {
                    each(&message)?;
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => ends.reached(partition),
            Some(Err(error)) => eprintln!("{error}"),
            None => bail!("no broker answers"),
        }
    }
    Ok(())
}
