//! Log lines, metrics and panics of the process.
//!
//! Log lines go to standard error: one JSON object each, or text for people. Metrics are kept here and
//! read at `/metrics` of the one listener; there is no second port.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::settings::{LogFormat, Settings};

/// How often [`Telemetry::upkeep`] folds what histograms have gathered, so that their memory does not
/// grow with the traffic between two scrapes, and gives back memory that is free.
const UPKEEP_EVERY: Duration = Duration::from_secs(2);

/// Upper bounds of the buckets of every `…_seconds` metric: from a lookup in memory to a webhook that
/// times out.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The process has a subscriber or a recorder already, or the metrics are set up wrongly.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Something else takes the log lines.
    #[error("log lines have a taker already")]
    Subscriber(#[from] TryInitError),
    /// The recorder cannot be installed.
    #[error("metrics cannot be recorded")]
    Recorder(#[from] BuildError),
}

/// Read access to the metrics of the process.
#[derive(Clone, Debug)]
pub struct Telemetry {
    metrics: PrometheusHandle,
}

impl Telemetry {
    /// A recorder of its own that is not the process's, for tests of what is read from it.
    #[must_use]
    pub fn detached() -> Self {
        Self { metrics: PrometheusBuilder::new().build_recorder().handle() }
    }

    /// All metrics in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.render()
    }

    /// Folds histograms and gives back memory every few seconds, for ever. Run it beside the roles and drop it to end
    /// it.
    pub async fn upkeep(&self) {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            self.metrics.run_upkeep();
            give_back();
        }
    }
}

/// Has the allocator return what is free to the operating system. It does so a second after something was freed, and only
/// when a thread ends or is busy: a server that rests would keep what its last work took, and a check of a password
/// takes 19 MiB.
fn give_back() {
    let ends = || drop(std::hint::black_box(Box::new(0_u8)));
    if let Ok(thread) = std::thread::Builder::new().name("give-back".to_owned()).spawn(ends) {
        // There is nothing in it that takes time.
        let _ = thread.join();
    }
}

/// Starts log lines, metrics and the panic hook for the whole process. Once.
///
/// # Errors
/// When it was started before.
pub fn start(settings: &Settings) -> Result<Telemetry, TelemetryError> {
    log_lines(settings.log_format, settings.log_level.clone())?;
    std::panic::set_hook(Box::new(log_panic));
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?;
    Ok(Telemetry { metrics })
}

fn log_lines(format: Option<LogFormat>, level: Targets) -> Result<(), TryInitError> {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        // https://no-color.org: set and not empty means no colour.
        LogFormat::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines.with_ansi(terminal && !plain).boxed()
        }
    };
    tracing_subscriber::registry().with(lines.with_filter(level)).try_init()
}

/// A panic is a broken invariant. It is logged in the span it happened in, as one line like any
/// other, so that it is found where the rest is found.
fn log_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    // Empty unless RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    tracing::error!(
        panic.location = location,
        panic.backtrace = backtrace_text(&backtrace),
        "panicked: {}",
        text.unwrap_or("(no message)")
    );
}

fn backtrace_text(backtrace: &Backtrace) -> Option<String> {
    (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string())
}

#[cfg(test)]
mod tests {
    use metrics::Recorder as _;

    use super::*;

    #[test]
    fn a_histogram_of_seconds_has_buckets_and_survives_upkeep() {
        let matcher = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(matcher, SECONDS);
        let recorder = builder.expect("there are buckets").build_recorder();
        let metadata = metrics::Metadata::new("server", metrics::Level::INFO, None);
        let key = metrics::Key::from_name("http_request_seconds");
        recorder.register_histogram(&key, &metadata).record(0.2);
        let telemetry = Telemetry { metrics: recorder.handle() };
        telemetry.metrics.run_upkeep();
        let text = telemetry.render();
        assert!(text.contains("http_request_seconds_bucket{le=\"0.25\"} 1"), "{text}");
    }
}
