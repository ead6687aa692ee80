//! Endpoints that are topics of Kafka: the dispatcher's port for sending, on the publisher of `log`.

#[cfg(feature = "kafka")]
use std::time::Duration;

use async_trait::async_trait;
use dispatcher::client::{Answer, Request, To};
use dispatcher::{Brokers, Failure, KafkaTopic};
use schemas::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

/// How often producers without a use are looked for.
#[cfg(feature = "kafka")]
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// What writes to topics, or, in a build without Kafka, says that it cannot.
#[derive(Debug)]
pub(super) struct Topics {
    brokers: Brokers,
    /// How long a record may take whose endpoint has no time of its own.
    #[cfg(feature = "kafka")]
    deadline: Duration,
    #[cfg(feature = "kafka")]
    publisher: log::kafka::Publisher,
}

impl Topics {
    /// What the settings say.
    #[cfg_attr(
        not(feature = "kafka"),
        expect(clippy::unnecessary_wraps, reason = "in another build it may fail")
    )]
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let allowed = settings.kafka_endpoints.clone();
        let brokers =
            if cfg!(feature = "kafka") { Brokers::Allowed(allowed) } else { Brokers::NotBuilt };
        #[cfg(feature = "kafka")]
        let publisher = {
            use anyhow::Context as _;
            let further = settings.endpoint_kafka.iter();
            let further = further.map(|(key, value)| (key.clone(), value.expose().to_owned()));
            log::kafka::Publisher::new(further.collect()).context("endpoint_kafka")?
        };
        Ok(Self {
            brokers,
            #[cfg(feature = "kafka")]
            deadline: settings.webhook_timeout,
            #[cfg(feature = "kafka")]
            publisher,
        })
    }

    /// Which brokers may be written to.
    pub(super) const fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// Closes what has no use any more, until shutdown.
    #[cfg(feature = "kafka")]
    pub(super) async fn keep(self: std::sync::Arc<Self>, end: CancellationToken) {
        while end.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
            self.publisher.sweep();
        }
    }

    #[cfg(not(feature = "kafka"))]
    pub(super) async fn keep(self: std::sync::Arc<Self>, end: CancellationToken) {
        end.cancelled().await;
    }

    /// Closes all of it. Blocks; for shutdown.
    pub(super) fn close(&self) {
        #[cfg(feature = "kafka")]
        self.publisher.close();
    }

    #[cfg(feature = "kafka")]
    async fn write(&self, topic: &KafkaTopic, key: String, request: Request) -> Answer {
        use dispatcher::ports::Outcome;
        use log::kafka::Message;

        let brokers: Vec<String> = topic.brokers().iter().map(ToString::to_string).collect();
        let headers = request.headers.iter();
        let headers =
            headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let message = Message {
            brokers: brokers.join(","),
            topic: topic.name().to_owned(),
            key,
            headers: headers.collect(),
            value: request.body,
            within: request.timeout.unwrap_or(self.deadline),
        };
        match self.publisher.publish(message).await {
            Ok(()) => Answer {
                outcome: Outcome::Delivered { status: None },
                retry_after: None,
                excerpt: None,
            },
            Err(error) => {
                Answer { excerpt: Some(error.why.into()), ..Answer::failed(failure(error.trouble)) }
            }
        }
    }

    #[cfg(not(feature = "kafka"))]
    #[expect(clippy::unused_async, reason = "in another build it goes over the network")]
    async fn write(&self, _: &KafkaTopic, _: String, _: Request) -> Answer {
        Answer::failed(Failure::Refused)
    }
}

#[cfg(feature = "kafka")]
const fn failure(trouble: log::kafka::Trouble) -> Failure {
    use log::kafka::Trouble;

    match trouble {
        Trouble::UnknownTopic => Failure::UnknownTopic,
        Trouble::NotAuthorized => Failure::NotAuthorized,
        Trouble::TooLarge => Failure::TooLarge,
        Trouble::Dns => Failure::Dns,
        Trouble::Unreachable => Failure::Connect,
        Trouble::Tls => Failure::Tls,
        Trouble::TimedOut => Failure::Timeout,
        Trouble::Refused => Failure::Protocol,
    }
}

#[async_trait]
impl dispatcher::Sender for Topics {
    async fn send(&self, request: Request, _: Timestamp) -> Answer {
        let To::Topic { topic, key } = request.to.clone() else {
            return Answer::failed(Failure::Refused);
        };
        // The setting may have changed since the endpoint was created.
        if self.brokers.permit(&topic).is_err() {
            return Answer::failed(Failure::Refused);
        }
        self.write(&topic, key, request).await
    }
}
