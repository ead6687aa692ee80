//! Why the log cannot be opened, in words that say what to do.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::Reach;
use super::config::Config;
use crate::contract::ReadError;

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting of `[kafka]` is wrong, or must stay as it is.
    #[error("kafka.{key}: {why}")]
    Setting {
        /// Its name.
        key: String,
        /// What is wrong with it. Never its value.
        why: String,
    },
    /// No client can be made with these settings.
    #[error("librdkafka cannot work with these settings: {why}")]
    Client {
        /// Its own words.
        why: String,
    },
    /// Nobody answers.
    #[error(
        "no Kafka broker answers at {brokers}: {why}; check that the brokers run, that log names them with the right \
         ports, and that [kafka] has the security.protocol and credentials they ask for"
    )]
    Unreachable {
        /// Where it was tried.
        brokers: String,
        /// What librdkafka says.
        why: String,
    },
    /// The topic is missing and cannot be made.
    #[error(
        "the topic {topic} does not exist and cannot be made: {why}; make it with cleanup.policy=delete, \
         retention.ms=-1, retention.bytes=-1 and min.insync.replicas=2, or let this user make it"
    )]
    NotMade {
        /// Its name.
        topic: String,
        /// What the cluster says.
        why: String,
    },
    /// The topic is missing, and there are not enough brokers for the copies that it is to have.
    #[error(
        "the topic {topic} does not exist, and of the {copies} brokers that are to have a copy of each record {brokers} \
         are there: wait until the others have started, or set kafka_copies to how many copies are enough; with 1, a \
         lost disk is a lost history"
    )]
    TooFewBrokers {
        /// Its name.
        topic: String,
        /// How many there are.
        brokers: usize,
        /// How many copies are wanted.
        copies: u16,
    },
    /// Its settings cannot be read, so nobody knows whether it is safe.
    #[error(
        "the settings of the topic {topic} cannot be read: {why}; allow this user DescribeConfigs on it"
    )]
    NotDescribed {
        /// Its name.
        topic: String,
        /// What the cluster says.
        why: String,
    },
    /// It is there and cannot be used, for now or for good.
    #[error("the topic {topic} cannot be used: {why}")]
    Unusable {
        /// Its name.
        topic: String,
        /// Why not.
        why: String,
    },
    /// It would lose records.
    #[error("DSYNC-010: the topic {topic} would lose records: {}", .dangers.join("; "))]
    Dangerous {
        /// Its name.
        topic: String,
        /// Which settings, and what to do about each.
        dangers: Vec<String>,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

pub(super) fn unfit(error: KafkaError) -> OpenError {
    // Its own display shows the value, which may be a password.
    let why = if let KafkaError::ClientConfig(_, why, key, _) = error {
        format!("{key}: {why}")
    } else {
        error.to_string()
    };
    OpenError::Client { why }
}

pub(super) fn unreachable(config: &Config, reach: &Reach, error: &KafkaError) -> OpenError {
    let why = reach.complaint().unwrap_or_else(|| error.to_string());
    OpenError::Unreachable { brokers: config.brokers.clone(), why }
}

pub(super) fn unusable(topic: &str, code: RDKafkaErrorCode) -> OpenError {
    OpenError::Unusable { topic: topic.to_owned(), why: code.to_string() }
}
