//! Where an endpoint's requests go, what they say and how they are signed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use schemas::{Format, ReplayId, Timestamp};
use url::Url;

use crate::client::{self, Caller};
use crate::ports::{Endpoint, FeedEvent, LaneId};
use crate::security_event::Issuer;
use crate::signature::{Letter, Signer};

/// Says that an event is sent once more, and by which replay.
const REPLAY: HeaderName = HeaderName::from_static("dsync-replay");

/// See the module.
pub(crate) struct Target {
    pub(crate) id: LaneId,
    url: Url,
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
        let url = Url::parse(&endpoint.url).ok()?;
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
        Some(Self { id, url, timeout, caller, signer, form })
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
        let mut headers = self.signer.headers(letter, at);
        if let Some(replay) = self.id.replay {
            let value = HeaderValue::try_from(replay.to_string()).expect("an id is plain ASCII");
            headers.insert(REPLAY, value);
        }
        let (url, timeout, caller) = (self.url.clone(), self.timeout, self.caller.clone());
        client::Request { url, headers, body, timeout, caller }
    }
}
