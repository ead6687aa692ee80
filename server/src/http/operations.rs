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
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use crate::telemetry::Telemetry;

/// How long one check may take: an orchestrator's probe gives up after a second or a few, and a
/// dependency that needs longer is not ready.
const CHECK_MAX: Duration = Duration::from_secs(2);

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> Answer + Send + Sync>;

/// What must hold for the server to do its work: named checks, asked anew on every request.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
}

impl Readiness {
    /// With one more check. It answers with the reason when its part cannot work; the reason is shown
    /// to anyone, so it must hold no secret.
    #[must_use]
    pub fn with<F, A>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Asks every check, one after the other. The reasons of those that fail, by name.
    pub async fn failures(&self) -> Vec<(&'static str, String)> {
        let mut failures = Vec::new();
        for (name, check) in &self.checks {
            let answer = tokio::time::timeout(CHECK_MAX, check()).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {CHECK_MAX:?}")));
            if let Err(reason) = answer {
                failures.push((*name, reason));
            }
        }
        failures
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
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
    let failures = readiness.failures().await;
    let mut checks: Map<String, Value> =
        readiness.checks.iter().map(|(name, _)| ((*name).to_owned(), json!("ok"))).collect();
    let ready = failures.is_empty();
    for (name, reason) in failures {
        checks.insert(name.to_owned(), json!(reason));
    }
    let (status, word) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (status, Json(json!({"status": word, "checks": checks}))).into_response()
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([kind], telemetry.render()).into_response()
}
