//! What passes through the server, for the start page of the console: differences of the metrics.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::ports::PortError;
use async_trait::async_trait;
use console::ports::{Flow, Pipeline, Rates};
use log::EventLog;
use projector::ProjectionStore;
use projector::lag::{lags, tails};

use crate::telemetry::Telemetry;

/// How often the metrics are read: often enough to see a change, and a fraction of a millisecond each time.
const EVERY: Duration = Duration::from_secs(5);

/// How many readings are kept: five minutes.
const SAMPLES_MAX: usize = 61;

/// The metrics as they were.
pub(super) struct Sampler {
    telemetry: Telemetry,
    log: Arc<dyn EventLog>,
    store: Arc<dyn ProjectionStore>,
    samples: Mutex<VecDeque<Counts>>,
}

/// What was counted since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    requests: f64,
    events: f64,
    deliveries: f64,
    failures: f64,
    undelivered: f64,
}

impl Sampler {
    pub(super) fn new(
        telemetry: Telemetry,
        log: Arc<dyn EventLog>,
        store: Arc<dyn ProjectionStore>,
    ) -> Self {
        Self { telemetry, log, store, samples: Mutex::default() }
    }

    /// Reads the metrics again and again. Drop it to end it.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let counts = Counts::read(&self.telemetry.render());
            let mut samples = self.samples.lock().expect("nothing panics while it is held");
            samples.push_back(counts);
            if samples.len() > SAMPLES_MAX {
                samples.pop_front();
            }
        }
    }

    fn rates(&self) -> Vec<Rates> {
        let samples = self.samples.lock().expect("nothing panics while it is held");
        let later = samples.iter().skip(1);
        samples.iter().zip(later).map(|(before, after)| after.since(before)).collect()
    }
}

#[async_trait]
impl Pipeline for Sampler {
    async fn flow(&self) -> Result<Flow, PortError> {
        let mut records = 0;
        for (_, tail) in tails(&*self.log).await {
            records += tail.map_err(|error| PortError::Unavailable(error.into()))?.0;
        }
        // Asked of the store and not of the metrics, which only a process that projects has.
        let lags = lags(&*self.log, &*self.store).await;
        let latest = Counts::read(&self.telemetry.render());
        Ok(Flow {
            rates: self.rates(),
            interval: EVERY,
            records,
            lag: lags.into_iter().map(|(_, behind)| behind).sum(),
            undelivered: whole(latest.undelivered),
        })
    }
}

impl Counts {
    /// Reads the text format of Prometheus, of which our own writer writes the plain part.
    fn read(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let value: f64 = value.parse().unwrap_or_default();
            match name {
                "http_requests_total" if labels.contains("route=\"/scim/") => {
                    counts.requests += value;
                }
                "projector_events_total" => counts.events += value,
                "dispatcher_lag_events" => counts.undelivered = counts.undelivered.max(value),
                "dispatcher_attempts_total" if labels.contains("outcome=\"delivered\"") => {
                    counts.deliveries += value;
                }
                "dispatcher_attempts_total" => counts.failures += value,
                _ => {}
            }
        }
        counts
    }

    fn since(&self, before: &Self) -> Rates {
        let rate = |after: f64, before: f64| (after - before).max(0.0) / EVERY.as_secs_f64();
        Rates {
            requests: rate(self.requests, before.requests),
            events: rate(self.events, before.events),
            deliveries: rate(self.deliveries, before.deliveries),
            failures: rate(self.failures, before.failures),
        }
    }
}

/// A gauge that counts things.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast stops at the bounds, and a gauge far beyond them means nothing"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP http_requests_total x\n\
        http_requests_total{method=\"GET\",route=\"/scim/v2.0/{endpoint}/Users\",status=\"200\"} 30\n\
        http_requests_total{method=\"POST\",route=\"/scim/v2.0/{endpoint}/Users\",status=\"201\"} 10\n\
        http_requests_total{method=\"GET\",route=\"/console\",status=\"200\"} 7\n\
        projector_events_total 25\n\
        dispatcher_attempts_total{outcome=\"delivered\"} 15\n\
        dispatcher_attempts_total{outcome=\"timeout\"} 5\n\
        dispatcher_lag_events 9\n";

    #[test]
    fn what_passes_is_read_from_the_metrics() {
        let counts = Counts::read(TEXT);
        assert_eq!((counts.requests, counts.events), (40.0, 25.0));
        assert_eq!((counts.deliveries, counts.failures), (15.0, 5.0));
        assert_eq!(counts.undelivered, 9.0);
        let rates = counts.since(&Counts::default());
        assert_eq!((rates.requests, rates.deliveries), (8.0, 3.0));
    }
}
