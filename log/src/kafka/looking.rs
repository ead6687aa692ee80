//! Finding the cluster and the topic in it, and making the topic if there is none.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;
use tokio::time::Instant;

use super::client::{Asker, Context, Reach};
use super::config::Config;
use super::error::{OpenError, unreachable, unusable};
use super::topic::{self, Shape};
use super::{OPEN_WITHIN, QUESTION_WITHIN};

/// More partitions than a cluster is happy with, and few enough for a number of ours.
pub(super) const PARTITIONS_MAX: usize = 1 << 15;

/// How often it is looked whether a topic that was made has its leaders.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Finds the cluster and the topic in it.
pub(super) struct Looking<'a> {
    pub(super) config: &'a Config,
    pub(super) asker: &'a Arc<Asker>,
    pub(super) reach: &'a Reach,
}

impl Looking<'_> {
    /// The shape of the topic, once every partition has a leader. Makes the topic if there is none.
    pub(super) async fn shape(&self, admin: &AdminClient<Context>) -> Result<Shape, OpenError> {
        let deadline = Instant::now() + OPEN_WITHIN;
        let mut is_made = false;
        loop {
            let (brokers, found) = self.look(deadline).await?;
            match found {
                Ok(shape) => return Ok(shape),
                Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
                    if !is_made =>
                {
                    let Config { topic, partitions, copies, .. } = self.config;
                    if brokers >= usize::from(*copies) {
                        topic::create(admin, topic, *partitions, *copies).await?;
                        is_made = true;
                    } else if Instant::now() >= deadline {
                        let (topic, copies) = (topic.clone(), *copies);
                        return Err(OpenError::TooFewBrokers { topic, brokers, copies });
                    } else {
                        // They may be starting, as we are.
                        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
                    }
                }
                Err(code) if Instant::now() >= deadline || is_final(code) => {
                    return Err(unusable(&self.config.topic, code));
                }
                Err(_) => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            }
        }
    }

    /// How many brokers there are, and the topic among them. While nobody answers it is tried again until the deadline.
    async fn look(
        &self,
        deadline: Instant,
    ) -> Result<(usize, Result<Shape, RDKafkaErrorCode>), OpenError> {
        loop {
            let asker = Arc::clone(self.asker);
            let looked = tokio::task::spawn_blocking(move || {
                let metadata = asker.metadata(QUESTION_WITHIN)?;
                Ok((metadata.brokers().len(), shape(&metadata.topics()[0])))
            });
            let looked: KafkaResult<_> = looked.await.unwrap_or(Err(KafkaError::Canceled));
            match looked {
                Ok(found) => return Ok(found),
                Err(error) if Instant::now() >= deadline || self.reach.is_refused() => {
                    return Err(unreachable(self.config, self.reach, &error));
                }
                Err(_) => {}
            }
        }
    }
}

/// What the metadata say of the topic.
pub(super) fn shape(topic: &MetadataTopic) -> Result<Shape, RDKafkaErrorCode> {
    let error = topic.error().or_else(|| topic.partitions().iter().find_map(|one| one.error()));
    match error {
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE) | None => {}
        Some(error) => return Err(error.into()),
    }
    let copies = topic.partitions().iter().map(|one| one.replicas().len()).min().unwrap_or(0);
    match u16::try_from(topic.partitions().len()) {
        Ok(0) => Err(RDKafkaErrorCode::UnknownTopicOrPartition),
        Ok(partitions) if usize::from(partitions) <= PARTITIONS_MAX => {
            Ok(Shape { partitions, copies })
        }
        Ok(_) | Err(_) => Err(RDKafkaErrorCode::InvalidPartitions),
    }
}

/// Whether waiting will not help.
fn is_final(code: RDKafkaErrorCode) -> bool {
    [
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::InvalidTopic,
        RDKafkaErrorCode::InvalidPartitions,
    ]
    .contains(&code)
}
