//! The writing side: appends become messages, and their acknowledgements an outcome.

use std::sync::{Arc, Mutex};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::{Context, Reach};
use super::config::Config;
use super::{QUESTION_WITHIN, headers};
use crate::contract::{Append, AppendError, Offset, Partition, RECORD_BYTES_MAX, Source};

/// How much may be on its way at once, in KiB. Beyond it appends wait: that is the back-pressure. librdkafka's own
/// limit lies above it, since there an append could be cut in two.
const ON_ITS_WAY_KIB: u32 = 65_536;

type Client = FutureProducer<Context>;

/// Sends records, and replaces the client below when it is of no more use.
pub(super) struct Producer {
    config: Config,
    reach: Arc<Reach>,
    /// A lock of the standard library: held to take or put the client, never over an await.
    client: Mutex<Client>,
    room: Semaphore,
}

impl Producer {
    pub(super) fn new(config: &Config, reach: Arc<Reach>) -> KafkaResult<Self> {
        let client = create(config, &reach)?;
        Ok(Self {
            config: config.clone(),
            reach,
            client: Mutex::new(client),
            room: Semaphore::new(ON_ITS_WAY_KIB as usize),
        })
    }

    /// Appends, in the order given and in the order of calling.
    pub(super) async fn append(
        &self,
        partition: Partition,
        records: &[Append],
    ) -> Result<Offset, AppendError> {
        let _room = self.room_for(records).await?;
        let client = self.client.lock().expect("nothing panics while it is held").clone();
        let (sent, refused) = self.send(&client, partition, records);
        let mut delivered = Vec::with_capacity(sent.len());
        for delivery in sent {
            delivered.push(match delivery.await {
                Ok(Ok(delivery)) => Ok(Offset(delivery.offset.unsigned_abs())),
                Ok(Err((error, _))) => Err(error),
                // The client below has gone with it.
                Err(_) => Err(KafkaError::Canceled),
            });
        }
        if let Some((code, why)) = client.client().fatal_error() {
            tracing::error!(?code, "the producer of the log cannot go on, and is made anew: {why}");
            self.replace(&client);
        }
        outcome(delivered, refused, records)
    }

    /// Has the client ask what the topic is like by now.
    pub(super) async fn look(&self) -> Result<(), Source> {
        let client = self.client.lock().expect("nothing panics while it is held").clone();
        let topic = self.config.topic.clone();
        let look = move || client.client().fetch_metadata(Some(&topic), QUESTION_WITHIN).map(drop);
        Ok(tokio::task::spawn_blocking(look).await??)
    }

    /// Waiting for room may let a task pause even where there is some, and another append pass it by. So what finds room
    /// takes it at once. Where others wait none is free, and all get it in their order.
    async fn room_for(&self, records: &[Append]) -> Result<SemaphorePermit<'_>, AppendError> {
        let kib = kib_of(records);
        if let Ok(room) = self.room.try_acquire_many(kib) {
            return Ok(room);
        }
        let room = self.room.acquire_many(kib).await;
        room.map_err(|closed| AppendError::Unavailable(closed.into()))
    }

    /// All of them are in librdkafka's queue when this returns, or none beyond the one that was refused.
    fn send(
        &self,
        client: &Client,
        partition: Partition,
        records: &[Append],
    ) -> (Vec<DeliveryFuture>, Option<KafkaError>) {
        let mut sent = Vec::with_capacity(records.len());
        for record in records {
            let message = FutureRecord::to(&self.config.topic)
                .partition(i32::from(partition.0))
                .key(&record.key[..])
                .payload(&record.value[..])
                .headers(headers::of(&record.value));
            match client.send_result(message) {
                Ok(delivery) => sent.push(delivery),
                Err((error, _)) => return (sent, Some(error)),
            }
        }
        (sent, None)
    }

    /// An idempotent producer that has lost count never sends again. What it held is unknown, as after a time-out; the
    /// chain settles that.
    fn replace(&self, broken: &Client) {
        let mut client = self.client.lock().expect("nothing panics while it is held");
        // Another append may have replaced it already.
        if client.client().native_ptr() != broken.client().native_ptr() {
            return;
        }
        match create(&self.config, &self.reach) {
            Ok(fresh) => {
                let broken = std::mem::replace(&mut *client, fresh);
                // Its end takes until its thread has noticed.
                std::thread::spawn(move || drop(broken));
            }
            Err(error) => tracing::error!(%error, "no new producer can be made for the log"),
        }
    }

    /// Waits until what is on its way has arrived, or may not. Blocks; for shutdown.
    pub(super) fn close(&self) {
        let client = self.client.lock().expect("nothing panics while it is held").clone();
        if let Err(error) = client.flush(super::CLOSE_WITHIN) {
            tracing::warn!(%error, "the log is closed with appends on their way");
        }
    }
}

fn create(config: &Config, reach: &Arc<Reach>) -> KafkaResult<Client> {
    config.producer().create_with_context(Context(Arc::clone(reach)))
}

/// A KiB for each record beside its value: so many fit the room that librdkafka's limit of messages is never met.
fn kib_of(records: &[Append]) -> u32 {
    let kib: usize = records.iter().map(|record| 1 + record.value.len() / 1_024).sum();
    u32::try_from(kib).unwrap_or(u32::MAX).min(ON_ITS_WAY_KIB)
}

/// What to tell of an append: the last offset if all of it is there, and nothing better than unknown if any of it may be.
fn outcome(
    delivered: Vec<KafkaResult<Offset>>,
    refused: Option<KafkaError>,
    records: &[Append],
) -> Result<Offset, AppendError> {
    let not_sent = refused.map(|error| (error, true, &records[delivered.len()]));
    let (mut last, mut failed) = (None, Vec::new());
    for (result, record) in delivered.into_iter().zip(records) {
        match result {
            Ok(offset) => last = Some(offset),
            Err(error) => {
                let is_certain = never_arrives(&error);
                failed.push((error, is_certain, record));
            }
        }
    }
    failed.extend(not_sent);
    let nothing_arrives = last.is_none() && failed.iter().all(|(_, is_certain, _)| *is_certain);
    match (failed.into_iter().next(), last) {
        (None, Some(last)) => Ok(last),
        (Some((error, _, record)), _) if nothing_arrives && is_too_large(&error) => {
            Err(AppendError::TooLarge { bytes: record.value.len(), limit: RECORD_BYTES_MAX })
        }
        (Some((error, ..)), _) if nothing_arrives => Err(AppendError::Unavailable(error.into())),
        (Some((error, ..)), _) => Err(AppendError::Indeterminate(error.into())),
        (None, None) => unreachable!("an append carries at least one record"),
    }
}

fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

/// Whether a message that failed like this is certain not to be in the log, now or later. One that was taken from the
/// queue (`PurgeQueue`), when a producer could not go on, may have been there to be sent once more.
fn never_arrives(error: &KafkaError) -> bool {
    let Some(code) = error.rdkafka_error_code() else { return false };
    [
        RDKafkaErrorCode::MessageSizeTooLarge,
        RDKafkaErrorCode::QueueFull,
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownPartition,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::ClusterAuthorizationFailed,
        RDKafkaErrorCode::InvalidRecord,
        RDKafkaErrorCode::PolicyViolation,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::records;

    const fn failed(code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::MessageProduction(code)
    }

    #[test]
    fn an_append_is_there_when_all_of_it_is() {
        let delivered = vec![Ok(Offset(7)), Ok(Offset(8))];
        assert!(matches!(outcome(delivered, None, &records("a", 2)), Ok(Offset(8))));
    }

    #[test]
    fn a_record_that_may_be_there_makes_the_append_unknown() {
        let timed_out = || Err(failed(RDKafkaErrorCode::MessageTimedOut));
        let forbidden = || Err(failed(RDKafkaErrorCode::TopicAuthorizationFailed));
        for delivered in [
            vec![Ok(Offset(7)), timed_out()],
            vec![timed_out(), timed_out()],
            vec![timed_out(), forbidden()],
            vec![Ok(Offset(7)), forbidden()],
            vec![Ok(Offset(7)), Err(KafkaError::Canceled)],
            vec![
                Err(failed(RDKafkaErrorCode::PurgeQueue)),
                Err(failed(RDKafkaErrorCode::PurgeQueue)),
            ],
        ] {
            let told = outcome(delivered, None, &records("a", 2));
            assert!(matches!(told, Err(AppendError::Indeterminate(_))), "{told:?}");
        }
        let cut = outcome(
            vec![Ok(Offset(7))],
            Some(failed(RDKafkaErrorCode::QueueFull)),
            &records("a", 2),
        );
        assert!(matches!(cut, Err(AppendError::Indeterminate(_))), "{cut:?}");
    }

    #[test]
    fn an_append_of_which_nothing_can_be_there_may_be_tried_again() {
        let forbidden = || Err(failed(RDKafkaErrorCode::TopicAuthorizationFailed));
        let told = outcome(vec![forbidden(), forbidden()], None, &records("a", 2));
        assert!(matches!(told, Err(AppendError::Unavailable(_))), "{told:?}");
        let told = outcome(vec![], Some(failed(RDKafkaErrorCode::Fatal)), &records("a", 2));
        assert!(matches!(told, Err(AppendError::Unavailable(_))), "{told:?}");
    }

    #[test]
    fn what_the_broker_finds_too_large_is_too_large() {
        let large = Err(failed(RDKafkaErrorCode::MessageSizeTooLarge));
        let told = outcome(vec![large], None, &records("a", 1));
        assert!(matches!(told, Err(AppendError::TooLarge { bytes: 3, .. })), "{told:?}");
    }
}
