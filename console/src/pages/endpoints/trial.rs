//! A sample that is sent to an endpoint to see what it answers.

use std::sync::Arc;

use api::actions::{Asked, FieldError};
use api::ports::{Endpoint, Trial};
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use schemas::{EndpointKind, EventType, OperationalEvent};
use serde_json::{Map, json};

use super::super::organizations::{refuse_auditors, unprocessable};
use super::attempts::{body, no_answer};
use super::chart::milliseconds;
use super::{get, page_under, path, wrong};
use crate::Console;
use crate::error::Error;
use crate::form::Form;
use crate::parts::fields::{Wrongs, choice, named};
use crate::parts::form::{form, send as send_button};
use crate::parts::{self, Tone, badge, facts};
use crate::session::{Change, Viewer};

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let endpoint = get(&console, &id).await?;
    Ok(page(&viewer, &endpoint, "", &html! {}, &[]))
}

/// Sent twice, it sends two: that is what is asked for.
pub(crate) async fn send(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let endpoint = get(&console, &id).await?;
    let event = form.text("event").unwrap_or_default();
    match console.api.try_endpoint(endpoint.id, asked(&form)).await {
        Ok(trial) => Ok(page(&viewer, &endpoint, event, &result(&endpoint, event, &trial), &[])),
        Err(refused) => {
            let wrong = wrong(refused)?;
            Ok(unprocessable(page(&viewer, &endpoint, event, &html! {}, &wrong)))
        }
    }
}

fn asked(form: &Form) -> Asked {
    Asked(Map::from_iter([("event".to_owned(), json!(form.text("event")))]))
}

fn page(
    viewer: &Viewer,
    endpoint: &Endpoint,
    event: &str,
    result: &Markup,
    wrong: &[FieldError],
) -> Response {
    let own = path(endpoint.id);
    let wrongs = Wrongs(wrong);
    let hint =
        "A sample with made-up data, signed as every webhook and marked with dsync-test: true.";
    let body = html! {
        (result)
        (wrongs.all())
        (form(viewer, &format!("{own}/test"), &html! {
            (choice(named("event", "Event", hint), &samples(endpoint), event, wrongs))
            (send_button("Send a test", &own))
        }))
    };
    page_under(viewer, endpoint, "Send a test").show(&body)
}

fn samples(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    let names: Vec<&'static str> = match endpoint.kind {
        EndpointKind::Directory => {
            let carried = EventType::ALL.iter().filter(|kind| endpoint.format.carries(**kind));
            carried.map(|kind| kind.name()).collect()
        }
        EndpointKind::Operational => OperationalEvent::ALL.map(OperationalEvent::name).to_vec(),
    };
    names.into_iter().map(|name| (name, name.to_owned())).collect()
}

fn result(endpoint: &Endpoint, event: &str, trial: &Trial) -> Markup {
    let is_taken = trial.failure.is_none();
    let status = trial.status.map(|status| status.to_string());
    let word = status.or_else(|| trial.failure.map(str::to_owned)).unwrap_or_default();
    let headers = html! { dl.headers { @for (name, value) in &trial.headers { div { dt { code { (name) } } dd { code { (parts::text(value)) } } } } } };
    html! {
        section aria-labelledby="result-title" data-now-at={ (path(endpoint.id)) "/test" } {
            h2 #result-title { @if is_taken { "It took the test" } @else { "It did not take the test" } }
            p.status role="status" {
                (badge(if is_taken { Tone::Good } else { Tone::Bad }, word)) " after " (milliseconds(trial.duration))
            }
            (facts(&[("Event", html! { code { (event) } }), ("Id", html! { code { (trial.event_id) } })]))
            h3 { "Request" }
            (headers)
            (body(&trial.request))
            @if !is_taken {
                h3 { "Answer" }
                @match &trial.response {
                    Some(bytes) => (body(bytes)),
                    None => (no_answer(trial.status)),
                }
            }
        }
    }
}
