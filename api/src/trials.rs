//! `/webhook_endpoints/{id}/test`: a sample, and what the endpoint answers to it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use schemas::{EventId, EventType, OperationalEvent};
use serde::Serialize;

use crate::auth::Writer;
use crate::body::{Fields, Segments, path_id};
use crate::deliveries::text;
use crate::endpoints::WHAT;
use crate::error::Error;
use crate::ports::{Sample, Trial};
use crate::router::Api;

pub(crate) async fn send(
    State(api): State<Api>,
    Writer(caller): Writer,
    Segments(id): Segments<String>,
    fields: Fields,
) -> Result<Json<TrialBody>, Error> {
    caller.unlimited()?;
    let id = path_id(WHAT, &id)?;
    let (trial, event) = api.trial_of(id, fields).await.map_err(|refused| refused.of(WHAT, id))?;
    Ok(Json(TrialBody::of(trial, event)))
}

pub(crate) fn read_sample(fields: &mut Fields) -> Option<(Sample, &'static str)> {
    fields.require("event");
    let value = fields.take("event")?;
    let Some(name) = value.as_str() else {
        fields.wrong(
            "event",
            "invalid",
            "event must be a text, the name of an event type.".to_owned(),
        );
        return None;
    };
    let directory = name.parse().ok().filter(|kind: &EventType| kind.is_subscribable());
    let directory = directory.map(|kind| (Sample::Directory(kind), kind.name()));
    let operational = || {
        let event: OperationalEvent = name.parse().ok()?;
        Some((Sample::Operational(event), event.name()))
    };
    let sample = directory.or_else(operational);
    if sample.is_none() {
        let message = format!("{name:?} is not an event type that webhooks carry.");
        fields.wrong("event", "unknown_event_type", message);
    }
    sample
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookTest")]
pub(crate) struct TrialBody {
    object: &'static str,
    event_id: EventId,
    event: &'static str,
    delivered: bool,
    response_status: Option<u16>,
    failure: Option<&'static str>,
    #[schemars(with = "u64")]
    duration_ms: u128,
    request_headers: BTreeMap<String, String>,
    request_body: String,
    response_body: Option<String>,
}

impl TrialBody {
    fn of(trial: Trial, event: &'static str) -> Self {
        Self {
            object: "webhook_test",
            event_id: trial.event_id,
            event,
            delivered: trial.failure.is_none(),
            response_status: trial.status,
            failure: trial.failure,
            duration_ms: trial.duration.as_millis(),
            request_headers: trial.headers.into_iter().collect(),
            request_body: text(&trial.request),
            response_body: trial.response.as_deref().map(text),
        }
    }
}
