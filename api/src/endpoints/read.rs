//! The fields of an endpoint as they come in, each judged.

use std::time::Duration;

use schemas::id::Kind;
use schemas::waits::WAITS_MAX;
use schemas::{
    DeliveryOrder, DirectoryId, EndpointKind, EventType, Format, Id, OrganizationId, Timestamp,
    Waits,
};

use crate::body::Fields;
use crate::ports::{PortError, Reach, Start};
use crate::router::Api;

/// How long a URL may be: what browsers and proxies agree on.
const URL_MAX: usize = 2048;

/// How many organizations or directories an endpoint may name: each event is held against all of them.
/// Who has more of them leaves the list out and looks at the events.
const NAMED_MAX: usize = 100;

/// How far ahead the clock of who says where an endpoint starts may be.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// How long a schedule may be as text.
const SCHEDULE_MAX: usize = WAITS_MAX * 12;

/// What was given of an endpoint, at its creation or later.
pub(crate) struct Given {
    pub(crate) url: Option<String>,
    pub(crate) events: Option<Vec<EventType>>,
    pub(crate) organizations: Option<Vec<OrganizationId>>,
    pub(crate) directories: Option<Vec<DirectoryId>>,
    pub(crate) order: Option<DeliveryOrder>,
    /// `Some(None)`: that of the settings.
    pub(crate) retry_schedule: Option<Option<Waits>>,
    pub(crate) format: Option<Format>,
}

impl Given {
    pub(crate) fn read(fields: &mut Fields) -> Self {
        Self {
            url: fields.text("endpoint_url", URL_MAX).map(one_spelling),
            events: events(fields),
            organizations: ids(fields, "organizations"),
            directories: ids(fields, "directories"),
            order: fields.word("order", &DeliveryOrder::ALL.map(DeliveryOrder::name), |name| {
                name.parse().ok()
            }),
            retry_schedule: retry_schedule(fields),
            format: fields.word("format", &Format::ALL.map(Format::name), |name| name.parse().ok()),
        }
    }

    /// What an operational endpoint gets is not chosen, and it comes one after the other.
    pub(crate) fn must_suit(&self, kind: EndpointKind, fields: &mut Fields) {
        match kind {
            EndpointKind::Directory => return,
            EndpointKind::Operational => {}
        }
        let given = [
            ("events", self.events.is_some()),
            ("organizations", self.organizations.is_some()),
            ("directories", self.directories.is_some()),
            ("order", self.order.is_some()),
            ("format", self.format.is_some_and(|format| format != Format::Webhook)),
        ];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            let message = format!(
                "{name} cannot be chosen for an operational endpoint: it gets every operational event, in order."
            );
            fields.wrong(name, "invalid", message);
        }
    }

    /// A name of nothing would be an endpoint that is silent for ever.
    pub(crate) async fn must_exist(&self, api: &Api, fields: &mut Fields) -> Result<(), PortError> {
        for (index, id) in self.organizations.iter().flatten().enumerate() {
            let found = api.organizations.get(Reach::Everything, *id).await.map(drop);
            must_be_found(fields, "organizations", index, found)?;
        }
        for (index, id) in self.directories.iter().flatten().enumerate() {
            let found = api.directories.get(Reach::Everything, *id).await.map(drop);
            must_be_found(fields, "directories", index, found)?;
        }
        Ok(())
    }
}

fn must_be_found(
    fields: &mut Fields,
    name: &str,
    index: usize,
    found: Result<(), PortError>,
) -> Result<(), PortError> {
    match found {
        Ok(()) => {}
        Err(PortError::NotFound) => {
            let field = format!("{name}[{index}]");
            let message = format!("{field} is the id of nothing.");
            fields.wrong(field, "not_found", message);
        }
        Err(
            error @ (PortError::Conflict(_)
            | PortError::Unavailable(_)
            | PortError::Unsure(_)
            | PortError::Full(_)),
        ) => return Err(error),
    }
    Ok(())
}

/// What is chosen once.
pub(crate) fn creation(
    fields: &mut Fields,
    given: &Given,
    now: Timestamp,
) -> (EndpointKind, Start) {
    let kind = fields
        .word("kind", &EndpointKind::ALL.map(EndpointKind::name), |name| name.parse().ok())
        .unwrap_or_default();
    given.must_suit(kind, fields);
    let start = start(fields, now).unwrap_or_default();
    if kind == EndpointKind::Operational && start != Start::Now {
        let message = "start must be now for an operational endpoint.".to_owned();
        fields.wrong("start", "invalid", message);
    }
    (kind, start)
}

/// To ignore these in a change would look like having changed them.
pub(crate) fn refuse_creation_only(fields: &mut Fields) {
    for name in ["kind", "start"] {
        if fields.take(name).is_some() {
            let message =
                format!("{name} is chosen when an endpoint is created, once and for all.");
            fields.wrong(name, "invalid", message);
        }
    }
}

/// A URL as the URL Standard writes it, so that two spellings are not taken for two endpoints, each of which would get
/// every event. What is no URL is refused later, as it came.
fn one_spelling(text: String) -> String {
    url::Url::parse(&text).map_or(text, String::from)
}

pub(crate) fn enabled(status: &str) -> Option<bool> {
    match status {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

pub(crate) fn subscribable() -> Vec<EventType> {
    EventType::ALL.iter().copied().filter(|kind| kind.is_subscribable()).collect()
}

fn start(fields: &mut Fields, now: Timestamp) -> Option<Start> {
    let value = fields.take("start")?;
    let start = value.as_str().and_then(|text| match text {
        "now" => Some(Start::Now),
        "beginning" => Some(Start::Beginning),
        time => time.parse::<Timestamp>().ok().map(Start::At),
    });
    if start.is_none() {
        let message = "start must be now, beginning or a time such as 2026-03-02T10:15:30.123Z.";
        fields.wrong("start", "invalid", message.to_owned());
    }
    if let Some(Start::At(time)) = start
        && time > now.after(AHEAD_MAX)
    {
        let message =
            "start must not be in the future; an endpoint that is to begin later is made later.";
        fields.wrong("start", "invalid", message.to_owned());
    }
    start
}

fn retry_schedule(fields: &mut Fields) -> Option<Option<Waits>> {
    if fields.is_null("retry_schedule") {
        fields.take("retry_schedule");
        return Some(None);
    }
    let text = fields.text("retry_schedule", SCHEDULE_MAX)?;
    match text.parse() {
        Ok(waits) => Some(Some(waits)),
        Err(error) => {
            let message = format!("retry_schedule: {error}, 100 waits of 7d at most.");
            fields.wrong("retry_schedule", "invalid", message);
            None
        }
    }
}

fn ids<K: Kind>(fields: &mut Fields, name: &str) -> Option<Vec<Id<K>>> {
    let list = fields.list(name)?;
    if list.len() > NAMED_MAX {
        let message = format!("{name} may name {NAMED_MAX} at most.");
        fields.wrong(name, "too_many", message);
        return None;
    }
    let mut ids = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        match value.as_str().and_then(|text| text.parse().ok()) {
            Some(id) if ids.contains(&id) => {}
            Some(id) => ids.push(id),
            None => {
                let message = format!("{value} is not an id that begins with {}_.", K::PREFIX);
                fields.wrong(format!("{name}[{index}]"), "invalid", message);
            }
        }
    }
    Some(ids)
}

/// The types to subscribe to. An empty list is refused: it could be meant as all or as none.
pub(crate) fn events(fields: &mut Fields) -> Option<Vec<EventType>> {
    let list = fields.list("events")?;
    if list.is_empty() {
        fields.wrong("events", "required", "events must name one event type or more.".to_owned());
    }
    let mut events = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let named = value.as_str().map(matching).unwrap_or_default();
        if named.is_empty() {
            let message = format!("{value} is not an event type that webhooks carry.");
            fields.wrong(format!("events[{index}]"), "unknown_event_type", message);
        }
        for kind in named {
            if !events.contains(&kind) {
                events.push(kind);
            }
        }
    }
    Some(events)
}

/// The types with this name, or those that a pattern such as `dsync.user.*` stands for. It stands for
/// them once: an app that was written for these is not sent others because of an update of ours.
fn matching(name: &str) -> Vec<EventType> {
    let fits = |kind: &EventType| match name.strip_suffix('*') {
        Some(prefix) => prefix.ends_with('.') && kind.name().starts_with(prefix),
        None => kind.name() == name,
    };
    subscribable().into_iter().filter(fits).collect()
}
