//! What passes through the server, for the start page of the console: differences of the metrics, and what the store
//! knows of all processes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::ports::{PortError, Reading};
use async_trait::async_trait;
use console::ports::{Flow, Lookups as _, Pipeline, Rates};
use log::EventLog;
use projector::lag::{lags, tails};
use store::Store;

use crate::telemetry::Telemetry;

/// How often the metrics are read: often enough to see a change, and a fraction of a millisecond each time.
const EVERY: Duration = Duration::from_secs(5);

/// How many readings are kept: five minutes.
const SAMPLES_MAX: usize = 61;

/// The metrics as they were.
pub(super) struct Sampler {
    telemetry: Telemetry,
    log: Arc<dyn EventLog>,
    store: Arc<Store>,
    here: Here,
    samples: Mutex<VecDeque<Counts>>,
}

/// What the metrics of this process can tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    /// Whether it answers SCIM requests.
    pub(super) has_ingest: bool,
    /// Whether it sends webhooks.
    pub(super) has_dispatcher: bool,
    /// Whether others may do either as well.
    pub(super) has_others: bool,
}

/// What was counted since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    requests: f64,
    /// Of the feed, since there is one.
    events: f64,
    deliveries: f64,
    failures: f64,
}

impl Sampler {
    pub(super) fn new(
        telemetry: Telemetry,
        log: Arc<dyn EventLog>,
        store: Arc<Store>,
        here: Here,
    ) -> Self {
        Self { telemetry, log, store, here, samples: Mutex::default() }
    }

    /// Reads the metrics again and again. Drop it to end it.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            // The feed is the same for every process; a process that does not project counts no events itself.
            let Ok(end) = Reading::feed_end(&*self.store).await else { continue };
            let counts = Counts::read(&self.telemetry.render(), end.position);
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
        samples.iter().zip(later).map(|(before, after)| after.since(before, self.here)).collect()
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
        Ok(Flow {
            rates: self.rates(),
            interval: EVERY,
            records,
            lag: lags.into_iter().map(|(_, behind)| behind).sum(),
            undelivered: self.store.furthest_behind().await?,
            has_others: self.here.has_others,
        })
    }
}

impl Counts {
    /// Reads the text format of Prometheus, of which our own writer writes the plain part.
    fn read(text: &str, events: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let mut counts = Self { events: events as f64, ..Self::default() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let value: f64 = value.parse().unwrap_or_default();
            match name {
                "http_requests_total" if labels.contains("route=\"/scim/") => {
                    counts.requests += value;
                }
                "dispatcher_attempts_total" if labels.contains("outcome=\"delivered\"") => {
                    counts.deliveries += value;
                }
                "dispatcher_attempts_total" => counts.failures += value,
                _ => {}
            }
        }
        counts
    }

    /// What the process does not do it knows nothing of.
    fn since(&self, before: &Self, here: Here) -> Rates {
        let rate = |after: f64, before: f64| (after - before).max(0.0) / EVERY.as_secs_f64();
        Rates {
            requests: here.has_ingest.then(|| rate(self.requests, before.requests)),
            events: rate(self.events, before.events),
            deliveries: here.has_dispatcher.then(|| rate(self.deliveries, before.deliveries)),
            failures: rate(self.failures, before.failures),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP http_requests_total x\n\
        http_requests_total{method=\"GET\",route=\"/scim/v2.0/{endpoint}/Users\",status=\"200\"} 30\n\
        http_requests_total{method=\"POST\",route=\"/scim/v2.0/{endpoint}/Users\",status=\"201\"} 10\n\
        http_requests_total{method=\"GET\",route=\"/console\",status=\"200\"} 7\n\
        dispatcher_attempts_total{outcome=\"delivered\"} 15\n\
        dispatcher_attempts_total{outcome=\"timeout\"} 5\n";

    #[test]
    fn what_passes_is_read_from_the_metrics() {
        let counts = Counts::read(TEXT, 25);
        assert_eq!((counts.requests, counts.events), (40.0, 25.0));
        assert_eq!((counts.deliveries, counts.failures), (15.0, 5.0));
        let all = Here { has_ingest: true, has_dispatcher: true, has_others: false };
        let rates = counts.since(&Counts::default(), all);
        assert_eq!((rates.requests, rates.events), (Some(8.0), 5.0));
        assert_eq!((rates.deliveries, rates.failures), (Some(3.0), 1.0));
    }

    #[test]
    fn what_a_process_does_not_do_is_not_said_to_be_nothing() {
        let api = Here { has_ingest: false, has_dispatcher: false, has_others: true };
        let rates = Counts::read("", 25).since(&Counts::default(), api);
        assert_eq!((rates.requests, rates.deliveries, rates.events), (None, None, 5.0));
    }
}
