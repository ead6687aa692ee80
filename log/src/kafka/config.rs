//! What librdkafka is told, and why.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::error::OpenError;

/// How long an append may take before its outcome is called unknown. A cluster needs some ten seconds to notice that a
/// leader is gone and to choose another (`broker.session.timeout.ms` is 9 s); what waits longer than this keeps an
/// identity provider waiting.
pub(super) const APPEND_WITHIN_MS: u32 = 15_000;

/// How much of a partition librdkafka fetches ahead of us, in KiB. Its own choice is 64 MiB for each.
const FETCHED_AHEAD_KIB: u32 = 8_192;

/// More than what appends may hold at once; see `producer`.
const QUEUE_KIB: u32 = 131_072;

/// For every client.
const EVERYWHERE: &[(&str, &str)] = &[
    ("client.id", "dsync"),
    // A topic that is missing is made with settings of ours, or not at all.
    ("allow.auto.create.topics", "false"),
    ("socket.keepalive.enable", "true"),
    // A broker that hangs keeps its connections: this is how long it is given to answer.
    ("socket.timeout.ms", "10000"),
    // After an outage we are back within a second, and not within ten.
    ("reconnect.backoff.max.ms", "1000"),
    // So often we look who leads a partition and how many there are, when nothing has made us ask.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("log.connection.close", "false"),
];

const PRODUCER: &[(&str, &str)] = &[
    // Acknowledged means: on every replica that is in sync.
    ("acks", "all"),
    // What is sent again after a lost answer is written once, and order is kept with several requests on their way.
    ("enable.idempotence", "true"),
    // Whatever has queued up while a request is on its way goes into the next: waiting for more gains nothing.
    ("linger.ms", "0"),
    // Part of librdkafka, so nothing more to build; JSON shrinks to a quarter.
    ("compression.codec", "lz4"),
    // Less than an append may take: then the request to a leader that hangs is given up in time for another.
    ("request.timeout.ms", "6000"),
];

/// Beside those of every producer, for one that writes to topics of others.
const PUBLISHER: &[(&str, &str)] = &[
    // As Java's producers do it, so that a directory is in the partition where the customer's own programs look for its key.
    ("partitioner", "murmur2_random"),
    // A batch that is larger than the topic takes fails as a whole, with all that is small in it.
    ("batch.size", "65536"),
    // The topic says how large a record may be, not we.
    ("message.max.bytes", "2000000"),
    // A topic that brokers do not know is told after this, and not taken for one that is just being made.
    ("topic.metadata.propagation.max.ms", "1000"),
    // And one that has been made since is found after this.
    ("topic.metadata.refresh.interval.ms", "5000"),
    // As many as the dispatcher has in flight at all, and more than enough for the endpoints at one cluster.
    ("queue.buffering.max.messages", "1024"),
    ("queue.buffering.max.kbytes", "65536"),
];

const CONSUMER: &[(&str, &str)] = &[
    // Partitions are assigned by hand and positions lie in the store, so this group never has members. The client wants
    // a name all the same.
    ("group.id", "dsync"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // A record that is gone must be an error, and never a jump.
    ("auto.offset.reset", "error"),
    // We have no transactions; should somebody else write with one, what it takes back is not shown.
    ("isolation.level", "read_committed"),
    // The first record wakes us. While there is none the broker holds the question for half a second.
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "500"),
    ("fetch.error.backoff.ms", "100"),
    // Otherwise a reader that was ahead of us rests for a second.
    ("fetch.queue.backoff.ms", "10"),
    ("check.crcs", "true"),
];

/// For the one client that is a member of a group.
const MEMBER: &[(&str, &str)] = &[
    // A member that comes or goes moves the partitions that have to move, and no others.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // So long after its last sign of life a member is replaced. Writes of its partitions wait that long for their verdict.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "2000"),
    ("enable.auto.commit", "false"),
    // Nothing is read through this client; without this, a group without positions is an error.
    ("auto.offset.reset", "latest"),
];

/// What no setting may take away, each with what it holds up.
const FIXED: &[(&[&str], &str)] = &[
    (&["bootstrap.servers", "metadata.broker.list"], "the setting log names the brokers"),
    (
        &["acks", "request.required.acks", "enable.idempotence", "max.in.flight", "retries"],
        "what is acknowledged has to be on every replica in sync, once and in order",
    ),
    (
        &["max.in.flight.requests.per.connection", "message.send.max.retries"],
        "what is acknowledged has to be on every replica in sync, once and in order",
    ),
    (
        &["transactional.id"],
        "the chain of the records does what transactions would, and dsync uses none",
    ),
    (&["partitioner"], "a directory stays in its partition for ever"),
    (&["allow.auto.create.topics"], "a topic with the cluster's own settings could lose records"),
    (
        &["auto.offset.reset", "topic.auto.offset.reset"],
        "a reader must stop where records are gone, and never jump",
    ),
    (&["isolation.level"], "every reader has to see the same records"),
    (
        &["enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store"],
        "positions lie in the store, beside the state",
    ),
    (&["enable.partition.eof"], "dsync itself finds out where a partition ends"),
    (&["check.crcs"], "a damaged record must not be taken for another"),
    (&["message.timeout.ms", "delivery.timeout.ms"], "writers count on when an append is given up"),
];

/// The same for a producer that writes to topics of others.
const FIXED_FOR_OTHERS: &[(&[&str], &str)] = &[
    (&["bootstrap.servers", "metadata.broker.list"], "the URL of each endpoint names its brokers"),
    (
        &["acks", "request.required.acks", "enable.idempotence", "max.in.flight", "retries"],
        "what counts as delivered has to be on every replica in sync, once and in order",
    ),
    (
        &["max.in.flight.requests.per.connection", "message.send.max.retries"],
        "what counts as delivered has to be on every replica in sync, once and in order",
    ),
    (&["transactional.id"], "each record is delivered for itself"),
    (
        &["message.timeout.ms", "delivery.timeout.ms"],
        "webhook_timeout and each endpoint say how long an attempt may take",
    ),
    (
        &["queue.buffering.max.messages", "queue.buffering.max.kbytes", "queue.buffering.max.ms"],
        "the dispatcher counts on how much may be on its way",
    ),
];

/// How to reach the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `host:port,host:port`: any of the cluster's brokers; they name the others.
    pub brokers: String,
    /// The topic that is the log.
    pub topic: String,
    /// With how many partitions the topic is made, if it has to be.
    pub partitions: u16,
    /// On how many brokers each record is, if the topic has to be made.
    pub copies: u16,
    /// Further settings of librdkafka, by their names there. They may hold passwords.
    pub further: BTreeMap<String, String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.further.keys().collect();
        f.debug_struct("Config")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("partitions", &self.partitions)
            .field("copies", &self.copies)
            .field("further", &names)
            .finish()
    }
}

impl Config {
    /// Refuses settings that librdkafka does not know, and those that must stay as they are.
    ///
    /// # Errors
    ///
    /// The first setting that is wrong, and why. Never its value, which may be a password.
    pub fn check(&self) -> Result<(), OpenError> {
        for (key, value) in &self.further {
            let refused = |why| OpenError::Setting { key: key.clone(), why };
            check_setting(key, value).map_err(refused)?;
        }
        Ok(())
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client(PRODUCER);
        config.set("message.timeout.ms", APPEND_WITHIN_MS.to_string());
        config.set("queue.buffering.max.kbytes", QUEUE_KIB.to_string());
        self.add_further(config)
    }

    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.client(CONSUMER);
        config.set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB.to_string());
        self.add_further(config)
    }

    /// For a member of the group of those who follow this topic.
    pub(super) fn member(&self) -> ClientConfig {
        let mut config = self.client(MEMBER);
        config.set("group.id", format!("{}.projector", self.topic));
        self.add_further(config)
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.add_further(self.client(&[]))
    }

    fn client(&self, role: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (key, value) in EVERYWHERE.iter().chain(role) {
            config.set(*key, *value);
        }
        config
    }

    /// What the operator says wins, apart from what `check` refuses.
    fn add_further(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.further {
            config.set(key, value);
        }
        config
    }
}

/// For a producer that writes to topics of others, with what the operator says of their brokers.
pub(super) fn publisher(
    brokers: &str,
    within_ms: u128,
    further: &BTreeMap<String, String>,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (key, value) in EVERYWHERE.iter().chain(PRODUCER).chain(PUBLISHER) {
        config.set(*key, *value);
    }
    config.set("message.timeout.ms", within_ms.to_string());
    for (key, value) in further {
        config.set(key, value);
    }
    config
}

/// Refuses a setting of the log that librdkafka does not take, or that must stay as it is.
///
/// # Errors
///
/// What is wrong with it. Never its value, which may be a password.
pub fn check_setting(key: &str, value: &str) -> Result<(), String> {
    check_against(FIXED, key, value)
}

/// The same for the brokers of endpoints.
///
/// # Errors
///
/// As for [`check_setting`].
pub fn check_setting_for_others(key: &str, value: &str) -> Result<(), String> {
    check_against(FIXED_FOR_OTHERS, key, value)
}

fn check_against(fixed: &[(&[&str], &str)], key: &str, value: &str) -> Result<(), String> {
    if let Some((_, why)) = fixed.iter().find(|(keys, _)| keys.contains(&key)) {
        return Err(format!("it is not to be set: {why}"));
    }
    let mut config = ClientConfig::new();
    config.set(key, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, why, _, _)) if !is_secret(key) => Err(why),
        Err(_) => Err("librdkafka does not take this value".to_owned()),
    }
}

/// Whether the value of a setting may hold a secret: then it is never shown.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let words = ["password", "secret", "key", "pem", "jaas", "oauthbearer", "token", "username"];
    words.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_records_safe_cannot_be_set() {
        for (keys, why) in FIXED {
            for key in *keys {
                let refused = check_setting(key, "1").expect_err("it is fixed");
                assert!(refused.contains(why), "{key}: {refused}");
            }
        }
    }

    #[test]
    fn what_makes_a_delivery_one_cannot_be_set_and_what_leads_to_brokers_can() {
        for (keys, why) in FIXED_FOR_OTHERS {
            for key in *keys {
                let refused = check_setting_for_others(key, "1").expect_err("it is fixed");
                assert!(refused.contains(why), "{key}: {refused}");
            }
        }
        assert_eq!(check_setting_for_others("partitioner", "consistent_random"), Ok(()));
        let further = [("security.protocol".to_owned(), "SASL_SSL".to_owned())].into();
        let config = publisher("a:9092", 1_500, &further);
        for (key, value) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("message.timeout.ms", "1500"),
            ("security.protocol", "SASL_SSL"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn what_librdkafka_does_not_know_is_refused_with_its_words() {
        let refused = check_setting("sasl.mechansim", "PLAIN").expect_err("a slip");
        assert!(refused.contains("No such configuration property"), "{refused}");
    }

    #[test]
    fn a_refusal_never_shows_a_secret() {
        let refused = check_setting("ssl.key.pem", "hunter2");
        assert!(refused.err().is_none_or(|refused| !refused.contains("hunter2")));
        assert!(is_secret("sasl.password") && !is_secret("security.protocol"));
    }

    #[test]
    fn what_the_operator_says_wins_over_what_we_would_choose() {
        let further = [("compression.codec".to_owned(), "none".to_owned())].into();
        let config = Config {
            brokers: "a:9092".to_owned(),
            topic: "dsync".to_owned(),
            partitions: 1,
            copies: 1,
            further,
        };
        assert!(config.check().is_ok());
        assert_eq!(config.producer().get("compression.codec"), Some("none"));
        assert_eq!(config.producer().get("acks"), Some("all"));
    }
}
