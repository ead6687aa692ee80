//! The pages for those who run the server: `/healthz`, `/readyz` and `/metrics`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::join_all;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// How long one check may take: an orchestrator's probe gives up after a second or a few, and a
/// dependency that needs longer is not ready.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// How long an answer holds. Whoever may ask may ask often, and each look costs questions to all that is behind.
const HOLDS_FOR: Duration = Duration::from_secs(1);

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Ask = Arc<dyn Fn() -> Answer + Send + Sync>;

/// What a check means for those who send requests here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Without it the process is of no use: requests shall go elsewhere.
    Needed,
    /// Without it something does not work, here or anywhere else, and what does is still to be had here.
    Told,
}

#[derive(Clone)]
struct Check {
    name: &'static str,
    weight: Weight,
    ask: Ask,
}

/// What came of the checks.
#[derive(Clone, Debug, Default)]
struct Looked {
    /// Why those fail that do, by name.
    failures: Vec<(&'static str, Weight, String)>,
}

/// What must hold for the server to do its work: named checks, asked anew when the last answer is old.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    /// Once cancelled, the process takes no more work and says so.
    ending: CancellationToken,
    /// The last answer. Held while it is asked for, so that many who ask are one who does.
    last: Arc<tokio::sync::Mutex<Option<(Instant, Looked)>>>,
}

impl Readiness {
    /// The readiness of a process that ends when this is cancelled.
    #[must_use]
    pub fn until(ending: CancellationToken) -> Self {
        Self { ending, ..Self::default() }
    }

    /// With one more check. It answers with the reason when its part cannot work; the reason is shown
    /// to anyone, so it must hold no secret.
    #[must_use]
    pub fn with<F, A>(mut self, name: &'static str, weight: Weight, check: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check { name, weight, ask: Arc::new(move || Box::pin(check())) });
        // What was answered before was about fewer.
        self.last = Arc::default();
        self
    }

    /// What came of the checks, at most a moment ago.
    async fn looked(&self) -> Looked {
        let mut last = self.last.lock().await;
        if let Some((at, looked)) = &*last
            && at.elapsed() < HOLDS_FOR
        {
            return looked.clone();
        }
        let asked = self.checks.iter().map(|check| async {
            let answer = tokio::time::timeout(CHECK_MAX, (check.ask)()).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {CHECK_MAX:?}")));
            answer.err().map(|reason| (check.name, check.weight, reason))
        });
        let failures = join_all(asked).await.into_iter().flatten().collect();
        let looked = Looked { failures };
        *last = Some((Instant::now(), looked.clone()));
        looked
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| check.name)).finish()
    }
}

/// The three pages.
pub fn operations(readiness: Readiness, telemetry: Telemetry) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .merge(Router::new().route("/metrics", get(metrics)).with_state(telemetry))
}

async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    if readiness.ending.is_cancelled() {
        let body = json!({"status": "not ready", "checks": {"process": "it is ending"}});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    let Looked { failures } = readiness.looked().await;
    let mut checks: Map<String, Value> =
        readiness.checks.iter().map(|check| (check.name.to_owned(), json!("ok"))).collect();
    let is_ready = failures.iter().all(|(_, weight, _)| *weight == Weight::Told);
    let (status, word) = match is_ready {
        true if failures.is_empty() => (StatusCode::OK, "ready"),
        true => (StatusCode::OK, "degraded"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    for (name, _, reason) in failures {
        checks.insert(name.to_owned(), json!(reason));
    }
    (status, Json(json!({"status": word, "checks": checks}))).into_response()
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([kind], telemetry.render()).into_response()
}
