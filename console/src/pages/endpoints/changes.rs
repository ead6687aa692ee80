//! What is done to an endpoint: it is turned on and off, gets another secret, is deleted.

use std::sync::Arc;

use api::actions::{Asked, FieldError, Refused};
use api::ports::{Conflict, Endpoint, PortError};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::html;
use schemas::Timestamp;
use serde_json::{Map, json};

use super::super::organizations::{refuse_auditors, unprocessable};
use super::{LIST, form as endpoint_form, get, lag, page_under, path, wrong};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::path_id;
use crate::parts::fields::{Wrongs, choice, named};
use crate::parts::form::{form, hidden, send, send_danger};
use crate::parts::{self, facts, notice, time_or};
use crate::session::{Change, Viewer};
use crate::sign_in::to;

/// How long both secrets sign, in seconds, and in words.
const OVERLAPS: [(&str, &str); 5] = [
    ("86400", "A day"),
    ("3600", "An hour"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
    ("0", "Not at all: the old one is void at once"),
];

pub(crate) async fn enable(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    _: Change,
) -> Result<Response, Error> {
    switch(&console, &id, "enabled").await
}

pub(crate) async fn disable(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    _: Change,
) -> Result<Response, Error> {
    switch(&console, &id, "disabled").await
}

/// Two who want the same get it; whoever wants something else sees on the page how it is.
async fn switch(console: &Console, id: &str, status: &str) -> Result<Response, Error> {
    let endpoint = get(console, id).await?;
    let asked = Asked(Map::from_iter([("status".to_owned(), json!(status))]));
    match console.api.change_endpoint(endpoint.id, asked, None).await {
        Ok(endpoint) => Ok(to(&path(endpoint.id))),
        Err(refused) => {
            wrong(refused)?;
            Err(Error::Unreadable)
        }
    }
}

pub(crate) async fn rotation(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let endpoint = get(&console, &id).await?;
    Ok(page_for_rotation(&viewer, &endpoint, "", None, &[]))
}

/// The form says from when the endpoint is that it was made for: sent twice, it makes one secret.
pub(crate) async fn rotate(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let endpoint = get(&console, &id).await?;
    let made_from = form.text("made_from").and_then(|text| text.parse().ok());
    let made_from: Timestamp = made_from.ok_or(Error::Unreadable)?;
    let typed = form.text("overlap_seconds").unwrap_or_default();
    let seconds = typed.parse::<u32>().map_or(json!(typed), |seconds| json!(seconds));
    let asked = Asked(Map::from_iter([("overlap_seconds".to_owned(), seconds)]));
    match console.api.rotate_endpoint_secret(endpoint.id, asked, Some(made_from)).await {
        Ok(endpoint) => {
            let until = endpoint.previous_secret_until;
            Ok(endpoint_form::secret(&viewer, &endpoint, "Secret rotated", until))
        }
        Err(Refused::Port(PortError::Conflict(Conflict::Changed))) => {
            let changed = Some(conflicting(Conflict::Changed));
            let page = page_for_rotation(&viewer, &endpoint, typed, changed, &[]);
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(refused) => {
            let wrong = wrong(refused)?;
            Ok(unprocessable(page_for_rotation(&viewer, &endpoint, typed, None, &wrong)))
        }
    }
}

fn page_for_rotation(
    viewer: &Viewer,
    endpoint: &Endpoint,
    typed: &str,
    changed: Option<&str>,
    wrong: &[FieldError],
) -> Response {
    let own = path(endpoint.id);
    let wrongs = Wrongs(wrong);
    let overlaps = OVERLAPS.map(|(seconds, text)| (seconds, text.to_owned()));
    let overlap = named(
        "overlap_seconds",
        "The old secret signs on for",
        "As long as it takes to give the new one to your app. Meanwhile each webhook is signed with both.",
    );
    let body = html! {
        @if let Some(changed) = changed { (notice::wrong(changed)) }
        (wrongs.all())
        p.lead { "A new secret is made and shown once. Webhooks are signed with it at once, and with the old one as long as you say." }
        @if endpoint.previous_secret_until.is_some() {
            (facts(&[("The secret before signs until", time_or(endpoint.previous_secret_until, ""))]))
        }
        (form(viewer, &format!("{own}/rotate"), &html! {
            (hidden("made_from", endpoint.updated_at))
            (choice(overlap, &overlaps, typed, wrongs))
            (send("Rotate secret", &own))
        }))
    };
    page_under(viewer, endpoint, "Rotate secret").show(&body)
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let endpoint = get(&console, &id).await?;
    let standing = console.lookups.standing(endpoint.id).await?;
    let own = path(endpoint.id);
    let body = html! {
        p.lead { "This cannot be undone. What waits for it is never sent, and what is known of its deliveries goes with it. To stop for a while, turn it off instead." }
        (facts(&[
            ("URL", parts::url(&endpoint.url)),
            ("Waiting for it", lag(&standing, console.edge.now())),
        ]))
        (form(&viewer, &format!("{own}/delete"), &send_danger("Delete endpoint", &own)))
    };
    Ok(page_under(&viewer, &endpoint, "Delete endpoint").show(&body))
}

/// One that was deleted already is no error: two admins may want the same.
pub(crate) async fn delete(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    _: Change,
) -> Result<Response, Error> {
    match console.endpoints.delete(path_id(super::ENDPOINT, &id)?).await {
        Ok(()) | Err(PortError::NotFound) => Ok(to(LIST)),
        Err(error) => Err(error.into()),
    }
}
