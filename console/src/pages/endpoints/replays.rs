//! Part of the history sent once more: what is asked for, and how far it has come.

use std::sync::Arc;

use api::actions::{Asked, FieldError};
use api::ports::{DirectoryFilter, Endpoint, PortError, Replay};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use schemas::{EndpointId, ReplayId};
use serde_json::{Map, json};

use super::super::organizations::{refuse_auditors, unprocessable};
use super::super::{REPLAY, directory_name, directory_path};
use super::{get, page_under, path as endpoint_path, wrong};
use crate::Console;
use crate::error::Error;
use crate::form::{Form, Query, path_id};
use crate::pages::first_few;
use crate::parts::fields::{Wrongs, choice, line, named, tick, ticks};
use crate::parts::form::{form, hidden, send};
use crate::parts::{self, Tone, badge, facts, live, number, time};
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

/// How many directories there are to choose from.
const DIRECTORIES_MAX: u32 = 100;

/// Before everything that can have happened, as a time of the API.
const BEGINNING: &str = "1970-01-01T00:00:00.000Z";

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(endpoint): Path<String>,
    Query(query): Query,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let endpoint = get(&console, &endpoint).await?;
    let id = ReplayId::from_bits(console.edge.id());
    page_for_new(&console, &viewer, &endpoint, id, &query, &[]).await
}

/// The id is made with the form: one that is sent twice begins one replay.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Path(endpoint): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let endpoint = get(&console, &endpoint).await?;
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: ReplayId = id.ok_or(Error::Forged)?;
    let there = to(&path(endpoint.id, id));
    match console.deliveries.replay(endpoint.id, id).await {
        Ok(_) => return Ok(there),
        Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    match console.api.begin_replay(endpoint.id, id, asked(&form)).await {
        Ok(_) => Ok(there),
        Err(refused) => {
            let wrong = wrong(refused)?;
            let page = page_for_new(&console, &viewer, &endpoint, id, &form, &wrong);
            page.await.map(unprocessable)
        }
    }
}

/// What was typed as the API asks for it.
fn asked(form: &Form) -> Asked {
    let mut fields = Map::new();
    let mut put = |name: &str, value| drop(fields.insert(name.to_owned(), value));
    if let Some(event) = form.text("event_id") {
        put("event_id", json!(event));
        return Asked(fields);
    }
    let from = match form.text("begin") {
        Some("beginning") => Some(BEGINNING),
        _ => form.text("from"),
    };
    put("from", json!(from));
    put("to", json!(form.text("to")));
    put("directory", json!(form.text("directory")));
    let events: Vec<&str> = form.filled("events").collect();
    if !events.is_empty() {
        put("events", json!(events));
    }
    let rate = form.text("rate");
    put(
        "rate",
        rate.map_or(json!(null), |text| {
            text.parse::<u32>().map_or(json!(text), |rate| json!(rate))
        }),
    );
    Asked(fields)
}

async fn page_for_new(
    console: &Console,
    viewer: &Viewer,
    endpoint: &Endpoint,
    id: ReplayId,
    typed: &Form,
    wrong: &[FieldError],
) -> Result<Response, Error> {
    let own = endpoint_path(endpoint.id);
    let wrongs = Wrongs(wrong);
    if let Some(event) = typed.text("event_id") {
        return Ok(page_for_one(viewer, endpoint, id, event, wrongs));
    }
    let page = first_few(DIRECTORIES_MAX);
    let directories = console.directories.list(page, DirectoryFilter::default()).await?.items;
    let mut of = vec![("".to_owned(), "All".to_owned())];
    of.extend(directories.into_iter().map(|one| (one.id.to_string(), one.name)));
    let of: Vec<(&str, String)> = of.iter().map(|(id, name)| (id.as_str(), name.clone())).collect();
    let value = |name| typed.one(name).unwrap_or_default();
    let ticked: Vec<&str> = typed.filled("events").collect();
    let events = html! {
        @for event in &endpoint.events { (tick("events", event.name(), &html! { code { (event.name()) } }, ticked.contains(&event.name()))) }
    };
    let begins = [
        ("beginning", "The beginning of the history".to_owned()),
        ("at", "A time or an event".to_owned()),
    ];
    let body = html! {
        p.lead { "What the endpoint subscribes to is sent once more, beside what happens meanwhile, with the same webhook-id and marked as a replay. An app that knows the id passes over it." }
        (wrongs.all())
        (form(viewer, &format!("{own}/replay"), &html! {
            (hidden("id", id))
            (choice(named("begin", "From", ""), &begins, value("begin"), Wrongs(&[])))
            (line(named("from", "Time or event to begin with", "In UTC, such as 2026-03-02T10:15:30Z, or the id of an event. Just for “A time or an event”."), value("from"), wrongs))
            (line(named("to", "Up to", "A time or the id of an event. Empty is all there is by now."), value("to"), wrongs))
            (choice(named("directory", "Directory", "Just this one, or all that the endpoint gets."), &of, value("directory"), wrongs))
            (ticks(named("events", "Event types", "None ticked stands for all that it subscribes to."), &events, wrongs))
            (line(named("rate", "Events a second", "At most 1,000. Empty is 100."), value("rate"), wrongs))
            (send("Replay", &own))
        }))
    };
    Ok(page_under(viewer, endpoint, "Replay").show(&body))
}

/// One event that could not be sent again: who tries once more must not send the whole history instead.
fn page_for_one(
    viewer: &Viewer,
    endpoint: &Endpoint,
    id: ReplayId,
    event: &str,
    wrongs: Wrongs<'_>,
) -> Response {
    let own = endpoint_path(endpoint.id);
    let body = html! {
        (wrongs.all())
        (facts(&[("Event", html! { code { (parts::text(event)) } })]))
        (form(viewer, &format!("{own}/replay"), &html! {
            (hidden("id", id))
            (hidden("event_id", event))
            (send("Send this event again", &own))
        }))
    };
    page_under(viewer, endpoint, "Send an event again").show(&body)
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path((endpoint, id)): Path<(String, String)>,
) -> Result<Response, Error> {
    let endpoint = get(&console, &endpoint).await?;
    let id = path_id(REPLAY, &id)?;
    let replay = console.deliveries.replay(endpoint.id, id).await.map_err(Error::about(REPLAY))?;
    let own = path(endpoint.id, id);
    let about = about(&console, &endpoint, &replay).await?;
    let shown = html! {
        (progress(&endpoint, &replay))
        (about)
        @if viewer.is_admin() && replay.finished_at.is_none() {
            (form(&viewer, &format!("{own}/cancel"), &html! {
                div.buttons { button #cancel.button.danger type="submit" { "Cancel the replay" } }
                p.hint { "What was sent stays sent." }
            }))
        }
    };
    let body = html! {
        (live("replay", &own, &shown))
        p { a href=(endpoint_path(endpoint.id)) { "To the endpoint" } }
    };
    let page = page_under(&viewer, &endpoint, "Replay");
    Ok(page.following(format!("/console/changes?endpoint={}", endpoint.id)).show(&body))
}

fn progress(endpoint: &Endpoint, replay: &Replay) -> Markup {
    let done = replay.delivered + replay.exhausted;
    html! {
        div.card {
            p.status {
                span data-say { (state(endpoint, replay)) } " " (number(done)) " of " (number(replay.total)) " events"
                @if replay.exhausted > 0 { ", " (number(replay.exhausted)) " of them not tried again" }
            }
            progress aria-label="Progress" value=(done) max=(replay.total.max(1)) {}
        }
    }
}

fn state(endpoint: &Endpoint, replay: &Replay) -> Markup {
    match (replay.finished_at, endpoint.enabled) {
        (Some(_), _) => badge(Tone::Good, "finished"),
        (None, true) => badge(Tone::Plain, "under way"),
        (None, false) => badge(Tone::Plain, "waits until the endpoint is turned on"),
    }
}

async fn about(console: &Console, endpoint: &Endpoint, replay: &Replay) -> Result<Markup, Error> {
    let of = match replay.directory {
        None => html! { span.faint { "all" } },
        Some(id) => {
            let name = directory_name(console, id).await?;
            html! { a href=(directory_path(id)) { (parts::text(&name)) } }
        }
    };
    let events = html! {
        @if replay.events.is_empty() { span.faint { "all that it subscribes to" } }
        @for event in &replay.events { span.item { code { (event.name()) } } }
    };
    let mut about = vec![
        ("To", parts::url(&endpoint.url)),
        ("Directory", of),
        ("Event types", events),
        ("Events a second", html! { "at most " (number(replay.rate.into())) }),
        ("Asked for", time(replay.created_at)),
        ("Id", html! { code { (replay.id) } }),
    ];
    if let Some(at) = replay.finished_at {
        about.push(("Finished", time(at)));
    }
    Ok(facts(&about))
}

/// A replay in the list of its endpoint.
pub(super) fn listed(endpoint: &Endpoint, replay: &Replay) -> Markup {
    let done = replay.delivered + replay.exhausted;
    html! {
        a #(replay.id) href=(path(endpoint.id, replay.id)) { (time(replay.created_at)) }
        (state(endpoint, replay))
        span { (number(done)) " of " (number(replay.total)) " events" }
        progress aria-label="Progress" value=(done) max=(replay.total.max(1)) {}
    }
}

/// One that has ended meanwhile is no error.
pub(crate) async fn cancel(
    State(console): State<Arc<Console>>,
    Path((endpoint, id)): Path<(String, String)>,
    _: Change,
) -> Result<Response, Error> {
    let endpoint = get(&console, &endpoint).await?;
    match console.deliveries.cancel_replay(endpoint.id, path_id(REPLAY, &id)?).await {
        Ok(()) | Err(PortError::NotFound) => Ok(to(&endpoint_path(endpoint.id)).into_response()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn path(endpoint: EndpointId, id: ReplayId) -> String {
    format!("{}/replays/{id}", endpoint_path(endpoint))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn asked_of(pairs: &[(&str, &str)]) -> Value {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Value::Object(asked(&Form::of(pairs.collect())).0)
    }

    #[test]
    fn one_event_or_a_range_is_asked_for() {
        assert_eq!(
            asked_of(&[("event_id", "event_1"), ("from", "x")]),
            json!({ "event_id": "event_1" })
        );
        let whole = asked_of(&[("begin", "beginning"), ("from", "ignored"), ("rate", "7")]);
        let expected = json!({ "from": BEGINNING, "to": null, "directory": null, "rate": 7 });
        assert_eq!(whole, expected);
        let part = asked_of(&[
            ("begin", "at"),
            ("from", "event_1"),
            ("events", "dsync.deleted"),
            ("rate", "many"),
        ]);
        let expected = json!({ "from": "event_1", "to": null, "directory": null, "events": ["dsync.deleted"], "rate": "many" });
        assert_eq!(part, expected);
    }
}
