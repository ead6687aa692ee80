//! The topic that is the log: made as a log has to be, or looked at closely.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::time::Instant;

use super::client::Context;
use super::error::OpenError;

/// How long the cluster may take for a change or a description.
const WITHIN: Duration = Duration::from_secs(15);

/// How long to wait before brokers that do not know a topic yet are asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How many of them must have a record before it is acknowledged: then one may be lost at any time.
const IN_SYNC: u16 = 2;

/// What the client sends at most in one request, which the broker has to take (`message.max.bytes` of librdkafka).
const MESSAGE_BYTES: u64 = 1_000_000;

type Admin = AdminClient<Context>;

/// A topic as the cluster has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) partitions: u16,
    pub(super) copies: usize,
}

/// Makes the topic. Somebody else may have been first, which is as good.
pub(super) async fn create(
    admin: &Admin,
    topic: &str,
    partitions: u16,
    copies: u16,
) -> Result<(), OpenError> {
    let in_sync = copies.min(IN_SYNC).to_string();
    let wanted = NewTopic::new(topic, partitions.into(), TopicReplication::Fixed(copies.into()))
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1")
        .set("min.insync.replicas", &in_sync)
        .set("unclean.leader.election.enable", "false");
    let options = AdminOptions::new().operation_timeout(Some(WITHIN)).request_timeout(Some(WITHIN));
    let failed = |why: String| OpenError::NotMade { topic: topic.to_owned(), why };
    let made = admin.create_topics([&wanted], &options).await;
    let made = made.map_err(|error| failed(error.to_string()))?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(failed(code.to_string())),
        Some(Ok(_)) | None => {
            tracing::info!(topic, partitions, copies, "the topic of the log was made");
            Ok(())
        }
    }
}

/// Refuses a topic that would lose records.
pub(super) async fn check(admin: &Admin, topic: &str, shape: Shape) -> Result<(), OpenError> {
    let settings = settings(admin, topic).await?;
    if shape.copies == 1 {
        tracing::warn!(topic, "the log has one copy of each record: a lost disk is a lost history");
    }
    match dangers(&settings, shape.copies) {
        dangers if dangers.is_empty() => Ok(()),
        dangers => Err(OpenError::Dangerous { topic: topic.to_owned(), dangers }),
    }
}

/// The settings of a topic. A broker that has not heard yet of one that was just made says that there is none, or that
/// it has no settings at all: then it is asked again.
async fn settings(admin: &Admin, topic: &str) -> Result<BTreeMap<String, String>, OpenError> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let (why, may_come) = match described(admin, topic).await {
            Ok(settings) if !settings.is_empty() => return Ok(settings),
            Ok(_) => ("the brokers say nothing of it".to_owned(), true),
            Err(error) => {
                let unknown =
                    [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::UnknownTopic];
                let is_unknown =
                    error.rdkafka_error_code().is_some_and(|code| unknown.contains(&code));
                (error.to_string(), is_unknown)
            }
        };
        if !may_come || Instant::now() >= deadline {
            return Err(OpenError::NotDescribed { topic: topic.to_owned(), why });
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

async fn described(admin: &Admin, topic: &str) -> KafkaResult<BTreeMap<String, String>> {
    let options = AdminOptions::new().request_timeout(Some(WITHIN));
    let resources = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await?;
    let described = resources.into_iter().next().ok_or(KafkaError::Canceled)?;
    let entries = described.map_err(KafkaError::AdminOp)?.entries.into_iter();
    Ok(entries.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect())
}

/// What is wrong with the settings of a topic, each with what it does to the log.
fn dangers(settings: &BTreeMap<String, String>, copies: usize) -> Vec<String> {
    let setting = |name: &str| settings.get(name).map_or("", String::as_str);
    let number = |name: &str| setting(name).parse::<i64>().ok();
    let mut dangers = Vec::new();
    let mut is_wrong = |name: &str, wrong: bool, why: &str| {
        if wrong {
            dangers.push(format!("{name} is {}: {why}", setting(name)));
        }
    };
    let policy = setting("cleanup.policy");
    is_wrong("cleanup.policy", policy != "delete", "compaction deletes history; set it to delete");
    is_wrong(
        "retention.ms",
        number("retention.ms") != Some(-1),
        "records are deleted when they are older; set it to -1",
    );
    is_wrong(
        "retention.bytes",
        number("retention.bytes") != Some(-1),
        "records are deleted when there are more; set it to -1",
    );
    is_wrong(
        "unclean.leader.election.enable",
        setting("unclean.leader.election.enable") == "true",
        "a broker that lacks records may take over; set it to false",
    );
    let in_sync = number("min.insync.replicas").unwrap_or(1);
    is_wrong(
        "min.insync.replicas",
        copies > 1 && in_sync < 2,
        "what was acknowledged is lost with one broker; set it to 2",
    );
    is_wrong(
        "min.insync.replicas",
        usize::try_from(in_sync).is_ok_and(|in_sync| in_sync > copies),
        "there are fewer replicas than that, so nothing can be written",
    );
    is_wrong(
        "max.message.bytes",
        number("max.message.bytes").is_none_or(|bytes| bytes.unsigned_abs() < MESSAGE_BYTES),
        "records of dsync may be larger; set it to 1048588 or more",
    );
    is_wrong(
        "compression.type",
        setting("compression.type") == "zstd",
        "this build cannot read it; set it to producer",
    );
    dangers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> BTreeMap<String, String> {
        [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "2"),
            ("max.message.bytes", "1048588"),
            ("compression.type", "producer"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn a_topic_as_we_make_it_is_no_danger() {
        assert_eq!(dangers(&sound(), 3), Vec::<String>::new());
    }

    #[test]
    fn each_danger_is_named_with_its_value_and_with_what_to_set() {
        let cases = [
            ("cleanup.policy", "compact", 3, "compaction deletes history; set it to delete"),
            ("cleanup.policy", "compact,delete", 3, "compaction deletes history"),
            ("retention.ms", "604800000", 3, "deleted when they are older; set it to -1"),
            ("retention.bytes", "1073741824", 3, "deleted when there are more; set it to -1"),
            ("unclean.leader.election.enable", "true", 3, "set it to false"),
            ("min.insync.replicas", "1", 3, "lost with one broker; set it to 2"),
            ("min.insync.replicas", "2", 1, "nothing can be written"),
            ("max.message.bytes", "65536", 3, "set it to 1048588"),
            ("compression.type", "zstd", 3, "set it to producer"),
        ];
        for (name, value, copies, why) in cases {
            let mut settings = sound();
            settings.insert(name.to_owned(), value.to_owned());
            let found = dangers(&settings, copies);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert!(found[0].starts_with(&format!("{name} is {value}: ")), "{}", found[0]);
            assert!(found[0].contains(why), "{}", found[0]);
        }
    }

    #[test]
    fn one_copy_is_in_sync_with_itself() {
        let mut settings = sound();
        settings.insert("min.insync.replicas".to_owned(), "1".to_owned());
        assert_eq!(dangers(&settings, 1), Vec::<String>::new());
    }
}
