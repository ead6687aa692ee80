//! Writes single records to topics of others: events to the endpoints that are topics.
//!
//! ```text
//!  publish ──▶ producer of these brokers and this time ──▶ brokers     made at the first record, closed when idle
//! ```
//!
//! It knows neither the log nor what records mean. Brokers are dialled as they name themselves, so whoever calls has
//! to know that they may be.

mod outcome;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::{Instant, timeout};

use super::config;
use super::error::{OpenError, unfit};
pub use outcome::{Trouble, Unpublished};

/// Producers at once. Each has a thread for every broker of its cluster and two more, so this many are some hundred
/// threads.
const PRODUCERS_MAX: usize = 32;

/// How long a producer may stay without a use: less than the ten minutes after which brokers close its connections,
/// and long enough for whoever gets an event now and then.
const IDLE: Duration = Duration::from_secs(60);

/// How much later than asked librdkafka may give up: it looks once a second.
const GIVES_UP_LATE: Duration = Duration::from_secs(3);

/// A record to write.
#[derive(Clone, Debug)]
pub struct Message {
    /// Some brokers of the cluster: `host:port,host:port`. In the same order for the same cluster.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Records of a topic with the same key are in one partition, in order.
    pub key: String,
    /// By name.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The value.
    pub value: Bytes,
    /// How long it may take.
    pub within: Duration,
}

/// See the module.
pub struct Publisher {
    further: BTreeMap<String, String>,
    /// A lock of the standard library: held to look a producer up, never over an await.
    producers: Mutex<BTreeMap<Cluster, Kept>>,
}

/// A time to give up is a setting of a producer and not of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cluster {
    brokers: String,
    within_ms: u128,
}

struct Kept {
    producer: Arc<Producer>,
    used_at: Instant,
}

struct Producer {
    /// None once it is being closed.
    client: Option<FutureProducer<Ear>>,
    heard: Arc<Mutex<Option<RDKafkaErrorCode>>>,
}

impl Publisher {
    /// Writes with these further settings of librdkafka, by their names there. They may hold passwords.
    ///
    /// # Errors
    ///
    /// The first setting that is wrong, and why. Never its value.
    pub fn new(further: BTreeMap<String, String>) -> Result<Self, OpenError> {
        for (key, value) in &further {
            let refused = |why| OpenError::Setting { key: key.clone(), why };
            config::check_setting_for_others(key, value).map_err(refused)?;
        }
        // They may be right one by one and make no sense together.
        config::publisher("localhost:9092", 1_000, &further)
            .create_native_config()
            .map_err(unfit)?;
        Ok(Self { further, producers: Mutex::default() })
    }

    /// Writes a record, and returns once every replica that is in sync has it.
    ///
    /// # Errors
    ///
    /// [`Unpublished`]. After a time-out the record may be there all the same.
    pub async fn publish(&self, message: Message) -> Result<(), Unpublished> {
        let cluster =
            Cluster { brokers: message.brokers.clone(), within_ms: message.within.as_millis() };
        let producer = self.producer(&cluster)?;
        let sent = match producer.send(&message) {
            Ok(delivery) => match timeout(message.within + GIVES_UP_LATE, delivery).await {
                Ok(Ok(Ok(_))) => Ok(()),
                Ok(Ok(Err((error, _)))) => Err(error),
                // The client below has gone with it.
                Ok(Err(_)) => Err(KafkaError::Canceled),
                Err(_) => Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)),
            },
            Err(error) => Err(error),
        };
        let Err(error) = sent else {
            producer.heard(None);
            return Ok(());
        };
        if let Some((code, why)) = producer.client().client().fatal_error() {
            tracing::warn!(
                brokers = cluster.brokers,
                ?code,
                "a producer for endpoints cannot go on, and is made anew: {why}"
            );
            self.replace(&cluster, &producer);
            return Err(outcome::of(&KafkaError::MessageProduction(code), None));
        }
        Err(outcome::of(&error, producer.complaint()))
    }

    /// Closes the producers that nobody has used for a while: those of endpoints that are gone among them. To be called
    /// now and then.
    pub fn sweep(&self) {
        let mut producers = self.producers.lock().expect("nothing panics while it is held");
        let is_over = |kept: &Kept| !kept.is_busy() && kept.used_at.elapsed() >= IDLE;
        producers.retain(|_, kept| !is_over(kept));
    }

    /// Closes all of them. What is still on its way is given up. Blocks; for shutdown.
    pub fn close(&self) {
        let mut producers = self.producers.lock().expect("nothing panics while it is held");
        let all = std::mem::take(&mut *producers);
        drop(producers);
        std::thread::scope(|scope| {
            for producer in all.into_values().filter_map(|kept| Arc::into_inner(kept.producer)) {
                let mut producer = producer;
                scope.spawn(move || drop(producer.client.take()));
            }
        });
    }

    fn producer(&self, cluster: &Cluster) -> Result<Arc<Producer>, Unpublished> {
        let mut producers = self.producers.lock().expect("nothing panics while it is held");
        if let Some(kept) = producers.get_mut(cluster) {
            kept.used_at = Instant::now();
            return Ok(Arc::clone(&kept.producer));
        }
        if producers.len() >= PRODUCERS_MAX {
            let idle = producers.iter().filter(|(_, kept)| !kept.is_busy());
            let longest = idle.min_by_key(|(_, kept)| kept.used_at).map(|(cluster, _)| cluster);
            let longest = longest.cloned().ok_or_else(|| Unpublished::crowded(PRODUCERS_MAX))?;
            producers.remove(&longest);
        }
        let producer = Arc::new(self.make(cluster)?);
        let kept = Kept { producer: Arc::clone(&producer), used_at: Instant::now() };
        producers.insert(cluster.clone(), kept);
        Ok(producer)
    }

    fn make(&self, cluster: &Cluster) -> Result<Producer, Unpublished> {
        let heard = Arc::default();
        let ear = Ear(Arc::clone(&heard));
        let config = config::publisher(&cluster.brokers, cluster.within_ms, &self.further);
        match config.create_with_context(ear) {
            Ok(client) => Ok(Producer { client: Some(client), heard }),
            Err(error) => {
                tracing::error!(error = %unfit(error), "no producer can be made for endpoints");
                Err(Unpublished::unmade())
            }
        }
    }

    /// Lets the next record have another. Somebody else may have seen to it already.
    fn replace(&self, cluster: &Cluster, broken: &Arc<Producer>) {
        let mut producers = self.producers.lock().expect("nothing panics while it is held");
        let is_it = producers.get(cluster).is_some_and(|kept| Arc::ptr_eq(&kept.producer, broken));
        if is_it {
            producers.remove(cluster);
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Kept {
    /// Whether a record is on its way.
    fn is_busy(&self) -> bool {
        Arc::strong_count(&self.producer) > 1
    }
}

impl Producer {
    fn client(&self) -> &FutureProducer<Ear> {
        self.client.as_ref().expect("who closes it holds the last of it")
    }

    fn send(&self, message: &Message) -> Result<DeliveryFuture, KafkaError> {
        let headers = OwnedHeaders::new_with_capacity(message.headers.len());
        let headers = message.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = FutureRecord::to(&message.topic).key(&message.key).headers(headers);
        let record = record.payload(&message.value[..]);
        self.client().send_result(record).map_err(|(error, _)| error)
    }

    fn heard(&self, code: Option<RDKafkaErrorCode>) {
        *self.heard.lock().expect("nothing panics while it is held") = code;
    }

    /// What was wrong last, if nothing has gone well since.
    fn complaint(&self) -> Option<RDKafkaErrorCode> {
        *self.heard.lock().expect("nothing panics while it is held")
    }
}

impl Drop for Producer {
    /// The end of a client takes until its threads have noticed, and whoever lets go of it last may be a task.
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            std::thread::spawn(move || drop(client));
        }
    }
}

/// What librdkafka tells by callback.
#[derive(Clone, Debug, Default)]
struct Ear(Arc<Mutex<Option<RDKafkaErrorCode>>>);

impl ClientContext for Ear {
    /// Endpoints come and go, and each attempt is told elsewhere: this is for who looks closer.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "librdkafka, for endpoints: {message}");
    }

    fn error(&self, error: KafkaError, _: &str) {
        let code = error.rdkafka_error_code();
        // That none of them is there says less than why.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock().expect("nothing panics while it is held") = code;
        }
    }
}

#[cfg(test)]
mod tests;
