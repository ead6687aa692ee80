//! Where an endpoint's requests go, what they say and how they are signed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use schemas::cloud_event::{self, Attributes};
use schemas::{Format, ReplayId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{self, Caller, To};
use crate::destination::{Destination, KafkaTopic};
use crate::ports::{Endpoint, FeedEvent, LaneId, OPERATIONAL};
use crate::security_event::Issuer;
use crate::signature::{Letter, Signer, content_type};

/// Says that an event is sent once more, and by which replay.
const REPLAY: HeaderName = HeaderName::from_static("dsync-replay");

/// The key of records that are about no directory: all operational events are one stream.
const OPERATIONAL_KEY: &str = "operational";

/// See the module.
pub(crate) struct Target {
    pub(crate) id: LaneId,
    destination: Destination,
    timeout: Option<Duration>,
    caller: Option<Caller>,
    signer: Signer,
    form: Form,
}

/// The format of an endpoint, with what it takes to write it.
enum Form {
    Webhook,
    ScimSet(Issuer),
}

impl Target {
    /// `None` if the endpoint has no usable URL or no secret.
    pub(crate) fn new(
        endpoint: &Endpoint,
        replay: Option<ReplayId>,
        issuer: &Arc<str>,
    ) -> Option<Self> {
        let destination = Destination::parse(&endpoint.url).ok()?;
        let signer = Signer::new(&endpoint.secrets)?;
        let form = match endpoint.format {
            Format::Webhook => Form::Webhook,
            Format::ScimSet => {
                let (url, audience) = (Arc::clone(issuer), endpoint.url.clone());
                Form::ScimSet(Issuer { url, audience })
            }
        };
        let (timeout, caller) = (endpoint.timeout, endpoint.identity.clone().map(Caller::new));
        let id = LaneId { endpoint: endpoint.id, replay };
        Some(Self { id, destination, timeout, caller, signer, form })
    }

    /// What writes the tokens that it gets; `None` if it gets events as they are.
    pub(crate) const fn issuer(&self) -> Option<&Issuer> {
        match &self.form {
            Form::Webhook => None,
            Form::ScimSet(issuer) => Some(issuer),
        }
    }

    /// The request of an attempt, with the event as the format of the endpoint has it.
    pub(crate) fn request(
        &self,
        event: &FeedEvent,
        attempt: u16,
        at: Timestamp,
        body: Bytes,
    ) -> client::Request {
        let format = match self.form {
            Form::Webhook => Format::Webhook,
            Form::ScimSet(_) => Format::ScimSet,
        };
        let letter = Letter { id: event.id, seq: event.seq, attempt, format, body: &body };
        let (to, mut headers) = match &self.destination {
            Destination::Http(url) => {
                let (url, caller) = (url.clone(), self.caller.clone());
                (To::Url { url, caller }, self.signer.headers(letter, at))
            }
            Destination::Topic(topic) => {
                let mut headers = self.signer.record_headers(letter, at);
                add_attributes(&mut headers, event, format);
                (record_of(topic, event), headers)
            }
        };
        if let Some(replay) = self.id.replay {
            let value = HeaderValue::try_from(replay.to_string()).expect("an id is plain ASCII");
            headers.insert(REPLAY, value);
        }
        client::Request { to, headers, body, timeout: self.timeout }
    }
}

fn record_of(topic: &KafkaTopic, event: &FeedEvent) -> To {
    let key = if event.directory_id == OPERATIONAL {
        OPERATIONAL_KEY.to_owned()
    } else {
        event.directory_id.to_string()
    };
    To::Topic { topic: topic.clone(), key }
}

/// What CloudEvents wants to know and only the event itself says.
#[derive(Deserialize)]
struct Said<'a> {
    created_at: Timestamp,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn add_attributes(headers: &mut HeaderMap, event: &FeedEvent, format: Format) {
    let said: Option<Said<'_>> = serde_json::from_slice(&event.body).ok();
    let attributes = Attributes {
        id: event.id,
        kind: event.topic.name(),
        source: if event.directory_id == OPERATIONAL {
            cloud_event::Source::Installation
        } else {
            cloud_event::Source::Directory(event.directory_id)
        },
        time: said.as_ref().map(|said| said.created_at),
        subject: said.as_ref().and_then(|said| cloud_event::subject(said.data.get())),
        content_type: content_type(format),
    };
    for (name, value) in attributes.headers() {
        // Ids, types and times are plain ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests;
